"""The packets of SFTP version 3, which is what servers speak: requests made, answers read.

Source: draft-ietf-secsh-filexfer-02, and OpenSSH's PROTOCOL for `fsync@openssh.com` and `statvfs@openssh.com`. Names
are bytes on the way and text inside (undecodable bytes as surrogates), so that any name goes through as it is. A client
that renames may be asked to replace what has the new name (`posix-rename@openssh.com`): there is no word for that here.
"""

from __future__ import annotations

import re
import stat
import struct
from struct import Struct
from typing import NamedTuple

from retentiond.errors import StoreUnavailable

INIT, VERSION = 1, 2
_OPEN, _CLOSE, _READ, _WRITE, _LSTAT, _FSTAT = 3, 4, 5, 6, 7, 8
_OPENDIR, _READDIR, _REMOVE, _MKDIR, _RMDIR, _REALPATH, _RENAME = 11, 12, 13, 14, 15, 16, 18
STATUS, HANDLE, DATA, NAME, ATTRS = 101, 102, 103, 104, 105
EXTENDED, EXTENDED_REPLY = 200, 201

OK, EOF, ABSENT, DENIED, FAILURE, BAD, UNSUPPORTED = 0, 1, 2, 3, 4, 5, 8
"""Codes of a status."""
FOR_READING, FOR_WRITING_ANEW = 0x01, 0x02 | 0x01 | 0x08 | 0x20
"""Flags of an opening: to read; to read and write a file that does not exist yet."""

_SIZE, _OWNER, _MODE, _TIMES, _MORE = 0x1, 0x2, 0x4, 0x8, 0x80000000
_USUAL = _SIZE | _OWNER | _MODE | _TIMES
_ALL = Struct(">IQIIIII")
"""What most servers say of a file: which of these they say, size, owner and group, mode, times of access and modification."""
_HEAD, _INT, _LONG, _AT, _TWO = Struct(">IBI"), Struct(">I"), Struct(">Q"), Struct(">QI"), Struct(">II")
_LINKS = re.compile(rb"-[-rwxsStT]{9}[.+@]? +([0-9]+) ")

Request = tuple[int, bytes]
"""A kind of request, and what it says after its number."""


class Answer(NamedTuple):
    """A kind of answer, and what it says after its number."""

    kind: int
    body: bytes


class Attributes(NamedTuple):
    """What a server says of a file; None where it says nothing. `modified` are seconds since 1970.

    `links` is known from listings only, of servers that print them as `ls -l` does; it may be trusted to keep a file,
    never to let it go.
    """

    mode: int | None
    size: int | None
    modified: int | None
    links: int | None = None

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file: the only thing that is ever an item."""
        return self.mode is not None and stat.S_ISREG(self.mode)

    @property
    def is_directory(self) -> bool:
        return self.mode is not None and stat.S_ISDIR(self.mode)

    @property
    def is_link(self) -> bool:
        return self.mode is not None and stat.S_ISLNK(self.mode)

    @property
    def revision(self) -> str:
        """What changes whenever a file does, as far as the protocol can tell: `size:mtime`."""
        return f"{'?' if self.size is None else self.size}:{'?' if self.modified is None else self.modified}"


class Garbled(StoreUnavailable):
    """The server answers what cannot be read."""


class Refused(Exception):
    """The server refuses; `code` is that of its status."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(str(code))


def packed(request: Request, number: int) -> bytes:
    """A request as it travels."""
    kind, body = request
    return _HEAD.pack(len(body) + 5, kind, number) + body


def raw(name: str) -> bytes:
    """A name as the server has it."""
    return name.encode("utf-8", "surrogateescape")


def text(name: bytes) -> str:
    """A name as we have it."""
    return name.decode("utf-8", "surrogateescape")


def _string(value: bytes) -> bytes:
    return _INT.pack(len(value)) + value


def lstat(path: str) -> Request:
    """What a name is, a link not followed."""
    return _LSTAT, _string(raw(path))


def realpath(path: str) -> Request:
    """Where a path leads, links followed."""
    return _REALPATH, _string(raw(path))


def opendir(path: str) -> Request:
    """Opens a directory for a listing."""
    return _OPENDIR, _string(raw(path))


def readdir(handle: bytes) -> Request:
    """The next part of a listing."""
    return _READDIR, _string(handle)


def close(handle: bytes) -> Request:
    """Closes a file or a directory."""
    return _CLOSE, _string(handle)


def mkdir(path: str) -> Request:
    """A directory for its owner alone."""
    return _MKDIR, _string(raw(path)) + _TWO.pack(_MODE, 0o700)


def rmdir(path: str) -> Request:
    """Removes a directory that is empty."""
    return _RMDIR, _string(raw(path))


def rename(old: str, new: str) -> Request:
    """Refused where something has the new name: the draft says so, and OpenSSH keeps to it (`link`, then `unlink`)."""
    return _RENAME, _string(raw(old)) + _string(raw(new))


def remove(path: str) -> Request:
    """Removes a name that is no directory."""
    return _REMOVE, _string(raw(path))


def opened(path: str, flags: int) -> Request:
    """Opens a file, made for its owner alone where it is made. OpenSSH opens a directory for reading as well."""
    return _OPEN, _string(raw(path)) + _INT.pack(flags) + _TWO.pack(_MODE, 0o600)


