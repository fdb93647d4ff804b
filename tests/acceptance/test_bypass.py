"""Locks in governance mode: passed only where a rule and a person say so; those of compliance and legal holds never."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.acceptance.recordings import CATEGORY, Recordings, counts

LATER = datetime.now(UTC).replace(microsecond=0) + timedelta(days=2)
PASSING = CATEGORY + "    bypass_governance: yes\n"


class Locked(Recordings):
    """Of five old calls one is locked in each way, one is free, and one is locked later."""

    def __init__(self, folder, bucket, category=PASSING):
        super().__init__(folder, bucket, old=5)
        (folder / "policies.d" / "calls.yaml").write_text(category)
        self.governed, self.complying, self.held_by_law, self.free, self.later = self.due
        self.lock(self.governed, "GOVERNANCE")
        self.lock(self.complying, "COMPLIANCE")
        bucket.put_object_legal_hold(Key=self.held_by_law, LegalHold={"Status": "ON"})
        self.lock(self.held_by_law, "GOVERNANCE")

    def lock(self, key, mode):
        self.bucket.put_object_retention(Key=key, Retention={"Mode": mode, "RetainUntilDate": LATER})

    def left(self):
        there = self.bucket.keys()
        return [key for key in self.due if key in there]

    def entries(self, kind):
        lines = (self.folder / "state" / "log" / "audit.jsonl").read_text().splitlines()
        return [entry for entry in map(json.loads, lines) if entry["type"] == kind]


@pytest.fixture
def calls(s3_server, tmp_path):
    return Locked(tmp_path / "calls", s3_server.bucket(ObjectLockEnabledForBucket=True))


def test_a_lock_is_passed_where_rule_and_person_say_so(calls):
    plan = calls.told("plan")
    (rule,) = plan["rules"]
    assert (rule["due"], rule["bypass"], rule["locked"]) == (4, 1, 2), "the new ones are not among them"
    steps = {step["key"]: step["reasons"] for step in calls.told("plan", "show", plan["plan"])["lines"]}
    assert [key for key, reasons in steps.items() if "governance mode" in reasons[-1]] == [calls.governed]
    assert counts(calls.told("apply", plan["plan"])) == {"disposed": 3, "locked": 1}
    assert calls.left() == [calls.governed, calls.complying, calls.held_by_law], "nobody has said so yet"
    assert calls.entries("bypass-allowed") == []
    assert counts(calls.told("apply", plan["plan"], "--bypass-governance", plan["plan"][:12], "--by", "Ada")) == {"disposed": 1}
    assert calls.left() == [calls.complying, calls.held_by_law]
    (entry,) = calls.entries("bypass-allowed")
    runs = calls.told("runs")["runs"]
    assert (entry["run"], entry["plan"]) == (runs[0]["run"], plan["plan"])
    assert "Ada" not in json.dumps(entry)
    calls.verified()


def test_a_rule_that_does_not_say_so_passes_nothing(s3_server, tmp_path):
    calls = Locked(tmp_path / "calls", s3_server.bucket(ObjectLockEnabledForBucket=True), CATEGORY)
    plan = calls.told("plan")
    assert (plan["rules"][0]["due"], plan["rules"][0]["locked"]) == (3, 3)
    (error,) = calls.told("apply", plan["plan"], "--bypass-governance", plan["plan"], code=2)["errors"]
    assert "no rule of this plan" in error["what"]
    assert len(calls.left()) == 5, "nothing was done"
    assert counts(calls.told("apply", plan["plan"])) == {"disposed": 3}
    assert calls.governed in calls.left()


def test_what_was_locked_after_the_plan_was_made_is_left_alone(calls):
    plan = calls.told("plan")["plan"]
    calls.lock(calls.later, "GOVERNANCE")
    calls.bucket.put_object_retention(
        Key=calls.governed, Retention={"Mode": "GOVERNANCE", "RetainUntilDate": LATER + timedelta(days=9)}
    )
    applied = calls.told("apply", plan, "--bypass-governance", plan)
    assert counts(applied) == {"disposed": 2, "changed": 2}
    assert {calls.governed, calls.later} <= set(calls.left())


@pytest.mark.parametrize(
    ("args", "what"),
    [
        (("--bypass-governance", "0" * 64), "names another plan"),
        (("--bypass-governance", "short"), "names another plan"),
        (("--by", "Ada"), "passes nothing"),
    ],
)
def test_a_person_names_the_plan(moto_server, tmp_path, args, what):
    calls = Locked(tmp_path / "calls", moto_server.bucket(ObjectLockEnabledForBucket=True))
    (error,) = calls.told("apply", calls.told("plan")["plan"], *args, code=2)["errors"]
    assert what in error["what"]
    (error,) = calls.told("apply", "--category", "calls", "--bypass-governance", "0" * 64, code=2)["errors"]
    assert "names another plan" in error["what"]
    assert len(calls.left()) == 5


def test_the_daemons_approval_passes_no_lock(calls):
    calls.told("approve", "calls", "--yes")
    assert counts(calls.told("apply", "--category", "calls")) == {"disposed": 3, "locked": 1}
    assert calls.governed in calls.left()
