"""Each category of policies.d/ is read, planned and applied on real stores, under the default limits."""

import json
from collections import defaultdict

import pytest

from retentiond.core.policy import Limits
from tests.policies.company import DATABASES, ELSEWHERE, FOLDERS, POLICIES
from tests.policies.stories import STORIES

CATEGORIES = sorted(STORIES)
ANONYMISED = ("addresses", "visits")
"""Rules whose rows stay."""
FILES = "a program that keeps a file open through its disposal loses what it writes after the comparison"
"""What `check` says of every store of files, whatever the rules are."""


def planned(company, *args):
    """A plan, its steps by rule, and what stays by rule and key."""
    plan = company.json("plan", "--all", *args)
    steps, stays = defaultdict(set), {}
    for line in map(json.loads, company.lines(plan["plan"])[1:]):
        if "verdict" in line:
            stays[line["rule"], line["key"]] = (line["verdict"], "; ".join(line["reasons"]))
        else:
            steps[line["rule"]].add(line["key"])
    return plan, dict(steps), stays


def outcomes(night):
    """What apply must count: whatever one rule deletes is gone when another one comes to anonymise it."""
    deleted = set().union(*(keys for rule, keys in night.items() if rule not in ANONYMISED))
    gone = sum(len(keys & deleted) for rule, keys in night.items() if rule in ANONYMISED)
    disposed = sum(map(len, night.values())) - gone
    return {what: n for what, n in (("disposed", disposed), ("gone", gone)) if n}


def blocking(plan):
    """The refusals that stop a category; rows that others refer to stop only themselves."""
    return [refusal for refusal in plan["refused"] if refusal["limit"] != "children"]


def everything(company):
    """Every key of every store."""
    found = {store: company.keys(store) for store in (*FOLDERS, *ELSEWHERE)}
    for database in DATABASES:
        for (table,) in company.asked(database, "SELECT name FROM sqlite_schema WHERE type = 'table'"):
            key = {"browsers": "client_id", "licences": "number"}.get(table, "id")
            found |= {f"{database}.{table}": company.keys(database, table, key)}
    return found


def test_every_category_has_its_story():
    assert CATEGORIES == sorted(path.stem for path in POLICIES.glob("*.yaml"))


@pytest.mark.parametrize("name", CATEGORIES)
def test_what_is_due_goes_night_by_night_and_the_rest_stays_for_its_reason(company, name):
    story = STORIES[name](company)
    plan, steps, stays = planned(company, name)
    assert story.stays.keys() == stays.keys()
    told = [(where, *stays[where], *story.stays[where]) for where in stays]
    assert [] == [each for each in told if each[1] != each[3] or each[4] not in each[2]]
    for night in story.nights:
        assert night == steps
        assert [] == blocking(plan)
        before = everything(company)
        counts = company.json("apply", plan["plan"])["counts"]
        assert {what: n for what, n in counts.items() if n} == outcomes(night)
        gone = {key for rule, keys in night.items() if rule not in ANONYMISED for key in keys}
        after = everything(company)
        assert gone == set().union(*(before[store] - after[store] for store in before))
        assert all(after[store] <= before[store] for store in before if store not in ELSEWHERE)
        plan, steps, _ = planned(company, name)
    assert ({}, []) == (steps, blocking(plan))
    assert {0} == {rule["due"] for rule in plan["rules"]}
    assert "The audit trail verifies" in company.told("audit", "verify").out


def test_the_whole_company_is_checked_without_a_warning_and_applied_at_once(company):
    stories = {name: STORIES[name](company) for name in CATEGORIES}
    checked = company.json("check")
    assert (True, [], []) == (checked["ok"], checked["warnings"], checked["errors"])
    assert {FILES} == {warning for rule in checked["rules"] for warning in rule["warnings"]}
    plan = company.json("plan")
    assert [] == blocking(plan)
    due = {(rule["category"], rule["rule"]): rule["due"] for rule in plan["rules"] if rule["due"]}
    assert due == {(name, rule): len(keys) for name, story in stories.items() for rule, keys in story.nights[0].items()}
    counts = company.json("apply", plan["plan"])["counts"]
    assert (sum(due.values()) - 3, 3) == (counts["disposed"], counts["gone"])
    assert "The audit trail verifies" in company.told("audit", "verify").out


