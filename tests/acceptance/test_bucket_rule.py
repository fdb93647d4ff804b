"""A rule that the bucket keeps by itself, from the plan to what has gone by it, as a person sees it on the command line."""

import json
import time
from datetime import timedelta

import pytest

from retentiond.core.entry import FIELDS
from tests.acceptance.recordings import CATEGORY, Recordings, counts
from tests.stores.test_s3_lifecycle import OTHERS, kept, rules

NAME = "retentiond/calls/sound"
RULE = """\
rules:
  sound:
    store: recordings
    select: {path: "calls/**"}
    start: modified
    retention_period: 1 day
    action: delete
    by: lifecycle
"""


class Company(Recordings):
    """Its calls lie below `inbound/calls/`, and the bucket is to let them go by itself."""

    def __init__(self, folder, bucket):
        super().__init__(folder, bucket, old=0)
        self.policy()
        self.calls = [f"inbound/calls/{i}.wav" for i in range(6)]
        for key in self.calls:
            bucket.put_quickly(key, b"RIFF", {})

    def policy(self, rules=RULE):
        head = CATEGORY.partition("rules:")[0]
        (self.folder / "policies.d" / "calls.yaml").write_text(head + rules)

    def age(self, days):
        """In moto's memory the calls are older; no other server can be told so."""
        from moto.s3.models import s3_backends

        for key in self.calls:
            s3_backends["123456789012"]["aws"].get_object(self.bucket.name, key).last_modified -= timedelta(days=days)

    def entries(self, kind):
        assert kind in FIELDS
        lines = (self.folder / "state" / "log" / "audit.jsonl").read_text().splitlines()
        return [entry for entry in map(json.loads, lines) if entry["type"] == kind]

    def installed(self):
        self.told("apply", self.told("plan")["plan"])
        assert rules(self.bucket)[NAME]["Expiration"]["Days"] == 1

    def seen(self):
        (rule,) = self.told("plan")["rules"]
        return rule


@pytest.fixture
def company(s3_server, tmp_path):
    return Company(tmp_path / "calls", s3_server.bucket())


@pytest.fixture
def small(moto_server, tmp_path):
    return Company(tmp_path / "calls", moto_server.bucket())


def test_the_bucket_is_told_once_and_looked_at_ever_after(company):
    company.bucket.put_bucket_lifecycle_configuration(LifecycleConfiguration={"Rules": OTHERS})
    before = kept(company.bucket)
    plan = company.told("plan")
    (rule,) = plan["rules"]
    assert (rule["action"], rule["lifecycle"]["state"], rule["waiting"]) == ("lifecycle", "absent", 6)
    assert kept(company.bucket) == before == rules(company.bucket), "planning installs nothing"
    (step,) = company.told("plan", "show", plan["plan"])["lines"]
    assert (step["key"], step["action"]) == (f"lifecycle:{NAME}", "lifecycle")
    assert "1 days old" in step["reasons"][0]
    assert counts(company.told("apply", plan["plan"])) == {"installed": 1}
    assert kept(company.bucket) == before
    report = company.verified()
    assert (report.totals.counts["installed"], report.totals.counts["disposed"]) == (1, 0)
    assert company.told("audit", "lookup", "recordings", f"lifecycle:{NAME}")
    rule = company.seen()
    assert (rule["lifecycle"]["state"], rule.get("violations")) == ("installed", None)
    assert counts(company.told("apply", company.told("plan")["plan"])) == {}


def test_what_the_bucket_lets_go_is_inferred_and_counted(ceph_server, tmp_path):
    """Ceph's own lifecycle at work: its days last three seconds in this test, so that by the calendar all goes early."""
    company = Company(tmp_path / "calls", ceph_server.bucket())
    company.installed()
    for key in company.calls:  # however long that took, each has its three seconds from now
        company.bucket.put_quickly(key, b"RIFF", {})
    assert company.seen()["scanned"] == 6
    deadline = time.monotonic() + 60
    while set(company.calls) & set(company.bucket.keys()):
        assert time.monotonic() < deadline, "Ceph's lifecycle has not come by"
    rule = company.seen()
    assert {name: rule["lifecycle"]["inferred"][name] for name in ("expired", "early")} == {"expired": 0, "early": 6}
    (entry,) = company.entries("lifecycle-inferred")
    assert (entry["expired"], entry["early"]) == (0, 6)
    assert "inferred" not in company.seen()["lifecycle"], "it is told once"
    assert sorted(company.kept) == company.bucket.keys(), "nothing beside the folder"
    company.verified()


def test_what_was_due_counts_as_expired(small):
    small.age(3)
    small.installed()
    assert small.seen()["due"] == 6, "the bucket has not come by yet"
    assert small.seen()["overdue"] == 6, "and its promise is broken meanwhile"
    for key in small.calls[:4]:
        small.bucket.delete_object(Key=key)
    rule = small.seen()
    assert (rule["lifecycle"]["inferred"]["expired"], rule["due"]) == (4, 2)
    (entry,) = small.entries("lifecycle-inferred")
    assert (entry["expired"], entry["early"]) == (4, 0)


@pytest.mark.parametrize("what", ["missing", "altered"])
def test_a_rule_that_somebody_else_has_touched_is_a_violation(company, what):
    company.installed()
    if what == "missing":
        company.bucket.delete_bucket_lifecycle()
    else:
        mine = rules(company.bucket)[NAME] | {"Expiration": {"Days": 9}}
        company.bucket.put_bucket_lifecycle_configuration(LifecycleConfiguration={"Rules": [mine]})
    plan = company.told("plan")
    (violation,) = plan["violations"]
    assert violation["breaches"] == {f"bucket-rule-{what}": 1}
    assert len(company.entries("violation-found")) == 1
    company.told("status", "--check", code=7)
    company.installed()
    company.seen()
    assert len(company.entries("violation-cleared")) == 1


