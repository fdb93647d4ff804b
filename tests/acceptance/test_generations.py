"""Backups by generations and items that must not exist, as an operator meets them on the command line."""

from datetime import timedelta

import pytest

from tests.acceptance.shop import NEW, NOW, OPEN_LIMITS

BACKUPS = """\
  backups:
    store: desk
    select: {{path: "backups/{{host}}/{{day:%Y-%m-%d}}{rest}"}}
    start: {{path: day}}
    generations: {{{generations}}}
    action: delete
"""
CONSENT = """\
  sales:
    store: till
    select: {table: sales, where: "id > 0"}
    forbid: {unless: {event: consent, by: customer}}
    action: delete
"""
RECORDED = "\nevents:\n  consent: {recorded: yes}"
ASKED = '\nevents:\n  consent: {store: till, query: "SELECT who AS subject, at FROM consents"}'


def day(n: int) -> str:
    return f"{NOW - timedelta(days=n):%Y-%m-%d}"


def backup(n: int, host: str = "a") -> str:
    return f"backups/{host}/{day(n)}.tar"


@pytest.fixture
def nights(bare):
    """Thirty nightly backups of each of two hosts, of which the newest five stay."""
    bare.category("post", BACKUPS.format(rest=".tar", generations="last: 5, group_by: host"))
    for n in range(1, 31):
        for host in "ab":
            bare.file(backup(n, host), NEW)
    return bare


# --- generations


def test_only_the_generations_stay_and_running_again_changes_nothing(nights):
    plan = nights.plan()
    counts = nights.json("apply", plan)["counts"]
    assert 50 == counts["disposed"]
    assert {backup(n, host) for n in range(1, 6) for host in "ab"} == nights.left()
    again = nights.json("plan")
    assert [(10, 10, 0)] == [(r["scanned"], r["kept"], r["due"]) for r in again["rules"]]
    assert 0 == nights.json("apply", again["plan"])["counts"]["disposed"]
    assert "verifies" in nights.told("audit", "verify").out


def test_a_plan_says_what_keeps_what(nights):
    nights.category("post", BACKUPS.format(rest=".tar", generations="daily: 2, monthly: 2, within: 3 days, group_by: host"))
    (row,) = nights.json("plan")["rules"]
    assert 60 == row["due"] + row["kept"]
    assert {"daily": 4, "monthly": 4, "within": 8} == row["kept_by"]
    assert "kept (daily 4, monthly 4, within 8)" in " ".join(nights.told("plan").out.split())
    stays = nights.stays()
    assert {"kept"} == {line["verdict"] for line in stays.values()}
    reasons = stays[backup(1)]["reasons"]
    assert [f"daily 1 of 2: {day(1)}", f"monthly 1 of 2: {day(1)[:7]}", "within 3 days"] == reasons


def test_a_step_has_neither_start_nor_due_and_says_why_it_goes(nights):
    plan = nights.plan()
    lines = nights.json("plan", "show", plan, "--limit", "0")["lines"]
    assert 50 == len(lines)
    assert {(None, None)} == {(line["start"], line["due"]) for line in lines}
    assert ["no generation keeps it"] == lines[0]["reasons"]
    assert backup(9) in nights.told("plan", "show", plan, "--limit", "0").out


def test_the_oldest_fills_a_count_that_is_not_reached(nights):
    nights.category("post", BACKUPS.format(rest=".tar", generations="yearly: all, last: 1, group_by: host"))
    assert ["oldest fills yearly"] == nights.stays()[backup(30)]["reasons"]


def test_the_last_of_a_group_never_goes(nights):
    nights.file("backups/c/1999-01-01.tar", NEW)
    nights.json("apply", nights.plan())
    assert "backups/c/1999-01-01.tar" in nights.left()


def test_what_has_a_date_in_the_future_is_undetermined_and_does_not_count(nights):
    nights.file(backup(-9), NEW)
    nights.file("backups/a/2026-02-31.tar", NEW)
    (row,) = nights.json("plan")["rules"]
    assert (50, 10, 2) == (row["due"], row["kept"], row["undetermined"])


def test_when_the_newest_are_gone_at_apply_the_next_ones_stay(nights):
    plan = nights.plan()
    for n in (1, 2):
        (nights.folder / "desk" / backup(n)).unlink()
    counts = nights.json("apply", plan)["counts"]
    assert (48, 2) == (counts["disposed"], counts["changed"])
    assert {backup(n) for n in range(3, 8)} == {name for name in nights.left() if name.startswith("backups/a/")}
    assert [{"generation": [0, 1]}] == [e["why"] for e in nights.entries("spared")]


