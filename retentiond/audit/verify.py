"""Reads every file of a log and says everything that is wrong with it: offline, from the folder and a public key.

What is checked:

- each checkpoint, the newest and the kept ones, is a note of the log's key, stands under its size, and
  its root is the root over the entries; `since` is a checkpoint that somebody else kept, and must
  be the beginning of this log;
- each tile and each bundle, the unfinished ones of earlier sizes too, holds what the entries give it;
- the references of each run hash to the digests in its entries; line i of `audit.jsonl` is entry i;
- the entries tell a possible story (`meaning`);
- no file is missing, and none is there that does not belong. What a cut-short publication left is
  found as well: the next publication takes it away.

Guarantee: changes nothing, follows no link, asks no clock, network or database. Memory is one
bundle of entries and what `meaning` keeps. All findings are told, up to a thousand. Findings name
files of the log and indexes of entries, never what stands in them.

A log that is being published is read under the publish lock, or read again.

What it cannot find: an end that was cut off together with every checkpoint over it, and older kept
checkpoints taken away after their unfinished tiles were gone. That is what `since` is for.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path

from retentiond.audit import layout
from retentiond.audit.derived import Lines, References
from retentiond.audit.layout import ENTRIES, kept_name, read_file, refs_name, tile_name
from retentiond.audit.meaning import Meaning, Totals
from retentiond.audit.merkle import SIZE, WIDTH, Tile, Tree, leaf_hash
from retentiond.audit.note import LONGEST, Checkpoint, Verifier, number_of, open_checkpoint
from retentiond.audit.tiles import LARGEST_BUNDLE, bundle, hashes_of, unbundled
from retentiond.errors import AuditBroken, StateUnavailable, UsageError

MOST_FINDINGS = 1000
_CUT_SHORT = "a publication was cut short, and the next one mends it"
_SINCE = "the checkpoint that you hold"


@dataclass(frozen=True, slots=True)
class Report:
    """What a log holds. `checkpoint` is None if there is no usable one; `findings` is empty for a sound log."""

    checkpoint: Checkpoint | None
    checkpoints: int
    totals: Totals
    findings: tuple[str, ...]


def verify(directory: Path, verifier: Verifier, since: bytes | None = None) -> Report:
    """The report on a sound log; `AuditBroken`, with every finding, for any other."""
    report = examine(directory, verifier, since)
    if report.findings:
        raise AuditBroken(report.findings)
    return report


def examine(directory: Path, verifier: Verifier, since: bytes | None = None) -> Report:
    """The report on any log, with what is wrong with it; `StateUnavailable` if a file in it may not be read."""
    if not directory.is_dir():
        raise UsageError("there is no log folder here", do="name the folder that holds `checkpoint`")
    try:
        return _Examination(directory, verifier).report(since)
    except OSError as error:
        raise StateUnavailable("the log folder cannot be read", why=os.strerror(error.errno or 0)) from error


def own_key(directory: Path) -> Verifier:
    """The key that lies in the folder itself: good against accidents, not against whoever can write the folder."""
    line = read_file(directory / layout.KEY, LONGEST)
    try:
        return Verifier.from_line((line or b"").decode())
    except ValueError:
        raise UsageError("the log folder has no usable public-key", do="give the key with --key") from None


class _Findings:
    """Sentences about what is wrong, a thousand at most."""

    def __init__(self) -> None:
        self._told: list[str] = []
        self._more = 0

    def add(self, what: str) -> None:
        if len(self._told) < MOST_FINDINGS:
            self._told.append(what)
        else:
            self._more += 1

    def all(self) -> tuple[str, ...]:
        return (*self._told, *([f"and {self._more} more findings"] if self._more else []))


class _Examination:
    def __init__(self, directory: Path, verifier: Verifier) -> None:
        self._directory, self._verifier = directory, verifier
        self._findings = _Findings()
        self._found = self._findings.add
        self._files: set[str] = set()
        self._directories: set[str] = set()
        self._roots: dict[int, list[tuple[str, bytes]]] = {}
        self._meaning = Meaning(self._found)
        self._understood = True

    def report(self, since: bytes | None) -> Report:
        """Everything, once."""
        self._walk(self._directory, "")
        self._read_key()
        kept = self._read_kept()
        final = self._read_newest(kept)
        if final is not None:
            self._read_since(since, final.size)
            self._read_entries(final.size, kept)
            self._compare_anchored()
            self._compare_names(final.size, kept)
        return Report(final, len(kept), self._meaning.totals(), self._findings.all())

    # What is there.

    def _walk(self, directory: Path, prefix: str) -> None:
        with os.scandir(directory) as inside:
            for entry in sorted(inside, key=lambda e: e.name):
                name = prefix + entry.name
                if entry.is_dir(follow_symlinks=False):
                    self._directories.add(name)
                    self._walk(directory / entry.name, f"{name}/")
                elif entry.is_file(follow_symlinks=False):
                    self._files.add(name)
                else:
                    self._found(f"{name!a} is no regular file, and does not belong here")

    def _compare_names(self, final: int, kept: Set[int]) -> None:
        """Which files a log has follows from its checkpoints and runs; every other is one too many, or one too few."""
        sizes = {size for size in kept if size <= final} | {final}
        # An unfinished tile tells that a checkpoint was published over it, so that a missing one is told by its name.
        sizes |= {final - final % WIDTH + w for w in range(1, final % WIDTH) if tile_name(0, final // WIDTH, w) in self._files}
        expected: set[str] = set()
        missing = 0
        for name in self._names(final, sizes):
            expected.add(name)
            if name not in self._files:
                self._found(f"{name} is missing")
                missing += 1
            if missing > MOST_FINDINGS:  # a signed size may be beyond all bounds
                return
        for name in sorted(self._files - expected):
            if name.startswith("refs/") and not self._understood:
                continue
            why = f": {_CUT_SHORT}" if name.rpartition("/")[2].startswith(layout.LEFTOVER) else ""
            self._found(f"{name!a} does not belong to the log{why}")
        needed = {parent for name in expected | self._files for parent in _parents(name)}
        for name in sorted(self._directories - needed):
            self._found(f"{name!a} is an empty directory, and does not belong to the log")

    def _names(self, final: int, sizes: Set[int]) -> Iterator[str]:
        yield from (layout.CHECKPOINT, layout.LINES, layout.KEY)
        yield from (refs_name(run) for run in self._meaning.references())
        unfinished = {name for size in sizes for name in (kept_name(size), *layout.partial_tiles(size, final))}
        yield from sorted(unfinished)
        yield from layout.full_tiles(final)

    # Keys and checkpoints.

    def _read_key(self) -> None:
        key = read_file(self._directory / layout.KEY, LONGEST)
        if key is not None and key != f"{self._verifier.line}\n".encode():
            self._found(f"{layout.KEY} is not the key that this log is checked with")

    def _read_kept(self) -> set[int]:
        """Reads the notes under `checkpoints/`; the sizes in their names."""
        prefix = f"{layout.CHECKPOINTS}/"
        names = [name.removeprefix(prefix) for name in self._files if name.startswith(prefix)]
        sizes = {size for size in map(number_of, names) if size is not None}
        for size in sorted(sizes):
            checkpoint = self._opened(read_file(self._directory / kept_name(size), LONGEST) or b"", kept_name(size))
            if checkpoint is not None and checkpoint.size != size:
                self._found(f"{kept_name(size)} holds the checkpoint of another size")
            elif checkpoint is not None:
                self._roots.setdefault(size, []).append((kept_name(size), checkpoint.root))
        return sizes

    def _read_newest(self, kept: Set[int]) -> Checkpoint | None:
        """The checkpoint that the log stands by; without it, the largest kept one, so that the rest can be read."""
        note = read_file(self._directory / layout.CHECKPOINT, LONGEST)
        newest = None if note is None else self._opened(note, layout.CHECKPOINT)
        if note is None:
            self._found(f"{layout.CHECKPOINT} is missing")
        if newest is None:
            usable = max(self._roots, default=None)
            return None if usable is None else Checkpoint(self._verifier.name, usable, self._roots[usable][0][1])
        if read_file(self._directory / kept_name(newest.size), LONGEST) != note:
            self._found(f"{layout.CHECKPOINT} is not the note that is kept as {kept_name(newest.size)}")
        for size in sorted(kept):
            if size > newest.size:
                self._found(f"{kept_name(size)} is newer than {layout.CHECKPOINT}: entries were taken away, or {_CUT_SHORT}")
        self._roots.setdefault(newest.size, []).append((layout.CHECKPOINT, newest.root))
        return newest

    def _read_since(self, since: bytes | None, final: int) -> None:
        checkpoint = None if since is None else self._opened(since, _SINCE)
        if checkpoint is None:
            return
        if checkpoint.size > final:
            self._found(f"the log has {final} entries, but {_SINCE} has {checkpoint.size}: entries were taken away")
        self._roots.setdefault(checkpoint.size, []).append((_SINCE, checkpoint.root))

    def _opened(self, note: bytes, name: str) -> Checkpoint | None:
        try:
            return open_checkpoint(note, self._verifier)
        except AuditBroken as error:
            self._found(f"{name}: {error}")
            return None

    # Entries, and everything that follows from them.

    def _read_entries(self, final: int, kept: Set[int]) -> None:
        with Lines(self._directory) as lines, References(self._directory) as refs:
            whole = self._follow(lines, refs, final, kept)
            for finding in lines.findings() if whole else ():
                self._found(finding)
            for finding in refs.lengths(self._meaning.references()) if self._understood else ():
                self._found(finding)

    def _follow(self, lines: Lines, refs: References, final: int, kept: Set[int]) -> bool:
        """Goes through the bundles from the first to the last; whether the last was reached."""
        tree = Tree()
        marks = {final, *kept, *self._roots}
        self._compare_tree(tree, [], final, kept)
        for index in range(-(-final // WIDTH)):
            width = min(WIDTH, final - index * WIDTH)
            entries = self._entries(index, width)
            leaves = self._leaves(index, width) if entries is None else [leaf_hash(entry) for entry in entries]
            if leaves is None:
                self._found(f"the entries from entry {index * WIDTH} on cannot be checked")
                self._understood = False
                return False
            for leaf in leaves:
                for tile in tree.add(leaf):
                    self._compare_tile(tile)
                if tree.size in marks:
                    self._compare_tree(tree, entries or [], final, kept)
            self._understand(entries, refs)
            lines.compare(entries, width)
        return True

    def _entries(self, index: int, width: int) -> list[bytes] | None:
        name = tile_name(ENTRIES, index, width)
        data = read_file(self._directory / name, LARGEST_BUNDLE)
        entries = None if data is None else unbundled(data, width)
        if data is not None and entries is None:
            self._found(f"{name} is not a bundle of {width} entries")
        return entries

    def _leaves(self, index: int, width: int) -> list[bytes] | None:
        """The leaf hashes where the entries themselves cannot be read, so that the tree at least can be followed."""
        data = read_file(self._directory / tile_name(0, index, width), WIDTH * SIZE)
        return None if data is None or len(data) != width * SIZE else hashes_of(data)

    def _understand(self, entries: list[bytes] | None, refs: References) -> None:
        if entries is None and self._understood:
            self._understood = False
            self._found(f"what the entries mean was checked only up to entry {self._meaning.totals().entries}")
        if entries is None or not self._understood:
            return
        for entry in entries:
            range_ = self._meaning.take(entry)
            fault = None if range_ is None else refs.fault(range_)
            if fault:
                self._found(fault)

    def _compare_anchored(self) -> None:
        """What an anchor was given is a checkpoint that was published."""
        for index, size, root in self._meaning.anchored:
            if root not in {known.hex() for _, known in self._roots.get(size, ())}:
                self._found(f"entry {index}: an anchor was given a checkpoint that is not among those of the log")

    def _compare_tree(self, tree: Tree, entries: list[bytes], final: int, kept: Set[int]) -> None:
        """At the size of each checkpoint: its root, and the unfinished tiles that it was published with."""
        size = tree.size
        for name, root in self._roots.get(size, ()):
            if tree.root() != root:
                self._found(f"{name}: the first {size} entries do not lead to its root")
        if size not in kept and size != final:
            return
        unfinished = set(layout.partial_tiles(size, final))
        for tile in tree.edge():
            if tile_name(tile.level, tile.index, tile.width) in unfinished:
                self._compare_tile(tile)
        part = size % WIDTH
        if entries and part and size != final and size // WIDTH == final // WIDTH:
            self._compare(tile_name(ENTRIES, size // WIDTH, part), bundle(entries[:part]))

    def _compare_tile(self, tile: Tile) -> None:
        self._compare(tile_name(tile.level, tile.index, tile.width), tile.hashes)

    def _compare(self, name: str, data: bytes) -> None:
        standing = read_file(self._directory / name, len(data))
        if standing is not None and standing != data:
            self._found(f"{name} does not hold what the entries give it")


def _parents(name: str) -> Iterator[str]:
    while "/" in name:
        name = name.rpartition("/")[0]
        yield name
