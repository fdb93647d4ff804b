"""The file of a plan: its steps come out as they went in, however many are asked for together and wherever one begins."""

from dataclasses import replace

import pytest

from retentiond.engine.codec import StayLine, StepLine
from retentiond.errors import PlanUnusable
from retentiond.ledger.plans import PlanFile, PlanWriter
from tests.core.test_plan import HEADER

STEPS = 20_000
LONG = 17_000
"""The number of a step whose line is longer than what is read at once."""


def step(n):
    key = "k" * 3_000_000 if n == LONG else f"recordings/{n}"
    return StepLine(
        n, "calls", "old", "pbx", key, f"{n:040x}", None, None, "delete", ("older than 3 months",), n, set=n % 2 or None
    )


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    with PlanWriter(tmp_path_factory.mktemp("plans")) as writer:
        for first in range(1, STEPS, 1000):
            writer.add([step(n) for n in range(first, first + 1000)])
        writer.add_stays([StayLine("calls", "old", "pbx", "stays", "1", None, "kept", ("newer",), 1)])
        header = replace(HEADER, steps=writer.digest, total=writer.total)
        return PlanFile(writer.seal(header))


@pytest.mark.parametrize("size", [1, 7, 1000, 4096, STEPS, 10 * STEPS])
@pytest.mark.parametrize("first", [1, 2, 1001, LONG, LONG + 1, STEPS])
def test_steps_come_together_as_asked_from_any_number_on(plan, size, first):
    if size == 1 and first < LONG:
        first += LONG
    blocks = [[each.n for each in block] for block in plan.blocks(size, min(first, STEPS))]
    assert list(range(min(first, STEPS), STEPS + 1)) == [n for block in blocks for n in block]
    assert {len(block) for block in blocks[:-1]} <= {size}
    assert 0 < len(blocks[-1]) <= size


def test_a_step_says_what_was_written_and_a_stay_is_no_step(plan):
    plan.check_steps()
    full = [each for block in plan.full(3000) for each in block]
    assert [step(n) for n in range(1, STEPS + 1)] == full
    (stay,) = plan.stays()
    assert b'"stays"' in stay


def test_steps_of_sets_are_found_again_by_their_place(plan):
    places, found = zip(*plan.sets(), strict=True)
    assert [n for n in range(1, STEPS + 1) if n % 2] == [each.n for each in found]
    wanted = [places[i] for i in (0, 5000, LONG // 2, -1)]
    assert [found[i] for i in (0, 5000, LONG // 2, -1)] == list(plan.at(wanted))


def test_a_line_that_is_no_step_is_an_altered_plan(plan, tmp_path):
    copy = tmp_path / plan.path.name
    copy.write_bytes(plan.path.read_bytes().replace(b'"n":12345,', b'"n":"345",'))
    with pytest.raises(PlanUnusable, match="altered"):
        list(PlanFile(copy).blocks(1000))
    with pytest.raises(PlanUnusable, match="altered"):
        PlanFile(copy).check_steps()


def test_a_file_that_was_cut_short_gives_no_step_twice_and_no_half_of_one(plan, tmp_path):
    copy = tmp_path / plan.path.name
    whole = plan.path.read_bytes()
    copy.write_bytes(whole[: whole.index(b'"n":9000,') + 40])
    assert list(range(1, 9000)) == [each.n for block in PlanFile(copy).blocks(1000) for each in block]
    with pytest.raises(PlanUnusable, match="altered"):
        PlanFile(copy).check_steps()
