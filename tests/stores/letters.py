"""Real mailboxes, and a way behind the store's back; messages as people and machines write them."""

import hashlib
import os
import shutil
import stat
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from retentiond.core.item import key_of, raw_of
from retentiond.core.policy import MailSelection, Start
from retentiond.engine.ports import Scope
from retentiond.stores.mail import MailType
from retentiond.testing.contract import LONG_AGO

CREATED = Start("created")
INSIDE = MailSelection("in")


def letter(number=1, body="Hello.\n", **headers):
    """A message; `X_Ticket="7"` is the header `X-Ticket: 7`, None leaves a header out, a list repeats it."""
    said = {
        "From": f"Jo {number} <jo{number}@example.net>",
        "To": "support@example.org",
        "Message_ID": f"<{number}@example.net>",
        "Date": "Sat, 29 Feb 2020 12:30:15 +0000",
        "Subject": f"Question {number}",
    } | headers
    lines = []
    for name, value in said.items():
        for one in value if isinstance(value, list) else [value]:
            if one is not None:
                lines.append(name.replace("_", "-").encode() + b": " + (one if isinstance(one, bytes) else one.encode()))
    return b"\n".join(lines) + b"\n\n" + (body if isinstance(body, bytes) else body.encode())


def scope(selection=INSIDE, start=CREATED, fields=(), **others):
    return Scope(selection, start, fields, **others)


def pages(view, sc=None):
    return list(view.scan(sc or scope()))


def seen(view, sc=None):
    return {key: revision for page in pages(view, sc) for key, revision in zip(page.keys, page.revisions, strict=True)}


def facts(view, field, selection=INSIDE):
    """What a field says of each message, with its doubt where there is one."""
    found = {}
    for page in pages(view, scope(selection, fields=(field,))):
        for i, key in enumerate(page.keys):
            found[key] = page.doubts.get(i, page.facts[field][i])
    return found


@dataclass
class Maildir:
    """A root with Maildirs; messages are made in the folder `in`, by names without a time, read or unread in turn."""

    path: Path
    unusual = (
        "tab\t and space ",
        "line\nbreak",
        "émile",
        "e\u0301mile",
        os.fsdecode(b"latin1-\xe9\xff"),
        "-rf",
        "*",
        "b64:bm90IGJhc2U2NA==",
        "back\\slash",
        "x" * 200,
        "1:2",
        ":2,",
        "1582979415.M1P1.host,S=7",
    )

    def __post_init__(self) -> None:
        self.folder("in")
        self.folder("elsewhere")

    def folder(self, name: str) -> Path:
        for sub in ("cur", "new", "tmp"):
            (self.path / name / sub).mkdir(parents=True, exist_ok=True)
        return self.path / name

    def make(self, name: str, *, start: datetime = LONG_AGO, content: bytes = b"content") -> str:
        return self.put(name, content, start)

    def put(self, name: str, content: bytes, start: datetime = LONG_AGO, folder: str = "in", file: str = "") -> str:
        """A message with the unique name `name`, in `cur` with a flag, or wherever `file` says."""
        target = self.folder(folder) / (file or f"cur/{name}:2,S")
        target.write_bytes(content)
        os.utime(target, (start.timestamp(), start.timestamp()))
        return key_of(f"{folder}/{name}")

    def make_outside(self) -> str:
        return self.put("outside", b"content", folder="elsewhere")

    def change(self, key: str) -> None:
        with self.at(key).open("ab") as file:
            file.write(b" changed")

    def remove(self, key: str) -> None:
        self.at(key).unlink()

    def content(self, key: str) -> bytes | None:
        at = self.at(key)
        return at.read_bytes() if at is not None else None

    def at(self, key: str) -> Path | None:
        """The file of a message under a name that a mail program sees."""
        folder, _, name = raw_of(key).rpartition("/")
        for sub in ("new", "cur"):
            for file in (self.path / folder / sub).iterdir():
                if file.name == name or file.name.startswith(name + ":2,"):
                    return file
        return None

    def snapshot(self) -> object:
        return [describe(path) for path in (self.path, *sorted(self.path.rglob("*")))]

    def scope(self) -> Scope:
        return scope()

    @property
    def options(self) -> dict:
        return {"path": str(self.path), "format": "maildir"}

    def look(self):
        return MailType().look(self.options)

    def act(self):
        return MailType().act(self.options)

    def empty(self) -> None:
        shutil.rmtree(self.path)


