"""Looking at the folders of one user on an IMAP server; they are opened for looking only (EXAMINE).

A message is named by its UID, and its revision is the folder's UIDVALIDITY with it (RFC 3501 §2.3.1.1): a message under one
pair never changes, whatever its flags are, and a server that numbers a folder anew says so. A message was delivered when
its INTERNALDATE says so. The server reads the heads; of each no more is fetched than the headers that a rule
is about. Names of folders are those that the server lists, with the signs between levels that it has.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from urllib.parse import quote

from retentiond.engine.ports import Traits
from retentiond.errors import StoreDenied
from retentiond.stores.mail.boxes import Sighted
from retentiond.stores.mail.head import LARGEST, Head, head_of
from retentiond.stores.mail.server import TOGETHER, Address, Answer, Line, Refused, uid_sets
from retentiond.stores.mail.sieve import NO_HEAD, Sieve, names_of_headers

_MOST = 2**32
_GONE = frozenset({"NONEXISTENT", "TRYCREATE", "CANNOT"})


class Folders:
    """The folders of a user on a server, opened for looking; `only` names those that are looked at, where it names any."""

    def __init__(self, address: Address, only: Sequence[str] = ()) -> None:
        self._address, self._only = address, tuple(only)
        self._free = [Line(address)]

    @property
    def place(self) -> str:
        a = self._address
        return f"imap://{quote(a.user, safe='@')}@{a.host}:{a.port}"

    @property
    def traits(self) -> Traits:
        """Atomic: what lies under a UIDVALIDITY and a UID is one message, and never another one."""
        return Traits(atomic=True, notes=("that what is gone is gone from the disk too is the mail server's promise",))

    def folders(self) -> Iterator[str]:
        """The folders that the server lists, or those of them that the store names."""
        yield from self._listed()

    def messages(self, folder: str, sieve: Sieve) -> Iterator[Sighted]:
        """Every message of a folder. Nothing but FETCH is said meanwhile, so that the server keeps its numbers (§7.4.1)."""
        with self.line() as line:
            try:
                validity, count = line.opened(folder)
                for first in range(1, count + 1, TOGETHER):
                    numbers = f"{first}:{min(first + TOGETHER - 1, count)}"
                    for answer in line.fetch(numbers, items_for(sieve), by_uid=False):
                        if answer.size is not None:
                            yield sighted(validity, answer, sieve)
            except Refused as refused:
                if folder in self._listed():
                    raise unreadable(refused) from None

    def find(self, folder: str, names: Collection[str], sieve: Sieve) -> Mapping[str, Sighted]:
        """Those of the named messages that are there."""
        with self.line() as line:
            try:
                validity, _ = line.opened(folder)
                answers = asked(line, [uid for name in names if (uid := uid_of(name))], items_for(sieve))
            except Refused as refused:
                if folder in self._listed():
                    raise unreadable(refused) from None
                return {}
            return {str(uid): sighted(validity, answer, sieve) for uid, answer in answers.items()}

    @contextmanager
    def open(self, folder: str, name: str, revision: str) -> Iterator[_Message | None]:
        """A message, in the pieces that are asked for."""
        with self.line() as line:
            try:
                size = _size(line, folder, name, revision)
            except Refused as refused:
                if folder in self._listed():
                    raise unreadable(refused) from None
                size = None
            yield None if size is None else _Message(line, folder, name, revision, size)

    def warnings(self) -> Sequence[str]:
        """Folders that the store names and the server has not; whether single messages can be removed."""
        found = []
        if self._only and len(self._listed()) < len(self._only):
            found.append("the server has not all the folders that the store names")
        with self.line() as line:
            if "UIDPLUS" not in line.capabilities:
                found.append("the server cannot remove single messages (UIDPLUS, RFC 4315), so nothing will be disposed of")
        return found

    def close(self) -> None:
        while self._free:
            self._free.pop().close()

    @contextmanager
    def line(self) -> Iterator[Line]:
        """A connection that nobody else uses meanwhile; one that has failed is used no more."""
        line = self._taken()
        try:
            yield line
        except GeneratorExit:
            self._put_away(line)
            raise
        except BaseException:
            line.close()
            raise
        self._put_away(line)

    def _put_away(self, line: Line) -> None:
        line.rest()
        self._free.append(line)

    def _taken(self) -> Line:
        """A line that nobody uses and that still answers, or a new one."""
        while self._free:
            line = self._free.pop()
            if line.is_alive():
                return line
            line.close()
        return Line(self._address)

    def _listed(self) -> list[str]:
        with self.line() as line:
            there = line.folders()
        return [folder for folder in there if not self._only or folder in self._only]


class _Message:
    """The bytes of one message, fetched piece by piece."""

    def __init__(self, line: Line, folder: str, name: str, revision: str, size: int) -> None:
        self._line, self._folder, self._name, self._revision, self.size = line, folder, name, revision, size

    def at(self, offset: int, count: int) -> bytes:
        if count <= 0:
            return b""
        answers = self._line.fetch(self._name, f"BODY.PEEK[]<{offset}.{count}>", by_uid=True)
        return next((answer.content for answer in answers if answer.uid == int(self._name)), b"")

    def is_there(self) -> bool:
        try:
            return _size(self._line, self._folder, self._name, self._revision) == self.size
        except Refused:
            return False


def uid_of(name: str) -> int | None:
    """The UID that a message is named by; None for what is no such name."""
    if not (name.isascii() and name.isdecimal()) or name.startswith("0") or len(name) > 10:
        return None
    return int(name) if int(name) < _MOST else None


def revision_of(validity: int, uid: int) -> str:
    """What changes whenever another message lies under a UID."""
    return f"{validity}:{uid}"


def items_for(sieve: Sieve) -> str:
    """What has to be fetched of a message, so that a sieve can judge it."""
    items = "RFC822.SIZE INTERNALDATE"
    if not sieve.needs_head:
        return items
    names = " ".join(f'"{name}"' for name in sorted(names_of_headers(sieve.headers)))
    return f"{items} BODY.PEEK[HEADER.FIELDS ({names})]<0.{LARGEST}>"


def asked(line: Line, uids: Sequence[int], items: str) -> dict[int, Answer]:
    """What the server says of those of some messages of the open folder that are there."""
    found: dict[int, Answer] = {}
    for numbers in uid_sets(uids):
        found |= {answer.uid: answer for answer in line.fetch(numbers, items, by_uid=True) if answer.size is not None}
    wanted = frozenset(uids)
    return {uid: answer for uid, answer in found.items() if uid in wanted}


def sighted(validity: int, answer: Answer, sieve: Sieve) -> Sighted:
    """A message by what the server says of it."""
    head = head_of(answer.content, complete=len(answer.content) < LARGEST) if sieve.needs_head else NO_HEAD
    return _sighted(validity, answer, head)


def unreadable(refused: Refused) -> StoreDenied:
    """A folder that is listed and cannot be opened: a listing in part must not look like a whole one."""
    do = "let the user read every folder that the selection covers"
    return StoreDenied("a folder on the mail server cannot be opened", why=refused.code or "the server says NO", do=do)


def _sighted(validity: int, answer: Answer, head: Head) -> Sighted:
    return Sighted(str(answer.uid), revision_of(validity, answer.uid), answer.delivered, answer.size or 0, lambda: head)


def _size(line: Line, folder: str, name: str, revision: str) -> int | None:
    """The size of a message in its revision; None where it is not there."""
    uid = uid_of(name)
    validity, _ = line.opened(folder)
    if uid is None or revision_of(validity, uid) != revision:
        return None
    answer = asked(line, [uid], "RFC822.SIZE").get(uid)
    return answer.size if answer else None