def test_when_too_few_are_left_at_apply_nothing_of_that_group_goes(nights):
    plan = nights.plan()
    for n in range(1, 26):
        (nights.folder / "desk" / backup(n)).unlink()
    counts = nights.json("apply", plan)["counts"]
    assert (25, 5, 20) == (counts["disposed"], counts["changed"], counts["gone"])
    assert {backup(n) for n in range(26, 31)} == {name for name in nights.left() if name.startswith("backups/a/")}


def test_a_backup_that_was_written_again_is_left_alone(nights):
    plan = nights.plan()
    nights.file(backup(20), NOW, b"another text")
    counts = nights.json("apply", plan)["counts"]
    assert (49, 1) == (counts["disposed"], counts["changed"])
    assert backup(20) in nights.left()


def test_a_hold_keeps_what_no_generation_keeps(nights):
    plan = nights.plan()
    nights.json("hold", "place", "H", "--reason", "r", "--mandate", "m", "--path", backup(20))
    assert 1 == nights.rule("backups")["held"]
    counts = nights.json("apply", plan)["counts"]
    assert (49, 1) == (counts["disposed"], counts["held"])
    assert backup(20) in nights.left()


def test_explain_says_which_generation_keeps_an_item_or_that_none_does(nights):
    kept, due = (nights.json("explain", "desk", backup(n))["rules"][0] for n in (2, 20))
    assert ("kept", "last 2 of 5") == (kept["verdict"], kept["reason"])
    assert ["kept by rule"] == [r["rung"] for r in kept["rungs"] if r["matches"]]
    assert ("due", "no generation keeps it") == (due["verdict"], due["reason"])
    assert ["due"] == [r["rung"] for r in due["rungs"] if r["matches"]]
    assert "last 2 of 5" in nights.told("explain", "desk", backup(2)).out


def test_check_says_what_stays(nights):
    assert "generations: last 5, by host" in nights.told("check").out


def test_rows_have_generations_too(bare):
    """Three versions of each customer's record; a row without a customer belongs to no group."""
    rule = "  sales:\n    store: till\n    select: {table: sales, where: id > 0}\n    start: {column: at}\n"
    bare.category("trade", rule + "    generations: {last: 3, group_by: customer}\n    action: delete\n")
    bare.sale(*[(n, f"{NOW - timedelta(days=n):%Y-%m-%d %H:%M:%S}", "xy"[n % 2], None) for n in range(1, 11)])
    bare.sale((11, f"{NEW:%Y-%m-%d %H:%M:%S}", None, None), (12, None, "x", None))
    bare.json("apply", bare.plan())
    assert {1, 2, 3, 4, 5, 6, 11, 12} == bare.ids()


@pytest.fixture
def runs(bare):
    """Backups that are folders of three files each, of which the newest two runs stay."""
    bare.category("post", BACKUPS.format(rest="/{file}", generations="last: 2, group_by: host, set_by: day"))
    for n in range(1, 6):
        for part in ("base", "log", "sum"):
            bare.file(f"backups/a/{day(n)}/{part}", NEW)
    return bare


def days_left(shop) -> set[str]:
    return {name.split("/")[2] for name in shop.left()}


def test_a_set_stands_and_falls_together(runs):
    assert (9, 6) == (runs.rule("backups")["due"], runs.rule("backups")["kept"])
    runs.json("apply", runs.plan())
    assert {day(1), day(2)} == days_left(runs)
    assert 6 == len(runs.left())


@pytest.mark.parametrize("when", ["before the plan", "after the plan"])
def test_a_hold_on_one_file_keeps_its_whole_set(runs, when):
    held = ("hold", "place", "H", "--reason", "r", "--mandate", "m", "--path", f"backups/a/{day(4)}/log")
    if when == "before the plan":
        runs.json(*held)
    plan = runs.plan()
    if when == "after the plan":
        runs.json(*held)
    counts = runs.json("apply", plan)["counts"]
    assert 6 == counts["disposed"]
    assert {day(1), day(2), day(4)} == days_left(runs)
    assert 9 == len(runs.left())


def test_a_file_with_other_hard_links_keeps_its_whole_set_undetermined(runs):
    (runs.folder / "desk" / "link").hardlink_to(runs.folder / "desk" / f"backups/a/{day(5)}/log")
    found = runs.rule("backups")
    assert (6, 3) == (found["due"], found["undetermined"])


# --- forbid


@pytest.fixture
def calls(bare):
    """Five sales, of which two have a consent."""
    bare.category("trade", CONSENT, OPEN_LIMITS + RECORDED)
    bare.sales(5)
    for subject in ("2", "4"):
        bare.json("event", "record", "consent", subject)
    return bare


def test_what_no_event_allows_is_a_violation_and_goes(calls):
    planned = calls.json("plan")
    assert [{"category": "trade", "rule": "sales", "store": "till", "count": 3}] == planned["violations"]
    assert (3, 2) == (planned["rules"][0]["due"], planned["rules"][0]["kept"])
    assert 3 == calls.json("apply", planned["plan"])["counts"]["disposed"]
    assert {2, 4} == calls.ids()


