"""Calls in a bucket, from the plan to the verified trail, as a stranger sees it through the command line."""

import json

import pytest

from tests.acceptance.recordings import OLD, Recordings, counts


@pytest.fixture(params=["unversioned", "enabled", "suspended"])
def calls(request, s3_server, tmp_path):
    return Recordings(tmp_path / "calls", s3_server.bucket(request.param))


def test_calls_in_a_bucket_go_in_all_their_versions_and_the_trail_proves_it(calls):
    for key in calls.due[:5]:
        calls.bucket.put_quickly(key, b"RIFF again", {})
    for key in calls.due[3:8]:  # in a bucket without versions they are gone for good
        calls.bucket.delete_object(Key=key)
    calls.hold()
    gone = [(key, version) for key, version, _ in calls.bucket.everything() if key in calls.due]
    plan = calls.told("plan")
    (rule,) = plan["rules"]
    assert (rule["due"], rule["held"]) == (len(gone), 1)
    (written,) = (calls.folder / "state" / "plans").glob(f"{plan['plan']}*")
    steps = [json.loads(line) for line in written.read_text().splitlines()[1:]]
    assert sorted(step["key"] for step in steps) == sorted(key for key, _ in gone)
    applied = calls.told("apply", plan["plan"])
    assert counts(applied) == {"disposed": len(gone)}
    assert calls.bucket.keys() == sorted(calls.kept)
    calls.told("audit", "verify")
    assert calls.verified().totals.counts["disposed"] == len(gone)
    assert calls.told("audit", "lookup", "recordings", calls.due[0])
    explained = calls.told("explain", "recordings", calls.held)
    assert "held" in json.dumps(explained)
    assert calls.told("plan")["rules"][0]["due"] == 0


def test_a_bucket_that_keeps_versions_otherwise_than_when_it_was_planned_refuses_the_plan(s3_server, tmp_path):
    calls = Recordings(tmp_path / "calls", s3_server.bucket(), old=3)
    plan = calls.told("plan")["plan"]
    calls.bucket.keep_versions("Enabled")
    (error,) = calls.told("apply", plan, code=4)["errors"]
    assert error["code"] == "plan"
    assert "place" in error["what"]
    assert calls.bucket.keys() == sorted([*calls.due, *calls.kept])
    refused = calls.told("plan")["refused"]
    assert [r["limit"] for r in refused] == ["place"]


def test_check_tells_of_the_bucket_and_shows_what_is_selected(s3_server, tmp_path):
    calls = Recordings(tmp_path / "calls", s3_server.bucket("suspended"), old=3)
    (rule,) = calls.told("check")["rules"]
    assert any("suspended" in warning for warning in rule["warnings"])
    assert len(rule["samples"]) == 5
    assert all(OLD in sample for sample in rule["samples"][:4])
