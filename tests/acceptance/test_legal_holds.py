"""Holds carried into a bucket as legal holds, as a person sees it on the command line, and taken off with their release."""

import json
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest
from botocore.exceptions import ClientError

from retentiond.engine import failpoints
from tests.acceptance.recordings import CONFIG, OLD, Recordings, counts


class Company(Recordings):
    """Its bucket has object lock, and its store asks for holds to be carried there."""

    def __init__(self, folder, bucket, old=4):
        super().__init__(folder, bucket, old=old)
        self.configure("legal_holds: yes")
        self.versions = {key: version for key, version, _ in bucket.everything()}

    def configure(self, more):
        text = (CONFIG % (self.bucket.name, self.bucket.server.endpoint)).replace("location: GB,", f"location: GB, {more},")
        (self.folder / "retentiond.yaml").write_text(text)

    def bears(self, key):
        with suppress(ClientError):  # it was never locked, as Ceph says it, or has gone
            told = self.bucket.get_object_legal_hold(Key=key, VersionId=self.versions[key])
            return told["LegalHold"].get("Status") == "ON"
        return False

    def bearing(self):
        return sorted(key for key in self.versions if self.bears(key))

    def put_on(self, key, status="ON"):
        self.bucket.put_object_legal_hold(Key=key, VersionId=self.versions[key], LegalHold={"Status": status})

    def place(self, name, path, code=0):
        told = self.told("hold", "place", name, "--reason", "r", "--mandate", "m", "--path", path, code=code)
        return told["legal_holds"]

    def release(self, name, code=0):
        return self.told("hold", "release", name, "--reason", "over", code=code)["legal_holds"]

    def entries(self, kind):
        lines = (self.folder / "state" / "log" / "audit.jsonl").read_text().splitlines()
        told = [entry for entry in map(json.loads, lines) if entry["type"] == kind]
        return [{k: v for k, v in entry.items() if k not in ("type", "time", "store")} for entry in told]


def locking(server):
    return server.bucket(ObjectLockEnabledForBucket=True)


@pytest.fixture
def company(s3_server, tmp_path):
    return Company(tmp_path / "calls", locking(s3_server))


@pytest.fixture
def small(moto_server, tmp_path):
    return Company(tmp_path / "calls", locking(moto_server))


def test_a_hold_is_carried_into_the_bucket_and_taken_off_with_its_release(company):
    first, second, *_ = company.due
    company.put_on(second)
    assert company.told("hold", "place", "H-0", "--reason", "r", "--mandate", "m", "--path", f"inbound/{OLD}", "--dry-run")
    assert company.told("plan")["rules"][0]["held"] == 0
    assert company.bearing() == [second], "neither a dry run nor a plan puts anything on"
    told = company.place("H-1", f"inbound/{OLD}")
    assert told == {"set": {"recordings": 6 - 1}, "removed": {}, "failed": {}}
    assert company.bearing() == sorted([*company.due, company.held]), "what the hold covers, and nothing beside"
    (entry,) = company.entries("legal-holds-set")
    assert (entry["count"], entry["theirs"]) == (5, 1)
    assert company.entries("hold-placed")[0]["hold"] == entry["hold"]
    with pytest.raises(ClientError):
        company.bucket.delete_object(Key=first, VersionId=company.versions[first])  # nobody can, and not only not we
    (rule,) = company.told("plan")["rules"]
    assert (rule["held"], rule["due"]) == (5, 0)
    assert company.release("H-1") == {"set": {}, "removed": {"recordings": 4}, "failed": {}}
    assert company.bearing() == [second], "somebody else's stays"
    (entry,) = company.entries("legal-holds-removed")
    assert entry == {"count": 4, "kept": 1, "gone": 0}
    plan = company.told("plan")
    assert (plan["rules"][0]["due"], plan["rules"][0]["locked"]) == (4, 1)
    assert counts(company.told("apply", plan["plan"])) == {"disposed": 4}
    assert company.verified().totals.counts["disposed"] == 4


def test_what_two_holds_mean_keeps_its_legal_hold_until_both_are_released(company):
    (first, *_), several = company.due, len(company.due) + 1
    assert company.place("H-1", f"inbound/{OLD}")["set"] == {"recordings": several}
    assert company.place("H-2", first)["set"] == {"recordings": 1}
    assert company.release("H-1")["removed"] == {"recordings": several - 1}
    assert company.bearing() == [first]
    assert company.release("H-2")["removed"] == {"recordings": 1}
    assert company.bearing() == []
    company.verified()


def test_what_comes_under_a_hold_later_gets_its_legal_hold_before_the_next_run(small):
    small.place("H-1", f"inbound/{OLD}")
    late = f"inbound/{OLD}/late.wav"
    small.versions[late] = small.bucket.put(late)
    small.told("apply", small.told("plan")["plan"])
    assert small.bears(late)
    later = f"inbound/{OLD}/later.wav"
    small.versions[later] = small.bucket.put(later)
    small.told("approve", "calls", "--yes")
    small.told("apply", "--category", "calls")
    assert small.bears(later)
    assert [e["count"] for e in small.entries("legal-holds-set")] == [5, 1, 1]
    small.told("apply", "--category", "calls")
    assert len(small.entries("legal-holds-set")) == 3, "running again changes nothing"
    small.verified()


