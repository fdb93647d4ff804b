"""Rules that judge all their items together: generations. Looked at whole, judged at the end, looked at again.

Such a rule is held in memory, column by column: about 140 bytes for each item, and the text of its
key and revision (some 250 bytes for each at the peak, with keys of 60 characters; values of
`group_by` and `set_by` are kept once). Pages go through one by one; whatever beats due (holds,
locks, a minimum, rows that refer to it) is asked of each page as it comes, so that no facts stay.

What keeps a plan honest until it is carried out: the newest items, for whose sake others go, may be
gone by then. So a run looks at the whole rule once more before its first batch (`SecondLook`), and
lets go only what the plan says and generations still do not keep; and before each batch it makes
sure that the newest item of every group in the batch is still there. A later look costs nothing but
time, and can only spare.

Nothing here can destroy.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import overload

from retentiond.core.generations import Lineup, judge_together
from retentiond.core.item import Page
from retentiond.core.ladder import KEEP, LADDER, REFERRED, Bench, Group, Judgement, Verdict, above, reason_of
from retentiond.core.outcome import Outcome, Settled
from retentiond.engine.ports import OUTSIDE, PAGE, Batch, View, sighted
from retentiond.errors import StoreUnavailable

TWICE = "the listing shows it twice"
UNSETTLED = "its event may still be withdrawn"
SPARED = "generation"
"""The code of a step that is spared because generations keep its item now, or the newest of its group is gone."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NEVER = -(2**63)
_ITEM = 32


