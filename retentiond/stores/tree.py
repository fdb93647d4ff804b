"""The ground that stores on this machine stand on: a root that is opened once, and the ways below it.

Guarantees: nothing here changes anything. The root is opened once, by its real path, and is
never a symbolic link. Every step down is taken from an open descriptor with `O_NOFOLLOW`, so
that a link swapped in leads nowhere. No step enters another mount: the device of a directory
must be that of the root (openat(2), open(2)), and the kernel's list of mounts also shows bind
mounts of the same device (proc_pid_mountinfo(5)).

Names are those of `os.fsdecode`: bytes that are not UTF-8 travel as surrogates.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import socket
import stat
import sys
from dataclasses import dataclass

from retentiond.core.item import key_of
from retentiond.errors import RetentiondError, StoreDenied, StoreUnavailable

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
OPEN = 64
"""So many directories on the way down are open at a time, however deep the tree is."""

_DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG})
_BARRED = frozenset({errno.ELOOP, errno.EXDEV})
_COUNT_SUBDIRECTORIES = frozenset({"ext2", "ext3", "ext4", "xfs", "tmpfs"})
_WORDS = {
    errno.EACCES: "denied",
    errno.EPERM: "denied",
    errno.EROFS: "denied",
    errno.ENOSPC: "no-space",
    errno.EDQUOT: "no-space",
    errno.ELOOP: "not-followed",
    errno.EXDEV: "other-mount",
}
_USER = re.compile(r"(?<=://)[^/@]*@")
_ESCAPE = re.compile(rb"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of the kernel's list: what is mounted (`source`, the `root` within it) and where (`point`)."""

    id: int
    root: str
    point: str
    type: str
    source: str


class Tree:
    """An open root. `path` is its real path, `place` names the physical place behind it.

    The place is the host, the path, and the directory of which disk is found there: when a disk is
    not mounted, the empty directory below it is another place. A directory that is mounted upon
    itself, as a sandbox does to make it writable, stays the place that it is. It holds no device
    number, which a reboot changes, and no name or password of a mount's address.
    """

    def __init__(self, path: str) -> None:
        if sys.getfilesystemencoding() != "utf-8":
            raise StoreDenied(
                "names of files cannot be read byte for byte", why="the locale is not UTF-8", do="start with PYTHONUTF8=1"
            )
        self.fd = _open_root(path)
        try:
            self.device = os.fstat(self.fd).st_dev
            self.path = os.readlink(f"/proc/self/fd/{self.fd}")
            mount = _mount_of(self.fd)
        except (OSError, StopIteration) as error:
            os.close(self.fd)
            raise StoreUnavailable("the mount of the store is not known", why="/proc cannot be read") from error
        self.counts_subdirectories = mount.type in _COUNT_SUBDIRECTORIES
        source = _USER.sub("", mount.source)
        place = f"{host_id()}:{self.path} on {source}:{_behind(mount, self.path)} ({mount.type})"
        self.place = os.fsencode(place).decode("utf-8", "backslashreplace")

    def close(self) -> None:
        """Closes the root; again does nothing."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def prove_durable(self) -> None:
        """Closes the root again and raises `StoreDenied` where a directory cannot be made durable.

        No outcome could be a fact there.
        """
        try:
            os.fsync(self.fd)
        except OSError as error:
            self.close()
            raise StoreDenied("nothing can be made durable here", why="fsync of a directory fails", key=self.path) from error

    def open(self, directory: str, mounts: frozenset[str] = frozenset()) -> int:
        """A new descriptor of a directory below the root ("" is the root itself); the caller closes it.

        `OSError`: ENOENT or ENOTDIR where there is none, ELOOP where a symbolic link stands in
        the way, EXDEV where a mount does, else what the system says.
        """
        if any(directory == mount or directory.startswith(mount + "/") for mount in mounts):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        fd = os.open(".", DIRECTORY, dir_fd=self.fd)
        for name in directory.split("/") if directory else ():
            try:
                below = self.enter(fd, name)
            finally:
                os.close(fd)
            fd = below
        return fd

    def enter(self, fd: int, name: str) -> int:
        """A new descriptor of the directory `name` in an open one; `OSError` as in `open`."""
        try:
            below = os.open(name, DIRECTORY, dir_fd=fd)
        except NotADirectoryError:
            if stat.S_ISLNK(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode):
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from None
            raise
        if os.fstat(below).st_dev != self.device:
            os.close(below)
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        return below

    def mounts_inside(self) -> frozenset[str]:
        """The paths below the root on which something is mounted now."""
        prefix = self.path.rstrip("/") + "/"
        points = [mount.point for mount in _mounts()]
        return frozenset(point[len(prefix) :] for point in points if point.startswith(prefix) and point != prefix)

    def has_no_subdirectory(self, fd: int) -> bool:
        """Whether an open directory certainly has none: its link count says so where file systems keep it."""
        return self.counts_subdirectories and os.fstat(fd).st_nlink == 2


class Way:
    """The directories from the root down to the one that is being read.

    At most `OPEN` of them are open. One that was closed meanwhile is found again from the root,
    with its neighbours, so that a way of thousands of directories costs little more than its length.
    """

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._names: list[str] = []
        self._fds: list[int | None] = [os.open(".", DIRECTORY, dir_fd=tree.fd)]
        self._paths = [""]

    @property
    def path(self) -> str:
        """Where the way has come to, relative to the root."""
        return self._paths[-1]

    @property
    def fd(self) -> int:
        """The descriptor of the directory that the way has come to; it stays the way's."""
        fd = self._fds[-1]
        return self._find_again() if fd is None else fd

    def enter(self, name: str) -> bool:
        """Goes down; False where there is no directory (any more), but a link or a mount."""
        try:
            below = self._tree.enter(self.fd, name)
        except OSError as error:
            if is_absent(error) or is_barred(error):
                return False
            raise refusal(error, f"{self.path}/{name}" if self.path else name) from error
        self._names.append(name)
        self._paths.append(f"{self.path}/{name}" if self.path else name)
        self._fds.append(below)
        self._forget(len(self._fds) - OPEN - 1)
        return True

    def leave(self) -> None:
        """Goes up again."""
        self._forget(len(self._fds) - 1)
        self._fds.pop()
        self._paths.pop()
        if self._names:
            self._names.pop()

    def close(self) -> None:
        for depth in range(len(self._fds)):
            self._forget(depth)

    def _forget(self, depth: int) -> None:
        fd = self._fds[depth] if depth >= 0 else None
        if fd is not None:
            self._fds[depth] = None
            os.close(fd)

    def _find_again(self) -> int:
        fd = self._tree.open("")
        for depth, name in enumerate(self._names, 1):
            kept = depth > len(self._names) - OPEN // 2
            try:
                below = self._tree.enter(fd, name)
            finally:
                if self._fds[depth - 1] != fd:
                    os.close(fd)
            fd = below
            if kept:
                self._forget(depth)
                self._fds[depth] = fd
        self._fds[-1] = fd
        return fd