def test_a_plan_tells_a_violation_and_no_keys(calls):
    told = calls.told("plan").out
    assert "violation: trade/sales: 3 that must not exist" in told
    assert "sales/1" not in told
    assert "kept (event consent 2)" in told


def test_why_it_goes_and_why_it_stays(calls):
    plan = calls.plan("--all")
    lines = calls.json("plan", "show", plan, "--limit", "0")["lines"]
    assert [(None, None, ["forbidden, as no event consent allows it"])] * 3 == [
        (s["start"], s["due"], s["reasons"]) for s in lines
    ]
    assert ["the event consent allows it"] == calls.stays()["sales/2"]["reasons"]
    due, kept = (calls.json("explain", "till", f"sales/{n}")["rules"][0] for n in (1, 2))
    assert ("due", "kept") == (due["verdict"], kept["verdict"])
    assert [["due"], ["kept by rule"]] == [[r["rung"] for r in e["rungs"] if r["matches"]] for e in (due, kept)]


def test_consent_that_came_since_the_plan_keeps_the_item(calls):
    plan = calls.plan()
    calls.json("event", "record", "consent", "1")
    counts = calls.json("apply", plan)["counts"]
    assert (2, 1) == (counts["disposed"], counts["changed"])
    assert {1, 2, 4} == calls.ids()
    assert [{"event-came": [0]}] == [e["why"] for e in calls.entries("spared")]


def test_a_consent_that_was_withdrawn_allows_nothing(calls):
    calls.json("event", "withdraw", "consent", "2")
    assert 4 == calls.rule("sales")["due"]


def test_violations_are_in_the_trail_when_they_are_found_and_when_they_are_gone(calls):
    for _ in range(2):
        plan = calls.plan()
    calls.json("plan", "--at", "2030-01-01")
    calls.json("apply", plan)
    calls.plan()
    calls.plan()
    assert [3, 3] == [e["count"] for e in calls.entries("violation-found")]
    assert [("trade", "sales")] == [(e["category"], e["rule"]) for e in calls.entries("violation-cleared")]
    assert "verifies" in calls.told("audit", "verify").out


def test_a_violation_under_a_hold_is_one_all_the_same(calls):
    calls.json("hold", "place", "H", "--reason", "r", "--mandate", "m", "--store", "till", "--where", "id = 1")
    planned = calls.json("plan")
    assert (2, 1, 3) == (planned["rules"][0]["due"], planned["rules"][0]["held"], planned["violations"][0]["count"])


def test_an_item_of_which_nothing_says_whose_it_is_stays(calls):
    calls.sale((9, None, None, None))
    planned = calls.json("plan")
    assert (3, 1) == (planned["rules"][0]["due"], planned["rules"][0]["undetermined"])
    assert 3 == planned["violations"][0]["count"]


def test_a_lookup_that_fails_lets_nothing_go(calls):
    calls.category("trade", CONSENT, OPEN_LIMITS + ASKED)
    planned = calls.json("plan", code=5)
    assert ([], []) == (planned["rules"], planned["violations"])
    assert "trade/sales" == planned["errors"][0]["rule"]


def test_a_lookup_that_fails_at_apply_lets_nothing_go(calls):
    calls.sql("CREATE TABLE consents(who TEXT, at TEXT)")
    calls.sql("INSERT INTO consents VALUES('2', '2026-01-01 10:00:00')")
    calls.category("trade", CONSENT, OPEN_LIMITS + ASKED)
    plan = calls.plan()
    calls.sql("ALTER TABLE consents RENAME TO elsewhere")
    assert 0 == calls.json("apply", plan, code=5)["counts"]["disposed"]
    assert 5 == len(calls.ids())


def test_a_consent_whose_time_cannot_be_read_is_a_consent(calls):
    calls.sql("CREATE TABLE consents(who TEXT, at TEXT)")
    calls.sql("INSERT INTO consents VALUES('1', NULL), ('2', 'some day'), ('3', '2026-01-01')")
    calls.category("trade", CONSENT, OPEN_LIMITS + ASKED)
    assert ["sales/4", "sales/5"] == sorted(calls.steps(calls.plan()))
    calls.sql("INSERT INTO consents VALUES('4', NULL)")
    assert ["sales/5"] == calls.steps(calls.plan())


def test_what_is_forbidden_but_kept_by_its_action_is_still_told(calls):
    calls.category("trade", CONSENT.replace("action: delete", "action: keep"), OPEN_LIMITS + RECORDED)
    planned = calls.json("plan")
    assert (0, 5, 3) == (planned["rules"][0]["due"], planned["rules"][0]["kept"], planned["violations"][0]["count"])
    assert 5 == len(calls.ids())