class Texts(Sequence[str]):
    """A column of texts, end to end in one buffer."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._ends = array("Q", [0])

    def extend(self, texts: Iterable[str]) -> None:
        for text in texts:
            self._bytes += text.encode("utf-8", "surrogatepass")
            self._ends.append(len(self._bytes))

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, i: int) -> str: ...
    @overload
    def __getitem__(self, i: slice) -> list[str]: ...
    def __getitem__(self, i: int | slice) -> str | list[str]:
        if isinstance(i, slice):
            return [self[n] for n in range(*i.indices(len(self)))]
        return self._bytes[self._ends[i] : self._ends[i + 1]].decode("utf-8", "surrogatepass")


class Instants(Sequence[datetime | None]):
    """A column of instants (UTC, whole microseconds), eight bytes each."""

    def __init__(self) -> None:
        self._micros = array("q")

    def extend(self, moments: Iterable[datetime | None]) -> None:
        self._micros.extend(_NEVER if at is None else (at - _EPOCH) // _MICROSECOND for at in moments)

    def __len__(self) -> int:
        return len(self._micros)

    @overload
    def __getitem__(self, i: int) -> datetime | None: ...
    @overload
    def __getitem__(self, i: slice) -> list[datetime | None]: ...
    def __getitem__(self, i: int | slice) -> datetime | list[datetime | None] | None:
        if isinstance(i, slice):
            return [self[n] for n in range(*i.indices(len(self)))]
        micros = self._micros[i]
        return None if micros == _NEVER else _EPOCH + timedelta(microseconds=micros)


class Values(Sequence[str | None]):
    """A column of values that repeat, each kept once."""

    def __init__(self) -> None:
        self._at = array("i")
        self._values: list[str | None] = []
        self._places: dict[str | None, int] = {}

    def extend(self, values: Iterable[str | None]) -> None:
        for value in values:
            place = self._places.setdefault(value, len(self._values))
            if place == len(self._values):
                self._values.append(value)
            self._at.append(place)

    def __len__(self) -> int:
        return len(self._at)

    @overload
    def __getitem__(self, i: int) -> str | None: ...
    @overload
    def __getitem__(self, i: slice) -> list[str | None]: ...
    def __getitem__(self, i: int | slice) -> str | list[str | None] | None:
        if isinstance(i, slice):
            return [self[n] for n in range(*i.indices(len(self)))]
        return self._values[self._at[i]]


@dataclass(frozen=True, slots=True)
class Decision:
    """What the rule says about one item; `rung` is the line of the ladder that decides."""

    verdict: Verdict
    rung: str
    reasons: tuple[str, ...]


class Together:
    """All items of one rule of generations, gathered page by page and judged as a whole.

    What is anonymised already is no generation any more: it is counted, and nothing else.
    """

    def __init__(self, pages: Iterable[Page], bench: Bench) -> None:
        rule = bench.rule
        if rule.generations is None:
            raise ValueError("only generations are judged together")
        self.bench, self._rule, self._generations = bench, rule, rule.generations
        self._keys, self._revisions = Texts(), Texts()
        self._starts, self._sizes = Instants(), array("q")
        self._groups, self._sets = Values(), Values()
        self._doubts: dict[int, str] = {}
        self._above = array("i")
        self._done = 0
        self._breaches: dict[int, str] = {}
        self._assurance: Counter[str] = Counter()
        self._blocks: list[tuple[int, str]] = [(-1, "")]
        self._places: dict[tuple[int, str], int] = {self._blocks[0]: 0}
        for page in pages:
            self._gather(page)
        self._hashes, self._by_hash = self._arranged()
        lineup = Lineup(self._keys, self._starts, self._groups, self._sets, self._doubts)
        self._verdicts = judge_together(self._generations, bench.zone, bench.now, lineup)
        self._stuck = self._stuck_sets() if self._generations.set_by else {}

    def __len__(self) -> int:
        return len(self._keys)

    def _gather(self, page: Page) -> None:
        if page.unseen:
            raise StoreUnavailable("the listing left items out", why="generations can only be judged on all of them")
        before, generations = len(self._keys), self._generations
        self._done += page.unseen_done + len(page.done)
        there = [i for i in range(len(page)) if i not in page.done]
        self._keys.extend(page.keys[i] for i in there)
        self._revisions.extend(page.revisions[i] or "" for i in there)
        self._starts.extend(page.starts[i] for i in there)
        self._sizes.extend(page.sizes[i] for i in there)
        if generations.group_by:
            self._groups.extend(page.facts[generations.group_by][i] for i in there)
        if generations.set_by:
            self._sets.extend(page.facts[generations.set_by][i] for i in there)
        self._breaches |= {before + n: page.breaches[i] for n, i in enumerate(there) if i in page.breaches}
        self._assurance.update(page.assurance)
        doubts, blocked = self._in_doubt(page), above(page, self.bench)
        self._doubts |= {before + n: doubts[i] for n, i in enumerate(there) if i in doubts}
        self._above.extend(self._block(*blocked[i]) if i in blocked else 0 for i in there)

    def _in_doubt(self, page: Page) -> dict[int, str]:
        """A row that others refer to is as good as any, so it counts; whatever else is in doubt does not."""
        found = {i: text for i, text in page.doubts.items() if not text.startswith(REFERRED)}
        if self.bench.settle is not None:
            now, ends = self.bench.now, self.bench.settle.each(page.starts)
            found |= {
                i: UNSETTLED for i, (at, end) in enumerate(zip(page.starts, ends, strict=True)) if at and (not end or end > now)
            }
        return found

    def _block(self, rung: object, reason: str) -> int:
        block = (next(n for n, known in enumerate(LADDER) if known is rung), reason)
        if block not in self._places:
            self._places[block] = len(self._blocks)
            self._blocks.append(block)
        return self._places[block]

    def _arranged(self) -> tuple[array[int], array[int]]:
        """The hashes of the keys, sorted, and whose they are. A key that a listing shows twice would be its own older copy."""
        keys = self._keys
        together = sorted([hash(key) << _ITEM | i for i, key in enumerate(keys)])
        hashes = array("q", (both >> _ITEM for both in together))
        found = array("i", (both & (1 << _ITEM) - 1 for both in together))
        for n in range(1, len(hashes)):
            low = n
            while low and hashes[low - 1] == hashes[n]:
                low -= 1
                if keys[found[low]] == keys[found[n]]:
                    self._doubts[found[low]] = self._doubts[found[n]] = TWICE
        return hashes, found

    def _stuck_sets(self) -> dict[int, int]:
        """The sets of which something beats due for a member: they stay as a whole."""
        stuck: dict[int, int] = {}
        for i, code in enumerate(self._above):
            if code and self._verdicts.is_due(i):
                unit = self._verdicts.unit(i)
                stuck[unit] = min(stuck.get(unit, code), code, key=self._blocks.__getitem__)
        return stuck

    def find(self, key: str) -> int | None:
        """The position of an item; None for one that the listing did not show."""
        wanted = hash(key)
        at = bisect_left(self._hashes, wanted)
        while at < len(self._hashes) and self._hashes[at] == wanted:
            if self._keys[self._by_hash[at]] == key:
                return self._by_hash[at]
            at += 1
        return None

    def decision(self, i: int) -> Decision:
        """What becomes of one item, and why."""
        if self._rule.action.keeps:
            return Decision("kept", "kept by rule", (KEEP,))
        doubt = self._verdicts.doubt(i)
        if doubt:
            return Decision("undetermined", "in doubt" if i in self._doubts else "clock not started", (doubt,))
        if self._verdicts.is_kept(i):
            return Decision("kept", "kept by rule", self._verdicts.reasons(i))
        joint = self._stuck.get(self._verdicts.unit(i), 0)
        code = self._above[i] or joint
        if not code:
            return Decision("due", "due", (reason_of(self._rule),))
        rung, reason = LADDER[self._blocks[code][0]], self._blocks[code][1]
        return Decision(rung.verdict, rung.name, (reason if self._above[i] else f"its set stays together: {reason}",))

    @property
    def has_sets(self) -> bool:
        """Whether the rule joins items that stand and fall together."""
        return bool(self._generations.set_by)

    def unit(self, i: int) -> int:
        """Names the set that an item stands and falls with; -1 for one that belongs to none."""
        return self._verdicts.unit(i)

    def newest_beside(self, i: int) -> str:
        """The key of the newest item in the group of an item that was judged."""
        group = self._groups[i] if self._generations.group_by else None
        return self._keys[self._verdicts.newest[group]]

    def judgements(self) -> Iterator[Judgement]:
        """Page by page what was judged, in the order in which the store showed it."""
        for low in range(0, len(self), PAGE):
            high = min(low + PAGE, len(self))
            breaches = {i - low: self._breaches[i] for i in range(low, high) if i in self._breaches} if self._breaches else {}
            columns = (self._keys[low:high], self._revisions[low:high], self._starts[low:high], self._sizes[low:high])
            page = Page(*columns, breaches=breaches)
            due: list[int] = []
            groups: dict[Decision, list[int]] = {}
            kept_by: Counter[str] = Counter()
            for i in range(low, high):
                found = self.decision(i)
                if found.verdict == "due":
                    due.append(i - low)
                    continue
                groups.setdefault(found, []).append(i - low)
                if found.verdict == "kept" and found.rung == "kept by rule":
                    kept_by.update(self._verdicts.kept_by(i))
            stays = [Group(d.verdict, d.rung, "; ".join(d.reasons), at, d.reasons) for d, at in groups.items()]
            yield Judgement(page, due, [None] * len(due), 0, stays, kept_by)
        if self._done or self._assurance:
            yield Judgement(Page([], [], [], [], unseen_done=self._done, assurance=self._assurance), [], [], 0, [])


class SecondLook:
    """A rule of generations, looked at once more in the run that carries out its steps.

    The whole rule is scanned and judged before its first batch, by the holds of that moment. What
    came of a step that may not go any more: `changed` with the code `generation` where its item is
    kept or undetermined now, or the newest of its group has gone since; `held` or `locked` where
    that is so of it or of its set; `gone` where it is not there any more. A hold that is placed
    later, while the rule is being carried out, keeps what is left of a set in its batch and after.
    """

    def __init__(self, look: Callable[[View], Together]) -> None:
        self._look = look
        self._together: Together | None = None
        self._held: set[int] = set()

    def spared(self, store: View, batch: Batch) -> list[Settled]:
        """The positions of a batch that may not go, with their fates. A store that cannot be seen raises."""
        if self._together is None:
            self._together = self._look(store)
        together = self._together
        fates: dict[tuple[Outcome, str], list[int]] = {}
        unseen: list[int] = []
        due: dict[int, str] = {}
        for position, key in enumerate(batch.keys):
            at = together.find(key)
            if at is None:
                unseen.append(position)
                continue
            verdict = together.decision(at).verdict
            if verdict == "due":
                due[position] = together.newest_beside(at)
            else:
                fates.setdefault(_FATES.get(verdict, (Outcome.CHANGED, SPARED)), []).append(position)
        for position in self._unseen(store, batch, unseen):
            fates.setdefault((Outcome.GONE, ""), []).append(position)
        found = {i for at in fates.values() for i in at}
        lone = [i for i in unseen if i not in found] + self._bereft(store, batch, due)
        if lone:
            fates.setdefault((Outcome.CHANGED, SPARED), []).extend(lone)
        return [Settled(sorted(at), outcome, code) for (outcome, code), at in fates.items()]

    def joined(self, batch: Batch, held: Collection[int]) -> set[int]:
        """The positions that stay together with those that a hold covers, these included."""
        together = self._together
        if together is None or not together.has_sets:
            return set(held)
        units = [-1 if (at := together.find(key)) is None else together.unit(at) for key in batch.keys]
        self._held |= {units[i] for i in held if units[i] >= 0}
        return {*held, *(i for i, unit in enumerate(units) if unit in self._held)}

    def _unseen(self, store: View, batch: Batch, positions: Sequence[int]) -> list[int]:
        """Those of the unseen that are absent; an item that hides from a listing is not."""
        if not positions:
            return []
        page = sighted(store, batch.only(positions))
        return [i for i, revision in zip(positions, page.revisions, strict=True) if revision is None]

    def _bereft(self, store: View, batch: Batch, due: dict[int, str]) -> list[int]:
        """The due positions whose newest neighbour is not there any more."""
        newest = list(dict.fromkeys(due.values()))
        if not newest:
            return []
        page = store.probe(batch.scope, newest)
        lost = {
            key
            for i, (key, revision) in enumerate(zip(newest, page.revisions, strict=True))
            if revision is None or page.doubts.get(i) == OUTSIDE
        }
        return [position for position, key in due.items() if key in lost]


_FATES = {"held": (Outcome.HELD, ""), "locked": (Outcome.LOCKED, "")}
