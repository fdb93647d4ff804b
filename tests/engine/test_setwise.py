"""A rule of generations is gathered whole, judged whole, and looked at again before anything of it goes."""

import tracemalloc
from contextlib import closing
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from retentiond.core.generations import Generations
from retentiond.core.item import Page
from retentiond.core.ladder import CHILDREN, LADDER, judge
from retentiond.core.outcome import Outcome
from retentiond.core.period import FOREVER, Period
from retentiond.core.policy import Action, Category, EventSource, Minimum, PathSelection, Rule, Start
from retentiond.core.registers import Hold
from retentiond.engine.pipeline import bench_for, scope_for, survey, together
from retentiond.engine.ports import Batch
from retentiond.engine.setwise import SPARED, TWICE, UNSETTLED, SecondLook, Texts, Together
from retentiond.errors import StoreUnavailable
from retentiond.testing.memory import MemoryPlace

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
EVERYTHING = Hold("H", "r", "m", everything=True)


def night(n: int) -> datetime:
    return NOW - timedelta(days=n)


def bench(generations=None, *, holds=(), action="delete", minimum=None, start=None, settle=None, subject=None):
    rule = Rule(
        "r",
        "memory",
        PathSelection("**"),
        start or Start("modified"),
        FOREVER,
        FOREVER,
        Action(action),
        minimum,
        subject or {},
        generations or Generations(last=2),
    )
    events = {"run": EventSource("run", recorded=True, settle=settle)}
    category = Category("c", "t", (), "contract", (), (), "o", (), "", (rule,), events)
    return bench_for(category, rule, ZoneInfo("UTC"), NOW, holds)


def page(starts, **sparse):
    keys = sparse.pop("keys", [f"k{i}" for i in range(len(starts))])
    return Page(keys, [f"r{k}" for k in keys], starts, [1] * len(keys), **sparse)


def verdicts(*pages, table=None):
    whole = Together(pages, table or bench())
    return [(d.verdict, d.rung, "; ".join(d.reasons)) for d in map(whole.decision, range(len(whole)))]


# --- judged as a whole


def test_pages_are_judged_as_one():
    found = verdicts(page([night(3)], keys=["c"]), page([night(2), night(1)], keys=["b", "a"]))
    assert ["due", "kept", "kept"] == [v for v, _, _ in found]
    assert ("kept", "kept by rule", "last 1 of 2") == found[2]


def test_what_beats_due_beats_it_here_too_and_is_asked_about_the_due_only():
    starts = [night(n) for n in range(7)]
    lock = {0: night(-3), 2: night(-3), 3: night(3)}
    doubts = {4: CHILDREN, 5: "it has other hard links"}
    found = verdicts(page(starts, locked_until=lock, doubts=doubts))
    assert ["kept", "kept", "locked", "due", "kept", "undetermined", "due"] == [v for v, _, _ in found]
    assert ("kept", "referred to", CHILDREN) == found[4]
    assert ("undetermined", "in doubt", "it has other hard links") == found[5]
    held = verdicts(page(starts), table=bench(holds=[EVERYTHING]))
    assert ["kept"] * 2 + ["held"] * 5 == [v for v, _, _ in held]


def test_a_minimum_keeps_what_no_generation_keeps():
    table = bench(minimum=Minimum(Period(months=1, words="1 month"), "the Act"))
    found = verdicts(page([night(n) for n in (1, 2, 20, 40)]), table=table)
    assert ["kept", "kept", "waiting", "due"] == [v for v, _, _ in found]


def test_a_row_that_others_refer_to_counts_and_a_doubtful_one_does_not():
    starts = [night(1), night(2), night(3)]
    assert ["kept", "kept", "due"] == [v for v, _, _ in verdicts(page(starts, doubts={0: CHILDREN}))]
    assert ["undetermined", "kept", "kept"] == [v for v, _, _ in verdicts(page(starts, doubts={0: "unclear"}))]


def test_an_item_that_a_listing_shows_twice_is_never_due():
    """It would be an older copy of itself, and go."""
    found = verdicts(page([night(1)], keys=["a"]), page([night(1), night(1), night(9)], keys=["a", "a", "b"]))
    assert [("undetermined", TWICE)] * 3 == [(v, r) for v, _, r in found[:3]]
    assert "kept" == found[3][0]


def test_an_event_that_may_still_be_withdrawn_does_not_count():
    table = bench(Generations(last=1), start=Start("event", "run", "who"), settle=Period(minutes=60, words="1 hour"))
    found = verdicts(page([NOW - timedelta(minutes=30), night(1), night(2)]), table=table)
    assert [("undetermined", UNSETTLED), ("kept", "last 1 of 1"), ("due", "no generation keeps it")] == [
        (v, r) for v, _, r in found
    ]


