"""Each backup has a verified copy at a second store before the first may rotate, and the last good one never goes."""

import json
import os
import shutil
from datetime import timedelta

import pytest

from tests.acceptance.shop import NOW, Shop

STORES = """\
  backups: {type: files, path: backups, location: GB}
  offsite: {type: files, path: offsite, location: IE}"""
RULE = """\
  nights:
    store: backups
    select: {{path: "{path}"}}
    start: {{path: day}}
    generations: {{last: 2{sets}}}
    {copies}
    action: delete
"""
COPY, REQUIRE = "copy: {{to: offsite{}}}", "require: {copies: {store: offsite, at_least: 1}}"


@pytest.fixture
def shop(tmp_path, work):
    shop = Shop(tmp_path / "shop")
    shop.settings(more=STORES)
    for name in ("backups", "offsite"):
        (shop.folder / name).mkdir()
    rule(shop, COPY.format(f", encrypt: [{work.identity()}]") + "\n    " + REQUIRE)
    return shop


def rule(shop, copies, path="{day:%Y-%m-%d}/**", sets=""):
    path_of = shop.category("backups", RULE.format(copies=copies, path=path, sets=sets))
    path_of.write_text(path_of.read_text().replace("locations: [GB]", "locations: [GB, IE]"))


def day(days):
    return f"{NOW - timedelta(days=days):%Y-%m-%d}"


def night(shop, days, name="crm.dump", text=b"a backup"):
    path = shop.folder / "backups" / day(days) / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text)
    return f"{day(days)}/{name}"


def counts(applied):
    return {what: n for what, n in applied["counts"].items() if n}


def planned(shop):
    plan = shop.json("plan", "--all")
    lines = [json.loads(line) for line in shop.lines(plan["plan"])[1:]]
    verdicts = {line["key"]: (line.get("verdict", "due"), "; ".join(line["reasons"])) for line in lines}
    return plan, verdicts, plan["violations"][0]["breaches"] if plan["violations"] else {}


def test_nothing_rotates_before_it_has_a_verified_copy(shop, work):
    keys = [night(shop, days) for days in (5, 4, 3, 2)]
    plan, verdicts, breaches = planned(shop)
    assert {"not-copied": 4} == breaches
    assert ("kept", "it has no verified copy in offsite yet") == verdicts[keys[0]]
    applied = shop.json("apply", plan["plan"])
    assert ({}, 4) == (counts(applied), applied["copies"]["verified"])
    assert {f"{key}.age" for key in keys} == shop.left("offsite")
    assert b"a backup" == work.run("age", "-d", "-i", "identity.txt", str(shop.folder / "offsite" / f"{keys[0]}.age"))
    plan, verdicts, breaches = planned(shop)
    assert ({}, 2) == (breaches, plan["rules"][0]["due"])
    assert {"disposed": 2} == counts(shop.json("apply", plan["plan"]))
    assert {*keys[2:]} == shop.left("backups")
    assert {f"{key}.age" for key in keys} == shop.left("offsite")
    assert [("copy", 4)] == [(e["purpose"], e["count"]) for e in shop.entries("copies-verified")]
    assert "The audit trail verifies" in shop.told("audit", "verify").out


def test_the_daemon_s_way_copies_and_rotates_in_one_go(shop):
    keys = [night(shop, days) for days in (5, 4, 3, 2)]
    shop.told("approve", "backups", "--yes")
    applied = shop.json("apply", "--category", "backups")
    assert ({"disposed": 2}, 4) == (counts(applied), applied["copies"]["verified"])
    assert {*keys[2:]} == shop.left("backups")
    assert {f"{key}.age" for key in keys} == shop.left("offsite")


def test_a_missing_or_damaged_copy_is_a_violation_and_holds_its_original_until_it_is_repaired(shop):
    first, second, *_ = keys = [night(shop, days) for days in (5, 4, 3, 2)]
    shop.json("apply", shop.plan())
    (shop.folder / "offsite" / f"{first}.age").unlink()
    damaged = shop.folder / "offsite" / f"{second}.age"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    plan, verdicts, breaches = planned(shop)
    assert {"copy-missing": 1, "copy-damaged": 1} == breaches
    assert ["kept", "kept"] == [verdicts[first][0], verdicts[second][0]]
    shop.told("status", "--check", code=7)
    assert 2 == shop.json("apply", plan["plan"])["copies"]["verified"]
    assert {*keys} == shop.left("backups")
    assert ({}, 2) == (planned(shop)[2], planned(shop)[0]["rules"][0]["due"])