def fstat(handle: bytes) -> Request:
    """What an open file is."""
    return _FSTAT, _string(handle)


def read(handle: bytes, at: int, count: int) -> Request:
    """Some bytes of an open file, at most 256 KiB with OpenSSH."""
    return _READ, _string(handle) + _AT.pack(at, count)


def write(handle: bytes, at: int, piece: bytes) -> Request:
    """Writes bytes into an open file."""
    return _WRITE, _string(handle) + _LONG.pack(at) + _string(piece)


def fsync(handle: bytes) -> Request:
    """Writes through to the disk what an open file or directory holds (`fsync@openssh.com`)."""
    return EXTENDED, _string(b"fsync@openssh.com") + _string(handle)


def statvfs(path: str) -> Request:
    """Asks about the file system that a path is on (`statvfs@openssh.com`)."""
    return EXTENDED, _string(b"statvfs@openssh.com") + _string(raw(path))


def status_of(answer: Answer) -> int:
    """The code of a status, `OK` included; `Garbled` for an answer that is none."""
    if answer.kind != STATUS:
        raise Garbled
    return _int(answer.body, 0)


def failure_of(answer: Answer) -> int:
    """The code of a status, `OK` for an answer that is none: whatever was asked for is in it."""
    return status_of(answer) if answer.kind == STATUS else OK


def string_of(answer: Answer, kind: int) -> bytes:
    """The handle, or the data, of an answer of this kind."""
    if answer.kind == STATUS:
        raise Refused(status_of(answer))
    if answer.kind != kind:
        raise Garbled
    return _cut(answer.body, 0)[0]


def attributes_of(answer: Answer) -> Attributes | None:
    """What an `lstat` or an `fstat` has found; None where there is no such file, or can be none (OpenSSH: too long a name)."""
    if answer.kind == STATUS:
        code = status_of(answer)
        if code not in (ABSENT, BAD):
            raise Refused(code)
        return None
    if answer.kind != ATTRS:
        raise Garbled
    return _attributes(answer.body, 0)[0]


def names_of(answer: Answer) -> list[tuple[str, Attributes]]:
    """The names and attributes of one part of a listing; `Refused` with `EOF` at its end."""
    if answer.kind == STATUS:
        raise Refused(status_of(answer))
    if answer.kind != NAME:
        raise Garbled
    body, at, found = answer.body, 4, []
    length, links = _INT.unpack_from, _LINKS.match
    try:
        for _ in range(count_of(answer)):
            end = at + 4 + length(body, at)[0]
            after = end + 4 + length(body, end)[0]
            match = links(body, end + 4, after)
            attributes, following = _attributes(body, after, int(match[1]) if match else None)
            found.append((body[at + 4 : end].decode("utf-8", "surrogateescape"), attributes))
            at = following
    except struct.error:
        raise Garbled from None
    return found


def count_of(answer: Answer) -> int:
    """How many names one part of a listing has."""
    return _int(answer.body, 0)


def path_of(answer: Answer) -> str | None:
    """The path that a `realpath` gives; None where there is none."""
    if answer.kind == STATUS:
        return None
    names = names_of(answer)
    if len(names) != 1:
        raise Garbled
    return names[0][0]


def extensions_of(body: bytes) -> frozenset[bytes]:
    """The names of the extensions that a server announces with its version; `Garbled` for a version before 3."""
    version, at = _int(body, 0), 4
    if version < 3:
        raise Garbled
    found = set()
    while at < len(body):
        name, at = _cut(body, at)
        _, at = _cut(body, at)
        found.add(name)
    return frozenset(found)


def file_system_of(answer: Answer) -> int | None:
    """The number of a file system in the answer to a `statvfs`; None where the server knows none."""
    if answer.kind != EXTENDED_REPLY or len(answer.body) < 88:
        return None
    return int(_LONG.unpack_from(answer.body, 64)[0]) or None


def _int(body: bytes, at: int) -> int:
    try:
        return int(_INT.unpack_from(body, at)[0])
    except struct.error:
        raise Garbled from None


def _cut(body: bytes, at: int) -> tuple[bytes, int]:
    """A string, and where what follows it begins."""
    end = at + 4 + _int(body, at)
    if end > len(body):
        raise Garbled
    return body[at + 4 : end], end


def _attributes(body: bytes, at: int, links: int | None = None) -> tuple[Attributes, int]:
    if len(body) >= at + _ALL.size:
        flags, size, _, _, mode, _, modified = _ALL.unpack_from(body, at)
        if flags == _USUAL:
            return Attributes(mode, size, modified, links), at + _ALL.size
    flags, at = _int(body, at), at + 4
    size = mode = modified = None
    try:
        if flags & _SIZE:
            size, at = _LONG.unpack_from(body, at)[0], at + 8
        if flags & _OWNER:
            at += 8
        if flags & _MODE:
            mode, at = _INT.unpack_from(body, at)[0], at + 4
        if flags & _TIMES:
            modified, at = _TWO.unpack_from(body, at)[1], at + 8
    except struct.error:
        raise Garbled from None
    if flags & _MORE:
        count, at = _int(body, at), at + 4
        for _ in range(2 * count):
            _, at = _cut(body, at)
    return Attributes(mode, size, modified, links), at