def test_what_is_anonymised_already_is_kept_and_counts_for_nothing_else():
    """Neither as the newest nor as the oldest: what is left is judged as if it were alone."""
    table = bench(Generations(last=1, yearly=3))
    pages = [page([night(1), night(2), night(3), night(9)], done=frozenset({0, 3}), unseen_done=5)]
    judged = [*Together(pages, table).judgements()]
    assert [0, 7] == [j.page.unseen_done for j in judged]
    assert ["k1", "k2"] == judged[0].page.keys
    assert [] == judged[0].due
    assert {"last": 1, "yearly": 1, "oldest": 1} == judged[0].kept_by


def test_the_action_keep_disposes_of_nothing():
    assert {"kept"} == {v for v, _, _ in verdicts(page([night(n) for n in range(5)]), table=bench(action="keep"))}


def test_a_listing_that_leaves_items_out_cannot_be_judged():
    with pytest.raises(StoreUnavailable):
        Together([page([night(1)], unseen=1)], bench())


def test_a_page_alone_is_never_judged():
    """Whoever forgets that generations are judged together destroys nothing."""
    judged = judge(page([night(n) for n in range(5)]), bench())
    assert [] == list(judged.due)
    assert ["undetermined"] == [group.verdict for group in judged.groups]


def test_a_set_stays_whole_where_something_beats_due_for_one_of_it():
    """The older run has a file under a hold, the one before it has none."""
    runs = ["x", "x", "y", "y", "z", "z"]
    starts = [night(n // 2) for n in range(6)]
    holds = [Hold("H", "r", "m", path="k3")]
    table = bench(Generations(last=1, set_by="run"), holds=holds)
    found = verdicts(page(starts, facts={"run": runs}), table=table)
    assert ["kept", "kept", "held", "held", "due", "due"] == [v for v, _, _ in found]
    assert "its set stays together: hold H covers it" == found[2][2]
    assert "hold H covers it" == found[3][2]


def test_a_hold_on_a_member_of_a_kept_set_makes_nothing_held():
    table = bench(Generations(last=1, set_by="run"), holds=[Hold("H", "r", "m", path="k0")])
    found = verdicts(page([night(0), night(1)], facts={"run": ["x", "y"]}), table=table)
    assert ["kept", "due"] == [v for v, _, _ in found]


def test_judgements_come_in_pages_with_what_keeps():
    place = MemoryPlace()
    for n in range(2500):
        place.put(f"{n:05}", night(n))
    table = bench(Generations(last=1, yearly=3))
    with closing(place.look()) as view:
        judged = list(survey(view, scope_for(table), table, None))
    assert [1000, 1000, 500] == [len(j.page) for j in judged]
    assert {"last": 1, "yearly": 3} == {k: sum(j.kept_by.get(k, 0) for j in judged) for k in ("last", "yearly")}
    assert 2500 == sum(len(j.due) + sum(len(g.positions) for g in j.groups) for j in judged)
    assert {None} == {due for j in judged for due in j.due_at}


class Turning:
    """A view of some pages that notes when each is asked for."""

    def __init__(self, pages, said):
        self.pages, self.said = pages, said

    def scan(self, scope):
        for one in self.pages:
            self.said.append("page")
            yield one


@pytest.mark.parametrize("table", [bench(Generations(last=1)), None], ids=["generations", "item by item"])
def test_items_are_heard_of_while_they_are_scanned_and_not_when_they_are_judged(table):
    single = Rule("r", "memory", PathSelection("**"), Start("modified"), FOREVER, FOREVER, Action("delete"))
    table = table or bench_for(Category("c", "t", (), "", (), (), "", (), "", (single,)), single, ZoneInfo("UTC"), NOW, ())
    said = []
    pages = [page([night(1), night(2)], keys=["a", "b"]), page([night(3)], keys=["c"])]
    for _ in survey(Turning(pages, said), scope_for(table), table, None, said.append):
        said.append("judged")
    assert ["page", 2, "page", 1] == [word for word in said if word != "judged"]
    assert ("judged" in said[:4]) == (table.rule.generations is None)


def test_an_item_is_found_by_its_key():
    keys = ["é", "b64:/w==", "a", *(f"k{i}" for i in range(100))]
    whole = Together([page([night(1)] * len(keys), keys=keys)], bench())
    assert [*range(len(keys))] == [whole.find(key) for key in keys]
    assert whole.find("k100") is None


def test_every_rung_that_decides_is_one_of_the_ladder():
    names = {rung.name for rung in LADDER}
    starts = [night(1), None, night(2), night(3), night(4)]
    assert {rung for _, rung, _ in verdicts(page(starts, doubts={3: "x"}, locked_until={4: night(-1)}))} <= names


def test_texts_come_back_as_they_were():
    column, texts = Texts(), ["", "a", "é\0", "\udcff", "b" * 1000]
    column.extend(texts)
    assert texts == column[:]
    assert texts == [column[i] for i in range(len(column))]


def test_memory_is_at_most_250_bytes_for_each_item():
    number, name = 60_000, "backups/host-{:06}/2026-11-20-the-nightly-database-dump.tar"
    pages = (
        Page(
            keys := [name.format(i) for i in range(first, first + 1000)],
            [f"{i:012}:{i}:{10**18 + i}"[:35] for i in range(first, first + 1000)],
            [NOW - timedelta(minutes=i) for i in range(first, first + 1000)],
            [1] * len(keys),
        )
        for first in range(0, number, 1000)
    )
    tracemalloc.start()
    try:
        whole = Together(pages, bench(Generations(last=10, daily="all")))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert number == len(whole)
    assert peak / number < 250


# --- the second look


class Night:
    """Backups in memory, a plan to let the older ones go, and a second look at them."""

    def __init__(self, generations=None, nights: int = 6) -> None:
        self.place = MemoryPlace()
        self.holds: list[Hold] = []
        self.generations = generations or Generations(last=2, group_by="host")
        self.looked = 0
        for n in range(nights):
            for host in "ab":
                self.place.put(f"{host}{n}", night(n + 1), facts={"host": host, "run": str(n)})
        self.keys = [f"{host}{n}" for host in "ab" for n in range(2, nights)]
        self.revisions = [str(self.place.records[k].revision) for k in self.keys]
        self.second = SecondLook(self._look)

    def _look(self, view):
        self.looked += 1
        table = bench(self.generations, holds=self.holds)
        return together(view.scan(scope_for(table, everything=True)), table, None, acting=False)

    def batch(self, keys=None) -> Batch:
        keys = keys or self.keys
        scope = scope_for(bench(self.generations), everything=True)
        revisions = [r for k, r in zip(self.keys, self.revisions, strict=True) if k in keys]
        return Batch(1, scope, Action("delete"), keys, revisions, store="memory")

    def spared(self, keys=None) -> dict[str, tuple[str, str]]:
        batch = self.batch(keys)
        with closing(self.place.act()) as store:
            found = self.second.spared(store, batch)
        return {batch.keys[i]: (s.outcome.value, s.code) for s in found for i in s.positions}


def test_nothing_is_spared_where_nothing_changed():
    assert {} == Night().spared()


def test_a_newer_backup_changes_nothing():
    night_ = Night()
    night_.place.put("a9", NOW - timedelta(minutes=1), facts={"host": "a"})
    assert {} == night_.spared()


def test_what_is_kept_now_is_spared():
    """The newest of host a is gone, so the third, which the plan lets go, is the second now."""
    night_ = Night()
    del night_.place.records["a0"]
    assert {"a2": ("changed", SPARED)} == night_.spared()


def test_the_last_of_a_group_is_spared():
    night_ = Night()
    for n in (0, 1, 2, 3, 4):
        del night_.place.records[f"a{n}"]
    spared = night_.spared()
    assert ("changed", SPARED) == spared.pop("a5")
    assert {f"a{n}": ("gone", "") for n in (2, 3, 4)} == spared


def test_a_hold_that_came_since_keeps_as_held():
    night_ = Night()
    night_.holds = [Hold("H", "r", "m", path="a3")]
    assert {"a3": ("held", "")} == night_.spared()


def test_a_lock_that_came_since_keeps_as_locked():
    night_ = Night()
    record = night_.place.records["b4"]
    night_.place.put("b4", record.start, locked_until=night(-5), facts=record.facts)
    assert {"b4": ("locked", "")} == night_.spared()


def test_the_rule_is_looked_at_once_for_a_run():
    night_ = Night()
    night_.spared(["a2", "a3"])
    night_.spared(["a4"])
    assert 1 == night_.looked


def test_no_batch_goes_once_the_newest_of_its_group_has_gone():
    night_ = Night()
    assert {} == night_.spared(["a2", "a3"])
    del night_.place.records["a0"]
    assert {"a4": ("changed", SPARED), "a5": ("changed", SPARED)} == night_.spared(["a4", "a5", "b4"])


def test_what_hides_from_the_listing_is_left_alone():
    night_ = Night()
    record = night_.place.records.pop("a4")
    assert {} == night_.spared(["a2"])
    night_.place.records["a4"] = record
    assert {"a4": ("changed", SPARED)} == night_.spared(["a4", "a5"])


def test_a_store_that_cannot_be_seen_lets_nothing_go():
    night_ = Night()
    with closing(night_.place.act()) as store:
        night_.place.available = False
        with pytest.raises(StoreUnavailable):
            night_.second.spared(store, night_.batch())


def test_a_hold_in_the_middle_of_a_run_keeps_what_is_left_of_the_set():
    night_ = Night(Generations(last=2, set_by="run"))
    assert {} == night_.spared(["a2", "b2", "a3"])
    assert {0, 1} == night_.second.joined(night_.batch(["a2", "b2", "a3"]), [0])
    assert {0} == night_.second.joined(night_.batch(["b2", "b3"]), [])


def test_without_sets_nobody_stays_for_another():
    night_ = Night()
    assert {0} == night_.second.joined(night_.batch(["a2", "b2"]), [0])
    assert {} == night_.spared()
    assert {0} == night_.second.joined(night_.batch(["a2", "b2"]), [0])


def test_outcomes_of_the_second_look_never_say_disposed():
    night_ = Night()
    del night_.place.records["a0"], night_.place.records["a5"]
    assert Outcome.DISPOSED.value not in {outcome for outcome, _ in night_.spared().values()}