def test_a_hold_takes_the_rule_away_before_the_command_returns(company):
    company.installed()
    company.bucket.put_bucket_lifecycle_configuration(
        LifecycleConfiguration={"Rules": [*OTHERS, *rules(company.bucket).values()]}
    )
    before = kept(company.bucket)
    company.told("hold", "place", "H-1", "--reason", "r", "--mandate", "m", "--store", "recordings", "--path", company.calls[0])
    assert rules(company.bucket) == kept(company.bucket) == before
    (entry,) = company.entries("lifecycle-removed")
    assert (entry["why"], entry["rule"]) == ("hold", "sound")
    plan = company.told("plan")
    assert (plan["rules"][0]["lifecycle"]["state"], plan["violations"]) == ("held", [])
    company.told("hold", "release", "H-1", "--reason", "over")
    company.installed()
    company.verified()


def test_a_hold_that_comes_between_plan_and_apply_stops_it(company):
    plan = company.told("plan")["plan"]
    company.told("hold", "place", "H-1", "--reason", "r", "--mandate", "m", "--category", "calls")
    assert counts(company.told("apply", plan)) == {"held": 1}
    assert rules(company.bucket) == {}


def test_a_hold_that_cannot_stop_the_bucket_says_so_and_the_next_run_does(small):
    small.installed()
    config = small.folder / "retentiond.yaml"
    config.write_text(config.read_text().replace(small.bucket.server.endpoint, "http://127.0.0.1:1"))
    told = small.told("hold", "place", "H-1", "--reason", "r", "--mandate", "m", "--category", "calls", code=5)
    assert "elsewhere" in told["not_stopped"]["calls/sound"] or "reached" in told["not_stopped"]["calls/sound"]
    config.write_text(config.read_text().replace("http://127.0.0.1:1", small.bucket.server.endpoint))
    assert NAME in rules(small.bucket)
    small.told("apply", small.told("plan")["plan"])
    assert rules(small.bucket) == {}


def test_a_rule_that_no_policy_wants_any_more_is_taken_away(company):
    company.installed()
    company.policy(RULE.replace("    by: lifecycle\n", ""))
    company.told("apply", company.told("plan")["plan"])
    assert rules(company.bucket) == {}
    (entry,) = company.entries("lifecycle-removed")
    assert entry["why"] == "policy"


def test_a_changed_period_is_put_in_its_place_by_a_plan(company):
    company.installed()
    company.policy(RULE.replace("1 day", "2 weeks"))
    plan = company.told("plan")
    assert (plan["rules"][0]["lifecycle"]["state"], plan["violations"]) == ("different", [])
    assert counts(company.told("apply", plan["plan"])) == {"installed": 1}
    assert rules(company.bucket)[NAME]["Expiration"]["Days"] == 14
    assert company.seen()["lifecycle"]["state"] == "installed"


def test_the_daemon_stops_at_once_what_a_longer_period_would_keep(company):
    """It has no approval for the new rule yet, and the old one lets go of what is to be kept now."""
    company.told("approve", "calls", "--yes")
    assert counts(company.told("apply", "--category", "calls")) == {"installed": 1}
    company.policy(RULE.replace("1 day", "30 days").replace("calls/**", "calls/old/**"))
    company.told("apply", "--category", "calls", code=3)
    assert rules(company.bucket) == {}
    company.told("approve", "calls", "--yes")
    assert counts(company.told("apply", "--category", "calls")) == {"installed": 1}


def test_more_than_a_limit_is_not_handed_to_the_bucket(small):
    small.age(3)
    policy = small.folder / "policies.d" / "calls.yaml"
    policy.write_text(policy.read_text().replace("items: 100000", "items: 5"))
    plan = small.told("plan")
    assert [refusal["limit"] for refusal in plan["refused"]] == ["items"]
    small.told("apply", plan["plan"], code=3)
    assert rules(small.bucket) == {}
    assert counts(small.told("apply", plan["plan"], "--over-limits", plan["plan"])) == {"installed": 1}
    assert small.told("plan")["refused"] == [], "nothing is to be done any more but by the bucket"


@pytest.mark.parametrize("arrow", ["intent-committed", "compared", "destroyed", "outcome-written"])
def test_a_kill_leaves_a_rule_that_is_known_and_a_trail_that_is_true(company, arrow):
    plan = company.told("plan")["plan"]
    assert company.killed_at(arrow, 1, "apply", plan) == -9
    there = NAME in rules(company.bucket)
    told = company.told("apply", plan)
    assert NAME in rules(company.bucket)
    if there:
        assert told["recovered"] == {"installed": 1}
    else:
        assert counts(told) == {"installed": 1}
    assert company.seen()["lifecycle"]["state"] == "installed"
    assert company.verified().totals.counts["installed"] == 1
    company.policy(RULE.replace("    by: lifecycle\n", ""))
    company.told("apply", company.told("plan")["plan"])
    assert rules(company.bucket) == {}, "it is not forgotten"


def test_a_bucket_that_keeps_versions_is_refused_and_check_says_so(s3_server, tmp_path):
    company = Company(tmp_path / "calls", s3_server.bucket("enabled"))
    for command in ("plan", "check"):
        (error,) = company.told(command, code=5)["errors"]
        assert "keeps versions" in error["what"]
    assert rules(company.bucket) == {}
