"""Evidence of one entry: that it is in the log, for somebody who holds the entry and the key and nothing else.

The bundle is text (c2sp.org/tlog-proof@v1): the entry's index, the hashes from its leaf to the
root, an empty line, and the checkpoint of that root. It is read as strictly as a note; its
optional line of extra data is not written, and refused.
"""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

from retentiond.audit.layout import CHECKPOINT, kept_name, read_file
from retentiond.audit.merkle import SIZE, included, inclusion, leaf_hash
from retentiond.audit.note import LONGEST, Checkpoint, Verifier, canonical_base64, number_of, open_checkpoint
from retentiond.audit.tiles import Tiles
from retentiond.errors import AuditBroken, UsageError

_FIRST_LINE = "c2sp.org/tlog-proof@v1"


def prove(directory: Path, verifier: Verifier, index: int, size: int | None = None) -> bytes:
    """The proof that entry `index` is in the log of `size` entries, a kept checkpoint's; of the newest, if left out."""
    note = read_file(directory / (CHECKPOINT if size is None else kept_name(size)), LONGEST)
    if note is None:
        raise UsageError("there is no checkpoint of that size in the log", do="publish first")
    checkpoint = open_checkpoint(note, verifier)
    if not 0 <= index < checkpoint.size:
        raise UsageError(f"the checkpoint has {checkpoint.size} entries; there is no entry {index} under it")
    path = inclusion(index, checkpoint.size, Tiles(directory, checkpoint.size).span)
    lines = [_FIRST_LINE, f"index {index}", *(b64encode(hash_).decode() for hash_ in path), "", ""]
    return "\n".join(lines).encode() + note


def proven(proof: bytes, entry: bytes, verifier: Verifier) -> tuple[int, Checkpoint]:
    """The index of the entry and the checkpoint under which the proof shows it to be; `AuditBroken` if it does not."""
    head, gap, note = proof.partition(b"\n\n")
    lines = head.decode("ascii", "replace").split("\n")
    if not gap or lines[0] != _FIRST_LINE or len(lines) < 2 or not lines[1].startswith("index "):
        raise AuditBroken([f"this is no proof of the form {_FIRST_LINE}"])
    index = number_of(lines[1].removeprefix("index "))
    path = [hash_ for hash_ in map(canonical_base64, lines[2:]) if hash_ is not None and len(hash_) == SIZE]
    if index is None or len(path) != len(lines) - 2:
        raise AuditBroken(["the proof's index or one of its hashes is malformed"])
    checkpoint = open_checkpoint(note, verifier)
    if not included(index, checkpoint.size, leaf_hash(entry), path, checkpoint.root):
        raise AuditBroken([f"the proof does not lead from this entry, as entry {index}, to the signed root"])
    return index, checkpoint
