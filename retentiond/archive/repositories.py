"""Repositories of restic and borg: folders of which a single file tells nothing, and the folder as a whole does.

What such a folder is is found out once, by looking at the files that every one of its kind has; then each file
below it that has a name and a content as such files have them is a part of it. A plain file that somebody put there
stays a plain file.

Sources: restic's design document (doc/design.rst), borg's internals (docs/internals/data-structures.rst), version 1.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Callable, Iterator
from functools import cached_property

from retentiond.archive.patience import Patient
from retentiond.archive.sample import HEAD, TAIL, Sample
from retentiond.core.assurance import UNKNOWN, Recognised
from retentiond.core.pattern import is_plain
from retentiond.core.policy import PathSelection, Start
from retentiond.engine.ports import Scope, View
from retentiond.errors import ItemChanged

_RESTIC = re.compile(
    r"((?:.*/)?)(?:(config)|(?:keys/[0-9a-f]{64})|(?:data/(?:[0-9a-f]{2}/)?|index/|snapshots/|locks/)([0-9a-f]{64}))"
)
_BORG = re.compile(r"((?:.*/)?)(README|config|nonce|data/[0-9]+/[0-9]+|(?:hints|index|integrity)\.[0-9]+)")
_KEY_FIELDS = {"kdf", "N", "r", "p", "salt", "data"}
_README, _SEGMENT = b"This is a Borg Backup repository.", b"BORG_SEG"
_HEADER, _PUT, _MANIFEST = 9, 0, bytes(32)
"""The head of an entry of a segment is CRC-32, size and tag; the manifest's id is all zeros."""
_CLASSES = {
    **dict.fromkeys((0, 1, 3, 4, 5), Recognised("borg", "client_authenticated")),
    **dict.fromkeys((2, 6, 7), Recognised("borg", "plain")),
}
"""By the first byte of the manifest's data: keyed, or keyed with BLAKE2; not encrypted, or only authenticated."""
_KINDS = ("restic", "borg")
_BY_CHANCE = frozenset({"unknown", "gzip", "openpgp", "openpgp-sed", "openpgp-signed", "openpgp-compressed", "openpgp-literal"})
"""What random bytes may be taken for: of thousands of encrypted packs some begin like a packet of OpenPGP."""
_SEGMENTS = 16
"""In so many of the newest segments the manifest is looked for; every commit writes it again."""


def is_restic_key(content: bytes) -> bool:
    """Whether it is a key file of restic."""
    try:
        found = json.loads(content)
    except ValueError:
        return False
    return isinstance(found, dict) and found.keys() >= _KEY_FIELDS and found["kdf"] == "scrypt"


def manifest_byte(segment: bytes) -> int | None:
    """The byte that says how a borg repository is encrypted, from a stretch of a segment; None where it is not in there."""
    found, at = None, segment.find(_MANIFEST)
    while at >= 0:
        start = at - _HEADER
        if start >= 0 and segment[start + 8] == _PUT:
            size = int.from_bytes(segment[start + 4 : start + 8], "little")
            entry = segment[start : start + size]
            whole = len(entry) == size > _HEADER + len(_MANIFEST)
            if whole and zlib.crc32(entry[4:]) == int.from_bytes(entry[:4], "little"):
                found = entry[_HEADER + len(_MANIFEST)]
        at = segment.find(_MANIFEST, at + 1)
    return found


class Repositories:
    """The repositories of one store, as they are found while it is looked through."""

    def __init__(self, view: View, patient: Patient) -> None:
        self._view, self._patient = view, patient
        self._restic: dict[str, Recognised | None] = {}
        self._borg: dict[str, Recognised | None] = {}

    def part(self, key: str, sample: Sample, found: Recognised) -> Recognised:
        """What an item is, given what its bytes alone say, which stands unless it is a part of a repository."""
        restic = _RESTIC.fullmatch(key)
        if restic is not None:
            whole = self._known(self._restic, restic[1], _Look.restic)
            if whole is not None and _is_part_of_restic(restic, sample, found):
                return whole
        borg = _BORG.fullmatch(key)
        if borg is not None:
            whole = self._known(self._borg, borg[1], _Look.borg)
            if whole is not None and _is_part_of_borg(borg[2], sample, found):
                return whole
        return found

    def still(self, key: str, found: Recognised) -> Recognised:
        """What was once found of an item: a part of a repository is one only as long as the repository is."""
        if found.format not in _KINDS:
            return found
        pattern, known, look = (
            (_RESTIC, self._restic, _Look.restic) if found.format == "restic" else (_BORG, self._borg, _Look.borg)
        )
        named = pattern.fullmatch(key)
        return found if named is not None and self._known(known, named[1], look) == found else UNKNOWN

    def _known(
        self, known: dict[str, Recognised | None], root: str, look: Callable[[_Look], Recognised | None]
    ) -> Recognised | None:
        if root not in known:
            known[root] = look(_Look(self._view, self._patient, root)) if is_plain(root) else None
        return known[root]


