"""Anonymise, from outside: addresses, names and dates lose their owner once, evidence is true, and nothing else changes."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from retentiond.engine.failpoints import ARROWS
from tests.acceptance.shop import NEW, OLD

CHILD = Path(__file__).parent.parent / "crash" / "child.py"
VISITS = """\
  visits:
    store: till
    select: {table: visits, where: "id > 0"}
    start: {column: at}
    retention_period: 3 months
    action:
      anonymise: {ip: {truncate: 24}, email: null, name: {mask: 1}, ref: {hash: 16}, born: {truncate: year}, note: removed}
    subject: {email: email}
"""
GONE = """\
  old-visits:
    store: till
    select: {table: visits, where: "id > -1"}
    start: {column: at}
    retention_period: 1 year
    action: delete
"""


@pytest.fixture
def visits(bare):
    """Thirty visits of long ago and five new ones."""
    bare.sql(
        "CREATE TABLE visits(id INTEGER PRIMARY KEY, at TEXT NOT NULL, ip TEXT, email TEXT, name TEXT, ref TEXT, born, note TEXT)"
    )
    fill(bare, range(1, 31), OLD)
    fill(bare, range(101, 106), NEW)
    bare.category("visits", VISITS)
    return bare


def fill(shop, ids, at):
    for i in ids:
        row = (i, f"{at:%Y-%m-%d %H:%M:%S}", f"192.0.2.{i}", f"p{i}@example.org", f"Anna{i}", f"c{i % 3}", "1980-05-17", "a note")
        shop.sql("INSERT INTO visits VALUES(?,?,?,?,?,?,?,?)", *row)


def rows(shop, which="1"):
    return {row[0]: row[1:] for row in shop.sql(f"SELECT * FROM visits WHERE {which}")}


def is_done(row):
    _at, ip, email, name, ref, born, note = row
    hashed = ref[0] == "#" and len(ref) == 16
    return (ip, email, name[0], set(name[1:]), hashed, born, note) == (
        "192.0.2.0",
        None,
        "A",
        {"*"},
        True,
        "1980-01-01",
        "removed",
    )


def test_old_rows_lose_their_owner_and_new_ones_keep_theirs(visits):
    before = rows(visits)
    plan = visits.json("plan")
    (counts,) = plan["rules"]
    assert (counts["action"], counts["due"], counts["waiting"], counts["kept"]) == ("anonymise", 30, 5, 0)
    assert before == rows(visits), "planning changes nothing"
    applied = visits.json("apply", plan["plan"])
    assert (30, 0) == (applied["counts"]["disposed"], applied["counts"]["inferred"])
    after = rows(visits)
    assert before.keys() == after.keys()
    assert all(is_done(after[i]) and after[i][0] == before[i][0] for i in range(1, 31))
    assert {i: before[i] for i in range(101, 106)} == {i: after[i] for i in range(101, 106)}
    assert len({after[i][4] for i in range(1, 31)}) == 3, "equal values stay equal"
    (certificate,) = visits.entries("certificate")
    assert (30, 30, 0) == tuple(certificate[name] for name in ("looked", "absent", "back"))
    visits.told("audit", "verify")


def test_the_next_plan_has_nothing_due_and_counts_them_as_kept(visits):
    visits.told("apply", visits.plan())
    before = rows(visits)
    counts = visits.rule("visits")
    assert (counts["due"], counts["kept"], counts["waiting"], counts["overdue"]) == (0, 30, 5, 0)
    assert {"anonymised already": 30} == counts["kept_by"]
    plan = visits.plan("--all")
    assert (0, 30) == (visits.rule("visits")["due"], visits.rule("visits", "--all")["kept"])
    visits.told("apply", plan)
    assert before == rows(visits)


def test_explain_says_that_a_row_is_anonymised_already(visits):
    visits.told("apply", visits.plan())
    (rule,) = visits.json("explain", "till", "visits/7")["rules"]
    assert (rule["verdict"], rule["reason"], rule["overdue"]) == ("kept", "anonymised already", False)
    (rule,) = visits.json("explain", "till", "visits/101")["rules"]
    assert rule["verdict"] == "waiting"
    assert visits.told("audit", "lookup", "till", "visits/7").code == 0


def test_the_hash_is_the_same_in_a_later_run_and_its_key_is_the_owners_alone(visits):
    visits.told("apply", visits.plan())
    (made,) = [e for e in visits.entries("key-made") if e["kind"] == "anonymise"]
    key = visits.folder / "state" / "keys" / "anonymise"
    assert (key.stat().st_mode & 0o777, made["year"]) == (0o600, NEW.year)
    fill(visits, [31], OLD)
    visits.told("apply", visits.plan())
    after = rows(visits)
    assert after[31][4] == after[1][4] != after[2][4]
    assert 1 == sum(e["kind"] == "anonymise" for e in visits.entries("key-made"))


def test_without_its_key_nothing_is_hashed_anew(visits):
    visits.told("apply", visits.plan())
    (visits.folder / "state" / "keys" / "anonymise").unlink()
    fill(visits, [31], OLD)
    plan = visits.plan()
    told = visits.told("apply", plan, code=None)
    assert told.code != 0
    assert "key of anonymised values" in told.err
    assert rows(visits)[31][2] == "p31@example.org"


def test_looking_makes_no_key(visits):
    visits.told("check")
    visits.plan()
    assert not (visits.folder / "state" / "keys" / "anonymise").exists()


def test_a_hold_protects_its_rows(visits):
    plan = visits.plan()
    visits.told("hold", "place", "H1", "--reason", "r", "--mandate", "m", "--subject", "email=p3@example.org")
    visits.told("hold", "place", "H2", "--reason", "r", "--mandate", "m", "--store", "till", "--where", "id = 4")
    before = rows(visits)
    counts = visits.json("apply", plan)["counts"]
    assert (28, 2) == (counts["disposed"], counts["held"])
    after = rows(visits)
    assert (before[3], before[4]) == (after[3], after[4])
    assert visits.rule("visits")["held"] == 2


def test_a_row_that_changed_since_the_plan_is_left_alone_and_taken_up_by_the_next(visits):
    plan = visits.plan()
    visits.sql("UPDATE visits SET note = 'newer' WHERE id = 9")
    before = rows(visits)
    counts = visits.json("apply", plan)["counts"]
    assert (29, 1) == (counts["disposed"], counts["changed"])
    assert before[9] == rows(visits)[9]
    visits.told("apply", visits.plan())
    assert is_done(rows(visits)[9])


def test_a_row_with_a_value_that_cannot_be_masked_is_undetermined_and_stays_whole(visits):
    visits.sql("UPDATE visits SET ip = 'gateway' WHERE id = 5")
    before = rows(visits)
    counts = visits.rule("visits")
    assert (29, 1) == (counts["due"], counts["undetermined"])
    assert visits.stays()["visits/5"]["reasons"] == ["its column ip holds what truncate cannot anonymise"]
    visits.told("apply", visits.plan())
    assert before[5] == rows(visits)[5]


def test_what_the_schema_forbids_is_said_by_check_and_plan_and_nothing_is_touched(visits):
    visits.sql("CREATE UNIQUE INDEX one_ip ON visits(ip)")
    before = rows(visits)
    for command in ("check", "plan"):
        told = visits.told(command, code=5)
        said = " ".join((told.out + told.err).split())
        assert "the column ip cannot be anonymised by truncate" in said
        assert "unique" in said
    assert before == rows(visits)


def test_where_one_rule_deletes_and_one_anonymises_the_deleting_one_acts(visits):
    visits.category("visits", VISITS + GONE)
    fill(visits, [40, 41], OLD.replace(year=OLD.year + 1) if OLD.month < 3 else NEW.replace(year=NEW.year) - (NEW - OLD) / 3)
    plan = visits.json("plan")
    assert {"old-visits": ("delete", 30), "visits": ("anonymise", 32)} == {
        r["rule"]: (r["action"], r["due"]) for r in plan["rules"]
    }
    counts = visits.json("apply", plan["plan"])["counts"]
    assert (32, 30) == (counts["disposed"], counts["gone"])
    after = rows(visits)
    assert {40, 41, *range(101, 106)} == after.keys()
    assert is_done(after[40])
    visits.told("audit", "verify")


def test_no_value_stands_in_anything_that_is_said_or_kept(visits):
    plan = visits.plan()
    said = visits.told("apply", plan).out + visits.told("audit", "show").out
    kept = b"".join(p.read_bytes() for p in (visits.folder / "state").rglob("*") if p.is_file())
    assert "example.org/" not in said.replace("audit.example.org/", "")
    assert b"p7@example.org" not in kept
    assert b"192.0.2.7" not in kept


@pytest.mark.parametrize("version", [False, True])
@pytest.mark.parametrize("arrow", [a for a in ARROWS if a not in ("plan-written", "plan-registered")])
def test_killed_at_any_arrow_each_row_is_anonymised_once_and_the_evidence_is_true(visits, arrow, version):
    if version:
        visits.sql("ALTER TABLE visits ADD COLUMN rev INTEGER DEFAULT 1")
        visits.category("visits", VISITS.replace('where: "id > 0"}', 'where: "id > 0", version: rev}'))
    whole = rows(visits)
    plan = visits.plan()
    command = [sys.executable, str(CHILD), arrow, "1", "--", "--json", "--config", str(visits.config), "apply", plan]
    killed = subprocess.run(command, capture_output=True, timeout=120, check=False)
    if killed.returncode != -signal.SIGKILL:
        assert killed.returncode == 0, killed.stderr
        pytest.skip(f"{arrow} is not on the way of rows")
    between = rows(visits)
    assert all(is_done(between[i][:7]) or between[i] == whole[i] for i in whole), "wholly or not at all"
    visits.json("apply", plan)
    after = rows(visits)
    assert all(is_done(after[i][:7]) for i in range(1, 31))
    assert all(between[i] == after[i] for i in range(1, 31) if is_done(between[i][:7])), "once"
    assert all(whole[i] == after[i] for i in range(101, 106))
    outcomes = visits.entries("outcome")
    assert 30 == sum(e["disposed"] for e in outcomes)
    assert not any(e["otherwise"].keys() - {"failed"} for e in outcomes)
    assert (len(visits.entries("intent"))) == len(outcomes)
    visits.told("audit", "verify")
    before = len(visits.entries())
    visits.told("apply", plan)
    assert before == len(visits.entries())
