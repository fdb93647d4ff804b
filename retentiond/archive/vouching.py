"""Whether items have a verified copy elsewhere, where their rule wants one: asked when it is planned, and before they go.

A copy is verified when the register knows it, of this very revision, and it lies in its store in the revision in which it
was read back there. In another revision it is read again, and its digest compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from retentiond.archive.passing import Hear, Passing
from retentiond.archive.reading import EVERYTHING, Reading
from retentiond.archive.register import Register
from retentiond.core.copied import Copied, Origin
from retentiond.core.item import Page
from retentiond.core.outcome import Outcome, Settled
from retentiond.core.policy import Rule
from retentiond.engine.ports import Batch, Scope, Store, View
from retentiond.errors import ItemChanged, StoreDenied, StoreUnavailable

Condition = Literal["verified", "not-copied", "copy-missing", "copy-damaged", "copy-gone"]
_WHY = {
    "not-copied": "it has no verified copy in {} yet",
    "copy-missing": "its copy in {} is missing",
    "copy-damaged": "its copy in {} is not what was written there",
    "copy-gone": "its copy in {} has gone by the rule about that store",
}
UNVOUCHED = "no-copy"
"""The code of a step that is spared because its item has no verified copy now."""


def standing(view: View, read: Reading, known: Sequence[Copied | None], register: Register) -> list[Condition]:
    """How each noted copy is now. Errors of the store that they are in come through."""
    kept = [one for one in known if one is not None and one.state == "kept"]
    there = dict(zip((one.id for one in kept), view.probe(EVERYTHING, [one.key for one in kept]).revisions, strict=True))
    return [_condition(read, one, there, register) for one in known]


def _condition(read: Reading, one: Copied | None, there: Mapping[int, str | None], register: Register) -> Condition:
    if one is None:
        return "not-copied"
    if one.state == "gone":
        return "copy-gone"
    revision = there[one.id]
    if revision is None:
        return "copy-missing"
    return "verified" if _is_same(read, one, revision, register) else "copy-damaged"


class Voucher:
    """Says of the items of one rule whether each has a verified copy. `there` is the store of the copies, and `read` reads it."""

    def __init__(self, rule: Rule, category: str, place: str, there: View, read: Reading, register: Register) -> None:
        self._rule, self._there, self._read, self._register = rule, there, read, register
        self.origin = Origin("copy", category, rule.name, rule.store, place, rule.copied_to)
        if there.place == place:
            raise StoreDenied("the copies are in the same place as the originals", do="name a store somewhere else")

    def conditions(self, keys: Sequence[str], revisions: Sequence[str | None]) -> list[Condition]:
        """How the copy of each item in this revision is."""
        items = [(key, revision or "") for key, revision in zip(keys, revisions, strict=True)]
        return standing(self._there, self._read, self._register.newest(self.origin, items), self._register)

    def looked_at(self, _scope: Scope, page: Page) -> Page:
        """The page with what has no verified copy: it may not go, and is a violation where the rule requires the copy."""
        breaches, uncopied = dict(page.breaches), dict(page.uncopied)
        required = self._rule.require is not None and self._rule.require.copies is not None
        for i, condition in enumerate(self.conditions(page.keys, page.revisions) if len(page) else ()):
            if condition == "verified" or page.revisions[i] is None:
                continue
            uncopied[i] = _WHY[condition].format(self.origin.destination)
            if required or condition != "not-copied":
                breaches.setdefault(i, condition)
        return replace(page, breaches=breaches, uncopied=uncopied)


def _is_same(read: Reading, copied: Copied, revision: str, register: Register) -> bool:
    """Whether what lies there now is what was noted: by its revision, and where that is another, by its bytes."""
    if revision == copied.found:
        return True
    try:
        if read(copied.key, revision, copied.size or 0) != (copied.sha256, copied.size):
            return False
    except ItemChanged:
        return False
    register.moved(copied.id, revision)
    return True


class Vouched(Passing):
    """A store that lets nothing go of which no verified copy lies elsewhere at that moment, where its rule wants one."""

    def __init__(self, store: Store, vouchers: Mapping[tuple[str, str], tuple[str, Callable[[], Voucher]]], hear: Hear) -> None:
        """`vouchers` by category and rule, each with the store that its copies are in; `hear` is told when that one fails."""
        super().__init__(store)
        self._vouchers, self._hear = vouchers, hear

    def dispose(self, batch: Batch) -> Iterator[Settled]:
        vouched = self._vouchers.get((batch.scope.category, batch.scope.rule))
        if vouched is None or batch.request is not None:  # who is erased needs no copy elsewhere
            yield from self._store.dispose(batch)
            return
        try:
            conditions = vouched[1]().conditions(batch.keys, batch.revisions)
        except (StoreUnavailable, StoreDenied) as error:
            self._hear(vouched[0], error)
            yield Settled(range(len(batch)), Outcome.FAILED, UNVOUCHED)
            return
        bereft = [i for i, condition in enumerate(conditions) if condition != "verified"]
        if bereft:
            yield Settled(bereft, Outcome.CHANGED, UNVOUCHED)
        left = [i for i in range(len(batch)) if i not in {*bereft}]
        for settled in self._store.dispose(batch.only(left)) if left else ():
            yield Settled([left[i] for i in settled.positions], settled.outcome, settled.code)
