"""The one writer of the log: it turns the ledger's entries into files that anybody can check.

The order is the safety. The new head is stored in the ledger before a byte is published, and
the checkpoint comes last: references, bundles of entries, tiles, `audit.jsonl`, the kept
checkpoint, the checkpoint. Killed anywhere, the next `publish` first finishes the head that was
stored, to the same bytes (Ed25519 is deterministic), and then goes on to what is new. Files that
never change are never overwritten with something else.

Guarantee: nothing is ever signed that does not begin with what was signed before. The stored
head, the published checkpoint, the tiles and the newest entries must agree, else `AuditBroken`
with the way back. The cost is that of the new entries and of the rightmost tiles; only the first
call of a process also asks the size of each bundle, to know where `audit.jsonl` ends. Memory is 32
bytes for each new entry. A damaged `audit.jsonl` is not mended in silence: `verify` finds it, and
once a person has removed it, the next publication with something new writes it again.

Not here: locks. The caller holds the publish lock, and whoever reads a log that is being
published holds it too, or looks again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Protocol

from retentiond.audit import layout
from retentiond.audit.layout import ENTRIES, Folder, last, read_file, tile_name, writing
from retentiond.audit.merkle import WIDTH, Tile, Tree, leaf_hash
from retentiond.audit.note import LONGEST, Checkpoint, Signer, open_checkpoint
from retentiond.audit.tiles import Tiles, bundle
from retentiond.core import reference
from retentiond.engine.failpoints import reach
from retentiond.errors import AuditBroken

OLDER = (
    "if the state was restored from a backup: restore a newer one, which has these entries; if there is none, keep this log "
    "folder unchanged as evidence and begin another log, with another audit.origin, a new signing key and an empty log folder"
)
"""The way back from a state that is older than its log."""
OTHER = (
    "nothing was signed; restore the state and the log folder that belong together from a backup, check the folder with "
    "`retentiond audit verify --since` and an anchored checkpoint, and keep what is here as evidence"
)
"""The way back from a state and a log that contradict each other."""

ANOTHER = (
    "nothing was signed; restore the key's file from a backup, or, if the key is lost, keep this log folder unchanged as "
    "evidence and begin another log, with another audit.origin and an empty log folder"
)
"""The way back from a signing key that is not the log's."""


class Source(Protocol):
    """Where the entries come from: the ledger. Entries are numbered from 0, for ever, without gaps."""

    def size(self) -> int:
        """How many entries there are."""
        ...

    def entries(self, first: int, end: int) -> Iterator[bytes]:
        """The bytes of the entries from `first` to before `end`, in order."""
        ...

    def refs(self, first: int, end: int) -> Iterator[tuple[str, int, bytes]]:
        """The references that those entries speak of, in their order: (run, position of the first one in the run, bytes)."""
        ...

    def head(self) -> tuple[int, bytes] | None:
        """The last head that was to be signed: its size and root. None before the first."""
        ...

    def store_head(self, size: int, root: bytes) -> None:
        """Keeps the head that is about to be signed; when this returns, it survives a power cut."""
        ...


