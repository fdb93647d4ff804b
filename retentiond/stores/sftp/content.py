"""Giving out the bytes of a file, in the revision that was asked for and in no other.

Nothing here changes anything but, where the server keeps it, the time of the last access. Only regular files are opened;
a claimed one is read in its claim, under its old key. Many requests are under way at once, so that what is far away is
read as fast as it can be sent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from contextlib import contextmanager

from retentiond.engine.ports import PIECE
from retentiond.errors import ItemChanged, StoreDenied
from retentiond.stores.paths import path_of
from retentiond.stores.sftp import packets
from retentiond.stores.sftp.claims import Claims
from retentiond.stores.sftp.packets import Refused
from retentiond.stores.sftp.root import Root, refusal
from retentiond.stores.sftp.session import Session

CHUNK = 2**15
"""So many bytes travel in one answer, which every server can send."""
_AHEAD = 64


def pieces_of(root: Root, claims: Claims, key: str, revision: str) -> Iterator[bytes]:
    """`engine.ports.Readable.read`. `StoreDenied` where this one file may not be read; the next one may be readable."""
    with _item(root, claims, key, revision) as (session, handle, size):
        piece = bytearray()
        for part in part_of(session, handle, 0, size):
            piece += part
            if len(piece) >= PIECE:
                yield bytes(piece[:PIECE])
                del piece[:PIECE]
        if piece:
            yield bytes(piece)
        _check(session, handle, revision)
    _find(root, claims, key, revision)


def edges_of(root: Root, claims: Claims, key: str, revision: str, head: int, tail: int) -> tuple[bytes, bytes]:
    """`engine.ports.Readable.edges`; errors as in `pieces_of`."""
    with _item(root, claims, key, revision) as (session, handle, size):
        first = b"".join(part_of(session, handle, 0, min(head, size)))
        last = b"".join(part_of(session, handle, max(0, size - tail), size))
        _check(session, handle, revision)
    _find(root, claims, key, revision)
    return first, last


def part_of(session: Session, handle: bytes, first: int, end: int) -> Generator[bytes, None, None]:
    """The bytes of an open file from `first` up to `end`, in order; fewer where it is shorter."""
    starts = iter(range(first, end, CHUNK))
    asked: deque[tuple[int, int, int]] = deque()
    try:
        while True:
            for at in starts:
                count = min(CHUNK, end - at)
                asked.append((at, count, session.post(packets.read(handle, at, count))))
                if len(asked) >= _AHEAD:
                    break
            if not asked:
                return
            at, count, number = asked.popleft()
            try:
                data = packets.string_of(session.answer(number), packets.DATA)
                while data and len(data) < count:
                    yield data
                    at, count = at + len(data), count - len(data)
                    data = packets.string_of(session.ask(packets.read(handle, at, count)), packets.DATA)
            except Refused as error:
                if error.code == packets.EOF:
                    return
                raise refusal(error.code, "") from error
            yield data
    finally:
        session.forget(number for _, _, number in asked)


@contextmanager
def _item(root: Root, claims: Claims, key: str, revision: str) -> Iterator[tuple[Session, bytes, int]]:
    """An open file that is this item in this revision, and its size."""
    path = _find(root, claims, key, revision)
    session = root.session()
    try:
        handle = packets.string_of(session.ask(packets.opened(path, packets.FOR_READING)), packets.HANDLE)
    except Refused as error:
        if error.code == packets.ABSENT:
            raise ItemChanged from error
        raise StoreDenied(
            "the item may not be read", do="let the user read every file that the selection covers", key=key
        ) from error
    try:
        yield session, handle, _check(session, handle, revision)
    finally:
        if not session.is_lost:
            session.forget([session.post(packets.close(handle))])


def _check(session: Session, handle: bytes, revision: str) -> int:
    """The size of an open file; `ItemChanged` where it is not a file in this revision."""
    try:
        found = packets.attributes_of(session.ask(packets.fstat(handle)))
    except Refused as error:
        raise refusal(error.code, "") from error
    if found is None or found.revision != revision or found.is_directory:
        raise ItemChanged
    return found.size or 0


def _find(root: Root, claims: Claims, key: str, revision: str) -> str:
    """The path on the server of this item in this revision, in a claim or not; `ItemChanged` where it is nowhere."""
    path = path_of(key)
    if path is None:
        raise ItemChanged
    parent, _, name = path.rpartition("/")
    if not all(root.are_where_they_say([parent])):
        raise ItemChanged
    try:
        found = packets.attributes_of(root.session().ask(packets.lstat(root.at(path))))
    except Refused as error:
        raise refusal(error.code, parent) from error
    if found is not None and found.is_file and found.revision == revision:
        return root.at(path)
    claimed = claims.of([parent])[parent].items.get(name)
    if claimed is None or claimed.attributes.revision != revision:
        raise ItemChanged
    return root.at(f"{parent}/{claimed.claim}/{name}" if parent else f"{claimed.claim}/{name}")
