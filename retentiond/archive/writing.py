"""Writing one copy: read in its revision, encrypted on the way, taken in under a free name, and found there again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from retentiond.archive.apart import Apart
from retentiond.archive.reading import EVERYTHING, Reading, digest_of, reading
from retentiond.archive.register import People, Register
from retentiond.archive.sealing import Sealing
from retentiond.core.copied import Origin, Written
from retentiond.core.naming import numbered, placed
from retentiond.engine.ports import Deposit, Readable, Store, View, Writable
from retentiond.errors import Occupied, StoreDenied, StoreTrouble, StoreUnavailable

_NAMES = 100
"""So many names are tried for one copy."""


class SourceTrouble(Exception):
    """The store that a copy is made of has failed, not the one that it goes to; `error` is what it said."""

    def __init__(self, error: StoreTrouble) -> None:
        super().__init__(error.what)
        self.error = error


class Taking(Store, Writable, Readable, Protocol):
    """A store that copies go to: it takes them in, and gives them out again."""


Pieces = Callable[[], Iterable[bytes]]
"""Reads the original from its beginning, each time it is called."""
Pulse = Callable[[], None]
"""Told with each piece that work goes on, however long one copy takes; what it raises ends that copy."""


def unheard() -> None:
    """Nobody listens."""


class Vault:
    """The store that copies of a rule go to, and the process that encrypts them. `StoreDenied` where it takes none.

    `read` reads what lies there whole; left out, the handle of the store does, however long it takes.
    """

    def __init__(
        self,
        store: Store,
        recipients: tuple[str, ...],
        sealing: Callable[[tuple[str, ...]], Sealing],
        pulse: Pulse = unheard,
        read: Reading | None = None,
    ) -> None:
        self.store, self.recipients, self._pulse = taking(store), recipients, pulse
        self.read: Reading = read or reading(store)
        self._sealing = sealing(recipients) if recipients else None
        self._sources: dict[str, Apart] = {}

    def write(
        self,
        register: Register,
        origin: Origin,
        item: tuple[str, str],
        key: str,
        pieces: Pieces,
        *,
        items: int = 1,
        people: People = (),
        source: View | None = None,
    ) -> tuple[Written, Deposit]:
        """Writes a copy of (key, revision) under a key, or another name where that is taken; the register hears of it first.

        `ItemChanged` where the original is not what it was; `SourceTrouble` where its store fails; any other error is the
        destination's, or the encryption's. In all cases nothing lies there that did not lie there before. `StoreDenied` where
        a copy appears in the `source` as well: the two stores are one place under two names.
        """
        apart = self._apart(source)
        for n in range(1, _NAMES):
            name = placed(self.store.home, numbered(key, n))
            number = register.begin(origin, item, name, len(self.recipients), items, people)
            try:
                with apart.looked_at(name):
                    deposit = self._take(name, pieces)
            except Occupied:
                same = None if apart.may_be_itself(name) else self._same(name, pieces)
                if same is None:
                    register.drop(number)
                    continue
                deposit = same
            except BaseException:
                register.drop(number)
                raise
            return Written(number, self._revision(name), deposit.sha256, deposit.size), deposit
        raise StoreDenied("no name is free for a copy", do="give the archive a path that tells its items apart", key=key)

    def _apart(self, source: View | None) -> Apart:
        if source is None:
            return Apart(self.store, None)
        return self._sources.setdefault(source.place, Apart(self.store, source))

    def _take(self, name: str, pieces: Pieces) -> Deposit:
        plain = self._heard(_from_source(pieces()))
        if self._sealing is None:
            return self.store.take(name, plain)
        sealed = self._sealing.sealed(plain)
        try:
            return self.store.take(name, sealed)
        finally:
            sealed.close()

    def _heard(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self._pulse()
            yield piece

    def _same(self, name: str, pieces: Pieces) -> Deposit | None:
        """What lies there already, if it is the original byte for byte: a run that was cut short has written it."""
        if self._sealing is not None:
            return None
        mine = digest_of(_from_source(pieces()))
        there = self.read(name, self._revision(name), mine[1])
        return Deposit(name, *there) if there == mine else None

    def _revision(self, name: str) -> str:
        (found,) = self.store.probe(EVERYTHING, [name]).revisions
        if found is None:
            raise StoreUnavailable("a copy is not where it was written", do="see who else is at work in that store")
        return found


def taking(store: Store) -> Taking:
    """The store as one that takes copies in and gives them out; `StoreDenied` where it is none."""
    if not isinstance(store, Writable) or not isinstance(store, Readable):
        raise StoreDenied("the store takes no copies in", do="name a store of files, objects or sftp")
    return store


def _from_source(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same pieces; what goes wrong with them is told apart from what goes wrong where they go to."""
    try:
        yield from pieces
    except StoreTrouble as error:
        raise SourceTrouble(error) from error