def describe(path: Path):
    st = path.lstat()
    content = path.read_bytes() if stat.S_ISREG(st.st_mode) else b""
    return (
        os.fsencode(path),
        st.st_mode,
        st.st_ino,
        st.st_nlink,
        st.st_size,
        st.st_mtime_ns,
        st.st_ctime_ns,
        content,
    )


def dispose(place, keys=None, sc=None):
    """Looks, lets go of these keys (or of all) as they were seen, and says what became of each."""
    from tests.stores.places import dispose as let_go

    with closing(place.act()) as store:
        found = seen(store, sc)
        return let_go(store, {key: found[key] for key in (keys or found)}, sc or scope())


FROM_LINE = b"From mailer@test Sat Feb 29 12:30:15 2020"


def mbox_key(message_id, folder="in", line=FROM_LINE):
    """The key of a message by its From_ line and its Message-ID, worked out anew."""
    named = hashlib.sha256(line + b"\n" + message_id.encode()).hexdigest()
    return f"{folder}/{named[:32]}"


@dataclass
class Mbox:
    """A folder with mbox files; messages are made in the file `in`, all with one From_ line, and dated by a header."""

    path: Path
    unusual = ("a b", "é", "x" * 300, "b64:eA==", os.fsdecode(b"\xff"))

    def __post_init__(self) -> None:
        self.path.mkdir(parents=True)
        self._keys: dict[str, bytes] = {}

    def make(self, name: str, *, start: datetime = LONG_AGO, content: bytes = b"content", folder: str = "in") -> str:
        named = os.fsencode(name).hex() + "@test"
        dated = f"{start:%a, %d %b %Y %H:%M:%S} +0000"
        self.append(letter(body=content + b"\n", Message_ID=f"<{named}>", Date=dated), folder)
        key = mbox_key(named, folder)
        self._keys[key] = b"Message-ID: <%s>\n" % named.encode()
        return key

    def append(self, message: bytes, folder: str = "in", line: bytes = FROM_LINE) -> None:
        with (self.path / folder).open("ab") as file:
            file.write(line + b"\n" + message + b"\n")

    def make_outside(self) -> str:
        return self.make("outside", folder="elsewhere")

    def change(self, key: str) -> None:
        self._write({n: m + b"changed\n\n" if self._keys[key] in m else m for n, m in enumerate(self.all(key.partition("/")[0]))})

    def remove(self, key: str) -> None:
        self._write({n: m for n, m in enumerate(self.all()) if self._keys[key] not in m})

    def _write(self, messages: dict) -> None:
        (self.path / "in").write_bytes(b"".join(messages.values()))

    def content(self, key: str) -> bytes | None:
        return next((m for m in self.all(key.partition("/")[0]) if self._keys[key] in m), None)

    def all(self, folder: str = "in") -> list[bytes]:
        if not (self.path / folder).exists():
            return []
        return [FROM_LINE + m for m in (self.path / folder).read_bytes().split(FROM_LINE)[1:]]

    def snapshot(self) -> object:
        return [describe(path) for path in (self.path, *sorted(self.path.rglob("*")))]

    def scope(self) -> Scope:
        return scope(start=Start("header", "Date"))

    @property
    def options(self) -> dict:
        return {"path": str(self.path), "format": "mbox"}

    def look(self):
        return MailType().look(self.options)

    def act(self):
        return MailType().act(self.options)
