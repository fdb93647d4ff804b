"""A real directory, and a way behind the store's back."""

import os
import shutil
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from retentiond.core.item import key_of, raw_of
from retentiond.core.policy import Action, PathSelection, Start
from retentiond.engine.ports import Batch, Scope
from retentiond.stores.files import FilesType
from retentiond.testing.contract import LONG_AGO
from retentiond.testing.copying import kill_taking

UNUSUAL = (
    "line\nbreak",
    "tab\t and space ",
    " ",
    "-rf",
    "*",
    "[a]?",
    "..leading",
    ".hidden",
    "b64:bm90IGJhc2U2NA==",
    "émile",
    "e\u0301mile",
    os.fsdecode(b"latin1-\xe9\xff"),
    os.fsdecode(b"\xff\xfe"),
    "sub/below",
    "x" * 255,
    "\u202eltr",
    "back\\slash",
    ".retentiond",
)


MODIFIED = Start("modified")


def scope(pattern: str = "in/**", start: Start = MODIFIED, **others) -> Scope:
    empty = others.pop("empty_directories", "keep")
    return Scope(PathSelection(pattern, empty), start, **others)


@dataclass
class Directory:
    """A tree of files; items are made below `in/`."""

    path: Path
    unusual = UNUSUAL

    def make(self, name: str, *, start: datetime = LONG_AGO, content: bytes = b"content") -> str:
        return self.put(f"in/{name}", start, content)

    def put(self, raw: str, start: datetime = LONG_AGO, content: bytes = b"content") -> str:
        target = self.path / raw
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        os.utime(target, (start.timestamp(), start.timestamp()))
        return key_of(raw)

    def key(self, name: str) -> str:
        return key_of(f"in/{name}")

    def strays(self) -> int:
        return len(list(self.path.glob("**/.retentiond~*")))

    def killed_taking(self, key: str) -> None:
        kill_taking("files", {"path": str(self.path)}, key)
        assert self.strays() == 1

    def make_outside(self) -> str:
        return self.put("elsewhere")

    def change(self, key: str) -> None:
        with self.at(key).open("ab") as file:
            file.write(b" changed")

    def remove(self, key: str) -> None:
        self.at(key).unlink()

    def content(self, key: str) -> bytes | None:
        return self.at(key).read_bytes() if self.at(key).is_file() else None

    def snapshot(self) -> object:
        paths = [os.path.join(top, name) for top, below, files in os.walk(self.path) for name in (*below, *files)]
        return sorted(self._described(path) for path in (str(self.path), *paths))

    def scope(self) -> Scope:
        return scope()

    def look(self):
        return FilesType().look({"path": str(self.path)})

    def act(self):
        return FilesType().act({"path": str(self.path)})

    def at(self, key: str) -> Path:
        return self.path / raw_of(key)

    def empty(self) -> None:
        shutil.rmtree(self.path)

    def _described(self, path: str):
        st = os.lstat(path)
        content = Path(path).read_bytes() if stat.S_ISREG(st.st_mode) else b""
        return os.fsencode(path), st.st_mode, st.st_ino, st.st_nlink, st.st_size, st.st_mtime_ns, st.st_ctime_ns, content


def seen(view, sc: Scope | None = None) -> dict[str, str]:
    pages = list(view.scan(sc or scope()))
    return {key: revision for page in pages for key, revision in zip(page.keys, page.revisions, strict=True)}


def doubts(view, sc: Scope | None = None) -> dict[str, str]:
    return {page.keys[i]: doubt for page in view.scan(sc or scope()) for i, doubt in page.doubts.items()}


def batch(revisions: dict[str, str], sc: Scope | None = None, **others) -> Batch:
    return Batch(0, sc or scope(), Action("delete"), list(revisions), list(revisions.values()), **others)


def dispose(store, revisions: dict[str, str], sc: Scope | None = None, **others) -> dict[str, str]:
    """`outcome` or `outcome:code` by key."""
    keys = list(revisions)
    return {
        keys[i]: f"{s.outcome}:{s.code}" if s.code else str(s.outcome)
        for s in store.dispose(batch(revisions, sc, **others))
        for i in s.positions
    }


def claims_in(path: Path) -> list[Path]:
    return sorted(path.glob("**/.retentiond~*"))


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)
