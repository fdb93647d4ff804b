"""Whether a text is a recipient of age: a public X25519 key in Bech32 (C2SP age, BIP 173). Pure.

Nothing is encrypted to a pass phrase, and nobody writes down an identity, which is the secret half.
"""

from __future__ import annotations

_ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_PREFIX = "age"
_KEY = 32


def fault(text: str) -> str:
    """What is wrong with a recipient, in words without the text itself; empty for a good one."""
    if text.lower().startswith("age-secret-key-"):
        return "this is an identity, the secret half; whoever reads this file could read the archives"
    if text != text.lower():
        return "a recipient is written in small letters"
    prefix, one, data = text.rpartition("1")
    if not one or prefix != _PREFIX:
        return "a recipient of age begins with age1"
    if not all(c in _ALPHABET for c in data):
        return "it has a character that no recipient has"
    values = [_ALPHABET.index(c) for c in data]
    if _checksum([*(ord(c) >> 5 for c in prefix), 0, *(ord(c) & 31 for c in prefix), *values]) != 1:
        return "its checksum is wrong: a character is missing or mistyped"
    return "" if len(_octets(values[:-6])) == _KEY else "it is no X25519 key"


def _checksum(values: list[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for i, generator in enumerate(_GENERATOR):
            check ^= generator if top >> i & 1 else 0
    return check


def _octets(values: list[int]) -> bytes:
    """Groups of five bits as bytes; empty where what is left over is not nothing."""
    number, bits, found = 0, 0, bytearray()
    for value in values:
        number, bits = number << 5 | value, bits + 5
        if bits >= 8:
            bits -= 8
            found.append(number >> bits & 0xFF)
    return bytes(found) if bits < 5 and not number & ((1 << bits) - 1) else b""
