"""OpenPGP messages (RFC 9580): encrypted, or only signed, compressed or wrapped, whatever their names say.

The packets are walked. One or more session keys and then data with integrity is an encrypted message; data without
it (tag 9) is weak; a signature, a compressed or a literal packet at the beginning is plain, for anybody can read what
is in there.
"""

from __future__ import annotations

import base64
import binascii

from retentiond.archive.sample import Sample
from retentiond.core.assurance import UNKNOWN, Recognised

_SESSION_KEYS = {1: (2, 3, 6), 3: (4, 5, 6)}
"""Packets with a session key, and the versions that there are of each."""
_INTEGRITY = {18: (1, 2), 20: (1,)}
_SKIPPED = {10: b"PGP", 21: b""}
_PLAIN = {2: "openpgp-signed", 4: "openpgp-signed", 8: "openpgp-compressed", 11: "openpgp-literal"}
_LEAST = 20
"""Encrypted data are longer than their own check."""


def message(sample: Sample) -> Recognised | None:
    """What a binary message is; None for what is none."""
    return _walk(sample.head, sample.size)


def armoured_message(text: bytes) -> Recognised:
    """What the message between the lines of an armour is."""
    return _walk(_body(text), None) or UNKNOWN


def _body(text: bytes) -> bytes:
    """The bytes behind the base64 after the headers, without the checksum."""
    lines = text.replace(b"\r\n", b"\n").partition(b"-----END")[0].split(b"\n")
    start = next((i + 1 for i, line in enumerate(lines) if not line.strip()), 0)
    letters = b"".join(line.strip() for line in lines[start:] if not line.startswith(b"="))
    try:
        return base64.b64decode(letters[: len(letters) // 4 * 4], validate=True)
    except binascii.Error:
        return b""


def _walk(data: bytes, size: int | None) -> Recognised | None:
    at, keys = 0, 0
    while True:
        packet = _packet(data, at)
        if packet is None:
            return None
        tag, start, length = packet
        version = data[start] if start < len(data) else -1
        if tag in _INTEGRITY or tag == 9:
            return _encrypted(tag, version, keys, _is_whole(start, length, size))
        if tag in _PLAIN:
            return Recognised(_PLAIN[tag], "plain") if not keys and _is_plausible(tag, data, start) else None
        if tag in _SESSION_KEYS:
            if version not in _SESSION_KEYS[tag]:
                return None
            keys += 1
        elif tag not in _SKIPPED or not data.startswith(_SKIPPED[tag], start):
            return None
        if length is None:
            return None
        at = start + length


def _encrypted(tag: int, version: int, keys: int, whole: bool) -> Recognised | None:
    if not keys:
        return None
    if not whole:
        return UNKNOWN
    if tag == 9:
        return Recognised("openpgp-sed", "weak")
    return Recognised("openpgp", "client_authenticated") if version in _INTEGRITY[tag] else None


def _is_whole(start: int, length: int | None, size: int | None) -> bool:
    """Whether all the data that the packet announces are there; of partial lengths only the first is known."""
    if size is None:
        return True
    return size - start >= max(length or 0, _LEAST)


def _is_plausible(tag: int, data: bytes, start: int) -> bool:
    """Whether the packet begins like one of its kind: one bit alone makes no message."""
    first = data[start] if start < len(data) else -1
    kinds = {2: (2, 3, 4, 5, 6), 4: (3, 6), 8: (0, 1, 2, 3), 11: (0x62, 0x74, 0x75, 0x6D, 0x6C, 0x31)}
    return first in kinds[tag]


def _packet(data: bytes, at: int) -> tuple[int, int, int | None] | None:
    """(tag, where its body starts, its length) of the packet at a position; no length where it is indeterminate or partial."""
    if at >= len(data) or not data[at] & 0x80:
        return None
    first = data[at]
    if not first & 0x40:
        tag, kind = (first >> 2) & 0x0F, first & 3
        if kind == 3:
            return tag, at + 1, None
        width = 1 << kind
        raw = data[at + 1 : at + 1 + width]
        return (tag, at + 1 + width, int.from_bytes(raw, "big")) if len(raw) == width else None
    tag, octets = first & 0x3F, data[at + 1 : at + 6]
    if not octets:
        return None
    if octets[0] < 192:
        return tag, at + 2, octets[0]
    if octets[0] < 224 and len(octets) > 1:
        return tag, at + 3, ((octets[0] - 192) << 8) + octets[1] + 192
    if octets[0] == 255 and len(octets) == 5:
        return tag, at + 6, int.from_bytes(octets[1:5], "big")
    return (tag, at + 2, None) if 224 <= octets[0] < 255 else None
