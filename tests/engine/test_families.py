"""Families in the steps of a plan: never cut between two batches, and taken up again as a whole or not at all."""

from hypothesis import given
from hypothesis import strategies as st

from retentiond.app.applying import contiguous
from retentiond.app.gathering import Whole, whole_families, whole_stretches
from retentiond.core.policy import Action, PathSelection, Start
from retentiond.engine.codec import Step, StepLine, lines, steps
from retentiond.engine.ports import Batch, Scope, Stretch

SIZES = st.lists(st.integers(1, 5), min_size=1, max_size=30)


def planned(sizes):
    """The steps of families of these sizes, as a plan would be read."""
    found = []
    for family, size in enumerate(sizes):
        parents = [f"t/{family}"] * (size - 1) + [None]
        found += [Step(len(found) + i, "c", "r", "s", f"k/{family}/{i}", "1", "delete", 1, p) for i, p in enumerate(parents, 1)]
    return found


def batch(all_of_them):
    parents = [s.parent for s in all_of_them]
    scope = Scope(PathSelection("**"), Start("modified"))
    return Batch(1, scope, Action("delete"), [s.key for s in all_of_them], ["1"] * len(parents), parents=parents)


@given(SIZES, st.integers(5, 9))
def test_blocks_are_cut_only_where_a_family_ends(sizes, width):
    everything = planned(sizes)
    blocks = list(whole_families(everything[i : i + width] for i in range(0, len(everything), width)))
    assert everything == [step for block in blocks for step in block]
    assert all(block[-1].parent is None for block in blocks)
    assert all(len(block) <= width for block in blocks), "a block is never more than what one disposal takes"
    assert blocks == [list(run) for block in blocks for run in contiguous(block)]


@given(SIZES, st.data())
def test_some_positions_of_a_batch_mean_their_whole_families(sizes, data):
    whole = batch(planned(sizes))
    assert sizes == [len(family) for family in whole.families()]
    some = data.draw(st.sets(st.sampled_from(range(len(whole)))))
    families = [set(family) for family in whole.families() if some & set(family)]
    assert set().union(*families) == whole.whole(some)
    rest = whole.only(sorted(whole.whole(some)))
    assert [len(f) for f in families] == [len(f) for f in rest.families()]


def test_a_step_says_its_parent_only_where_it_has_one():
    alone = StepLine(1, "c", "r", "s", "k", "1", None, None, "delete", ("why",), 1)
    assert b"parent" not in lines([alone])
    (read,) = steps(lines([StepLine(*[getattr(alone, name) for name in alone.__struct_fields__][:-3], "p", 7, 9)]))
    assert ("p", 7, 9) == (read.parent, read.request, read.set)


@given(SIZES, st.sets(st.integers(0, 29)), st.sets(st.integers(0, 29)), st.sets(st.integers(0, 29)), st.integers(1, 9))
def test_each_step_comes_once_whether_its_stretch_is_taken_or_not(sizes, together, short, refused, width):
    """`together`: the pieces that are stretches; `short`: of which the store has one item more than the plan."""
    everything, stretches = [], {}
    for piece, size in enumerate(sizes):
        keys = [f"k/{piece}/{i}" for i in range(size)]
        first = len(everything) + 1
        everything += [Step(first + i, "c", "r", "s", key, "1", "delete", 1, None) for i, key in enumerate(keys)]
        if piece in together:
            stretches[piece] = Stretch(keys[0], keys[-1], size + (piece in short))

    def read(first):
        rest = everything[first - 1 :]
        return [rest[i : i + width] for i in range(0, len(rest), width)]

    told, offered = [], []
    for found in whole_stretches(read, lambda *_: list(stretches.values())):
        if not isinstance(found, Whole):
            assert len(found) <= width
            told += found
            continue
        offered.append(found.stretch)
        piece = int(found.step.key.split("/")[1])
        found.taken = piece not in short | refused
        told += everything[found.step.n - 1 :][: found.stretch.items] if found.taken else []
    assert everything == told
    assert list(stretches.values()) == offered
