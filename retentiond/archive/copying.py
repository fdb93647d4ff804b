"""Copies of every item of a rule, made or compared, before anything of it may go.

Where the rule says `copy`, what has no copy gets one, encrypted on the way and read back where it lies. Where it only
requires copies, others make them: an item of the same name in that store is read and compared, byte for byte, once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from retentiond.archive.originals import Original
from retentiond.archive.reading import EVERYTHING
from retentiond.archive.register import People, Register
from retentiond.archive.units import people_of
from retentiond.archive.vouching import Condition, Voucher
from retentiond.archive.writing import SourceTrouble, Vault
from retentiond.core.copied import Origin, Written
from retentiond.core.item import Page, key_of, raw_of
from retentiond.core.naming import placed
from retentiond.core.policy import PathSelection
from retentiond.engine.ports import Scope, Store
from retentiond.errors import ItemChanged, NotSealed, StoreUnavailable

CHUNK = 100
SUFFIX = ".age"
_NEW: frozenset[Condition] = frozenset({"not-copied"})
_ALL: frozenset[Condition] = frozenset({"not-copied", "copy-missing", "copy-damaged"})


@dataclass(slots=True)
class Made:
    """What copying came to: items with a new verified copy, their bytes there, and those that have none still."""

    copied: int = 0
    bytes: int = 0
    left: int = 0

    def add(self, other: Made) -> None:
        """Adds what another time came to."""
        self.copied, self.bytes, self.left = self.copied + other.copied, self.bytes + other.bytes, self.left + other.left


class Copying:
    """The copies of one rule. `makes`: we make them; else they are only compared."""

    def __init__(self, store: Store, scope: Scope, vault: Vault, voucher: Voucher, register: Register, *, makes: bool) -> None:
        self._store, self._scope, self._vault, self._makes = store, scope, vault, makes
        self._voucher, self._register = voucher, register
        self._origin = voucher.origin

    def make(self, made: Made, *, repair: bool, stop: Callable[[], str | None]) -> None:
        """Copies whatever has no copy; with `repair` also what has lost it. `made` tells how far it has come."""
        wanted = _ALL if repair else _NEW
        for page in self._store.scan(self._scope):
            conditions = self._voucher.conditions(page.keys, page.revisions)
            todo = [i for i, condition in enumerate(conditions) if condition in wanted and page.revisions[i] is not None]
            for low in range(0, len(todo), CHUNK):
                if stop():
                    return
                self._chunk(page, todo[low : low + CHUNK], made)

    def _chunk(self, page: Page, positions: Sequence[int], made: Made) -> None:
        written: list[Written] = []
        try:
            written.extend(self._each(page, positions, made))
        finally:
            self._register.keep(self._origin if self._makes else self._found(), written)
            made.copied += len(written)
            made.bytes += sum(one.size for one in written)

    def _each(self, page: Page, positions: Sequence[int], made: Made) -> Iterator[Written]:
        for i in positions:
            original = Original(self._store, self._scope, page.keys[i], page.revisions[i] or "")
            try:
                people = [people_of(self._scope, page, i)]
                one = self._copy(original, people) if self._makes else self._compare(original, people)
            except (ItemChanged, NotSealed):
                one = None
            except SourceTrouble as trouble:
                if isinstance(trouble.error, StoreUnavailable):
                    raise trouble.error from trouble
                one = None
            if one is None:
                made.left += 1
            else:
                yield one

    def _copy(self, original: Original, people: People) -> Written:
        recipients = self._vault.recipients
        name = key_of(raw_of(original.key) + (SUFFIX if recipients else ""))
        item = (original.key, original.revision)
        source = self._store if isinstance(self._scope.selection, PathSelection) else None
        return self._vault.write(self._register, self._origin, item, name, original.pieces, people=people, source=source)[0]

    def _compare(self, original: Original, people: People) -> Written | None:
        """What others have copied under the same name, if it is the same; None where it is not there, or another thing."""
        there = self._vault.store
        key = placed(there.home, original.key)
        page = there.probe(EVERYTHING, [key])
        revision = page.revisions[0]
        if revision is None:
            return None
        digest, size = self._vault.read(key, revision, page.sizes[0])
        for _ in original.pieces():
            pass
        if (original.sha256, original.size) != (digest, size):
            return None
        number = self._register.begin(self._found(), (original.key, original.revision), key, 0, people=people)
        return Written(number, revision, digest, size)

    def _found(self) -> Origin:
        return replace(self._origin, purpose="found")
