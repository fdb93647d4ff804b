"""The state directory: what lies where, who may read it, and the keys in it.

    state.db            the ledger, unless it is elsewhere  0600
    keys/               signing key, masters of references  0700
    plans/              plans with their keys in clear      0700
    events/             events that other programs drop     0700, unless an operator lets others write
    log/                the published audit log             0750, for a group of auditors
    execute.lock, publish.lock, daemon.lock

The directory itself is 0711: auditors pass through it to `log/` and see nothing else. It is made
on first need by any command that writes. A program run as root over a state that belongs to
somebody else refuses, because the files it would make could not be written by their owner.
"""

from __future__ import annotations

import os
import pwd
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

from retentiond.core.reference import derive
from retentiond.errors import StateOfAnother, StateUnavailable
from retentiond.ledger.database import Database
from retentiond.ledger.ledger import Ledger
from retentiond.ledger.locks import LockName

_MASTER = 32


@dataclass(frozen=True, slots=True)
class StateDirectory:
    """Where things lie. The database and the keys may be elsewhere when the configuration says so."""

    root: Path
    database: Database
    reference_keys: Path

    @property
    def plans(self) -> Path:
        return self.root / "plans"

    @property
    def log(self) -> Path:
        return self.root / "log"

    @property
    def events(self) -> Path:
        return self.root / "events"

    def lock(self, name: LockName) -> Path:
        """The file of a lock; the daemon holds its own for as long as it runs."""
        return self.root / f"{name}.lock"

    @property
    def stop_file(self) -> Path:
        """While this file is there, no batch begins."""
        return self.root / "stop"

    def exists(self) -> bool:
        return self.database.exists()

    def prepare(self) -> None:
        """Makes what is missing; `StateUnavailable` where it cannot, `StateOfAnother` for a stranger's state."""
        self.refuse_stranger()
        try:
            ours = ((self.reference_keys, 0o700), (self.plans, 0o700), (self.events, 0o700), (self.log, 0o750))
            for place, mode in ((self.root, 0o711), *ours):
                _make(place, mode)
            self.database.prepare()
        except OSError as error:
            raise StateUnavailable(
                "the state directory cannot be written", why=os.strerror(error.errno or 0), do=f"look at {self.root}"
            ) from error

    def refuse_stranger(self) -> None:
        """`StateOfAnother` when root would work on a state that belongs to another user."""
        if os.geteuid() != 0 or not self.root.exists():
            return
        owner = self.root.stat().st_uid
        if owner != 0:
            raise StateOfAnother(_user_name(owner))


def _make(directory: Path, mode: int) -> None:
    """Makes a directory with this very mode, whatever the umask; one that is there keeps its own."""
    if not directory.is_dir():
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        directory.chmod(mode | directory.stat().st_mode & stat.S_ISGID)


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"


class ReferenceKeys:
    """The masters of the references, one random file per year. Destroying one blinds its year for ever."""

    def __init__(self, directory: Path, ledger: Ledger) -> None:
        self._directory, self._ledger = directory, ledger
        self._masters: dict[int, bytes] = {}

    def master(self, year: int) -> bytes:
        """The master of a year, made if it never was; `StateUnavailable` if it was destroyed."""
        found = self.existing(year)
        if found is not None:
            return found
        with self._ledger.transaction() as change:
            known = change.fact(f"reference-key-{year}")
            if known is not None and self.existing(year) is None:
                raise StateUnavailable(
                    "the reference key of this year is missing, so no evidence can be written",
                    do="restore the keys directory from a backup",
                )
            if known is None:
                write_secret(self._path(year), secrets.token_bytes(_MASTER).hex().encode() + b"\n")
                change.set_fact(f"reference-key-{year}", "made")
                change.write("key-made", kind="reference", year=year)
        again = self.existing(year)
        if again is None:
            raise StateUnavailable("the reference key of this year cannot be read", do="look at the keys directory")
        return again

    def existing(self, year: int) -> bytes | None:
        """The master of a year; None if it was never made or was destroyed."""
        if year not in self._masters:
            try:
                self._masters[year] = bytes.fromhex(self._path(year).read_text("ascii").strip())
            except FileNotFoundError:
                return None
            except (OSError, ValueError) as error:
                raise StateUnavailable("a reference key cannot be read", do="look at the keys directory and its owner") from error
        return self._masters[year]

    def key(self, year: int, category: str) -> bytes:
        """The key of one category's references in one year."""
        return derive(self.master(year), category)

    def _path(self, year: int) -> Path:
        return self._directory / f"reference-{year}"


class AnonymiseKey:
    """The master of keyed hashes: one random file for all years, so that equal values stay equal.

    Destroying it makes every hash that was written random for ever; no row can be hashed after.
    """

    def __init__(self, directory: Path, ledger: Ledger) -> None:
        self._path, self._ledger = directory / "anonymise", ledger

    def master(self, year: int) -> bytes:
        """The master, made if it never was; `StateUnavailable` if it was destroyed or cannot be read. `year` is the current."""
        with self._ledger.transaction() as change:
            if change.fact("anonymise-key") is None:
                write_secret(self._path, secrets.token_bytes(_MASTER).hex().encode() + b"\n")
                change.set_fact("anonymise-key", "made")
                change.write("key-made", kind="anonymise", year=year)
        found = self._read()
        if found is None:
            raise StateUnavailable(
                "the key of anonymised values is missing, so nothing can be hashed as before",
                do="restore the keys directory from a backup",
            )
        return found

    def _read(self) -> bytes | None:
        try:
            found = bytes.fromhex(self._path.read_text("ascii").strip())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise _unreadable() from error
        if len(found) != _MASTER:
            raise _unreadable()
        return found


def _unreadable() -> StateUnavailable:
    return StateUnavailable("the key of anonymised values cannot be read", do="look at the keys directory and its owner")


def write_secret(path: Path, content: bytes) -> None:
    """Writes a new file that only its owner can read, whole or not at all; an existing one stays."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        os.link(partial, path)
    except FileExistsError:
        pass
    finally:
        os.unlink(partial)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
