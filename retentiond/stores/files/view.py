"""Looking at a tree of files, without the means to change it.

Guarantees: nothing here calls anything that changes a file, a directory or a name; the tree is
read through descriptors opened for reading. A listing is whole or it is an error: a directory
that may not be read ends the scan with `StoreDenied`. Symbolic links, directories, sockets,
pipes and devices are never items. An item that a cut-short disposal left in a claim directory is
shown under its old key in the revision it had; where the name is taken again, the newcomer has
the key, and a scan doubts it for as long as the other is there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

from retentiond.core.item import Page
from retentiond.core.pattern import PathPattern
from retentiond.engine.ports import OUTSIDE, PAGE, Scope, Traits
from retentiond.stores.columns import SHADOWED, Columns, Match, Reading, pattern_of, waiting_window
from retentiond.stores.files.claims import claimed, is_file, is_single, look, names_in, same_file, sign_of
from retentiond.stores.files.columns import reading_of
from retentiond.stores.files.content import edges_of, pieces_of
from retentiond.stores.parts import Part
from retentiond.stores.paths import RESERVED, Step, by_directory
from retentiond.stores.tree import Tree, Way, is_absent, is_barred, refusal

_NOTHING_WAITS = (0, 0)
_DEEPEST = 6


class FilesView:
    """An open handle on a tree of files that only looks; it belongs to the thread that opened it."""

    def __init__(self, path: str, quiet: timedelta = timedelta(0)) -> None:
        self._tree, self._quiet = Tree(path), quiet
        self._known: tuple[object, Mapping[str, os.stat_result]] = (None, {})

    @property
    def place(self) -> str:
        """The host, the real path, and what is mounted there."""
        return self._tree.place

    @property
    def traits(self) -> Traits:
        """Not atomic: the claim keeps renames and replacements out, and a descriptor opened before it is not kept out."""
        return Traits(
            atomic=False,
            notes=("a program that keeps a file open through its disposal loses what it writes after the comparison",),
        )

    def scan(self, scope: Scope) -> Iterator[Page]:
        """Every file of the scope, once. `ValueError` for a scope that files do not have, before anything is read."""
        return self._scan(self._sieve(scope))

    def shards(self, scope: Scope, wanted: int) -> Sequence[Scope]:
        """By directories, of the first depth at which there are enough of them."""
        depth = self._depth(scope, wanted)
        return [replace(scope, part=str(Part(depth, i, wanted))) for i in range(wanted)] if depth else [scope]

    def probe(self, scope: Scope, keys: Sequence[str]) -> Page:
        """These files as they are now. What is no key of a file here (`../x`, a claim directory) is absent."""
        pattern = pattern_of(scope)
        columns = Columns(scope, pattern, reading_of(scope, self._quiet))
        columns.expect(len(keys))
        mounts = self._tree.mounts_inside()
        try:
            for parent, steps in by_directory(keys)[0].items():
                every = pattern.below(parent) == "all"
                prefix = parent and parent + "/"
                for position, name, status in self._sighted(parent, steps, mounts):
                    match = None if every else pattern.match(prefix + name)
                    columns.put(position, status, match, None if every or match else OUTSIDE)
        except OSError as error:
            raise refusal(error, "") from error
        return columns.page(list(keys))

    def samples(self, scope: Scope, count: int = 5) -> Sequence[str]:
        """The first few keys that a scan meets."""
        with closing(self._scan(self._sieve(scope))) as pages:
            return next((page.keys[:count] for page in pages if len(page)), ())

    def warnings(self, scope: Scope) -> Sequence[str]:
        found = []
        if not self.samples(scope, 1):
            found.append("the pattern matches nothing")
        if self._tree.mounts_inside():
            found.append("something is mounted inside the root; what is in there is not looked at")
        return found

    def read(self, scope: Scope, key: str, revision: str) -> Iterator[bytes]:
        return pieces_of(self._tree, key, revision)

    def edges(self, scope: Scope, key: str, revision: str, head: int, tail: int) -> tuple[bytes, bytes]:
        return edges_of(self._tree, key, revision, head, tail)

    def close(self) -> None:
        self._tree.close()

    def _sieve(self, scope: Scope) -> _Sieve:
        return _Sieve(scope, pattern_of(scope), reading_of(scope, self._quiet))

    def _depth(self, scope: Scope, wanted: int) -> int:
        """After how many segments there are enough directories to tell parts apart; 0 where there is but one."""
        pattern, mounts = pattern_of(scope), self._tree.mounts_inside()
        level, depth = [""], 0
        while len(level) < wanted and depth < _DEEPEST:
            below = [name for directory in level for name in self._below(directory, pattern, mounts)]
            if not below:
                break
            level, depth = below, depth + 1
        return depth if len(level) > 1 else 0

    def _below(self, directory: str, pattern: PathPattern, mounts: frozenset[str]) -> list[str]:
        """The subdirectories of a directory that may hold items."""
        prefix = directory and directory + "/"
        try:
            fd = self._tree.open(directory, mounts)
        except OSError as error:
            if is_absent(error) or is_barred(error):
                return []
            raise refusal(error, directory) from error
        try:
            with os.scandir(fd) as entries:
                found = [prefix + e.name for e in entries if e.name[:12] != RESERVED and e.is_dir(follow_symlinks=False)]
        except OSError as error:
            raise refusal(error, directory) from error
        finally:
            os.close(fd)
        return [path for path in found if pattern.below(path) != "none"]

    def _scan(self, sieve: _Sieve) -> Generator[Page, None, None]:
        way = Way(self._tree)
        try:
            sieve.mounts = self._tree.mounts_inside()
            waiting = [(yield from self._read(way, sieve))]
            while waiting:
                if not waiting[-1]:
                    waiting.pop()
                    way.leave()
                elif way.enter(waiting[-1].pop()):
                    waiting.append((yield from self._read(way, sieve)))
            if len(sieve.columns) or sieve.unseen:
                yield sieve.page()
        except OSError as error:
            raise refusal(error, way.path) from error
        finally:
            way.close()

    def _read(self, way: Way, sieve: _Sieve) -> Generator[Page, None, list[str]]:
        """Pages as they fill; in the end the subdirectories that may hold items."""
        fd, parent = way.fd, way.path
        prefix = parent and parent + "/"
        mine = sieve.part is None or sieve.part.has(parent)
        claims = dict(claimed(self._tree, fd)) if mine else {}
        mounts = sieve.mounts
        low, high = sieve.window
        match, columns = sieve.matcher(parent), sieve.columns
        below: list[str] = []
        with os.scandir(fd) as entries:
            for entry in entries:
                name = entry.name
                if name[:12] == RESERVED or (mounts and prefix + name in mounts):
                    continue
                if entry.is_file(follow_symlinks=False):
                    if not mine:
                        continue
                    raw = prefix + name
                    found: Match = None
                    if match is not None and (found := match(raw)) is None:
                        continue
                    try:
                        status = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    doubt = _shadow(claims.pop(name), status) if claims and name in claims else None
                    if low <= status.st_mtime_ns < high and doubt is None and is_single(status):
                        sieve.unseen += 1
                        continue
                    columns.add(raw, status, found, doubt)
                    if len(columns.raws) >= PAGE:
                        yield sieve.page()
                elif entry.is_dir(follow_symlinks=False) and sieve.enters(prefix + name):
                    below.append(name)
        yield from self._read_claims(prefix, claims, sieve)
        return below

    def _read_claims(self, prefix: str, claims: Mapping[str, os.stat_result], sieve: _Sieve) -> Generator[Page, None, None]:
        for name, status in claims.items():
            found = sieve.pattern.match(prefix + name)
            if found is not None:
                sieve.columns.add(prefix + name, status, found)
            if len(sieve.columns) >= PAGE:
                yield sieve.page()

    def _sighted(self, parent: str, steps: Sequence[Step], mounts: frozenset[str]) -> Iterator[tuple[int, str, os.stat_result]]:
        """Those files of one directory that are there, under their own names or in a claim."""
        try:
            fd = self._tree.open(parent, mounts)
        except OSError as error:
            if is_absent(error) or is_barred(error):
                return
            raise
        try:
            listed = names_in(fd, len(steps))
            absent = []
            for position, name in steps:
                status = look(fd, name) if listed is None or name in listed else None
                if (
                    status is not None
                    and is_file(status)
                    and (not mounts or (f"{parent}/{name}" if parent else name) not in mounts)
                ):
                    yield position, name, status
                else:
                    absent.append((position, name))
            claims = self._claims(fd) if absent else {}
            for position, name in absent if claims else ():
                if name in claims:
                    yield position, name, claims[name]
        finally:
            os.close(fd)

    def _claims(self, fd: int) -> Mapping[str, os.stat_result]:
        """The claims of a directory; a second look at an unchanged directory is answered from memory.

        Nobody else makes claims meanwhile: that takes the execute lock, which is held per run.
        """
        if self._tree.has_no_subdirectory(fd):
            return {}
        sign = sign_of(fd)
        if self._known[0] != sign:
            self._known = (sign, claimed(self._tree, fd))
        return self._known[1]


class _Sieve:
    """What one scan is looking for, and what it has in hand."""

    def __init__(self, scope: Scope, pattern: PathPattern, reading: Reading[os.stat_result]) -> None:
        self.pattern, self.part = pattern, Part.read(scope.part) if scope.part else None
        self.columns = Columns(scope, pattern, reading)
        low, high = waiting_window(scope) or _NOTHING_WAITS
        self.window = low * 1000, high * 1000  # files keep nanoseconds
        self.mounts: frozenset[str] = frozenset()
        self.unseen = 0

    def matcher(self, directory: str) -> Callable[[str], Match] | None:
        """What tells the items of a directory from its other files; None where every file is one."""
        return None if self.pattern.below(directory) == "all" else self.pattern.match

    def enters(self, directory: str) -> bool:
        """Whether a directory may hold items, or lead to them."""
        return self.pattern.below(directory) != "none" and (self.part is None or self.part.reaches(directory))

    def page(self) -> Page:
        """A page of what is in hand."""
        unseen, self.unseen = self.unseen, 0
        return self.columns.page(unseen=unseen)


def _shadow(claim: os.stat_result, live: os.stat_result) -> str | None:
    return None if same_file(claim, live) else SHADOWED