def code_of(error: OSError) -> str:
    """The fixed word for a system error."""
    number = error.errno or errno.EIO
    return _WORDS.get(number) or errno.errorcode.get(number, "eio").lower()


def refusal(error: OSError, directory: str) -> RetentiondError:
    """A system error while looking, as one that says whether trying again may help; the key is the directory."""
    if error.errno in _DENIED:
        return StoreDenied(
            "a directory of the store may not be read",
            why="a listing in part must not look like a whole one",
            do="let retentiond read and enter every directory that the selection covers",
            key=key_of(directory),
        )
    why = errno.errorcode.get(error.errno or 0, "EIO")
    return StoreUnavailable("the store cannot be read now", why=why, key=key_of(directory))


def is_denied(error: OSError) -> bool:
    """Whether the system refuses, so that trying again will not help."""
    return error.errno in _DENIED


def is_absent(error: OSError) -> bool:
    """Whether there is nothing of that name."""
    return error.errno in _ABSENT


def is_barred(error: OSError) -> bool:
    """Whether a symbolic link or a mount stands in the way, which are never entered."""
    return error.errno in _BARRED


def host_id() -> str:
    """Names this machine without telling: 16 hex digits of a digest of /etc/machine-id, else of the host name."""
    try:
        with open("/etc/machine-id", "rb") as file:
            known = file.read().strip()
    except OSError:
        known = b""
    return hashlib.sha256(b"retentiond/host/" + (known or socket.gethostname().encode())).hexdigest()[:16]


def _open_root(written: str) -> int:
    path = os.path.normpath(written)  # a trailing slash would make the kernel follow a link in spite of O_NOFOLLOW
    try:
        return os.open(path, DIRECTORY)
    except FileNotFoundError as error:
        raise StoreUnavailable("the root of the store is missing", why="no such directory", do="is its disk mounted?") from error
    except OSError as error:
        if os.path.islink(path):
            real = os.path.realpath(path)
            raise StoreDenied("the root of the store is a symbolic link", do=f"write path: {real}", key=path) from error
        if error.errno == errno.ENOTDIR:
            raise StoreDenied("the root of the store is not a directory", do="correct `path`", key=path) from error
        if error.errno in _DENIED:
            raise StoreDenied("the root of the store may not be read", do="let retentiond read and enter it", key=path) from error
        raise refusal(error, "") from error


def _mount_of(fd: int) -> Mount:
    with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as lines:
        number = next(int(line.split()[1]) for line in lines if line.startswith("mnt_id:"))
    return next(mount for mount in _mounts() if mount.id == number)


def _behind(mount: Mount, path: str) -> str:
    """Where a path lies within what is mounted, whichever part of it is mounted."""
    return os.path.normpath(os.path.join(mount.root, os.path.relpath(path, mount.point)))


def _mounts() -> list[Mount]:
    with open("/proc/self/mountinfo", "rb") as lines:
        return [_mount(line) for line in lines]


def _mount(line: bytes) -> Mount:
    before, _, after = line.partition(b" - ")
    fields, (kind, source) = before.split(b" "), after.split(b" ")[:2]
    return Mount(int(fields[0]), _plain(fields[3]), _plain(fields[4]), _plain(kind), _plain(source))


def _plain(field: bytes) -> str:
    return os.fsdecode(_ESCAPE.sub(lambda octal: bytes([int(octal.group(1), 8)]), field.strip()))
