"""The same for files on a server: killed at every arrow of a disposal, the program goes on where it was."""

import random

import pytest

from retentiond.testing.wire import DOWN, Wire
from tests.crash.test_kill import check_invariants_after_publishing, finish
from tests.servers.sftp import world_on
from tests.world import check_invariants


@pytest.fixture
def wire(sshd):
    with Wire(sshd.host, sshd.port) as line:
        yield line


@pytest.fixture
def world(sshd, wire, tmp_path):
    with world_on(sshd, tmp_path / "world", 150, 20, port=wire.port) as world:
        yield world


@pytest.mark.parametrize("arrow", ["intent-committed", "claimed", "compared", "destroyed", "settled"])
def test_killed_at_an_arrow_of_apply(world, arrow):
    plan = world.run("plan")["plan"]
    assert world.killed_at(arrow, 1, "apply", plan) == -9
    check_invariants_after_publishing(world)
    finish(world, plan)


def test_a_recovery_that_cannot_look_leaves_the_plan_unfinished(world, wire):
    """The first connection of the second try is cut, so that nobody knows yet what became of the first."""
    plan = world.run("plan")["plan"]
    assert world.killed_at("claimed", 1, "apply", plan) == -9
    wire.cut_after(DOWN, 500)
    assert world.run("apply", plan, code=5)["recovered"] == {"unknown": 150}
    finish(world, plan)


@pytest.mark.parametrize("seed", range(2))
def test_killed_and_cut_off_again_and_again(world, wire, seed):
    """Kills at random places, and lines that are cut after random counts of bytes, and still everything is true."""
    dice = random.Random(seed)
    plan = world.run("plan")["plan"]
    for _ in range(2):
        wire.cut_after(DOWN, dice.randint(2_000, 40_000))
        code = world.killed_at("any", dice.randint(5, 20), "apply", plan)
        wire.mend()
        if code == 0:
            break
        assert code in (-9, 1, 5)
        check_invariants_after_publishing(world)
    finish(world, plan)
    check_invariants(world, finished=True)