def test_a_copy_that_was_only_touched_is_read_and_stays_verified(shop):
    key = night(shop, 5)
    shop.json("apply", shop.plan())
    os.utime(shop.folder / "offsite" / f"{key}.age")
    assert {} == planned(shop)[2]


def test_a_copy_that_goes_between_plan_and_apply_keeps_its_original(shop):
    keys = [night(shop, days) for days in (5, 4, 3, 2)]
    shop.json("apply", shop.plan())
    plan = shop.plan()
    rule(shop, REQUIRE)  # nobody makes a new one
    plan = shop.plan()
    (shop.folder / "offsite" / f"{keys[0]}.age").unlink()
    assert {"disposed": 1, "changed": 1} == counts(shop.json("apply", plan))
    assert keys[0] in shop.left("backups")


def test_copies_that_others_make_are_compared_byte_for_byte(shop):
    rule(shop, REQUIRE)
    keys = [night(shop, days, text=str(days).encode()) for days in (6, 5, 4, 3, 2)]
    shutil.copytree(shop.folder / "backups", shop.folder / "offsite", dirs_exist_ok=True)
    (shop.folder / "offsite" / keys[1]).write_bytes(b"another")
    (shop.folder / "offsite" / keys[2]).unlink()
    applied = shop.json("apply", shop.plan())
    assert {"verified": 3, "left": 2} == {name: applied["copies"][name] for name in ("verified", "left")}
    _, verdicts, breaches = planned(shop)
    assert {"not-copied": 2} == breaches
    assert [keys[0]] == [key for key, (verdict, _) in verdicts.items() if verdict == "due"]
    assert [("found", 3)] == [(e["purpose"], e["count"]) for e in shop.entries("copies-verified")]


def test_a_second_store_that_is_away_lets_nothing_go(shop):
    for days in (5, 4, 3):
        night(shop, days)
    shop.json("apply", shop.plan())
    plan = shop.plan()
    os.rename(shop.folder / "offsite", shop.folder / "away")
    assert {"changed": 1} == counts(shop.json("apply", plan, code=5))
    assert 3 == len(shop.left("backups"))
    shop.json("plan", code=5)


def test_a_copy_that_the_second_store_let_go_is_not_made_again(shop):
    keys = [night(shop, days) for days in (5, 4, 3, 2)]
    shop.json("apply", shop.plan())
    away = RULE.format(copies="", path="{day:%Y-%m-%d}/**", sets="").replace("backups", "offsite")
    path = shop.category("away", away)
    path.write_text(path.read_text().replace("locations: [GB]", "locations: [GB, IE]"))
    assert {"disposed": 2} == counts(shop.json("apply", shop.plan("away")))
    assert {"copy-gone": 2} == planned(shop)[2]
    assert 0 == shop.json("apply", shop.plan("backups"))["copies"]["verified"]
    assert {*keys} == shop.left("backups")


# --- sets


def test_a_set_that_lacks_a_member_is_undetermined_and_counts_for_none(shop):
    rule(shop, COPY.format(""), sets=", set_by: day")
    for days in (6, 5, 4, 3, 2):
        night(shop, days)
        night(shop, days, "site.dump")
    night(shop, 1)
    (shop.folder / "backups" / day(6) / "site.dump").unlink()
    shop.json("apply", shop.plan())
    verdicts = {key: verdict for key, (verdict, _) in planned(shop)[1].items()}
    by_day = {n: {verdict for key, verdict in verdicts.items() if key.startswith(day(n))} for n in range(1, 7)}
    assert {1: {"undetermined"}, 2: {"kept"}, 3: {"kept"}, 4: {"due"}, 5: {"due"}, 6: {"undetermined"}} == by_day
    assert "lacks" in planned(shop)[1][f"{day(1)}/crm.dump"][1]
