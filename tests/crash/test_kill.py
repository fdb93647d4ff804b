"""Killed at every arrow, and at random times, the program goes on where it was and its evidence is true."""

import random
import shutil
import subprocess

import pytest

from retentiond.engine.failpoints import ARROWS
from tests.world import World, check_invariants, verified

PLANNING = ("plan-written", "plan-registered")


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A world with two holds and nothing planned, to be copied."""
    world = World(tmp_path_factory.mktemp("fresh") / "world")
    world.hold()
    return world


@pytest.fixture
def world(fresh, tmp_path):
    copy = object.__new__(World)
    copy.__dict__.update(fresh.__dict__)
    copy.folder = tmp_path / "world"
    shutil.copytree(fresh.folder, copy.folder)
    return copy


def finish(world, plan):
    """Goes on as an operator would: the same command again, then one more, which finds nothing to do."""
    assert world.here("apply", plan) == 0
    check_invariants(world, finished=True)
    before = verified(world).totals.entries
    assert world.here("apply", plan) == 0
    assert verified(world).totals.entries == before, "running again changes nothing"


@pytest.mark.parametrize("arrow", [a for a in ARROWS if a not in PLANNING])
@pytest.mark.parametrize("nth", [1, 2, 4])
def test_killed_at_an_arrow_of_apply(world, arrow, nth):
    """SIGKILL at each arrow: nothing is gone without an intent, and the same command finishes the work."""
    plan = world.run("plan")["plan"]
    code = world.killed_at(arrow, nth, "apply", plan)
    assert code in (-9, 0), "the arrow is on the way, or the command came to its end before the nth time"
    if code == 0:
        assert nth > 1, f"{arrow} is never reached"
        return
    check_invariants_after_publishing(world)
    finish(world, plan)


@pytest.mark.parametrize("arrow", ["intent-written", "intent-committed", "claimed", "destroyed", "settled", "outcome-committed"])
def test_killed_with_several_lanes_at_work(world, arrow):
    """SIGKILL while several intents are open: each is recovered by looking, and the same command finishes the work."""
    plan = world.run("plan")["plan"]
    assert world.killed_at(arrow, 3, "apply", plan, lanes=True) == -9
    check_invariants_after_publishing(world)
    finish(world, plan)


def check_invariants_after_publishing(world):
    """A kill may fall into a publication; the next command that writes finishes it, and then all must be true."""
    assert world.here("clock") == 0
    check_invariants(world, finished=False)


@pytest.mark.parametrize("arrow", PLANNING)
def test_killed_while_planning(world, arrow):
    """A plan that was cut short is no plan, and the next one is."""
    assert world.killed_at(arrow, 1, "plan") == -9
    plan = world.run("plan")["plan"]
    finish(world, plan)


@pytest.mark.parametrize("seed", range(6))
def test_killed_again_and_again_at_random_places(world, seed):
    """Up to five kills, each at a random place of the run that is going on, and still everything is true."""
    dice = random.Random(seed)
    plan = world.run("plan")["plan"]
    for _ in range(5):
        if world.killed_at("any", dice.randint(1, 40), "apply", plan) == 0:
            break
        check_invariants_after_publishing(world)
    finish(world, plan)


@pytest.mark.parametrize("seed", range(4))
def test_killed_at_random_times(world, seed):
    """The same by the clock: a running process is killed from outside after a random time."""
    dice = random.Random(seed)
    plan = world.run("plan")["plan"]
    for _ in range(3):
        process = world.process("apply", plan)
        try:
            process.communicate(timeout=dice.uniform(0.3, 1.6))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        check_invariants_after_publishing(world)
    finish(world, plan)


def test_the_harness_catches_a_program_that_acts_before_it_writes(world):
    """The negative control: intent and act are swapped on purpose, and the invariants do not hold."""
    plan = world.run("plan")["plan"]
    assert world.killed_at("intent-written", 1, "apply", plan, swapped=True) == -9
    with pytest.raises(AssertionError, match=r"gone without evidence|held item is gone"):
        check_invariants_after_publishing(world)
