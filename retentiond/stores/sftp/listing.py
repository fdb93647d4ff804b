"""Listing directories: many side by side, each streamed, in bounded memory and with an end.

Every directory that is waiting its turn is already being read, so that what is far away is listed as fast as it
can be sent; of one that is long, no more than a part is held until it has its turn. A server is believed no further than
it makes sense: names that come twice are shown once, and a listing that repeats itself, or does not end, ends the scan.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field

from retentiond.core.item import key_of
from retentiond.errors import RetentiondError, StoreDenied, StoreUnavailable
from retentiond.stores.sftp import packets
from retentiond.stores.sftp.packets import Attributes, Refused
from retentiond.stores.sftp.root import Root, refusal
from retentiond.stores.sftp.session import Session

SIDE_BY_SIDE = 32
HELD = 4000
"""So many entries of one directory are held; a longer one comes in parts."""
LONGEST_WAIT = 3600.0
"""So many seconds the server may make us wait for one directory."""
MOST_NAMES = 20_000_000
"""A directory that has more names than this has no end."""
DEEPEST = 2**15
"""A way that is longer than this has no end either; Linux allows 4096."""
_AT_FIRST, _AHEAD, _REPEATS = 4, 16, 1000

Entry = tuple[str, Attributes]


@dataclass(slots=True)
class Part:
    """A part of a directory, or the whole of it: its entries, links and `.` and `..` left out. `is_last` ends it.

    `knows` says whether a name was in it or in an earlier part. `now` is when the directory last changed.
    """

    directory: str
    entries: list[Entry]
    is_last: bool
    knows: Callable[[str], bool]
    now: int | None = None


def listed(root: Root, session: Session, directory: str) -> Iterator[Part]:
    """One directory, in parts; nothing where there is none. Its subdirectories are entries like others."""
    yield from walked(root, session, [directory], lambda _: False)


def walked(
    root: Root, session: Session, first: list[str], enters: Callable[[str], bool], only: bytes = b""
) -> Generator[Part, None, None]:
    """Directories and what is below them, as far as `enters` says; each in one or more parts, one after another.

    Where `only` is given, names may be left out that do not contain it: whoever looks for a few need not read all.

    `StoreDenied` for a directory that may not be read, `StoreUnavailable` where the listing makes no sense. What is
    on another file system than the root, where the server tells that, is not entered.
    """
    waiting, ahead = first[::-1], deque[_Reading]()
    try:
        while waiting or ahead:
            while waiting and len(ahead) < SIDE_BY_SIDE:
                ahead.append(_Reading(root, session, waiting.pop(), only))
            part = ahead[0].part()
            while part is None:
                session.wait()
                for reading in ahead:
                    reading.go_on()
                part = ahead[0].part()
            if part.is_last:
                ahead.popleft()
            yield part
            prefix = part.directory and part.directory + "/"
            waiting += [
                prefix + name for name, attributes in reversed(part.entries) if attributes.is_directory and enters(prefix + name)
            ]
    finally:
        for reading in ahead:
            reading.leave()


@dataclass(slots=True)
class _Reading:
    """One directory that is being read."""

    root: Root
    session: Session
    directory: str
    only: bytes = b""
    asked: deque[int] = field(default_factory=deque)
    entries: list[Entry] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)
    handle: bytes | None = None
    ended: bool = False
    count: int = 0
    repeats: int = 0
    waited: float | None = None
    now: int | None = None

    def __post_init__(self) -> None:
        if len(self.directory) > DEEPEST:
            raise _endless(self.directory)
        path = self.root.at(self.directory)
        requests = [packets.realpath(path), packets.opendir(path)]
        if self.root.file_system is not None and self.directory:
            requests.insert(0, packets.statvfs(path))
        self.asked.extend(map(self.session.post, requests))

    def part(self) -> Part | None:
        """What there is of it by now, when that is enough for a part."""
        if self.waited is None:
            self.waited = self.session.waited
        self.go_on(first=True)
        if not self.ended and len(self.entries) < HELD:
            return None
        entries, self.entries = self.entries, []
        return Part(self.directory, entries, self.ended, self.knows, self.now)

    def knows(self, name: str) -> bool:
        """Whether a name was in it already."""
        return hash(name) in self.seen

    def go_on(self, *, first: bool = False) -> None:
        """Takes in what has arrived, and asks for more where there is room for it."""
        if self.ended:
            return
        if self.handle is None and not self._begin():
            return
        while self.asked and self.session.has_arrived(self.asked[0]):
            self._take_in()
            if self.ended:
                return
        if self.waited is not None and self.session.waited - self.waited > LONGEST_WAIT:
            raise _endless(self.directory)
        if first or len(self.entries) < HELD:
            wanted = _AT_FIRST if not self.count else _AHEAD
            assert self.handle is not None
            self.asked.extend(self.session.post(packets.readdir(self.handle)) for _ in range(wanted - len(self.asked)))

    def leave(self) -> None:
        """Gives up what is under way."""
        self.session.forget(self.asked)
        self.asked.clear()

    def _begin(self) -> bool:
        """Whether it is open; it is at its end where there is no such directory, or it is on another file system."""
        if not all(map(self.session.has_arrived, self.asked)):
            return False
        *system, real, handle = [self.session.answer(number) for number in self.asked]
        self.asked.clear()
        try:
            self.handle = packets.string_of(handle, packets.HANDLE)
        except Refused as error:
            if error.code != packets.ABSENT:
                raise refusal(error.code, self.directory) from error
            self.ended = True
            return False
        if packets.path_of(real) != self.root.at(self.directory):
            raise StoreUnavailable(
                "a directory is not where its name says", why="a link was put in its place meanwhile", key=key_of(self.directory)
            )
        if system and packets.file_system_of(system[0]) != self.root.file_system:
            self._end()
            return False
        return True

    def _take_in(self) -> None:
        answer = self.session.answer(self.asked.popleft())
        if answer.kind == packets.NAME and self.only and self.only not in answer.body:
            self.count += packets.count_of(answer)
            self._check_end()
            return
        try:
            names = packets.names_of(answer)
        except Refused as error:
            if error.code != packets.EOF:
                raise refusal(error.code, self.directory) from error
            self._end()
            return
        if not names:
            self.repeats += 1
        for name, attributes in names:
            if name == ".":
                self.now = attributes.modified
            if name in (".", ".."):
                continue
            if not name or "/" in name or "\0" in name:
                raise self.session.garbled()
            if attributes.mode is None:
                raise StoreDenied("the server does not tell files from directories", why="its listings have no modes")
            sign = hash(name)
            if sign in self.seen:
                self.repeats += 1
                continue
            self.seen.add(sign)
            self.entries.append((name, attributes))
            self.count += 1
        self._check_end()

    def _check_end(self) -> None:
        if self.repeats > _REPEATS + self.count or self.count > MOST_NAMES:
            raise _endless(self.directory)

    def _end(self) -> None:
        self.ended = True
        self.session.forget(self.asked)
        self.asked.clear()
        assert self.handle is not None
        self.session.forget([self.session.post(packets.close(self.handle))])


def _endless(directory: str) -> RetentiondError:
    return StoreUnavailable(
        "a listing does not end",
        why="the server repeats itself, or goes on and on",
        do="look at that directory",
        key=key_of(directory),
    )