def _is_part_of_restic(named: re.Match[str], sample: Sample, found: Recognised) -> bool:
    """Content that is none of the known kinds, of the name that is its digest as far as it was seen; or a key file."""
    if "/keys/" in f"/{named[0]}":
        return is_restic_key(sample.head)
    digest = named[3]
    if digest and sample.size == len(sample.head) and hashlib.sha256(sample.head).hexdigest() != digest:
        return False
    return found.format in _BY_CHANCE and sample.size > 0


def _is_part_of_borg(name: str, sample: Sample, found: Recognised) -> bool:
    head = sample.head
    if name.startswith("data/"):
        return head.startswith(_SEGMENT)
    if name == "README":
        return head.startswith(_README) and sample.size < 200
    if name == "config":
        return head.startswith(b"[repository]") and sample.size < HEAD
    if name == "nonce":
        return re.fullmatch(rb"[0-9a-f]{16}\n?", head) is not None
    return found.format in ("unknown", "text")


class _Look:
    """One folder that may be a repository."""

    def __init__(self, view: View, patient: Patient, root: str) -> None:
        self._view, self._patient, self._root = view, patient, root

    def restic(self) -> Recognised | None:
        """A configuration, and keys of which each is one."""
        keys = list(self._contents("keys/*"))
        if not keys or "config" not in dict(self._items("config")) or not all(is_restic_key(s.head) for s in keys):
            return None
        return Recognised("restic", "client_authenticated")

    def borg(self) -> Recognised | None:
        """A read-me, a configuration, and a manifest that says how it is encrypted."""
        readme = next(iter(self._contents("README")), None)
        config = next(iter(self._contents("config")), None)
        if readme is None or not readme.head.startswith(_README) or config is None or b"[repository]" not in config.head:
            return None
        segments = sorted(self._segments, key=lambda key: int(key.rpartition("/")[2]), reverse=True)
        for key in segments[:_SEGMENTS]:
            sample = self._sample(key, self._segments[key])
            byte = manifest_byte(sample.tail) if sample is not None else None
            byte = manifest_byte(sample.head) if byte is None and sample is not None else byte
            if byte is not None:
                return _CLASSES.get(byte)
        return None

    @cached_property
    def _segments(self) -> dict[str, tuple[str, int]]:
        return {key: rest for key, rest in self._items("data/**") if key.rpartition("/")[2].isdecimal()}

    def _items(self, pattern: str) -> Iterator[tuple[str, tuple[str, int]]]:
        """Key, and revision and size, of what lies below the folder; keys relative to nothing but the store."""
        for page in self._view.scan(_scope(self._root + pattern)):
            for key, revision, size in zip(page.keys, page.revisions, page.sizes, strict=True):
                yield key.removeprefix(self._root) if pattern == "config" else key, (revision or "", size)

    def _contents(self, pattern: str) -> Iterator[Sample]:
        for page in self._view.scan(_scope(self._root + pattern)):
            for key, revision, size in zip(page.keys, page.revisions, page.sizes, strict=True):
                sample = self._sample(key, (revision or "", size))
                if sample is not None:
                    yield sample

    def _sample(self, key: str, rest: tuple[str, int]) -> Sample | None:
        revision, size = rest
        try:
            return Sample(*self._patient.edges(_scope(key), key, revision, HEAD, TAIL), size)
        except ItemChanged:
            return None


def _scope(pattern: str) -> Scope:
    return Scope(PathSelection(pattern), Start("modified"))
