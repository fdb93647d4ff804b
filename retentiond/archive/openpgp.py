"""OpenPGP messages (RFC 9580): encrypted, or only signed, compressed or wrapped, whatever their names say.

The packets are walked. One or more session keys and then data with integrity is an encrypted message; data without
it (tag 9) is weak; a signature, a compressed or a literal packet at the beginning is plain, for anybody can read what
is in there.

What a program writes without knowing its length comes in parts, each behind its own (RFC 9580, 4.2.1.4). They are gone
through as far as they are at hand. Between the two ends they are taken to go on as they were, which the parts in the end
have to bear out; where these do not, nobody can say whether the message was cut off, and it counts as whole.
"""

from __future__ import annotations

import base64
import binascii

from retentiond.archive.sample import LONGEST_TAIL, Sample, Wants
from retentiond.core.assurance import UNKNOWN, Recognised

_SESSION_KEYS = {1: (2, 3, 6), 3: (4, 5, 6)}
"""Packets with a session key, and the versions that there are of each."""
_INTEGRITY = {18: (1, 2), 20: (1,)}
_SKIPPED = {10: b"PGP", 21: b""}
_PLAIN = {2: "openpgp-signed", 4: "openpgp-signed", 8: "openpgp-compressed", 11: "openpgp-literal"}
_LEAST = 20
"""Encrypted data are longer than their own check."""
_LENGTH = 5
"""So many octets a length takes at most."""
_PARTIAL = range(224, 255)
"""What stands before a part that is not the last: 224, and the power of two that is its length."""
_IN_STEP = 2
"""So many parts of the same length, one after the other where they are to be, are no chance."""
_WANTED, _STRIDES = 2**20, 16
"""How much of the end is looked at where the usual does not suffice: so many bytes or parts, `LONGEST_TAIL` at most."""


def message(sample: Sample) -> Recognised | Wants | None:
    """What a binary message is; None for what is none, `Wants` where its last parts are longer than the end that is at hand."""
    return _walk(sample, ended=True)


def armoured_message(text: bytes, *, ended: bool) -> Recognised | Wants:
    """What the message between the lines of an armour is; `ended` where all of it is there."""
    body = _body(text)
    return _walk(Sample(body, body, len(body)), ended=ended) or UNKNOWN


def _body(text: bytes) -> bytes:
    """The bytes behind the base64 after the headers, without the checksum."""
    lines = text.replace(b"\r\n", b"\n").partition(b"-----END")[0].split(b"\n")
    start = next((i + 1 for i, line in enumerate(lines) if not line.strip()), 0)
    letters = b"".join(line.strip() for line in lines[start:] if not line.startswith(b"="))
    try:
        return base64.b64decode(letters[: len(letters) // 4 * 4], validate=True)
    except binascii.Error:
        return b""


def _walk(sample: Sample, *, ended: bool) -> Recognised | Wants | None:
    data, at, keys = sample.head, 0, 0
    while True:
        packet = _packet(data, at)
        if packet is None:
            return None
        tag, start, length = packet
        version = data[start] if start < len(data) else -1
        if tag in _INTEGRITY or tag == 9:
            whole = _is_whole(sample, start, length) if keys and ended else True
            return whole if isinstance(whole, Wants) else _encrypted(tag, version, keys, whole)
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


def _is_whole(sample: Sample, start: int, length: int | None) -> bool | Wants:
    """Whether all the data that the packet announces are there, in one length or in parts."""
    if sample.size - start < max(length or 0, _LEAST):
        return False
    return _end_of_parts(sample, start - 1) if length is None and sample.head[start - 1] in _PARTIAL else True


def _end_of_parts(sample: Sample, at: int) -> bool | Wants:
    """Whether parts, of which the length of one stands at a position, come to a last one that is there to its end."""
    stride, hidden = 0, sample.size - len(sample.tail)
    while at < sample.size:
        octets = sample.at(at, min(_LENGTH, sample.size - at)) or sample.at(at, 1)
        if octets is None:
            first = at + -(-(hidden - at) // stride) * stride
            alike = [sample.at(first + n * stride, 1) for n in range(_IN_STEP)]
            if alike != [bytes([_PARTIAL.start + (stride - 1).bit_length() - 1])] * _IN_STEP:
                wanted = min(sample.size, max(_WANTED, _STRIDES * stride), LONGEST_TAIL)
                return Wants(wanted) if wanted > len(sample.tail) else True
            at = first
            continue
        if octets[0] not in _PARTIAL:
            found = _length(octets)
            is_there = len(octets) < min(_LENGTH, sample.size - at)  # the rest of this length is not at hand
            return is_there if found is None else at + sum(found) <= sample.size
        stride = 1 + (1 << (octets[0] & 0x1F))
        at += stride
    return False


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
    tag, octets = first & 0x3F, data[at + 1 : at + 1 + _LENGTH]
    if octets and octets[0] in _PARTIAL:
        return tag, at + 2, None
    found = _length(octets)
    return (tag, at + 1 + found[0], found[1]) if found is not None else None


def _length(octets: bytes) -> tuple[int, int] | None:
    """How many octets a length of the new format takes, and what it is; None where they are too few, or it is of a part."""
    if octets and octets[0] < 192:
        return 1, octets[0]
    if len(octets) > 1 and octets[0] < 224:
        return 2, ((octets[0] - 192) << 8) + octets[1] + 192
    if len(octets) == _LENGTH and octets[0] == 255:
        return _LENGTH, int.from_bytes(octets[1:], "big")
    return None