class Publisher:
    """Writes one log, into one directory, in the name of one key. One at a time."""

    def __init__(self, directory: Path, signer: Signer) -> None:
        self._folder = Folder(directory)
        self._root = directory
        self._signer = signer
        self._lines_end: tuple[int, int] | None = None

    def published(self) -> Checkpoint | None:
        """The checkpoint that stands in the folder; None before the first. `AuditBroken` if it is not ours."""
        note = read_file(self._root / layout.CHECKPOINT, LONGEST)
        return None if note is None else open_checkpoint(note, self._signer.verifier)

    def publish(self, source: Source) -> Checkpoint:
        """Publishes every entry that there is now; finishes first what an earlier call began. Returns what is published."""
        self._put_key()
        size, published = source.size(), self.published()
        head = self._agreed(source, size, published)
        if head is not None and head != published:
            published = self._advance(source, published, head.size, head)
        if published is None or size > published.size:
            published = self._advance(source, published, size, None)
        return published

    def _put_key(self) -> None:
        line = f"{self._signer.verifier.line}\n".encode()
        if read_file(self._root / layout.KEY, LONGEST) not in {None, line}:
            raise AuditBroken(["the log folder was begun with another signing key (see its public-key)", ANOTHER])
        self._folder.put(layout.KEY, line)

    def _agreed(self, source: Source, size: int, published: Checkpoint | None) -> Checkpoint | None:
        """The stored head, once it, the folder and the number of entries do not contradict each other."""
        stored = source.head()
        head = None if stored is None else Checkpoint(self._signer.name, *stored)
        signed = max((c.size for c in (head, published) if c), default=0)
        if size < signed:
            raise AuditBroken([f"the state has {size} entries, but {signed} were signed: it is older than its log", OLDER])
        if published is None:
            return head
        if head is None or head.size < published.size:
            # The folder knows a later head than the state does: it counts only if the state has every one of those entries.
            if _root_of(source, published.size) != published.root:
                raise AuditBroken([f"the state's first {published.size} entries are not those that were signed", OLDER])
            source.store_head(published.size, published.root)
            return published
        if head.size == published.size and head.root != published.root:
            raise AuditBroken([f"state and log folder name different roots for the first {head.size} entries", OTHER])
        return head

    def _advance(self, source: Source, base: Checkpoint | None, size: int, head: Checkpoint | None) -> Checkpoint:
        """Publishes the tree of `size` entries over the one of `base`; `head` is what was stored for it, if it was."""
        since = base.size if base else 0
        tree = self._tree(source, base)
        tiles = [tile for entry in source.entries(since, size) for tile in tree.add(leaf_hash(entry))] + tree.edge()
        target = Checkpoint(self._signer.name, size, tree.root())
        if tree.size != size or target != (head or target):
            raise AuditBroken([f"the state's first {size} entries do not lead to the head that was stored for them", OTHER])
        if head is None:
            source.store_head(size, target.root)
        reach("head-stored")
        self._put_refs(source, since, size)
        reach("refs-published")
        self._put_entries(source, since, size)
        reach("entries-published")
        self._put_tiles(tiles)
        reach("tiles-published")
        self._drop_unfinished(tiles)
        self._put_lines(source, since, size)
        self._put_checkpoint(target)
        return target

    def _tree(self, source: Source, base: Checkpoint | None) -> Tree:
        """The tree that was published, from its tiles, once it is certain that they and the entries lead to its root."""
        if base is None or base.size == 0:
            return Tree()
        tiles = Tiles(self._root, base.size)
        newest = (base.size - 1) // WIDTH
        leaves = [leaf_hash(entry) for entry in source.entries(newest * WIDTH, base.size)]
        if leaves != tiles.leaves(newest):
            raise AuditBroken([f"the state's entries before entry {base.size} are not those that were published", OTHER])
        tree = Tree(tiles.edge())
        if tree.root() != base.root:
            raise AuditBroken([f"the published tiles do not lead to the signed root of the first {base.size} entries", OTHER])
        return tree

    def _put_refs(self, source: Source, since: int, size: int) -> None:
        ends: dict[str, int] = {}
        for run, first, references in source.refs(since, size):
            at = first * reference.SIZE
            with writing(self._folder.place(layout.refs_name(run))) as file:
                if os.fstat(file.fileno()).st_size < at:
                    raise AuditBroken([f"references of run {run} that were published before are missing from the log", OTHER])
                file.seek(at)
                file.write(references)
            ends[run] = at + len(references)
        for run, end in ends.items():
            with writing(self._folder.place(layout.refs_name(run))) as file:
                file.truncate(end)
                last(file)
        self._folder.settle()

    def _put_entries(self, source: Source, since: int, size: int) -> None:
        first = since // WIDTH
        entries = source.entries(first * WIDTH, size)
        for index in range(first, -(-size // WIDTH)):
            group = list(islice(entries, WIDTH))
            self._folder.put(tile_name(ENTRIES, index, len(group)), bundle(group))
        self._folder.settle()

    def _put_tiles(self, tiles: list[Tile]) -> None:
        for tile in tiles:
            self._folder.put(tile_name(tile.level, tile.index, tile.width), tile.hashes)
        self._folder.settle()

    def _drop_unfinished(self, tiles: list[Tile]) -> None:
        for tile in tiles:
            if tile.width == WIDTH:
                names = [tile_name(tile.level, tile.index)] + [tile_name(ENTRIES, tile.index)] * (tile.level == 0)
                self._folder.drop_unfinished(names)
        self._folder.settle()

    def _put_lines(self, source: Source, since: int, size: int) -> None:
        """Makes `audit.jsonl` the entries 0 to `size`: what a kill left is cut off, what is missing is written."""
        path = self._folder.place(layout.LINES)
        end = self._end_of_lines(source, since)
        with writing(path) as file:
            if os.fstat(file.fileno()).st_size < end:
                since = end = 0
            file.truncate(end)
            file.seek(end)
            for entry in source.entries(since, size):
                end += file.write(entry + b"\n")
            last(file)
        self._folder.settle()
        self._lines_end = (size, end)

    def _end_of_lines(self, source: Source, size: int) -> int:
        """Bytes that the first `size` lines have: those of the full bundles, a newline for each two bytes of length."""
        if self._lines_end and self._lines_end[0] == size:
            return self._lines_end[1]
        full = size // WIDTH
        bundles = sum((self._root / tile_name(ENTRIES, index)).stat().st_size - WIDTH for index in range(full))
        return bundles + sum(len(entry) + 1 for entry in source.entries(full * WIDTH, size))

    def _put_checkpoint(self, target: Checkpoint) -> None:
        note = self._signer.sign(target.text)
        self._folder.put(layout.kept_name(target.size), note)
        self._folder.settle()
        reach("checkpoint-kept")
        self._folder.replace(layout.CHECKPOINT, note)
        self._folder.settle()
        reach("checkpoint-published")


def _root_of(source: Source, size: int) -> bytes:
    tree = Tree()
    for entry in source.entries(0, size):
        tree.add(leaf_hash(entry))
    return tree.root()