def test_of_several_versions_each_gets_one_and_delete_markers_none(company):
    first = company.due[0]
    company.bucket.delete_object(Key=first)
    other = company.bucket.put(first)
    assert company.place("H-1", first)["set"] == {"recordings": 2}
    assert company.bears(first)
    assert company.bucket.get_object_legal_hold(Key=first, VersionId=other)["LegalHold"]["Status"] == "ON"
    assert company.release("H-1")["removed"] == {"recordings": 2}


@pytest.mark.parametrize("arrow", ["hold-begun", "hold-kept"])
@pytest.mark.parametrize("at", ["place", "release"])
def test_what_a_crash_has_cut_short_the_next_run_finishes(company, at, arrow):
    place = ("hold", "place", "H-1", "--reason", "r", "--mandate", "m", "--path", f"inbound/{OLD}")
    if at == "place":
        assert company.killed_at(arrow, 1, *place) == -signal.SIGKILL
        assert (len(company.bearing()) > 0) == (arrow == "hold-kept")
        company.told("apply", company.told("plan")["plan"])
        assert len(company.bearing()) == 5
        assert company.release("H-1")["removed"] == {"recordings": 5}, "all of them are known to be ours"
    else:
        company.told(*place)
        assert company.killed_at(arrow, 1, "hold", "release", "H-1", "--reason", "over") == -signal.SIGKILL
        assert (len(company.bearing()) > 0) == (arrow == "hold-begun")
        company.told("apply", company.told("plan")["plan"])
    assert company.bearing() == []
    company.verified()


def test_a_hold_that_is_placed_while_another_is_released_keeps_its_legal_hold(small):
    """What is about to be taken off is still noted as ours: whoever places a hold meanwhile waits, and puts it on anew."""
    small.place("H-1", small.held)
    words = ("hold", "place", "H-2", "--reason", "r", "--mandate", "m", "--path", small.held)
    placing = []

    def holds():
        return [hold["id"] for hold in small.told("hold", "list")["holds"]]

    def meanwhile(arrow):
        if arrow == "hold-begun" and not placing:
            command = [sys.executable, "-m", "retentiond", *small.command(*words)]
            placing.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
            deadline = time.monotonic() + 60
            while holds() != ["H-1", "H-2"]:
                assert time.monotonic() < deadline, "it is in force at once"
            with pytest.raises(subprocess.TimeoutExpired):
                placing[0].wait(timeout=2)

    failpoints.watch(meanwhile)
    try:
        assert small.release("H-1")["removed"] == {"recordings": 1}
    finally:
        failpoints.watch(None)
    assert placing[0].wait(timeout=60) == 0
    assert small.bearing() == [small.held]
    small.release("H-2")
    assert small.bearing() == []


def test_a_bucket_that_cannot_be_reached_is_said_and_tried_again(small):
    endpoint = small.bucket.server.endpoint
    small.place("H-1", small.held)
    (small.folder / "retentiond.yaml").write_text(
        (small.folder / "retentiond.yaml").read_text().replace(endpoint, "http://127.0.0.1:9")
    )
    told = small.release("H-1", code=5)
    assert "cannot be reached" in told["failed"]["recordings"]
    told = small.place("H-2", small.due[0], code=5)
    assert "cannot be reached" in told["failed"]["recordings"]
    assert small.bearing() == [small.held]
    small.configure("legal_holds: yes")
    small.told("apply", small.told("plan")["plan"])
    assert small.bearing() == [small.due[0]]


def test_without_the_word_nothing_is_carried_and_what_was_carried_goes_all_the_same(small):
    small.place("H-1", small.held)
    small.configure("legal_holds: no")
    assert small.place("H-2", small.due[0]) == {"set": {}, "removed": {}, "failed": {}}
    assert small.bearing() == [small.held]
    assert small.release("H-1")["removed"] == {"recordings": 1}
    assert small.bearing() == []


def test_another_bucket_under_the_same_name_is_not_touched(small, moto_server):
    small.place("H-1", small.held)
    other = locking(moto_server)
    version = other.put(small.held)
    other.put_object_legal_hold(Key=small.held, VersionId=version, LegalHold={"Status": "ON"})
    text = (small.folder / "retentiond.yaml").read_text()
    (small.folder / "retentiond.yaml").write_text(text.replace(small.bucket.name, other.name))
    told = small.release("H-1", code=5)
    assert "its former bucket may have legal holds of ours" in told["failed"]["recordings"]
    assert other.get_object_legal_hold(Key=small.held, VersionId=version)["LegalHold"]["Status"] == "ON"
    (small.folder / "retentiond.yaml").write_text(text)
    small.told("apply", small.told("plan")["plan"])
    assert small.bearing() == []


def test_check_refuses_a_bucket_without_object_lock(s3_server, tmp_path):
    company = Company(tmp_path / "calls", s3_server.bucket("enabled"))
    told = company.told("check", code=5)
    assert "object lock is not enabled" in json.dumps(told)
    assert "object lock is not enabled" in company.place("H-1", company.held, code=5)["failed"]["recordings"]
    (rule,) = company.told("plan")["rules"]
    assert (rule["held"], rule["due"]) == (1, 4), "the hold is in force all the same"
    company.told("approve", "calls", "--yes")
    assert counts(company.told("apply", "--category", "calls", code=5)) == {"disposed": 4}
    (look,) = company.told("status")["categories"]
    assert look["last_look"]["result"] == "unseen", "every run says so"


def test_check_is_content_with_object_lock(company):
    company.told("check")
    assert company.bearing() == []
