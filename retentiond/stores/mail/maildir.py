"""Looking at Maildirs: one file is one message, in `new/` or `cur/` of its folder.

A folder is a directory that has `cur`; its name is its path below the root, and the root's own is `INBOX`.
A message is named by the unique part of its file's name, before `:2,` and the flags, so that it stays the same
message when a mail program reads it, flags it, or moves it from `new` to `cur`; its revision is that of its
file, `inode:size:mtime_ns`, which none of that touches. It was delivered when the unique part begins to say
so (seconds since 1970, https://cr.yp.to/proto/maildir.html), else when the file was last modified. Copies of a
message that are hard links, as Dovecot makes them, are messages of their own.

Guarantees: nothing here changes anything; the root is never left (`stores.tree`). Names in a directory that
begin with a dot are no messages but for claims: what a cut-short disposal left is shown under its old name.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from retentiond.engine.ports import Traits
from retentiond.errors import StoreDenied, StoreUnavailable
from retentiond.stores.mail.boxes import SHADOWED, TWICE, Sighted
from retentiond.stores.mail.head import Head
from retentiond.stores.mail.reading import head_at, open_quietly
from retentiond.stores.mail.sieve import Sieve
from retentiond.stores.tree import Tree, is_absent, is_barred, refusal

INBOX = "INBOX"
CLAIM = ".retentiond~"
"""How the name begins that a message has while it is let go: this, 16 hex digits, `~`, and its own name."""
PARTS = ("new", "cur", "tmp")
"""The directories of which a Maildir is made; messages are in the first two."""

_CLAIMED = re.compile(r"\.retentiond~[0-9a-f]{16}~(.+)", re.DOTALL)
_SECONDS = re.compile(r"(\d{9,12})[._]", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TRIES = 10
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a file of a message lies: the subdirectory, and the name there."""

    sub: str
    file: str

    @property
    def own(self) -> str:
        """The file's own name, which a claim keeps."""
        found = _CLAIMED.fullmatch(self.file)
        return found[1] if found else self.file

    @property
    def is_claimed(self) -> bool:
        return self.file.startswith(CLAIM)


@dataclass(frozen=True, slots=True)
class Found:
    """A file of a message that is there: where, and its status."""

    spot: Spot
    status: os.stat_result


class Folder:
    """An open folder: its directories `new` and `cur`."""

    def __init__(self, tree: Tree, name: str) -> None:
        self.fds: dict[str, int] = {}
        fd = tree.open(path_of(name))
        try:
            for sub in PARTS[:2]:
                try:
                    self.fds[sub] = tree.enter(fd, sub)
                except OSError as error:
                    if not (is_absent(error) or is_barred(error)):
                        raise
        except OSError:
            self.close()
            raise
        finally:
            os.close(fd)

    def close(self) -> None:
        """Closes both; again does nothing."""
        while self.fds:
            os.close(self.fds.popitem()[1])

    def listed(self, wanted: Collection[str] | None = None) -> dict[str, list[Spot]]:
        """Where the files of each message lie, or of the wanted ones; `new` first, because from there they move to `cur`."""
        found: dict[str, list[Spot]] = {}
        for sub, fd in self.fds.items():
            with os.scandir(fd) as entries:
                for entry in entries:
                    name = _unique(entry.name)
                    if name is not None and (wanted is None or name in wanted):
                        found.setdefault(name, []).append(Spot(sub, entry.name))
        return found

    def found(self, wanted: Collection[str]) -> dict[str, list[Found]]:
        """The files of these messages that are there.

        A file that is renamed while its directory is read may be in the list under neither name. So what was not
        found is looked for until two lists in which nothing has changed meanwhile do not have it.
        """
        known: dict[str, list[Found]] = {}
        missed, rest = 0, set(wanted)
        for _ in range(_TRIES):
            before = self._marks()
            for name, spots in self.listed(rest).items():
                files = [Found(spot, status) for spot in spots if (status := self.look(spot)) is not None]
                if files:
                    known[name] = files
            rest -= known.keys()
            missed += before == self._marks()
            if not rest or missed == 2:
                return known
        raise StoreUnavailable("a folder changes faster than it can be read", do="try again later")

    def look(self, spot: Spot) -> os.stat_result | None:
        """The status of a regular file; None where there is none (any more)."""
        try:
            status = os.stat(spot.file, dir_fd=self.fds[spot.sub], follow_symlinks=False)
        except OSError as error:
            if is_absent(error):
                return None
            raise
        return status if stat.S_ISREG(status.st_mode) else None

    def _marks(self) -> list[tuple[int, int]]:
        return [(s.st_mtime_ns, s.st_ctime_ns) for s in map(os.fstat, self.fds.values())]


def _unique(file: str) -> str | None:
    """The name of the message that a file holds; None for what is none."""
    if file.startswith("."):
        claimed = _CLAIMED.fullmatch(file)
        if claimed is None:
            return None
        file = claimed[1]
    at = file.rfind(":2,")
    return file[:at] if at > 0 else file


def path_of(folder: str) -> str:
    """The path of a folder below the root; `NotADirectoryError` for a name that is no folder's."""
    if folder == INBOX:
        return ""
    if any(part in ("", ".", "..", *PARTS) for part in folder.split("/")):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    return folder


def revision_of(status: os.stat_result) -> str:
    """What changes whenever the content of a message's file does, and not with its name."""
    return f"{status.st_ino}:{status.st_size}:{status.st_mtime_ns}"


