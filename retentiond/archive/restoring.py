"""Bringing an archive back: read, compared with what was noted of it, decrypted, and named only when all of it is proven.

Whatever goes wrong, no file is left in the folder under its own name that is not whole, and nothing in it is written over.
What an earlier try has brought back stays as it is. Files and folders are made for their owner alone.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from retentiond.archive.reading import EVERYTHING, digest_of
from retentiond.archive.recognise import AGE
from retentiond.archive.sealing import opened
from retentiond.core.copied import Copied
from retentiond.core.item import raw_of
from retentiond.engine.digest import Digest
from retentiond.engine.ports import PIECE, Readable, View
from retentiond.errors import ItemChanged, NotOpened, Occupied, StoreDenied, UsageError

SUFFIX = ".age"
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def restored(view: View, key: str, noted: Copied | None, identity: str | None, folder: Path) -> tuple[Path, bool]:
    """The file that an archive was brought back as, and whether it was there before, with the same digest and size.

    `noted` is what the register says of the archive, None where it says nothing. `UsageError` where there is no such archive,
    or an identity is needed; `NotOpened` where it is damaged, cut off or encrypted to others, or the folder does not take it;
    `Occupied` where something else is there under its name.
    """
    try:
        return _restored(view, key, noted, identity, folder)
    except OSError as error:
        why = f"the folder does not take it: {error.strerror}"
        raise NotOpened(why=why, do="name a folder with enough room that you may write into: --into DIR") from error


def _restored(view: View, key: str, noted: Copied | None, identity: str | None, folder: Path) -> tuple[Path, bool]:
    if not isinstance(view, Readable):
        raise StoreDenied("the store does not let its items be read")
    (revision,) = view.probe(EVERYTHING, [key]).revisions
    if revision is None:
        raise UsageError("there is no such archive in that store", do="retentiond archive list")
    target = _target(folder, key)
    with _temporary(folder) as ciphertext, _temporary(folder) as plaintext:
        try:
            found = _written(ciphertext, view.read(EVERYTHING, key, revision))
        except ItemChanged as error:
            raise NotOpened(why="it changed while it was read", do="try again") from error
        if noted is not None and noted.sha256 is not None and found != (noted.sha256, noted.size):
            raise NotOpened(why="it is not what was written: damaged, cut off or exchanged", do="restore it from another copy")
        if _is_encrypted(ciphertext):
            if identity is None:
                raise UsageError("the archive is encrypted", do="name the identity of a recipient: --identity FILE")
            found = _written(plaintext, opened(_pieces(ciphertext), identity))
            target = target.with_name(target.name.removesuffix(SUFFIX) or target.name)
        return target, not _name(plaintext if plaintext.exists() else ciphertext, target, folder, found)


def _target(folder: Path, key: str) -> Path:
    """Where the file goes: the path of the archive below the folder, and nowhere else."""
    parts = raw_of(key).split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise UsageError("the name of the archive leads out of the folder")
    return folder.joinpath(*parts)


@contextmanager
def _temporary(folder: Path) -> Iterator[Path]:
    """The path of a file that goes at the end of the block, if it was made and not named."""
    path = folder / f".retentiond~{secrets.token_hex(8)}"
    try:
        yield path
    finally:
        with suppress(FileNotFoundError):
            path.unlink()


def _written(path: Path, pieces: Iterable[bytes]) -> tuple[str, int]:
    """Writes a new file durably: its digest and size."""
    digest = Digest()
    with os.fdopen(os.open(path, _NEW, 0o600), "wb") as file:
        for piece in pieces:
            file.write(piece)
            digest.add(piece)
        file.flush()
        os.fsync(file.fileno())
    return digest.hex(), digest.size


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece


def _is_encrypted(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(AGE)) == AGE


def _name(path: Path, target: Path, folder: Path, content: tuple[str, int]) -> bool:
    """Gives the file its name; durable on return. False where a file of that name and content is there already."""
    missing = [above for above in (target.parent, *target.parent.parents) if not above.exists()]
    for above in reversed(missing):
        above.mkdir(mode=0o700)
    try:
        os.link(path, target, follow_symlinks=False)
    except FileExistsError as error:
        if stat.S_ISREG(target.lstat().st_mode) and digest_of(_pieces(target)) == content:
            return False
        raise Occupied("another file of that name is there already", do="name an empty folder: --into DIR") from error
    for directory in {target.parent, *missing, folder}:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    return True