def test_no_category_has_wider_limits_than_the_default(company):
    from retentiond.config.load import load
    from retentiond.stores.plugin import store_type, store_types

    loaded = load(str(company.config), {name: store_type(name) for name in store_types()})
    assert CATEGORIES == sorted(loaded.rulebook.categories)
    assert {Limits()} == {category.limits for category in loaded.rulebook.categories.values()}
    assert [] == loaded.warnings


# --- what their comments promise beyond that


def test_a_hold_on_a_call_keeps_its_sound_and_its_entry(company):
    story = STORIES["call-recordings"](company)
    plan = company.plan("call-recordings")
    claim = ("--reason", "a claim", "--mandate", "Art. 17(3)(e) GDPR")
    company.told("hold", "place", "CASE-7", *claim, "--subject", "call=100000")
    counts = company.json("apply", plan)["counts"]
    assert (118, 2) == (counts["disposed"], counts["held"] + counts["changed"])
    left = {key for key in story.nights[0]["sound"] | story.nights[0]["entries"] if "100000" in key}
    assert left <= company.keys("recordings") | company.keys("desk", "calls")
    company.told("hold", "release", "CASE-7", "--reason", "settled")
    assert 2 == company.json("apply", company.plan("call-recordings"))["counts"]["disposed"]
    assert not left & (company.keys("recordings") | company.keys("desk", "calls"))


def test_a_ticket_that_is_opened_again_after_the_plan_keeps_its_files(company):
    STORIES["support-files"](company)
    plan = company.plan("support-files")
    company.change("desk", "UPDATE tickets SET status = 'open' WHERE id = 20000")
    counts = company.json("apply", plan)["counts"]
    assert (102, 2) == (counts["disposed"], counts["changed"])
    assert "tickets/20000/error.log" in company.keys("uploads")
    folders = {path.name for path in (company.srv / "uploads" / "tickets").iterdir()}
    assert "20000" in folders
    assert "20001" not in folders


def test_recordings_without_consent_are_told_as_violations(company):
    STORIES["remote-sessions"](company)
    violations = company.json("plan", "remote-sessions")["violations"]
    assert [("remote-sessions", "recordings")] == [(v["category"], v["rule"]) for v in violations]
    assert "33000" not in json.dumps(violations)


def test_a_consent_that_comes_after_the_plan_keeps_its_recording(company):
    STORIES["remote-sessions"](company)
    plan = company.plan("remote-sessions")
    company.rows("desk", "session_consents", [{"id": 1, "session_id": 33_000, "given_at": "2026-01-01 00:00:00"}])
    counts = company.json("apply", plan)["counts"]
    assert 1 == counts["changed"]
    assert any("33000" in key for key in company.keys("recordings"))


def test_addresses_lose_their_end_and_nothing_else(company):
    STORIES["connection-logs"](company)
    before = dict(company.asked("site", "SELECT id, at FROM connections"))
    company.json("apply", company.plan("connection-logs"))
    rows = company.asked("site", "SELECT id, ip, host FROM connections WHERE id < 80")
    assert {(n, "192.0.2.0" if n % 2 else "2001:db8:1::", None) for n in range(80)} == set(rows)
    assert [("localhost",)] == company.asked("site", "SELECT ip FROM connections WHERE id = 5000")
    after = dict(company.asked("site", "SELECT id, at FROM connections"))
    assert after == {n: before[n] for n in after}


def test_statistics_see_the_rows_that_are_anonymous_and_no_other(company):
    STORIES["statistics"](company)
    assert [(240,)] == company.asked("site", "SELECT count(*) FROM countable")
    company.json("apply", company.plan("statistics"))
    assert [(301,)] == company.asked("site", "SELECT count(*) FROM countable")
    assert {("HD*****", "1987-01-01")} == set(company.asked("site", "SELECT postcode, born FROM countable"))
    others = company.asked("site", "SELECT id, session, email FROM visits WHERE email IS NOT NULL")
    assert {*range(1000, 1040), 3001} == {n for n, _, _ in others}
    assert all((session, email) == (f"s{n}", f"v{n}@example.net") for n, session, email in others)