def delivered_at(name: str, status: os.stat_result) -> datetime | None:
    """When a message came here; None beyond the calendar."""
    said = _SECONDS.match(name)
    try:
        return _EPOCH + (timedelta(seconds=int(said[1])) if said else timedelta(0, 0, status.st_mtime_ns // 1000))
    except OverflowError:
        return None


def open_file(folder: Folder, spot: Spot) -> int | None:
    """A descriptor for reading a file of a message; None where it has gone."""
    try:
        return open_quietly(spot.file, folder.fds[spot.sub])
    except OSError as error:
        if is_absent(error) or is_barred(error):
            return None
        raise


class Maildirs:
    """The Maildirs below a root, opened for looking."""

    def __init__(self, path: str) -> None:
        self.tree = Tree(path)

    @property
    def place(self) -> str:
        return self.tree.place

    @property
    def traits(self) -> Traits:
        """Not atomic: a program that keeps a message open may write to it after the comparison."""
        return Traits(atomic=False)

    def folders(self) -> Iterator[str]:
        """Every directory with `cur` in it, from the root down."""
        waiting = [""]
        while waiting:
            path = waiting.pop()
            below = self._below(path)
            if "cur" in below:
                if path == INBOX:
                    why = "the messages of the root itself are in INBOX, and a directory is named so, too"
                    raise StoreDenied("two folders of mail have one name", why=why, do="rename the directory")
                yield path or INBOX
            waiting += sorted((f"{path}/{name}" if path else name for name in below if name not in PARTS), reverse=True)

    def messages(self, folder: str, sieve: Sieve) -> Iterator[Sighted]:
        """Every message of a folder, once, as it was when the folder was listed."""
        with self.opened(folder) as opened:
            if opened is None:
                return
            moved: list[str] = []
            for name, spots in opened.listed().items():
                files = [Found(spot, status) for spot in spots if (status := opened.look(spot)) is not None]
                if files:
                    yield self.sighted(opened, name, files)
                else:
                    moved.append(name)
            for name, files in opened.found(moved).items() if moved else ():
                yield self.sighted(opened, name, files)

    def find(self, folder: str, names: Collection[str], sieve: Sieve) -> Mapping[str, Sighted]:
        """Those of the named messages that are there, each with its head read already, where the sieve needs one."""
        with self.opened(folder) as opened:
            if opened is None:
                return {}
            found = {name: self.sighted(opened, name, files) for name, files in opened.found(names).items()}
            return {name: one.with_head() for name, one in found.items()} if sieve.needs_head else found

    @contextmanager
    def open(self, folder: str, name: str, revision: str) -> Iterator[_File | None]:
        """The file of a message in its revision, open for reading."""
        with self.opened(folder) as opened:
            found = opened.found([name]).get(name, []) if opened is not None else []
            spot = next((one.spot for one in found if revision_of(one.status) == revision), None)
            fd = open_file(opened, spot) if opened is not None and spot is not None else None
            if opened is None or fd is None:
                yield None
                return
            try:
                yield _File(fd, opened, name, revision) if revision_of(os.fstat(fd)) == revision else None
            finally:
                os.close(fd)

    def warnings(self) -> Sequence[str]:
        """What is mounted inside is not looked at."""
        if self.tree.mounts_inside():
            return ("something is mounted inside the root; what is in there is not looked at",)
        return ()

    def close(self) -> None:
        self.tree.close()

    def sighted(self, opened: Folder, name: str, files: Sequence[Found]) -> Sighted:
        """A message of which there are files. In doubt where they are not one; what is claimed goes last."""
        one = min(files, key=lambda f: f.spot.is_claimed)
        several = len({(f.status.st_dev, f.status.st_ino) for f in files}) > 1
        doubt = None if not several else SHADOWED if any(f.spot.is_claimed for f in files) else TWICE
        return Sighted(
            name,
            revision_of(one.status),
            delivered_at(name, one.status),
            one.status.st_size,
            lambda: self._head(opened, name, one),
            doubt,
        )

    def _head(self, opened: Folder, name: str, file: Found) -> Head | None:
        """The head of a file, found again where it was renamed meanwhile."""
        again = [file]
        for _ in range(_TRIES):
            for one in again:
                if revision_of(one.status) == revision_of(file.status) and (fd := open_file(opened, one.spot)) is not None:
                    try:
                        return head_at(fd, 0, os.fstat(fd).st_size)
                    finally:
                        os.close(fd)
            again = opened.found([name]).get(name, [])
            if not again:
                return None
        return None

    @contextmanager
    def opened(self, name: str) -> Iterator[Folder | None]:
        """An open folder; None where there is none."""
        try:
            folder = Folder(self.tree, name)
        except OSError as error:
            if not (is_absent(error) or is_barred(error)):
                raise refusal(error, name) from error
            yield None
            return
        try:
            yield folder
        except OSError as error:
            raise refusal(error, name) from error
        finally:
            folder.close()

    def _below(self, path: str) -> list[str]:
        """The directories in one of the root's; none where it has gone, or is barred."""
        try:
            fd = self.tree.open(path)
        except OSError as error:
            if path and (is_absent(error) or is_barred(error)):
                return []
            raise refusal(error, path) from error
        try:
            if self.tree.has_no_subdirectory(fd):
                return []
            with os.scandir(fd) as entries:
                return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError as error:
            raise refusal(error, path) from error
        finally:
            os.close(fd)


class _File:
    """The open file of a message."""

    def __init__(self, fd: int, folder: Folder, name: str, revision: str) -> None:
        self._fd, self._folder, self._name, self._revision = fd, folder, name, revision
        self.size = os.fstat(fd).st_size

    def at(self, offset: int, count: int) -> bytes:
        return os.pread(self._fd, count, offset)

    def is_there(self) -> bool:
        files = self._folder.found([self._name]).get(self._name, ())
        return any(revision_of(file.status) == self._revision for file in files)
