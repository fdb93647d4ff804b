"""Calls in a bucket that keeps versions: killed at each arrow, or cut off from it, the same command finishes."""

import pytest

from retentiond.testing.wire import DOWN, UP, Wire
from tests.acceptance.recordings import Recordings

ARROWS = ("intent-committed", "compared", "destroyed", "settled", "outcome-written", "outcome-committed", "absence-verified")


def made(folder, server, **options):
    """A bucket with versions and markers, and one call under a hold; the plan of it, and how many steps it has."""
    calls = Recordings(folder, server.bucket("enabled"), old=12, **options)
    for key in calls.due[:4]:
        calls.bucket.put_quickly(key, b"again", {})
    for key in calls.due[2:6]:
        calls.bucket.delete_object(Key=key)
    calls.hold()
    plan = calls.told("plan")
    return calls, plan["plan"], plan["rules"][0]["due"]


def finished(calls, plan, steps):
    """Nothing but what was to stay is there, each step has its evidence, and running again changes nothing."""
    assert calls.bucket.keys() == sorted(calls.kept)
    report = calls.verified()
    assert report.totals.open_intents == 0
    assert report.totals.counts["disposed"] == steps
    assert calls.here("apply", plan) == 0
    assert calls.verified().totals.entries == report.totals.entries


@pytest.mark.parametrize("arrow", ARROWS)
def test_killed_at_an_arrow_the_same_command_finishes(ceph_server, tmp_path, arrow):
    calls, plan, steps = made(tmp_path / "calls", ceph_server)
    assert calls.killed_at(arrow, 1, "apply", plan) == -9
    assert set(calls.kept) <= set(calls.bucket.keys())
    assert calls.here("apply", plan) == 0
    finished(calls, plan, steps)


@pytest.mark.parametrize("way", [UP, DOWN])
def test_with_a_line_that_is_cut_evidence_is_true_and_the_same_command_finishes(ceph_server, tmp_path, way):
    """Wherever it is cut: what was read is asked for again, what was to be deleted is looked at first."""
    codes = set()
    with Wire("127.0.0.1", int(ceph_server.endpoint.rpartition(":")[2])) as wire:
        for after in (300, 2500, 6000, 9000, 12000, 16000):
            calls, plan, steps = made(tmp_path / str(after), ceph_server, endpoint=f"http://{wire.host}:{wire.port}")
            wire.cut_after(way, after)
            codes.add(calls.here("apply", plan))
            wire.mend()
            assert set(calls.kept) <= set(calls.bucket.keys())
            calls.verified()
            assert calls.here("apply", plan) == 0
            finished(calls, plan, steps)
    assert codes <= {0, 1, 5}
