"""Taking in a copy: written under a reserved name beside its own, read back, compared, and named at last.

    <directory>/.retentiond~new-<digest of the name>

As files on a local disk do it: a reserved name is never an item, and the next attempt at the same key finds it and begins
anew. Files are made for their owner alone (0600), and so are the directories that lead to them (0700); these stay.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable
from contextlib import suppress

from retentiond.engine.digest import Digest
from retentiond.engine.ports import Deposit
from retentiond.errors import Occupied, RetentiondError, StoreDenied, StoreTrouble, StoreUnavailable
from retentiond.stores.paths import NEW, path_of
from retentiond.stores.sftp import packets
from retentiond.stores.sftp.claiming import below, make_durable
from retentiond.stores.sftp.claims import Claims
from retentiond.stores.sftp.content import CHUNK, part_of
from retentiond.stores.sftp.packets import Refused
from retentiond.stores.sftp.root import Root, code_of, refusal
from retentiond.stores.sftp.session import Session

_UNDER_WAY = 64


def take(root: Root, claims: Claims, key: str, pieces: Iterable[bytes], *, durably: bool) -> Deposit:
    """`engine.ports.Writable.take`. `StoreDenied` for what is no key of a file, or where a link stands in the way.

    Where the connection is lost, another one is made to look, and to take away what was written. Where the server cannot be
    reached any more at the very end, a whole copy may stay.
    """
    path = path_of(key)
    if path is None:
        raise StoreDenied("a file cannot be given this name here", key=key)
    parent, _, name = path.rpartition("/")
    _make_way(root, parent, key, durably=durably)
    temporary = below(parent, f"{NEW}{hashlib.sha256(packets.raw(name)).hexdigest()[:32]}")
    root.session().ask(packets.remove(root.at(temporary)))
    if _is_there(root, path) or name in claims.of([parent])[parent].items:
        raise Occupied(key=key)
    try:
        deposit = _written(root.session(), root.at(temporary), key, pieces, durably=durably)
        _name(root, temporary, path, deposit)
    except BaseException:
        with suppress(StoreTrouble):
            root.session().ask(packets.remove(root.at(temporary)))
        raise
    try:
        if durably and not make_durable(root, [parent]):
            raise StoreUnavailable("a copy could not be made durable", why="the server's fsync fails", key=key)
    except BaseException:
        with suppress(StoreTrouble):
            if _is_copy(root, path, deposit):
                root.session().ask(packets.remove(root.at(path)))
        raise
    return deposit


def _make_way(root: Root, directory: str, key: str, *, durably: bool) -> None:
    """Makes a directory and those above it where they are missing, each durably; no link is followed."""
    parts = directory.split("/") if directory else []
    ways = ["/".join(parts[: n + 1]) for n in range(len(parts))]
    for above, way in zip(["", *ways], ways, strict=False):
        code = packets.status_of(root.session().ask(packets.mkdir(root.at(way))))
        if code == packets.DENIED and not _is_there(root, way):
            raise _trouble(code, key)
        if not code and durably:
            make_durable(root, [above])
        if not all(root.are_where_they_say([way])):
            raise StoreDenied("a symbolic link stands in the way of a copy", key=key)


def _written(session: Session, path: str, key: str, pieces: Iterable[bytes], *, durably: bool) -> Deposit:
    """Writes a new file and reads it back."""
    try:
        handle = packets.string_of(session.ask(packets.opened(path, packets.FOR_WRITING_ANEW)), packets.HANDLE)
    except Refused as error:
        raise _trouble(error.code, key) from error
    digest, size = Digest(), 0
    under_way: deque[int] = deque()
    try:
        for piece in pieces:
            digest.add(piece)
            for first in range(0, len(piece), CHUNK):
                chunk = bytes(piece[first : first + CHUNK])
                under_way.append(session.post(packets.write(handle, size, chunk)))
                size += len(chunk)
                if len(under_way) >= _UNDER_WAY:
                    _expect(session, under_way.popleft(), key)
        while under_way:
            _expect(session, under_way.popleft(), key)
        if durably:
            _expect(session, session.post(packets.fsync(handle)), key)
        back = Digest()
        for part in part_of(session, handle, 0, size + 1):
            back.add(part)
        if (back.hex(), back.size) != (digest.hex(), size):
            raise StoreUnavailable("what was written does not read back as it was given", do="look at the server's disk", key=key)
    finally:
        session.forget(under_way)
        if not session.is_lost:
            session.ask(packets.close(handle))
    return Deposit(key, digest.hex(), size)


def _name(root: Root, temporary: str, path: str, deposit: Deposit) -> None:
    """Gives the copy its name, unless something has it; where the connection is lost at that moment, looks what came of it."""
    if _is_there(root, path):
        raise Occupied(key=deposit.key)
    try:
        code = packets.status_of(root.session().ask(packets.rename(root.at(temporary), root.at(path))))
    except StoreUnavailable:
        if not _is_copy(root, path, deposit):
            raise
        root.session().ask(packets.remove(root.at(temporary)))
        return
    if code:
        raise Occupied(key=deposit.key) if _is_there(root, path) else _trouble(code, deposit.key)


def _is_copy(root: Root, path: str, deposit: Deposit) -> bool:
    """Whether what has a name now is what was written."""
    session = root.session()
    try:
        handle = packets.string_of(session.ask(packets.opened(root.at(path), packets.FOR_READING)), packets.HANDLE)
    except Refused:
        return False
    digest = Digest()
    for part in part_of(session, handle, 0, deposit.size + 1):
        digest.add(part)
    session.ask(packets.close(handle))
    return digest.hex() == deposit.sha256


def _is_there(root: Root, path: str) -> bool:
    """Whether anything has this name."""
    try:
        return packets.attributes_of(root.session().ask(packets.lstat(root.at(path)))) is not None
    except Refused as error:
        raise refusal(error.code, "") from error


def _expect(session: Session, number: int, key: str) -> None:
    code = packets.status_of(session.answer(number))
    if code:
        raise _trouble(code, key)


def _trouble(code: int, key: str) -> RetentiondError:
    if code in (packets.DENIED, packets.ABSENT, packets.BAD):
        return StoreDenied("a copy cannot be made here", why=code_of(code), do="let the user write here", key=key)
    return StoreUnavailable("a copy could not be written", why=code_of(code), do="is the server's disk full?", key=key)
