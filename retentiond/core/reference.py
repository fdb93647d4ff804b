"""How evidence names an item without saying what it is: keyed references.

    nonce     = HMAC-SHA-256(K, store ‖ 0x00 ‖ key)
    reference = SHA-256(nonce ‖ store ‖ 0x00 ‖ key), the first 16 bytes
    starts    = salt ‖ (seconds of each, 8 bytes) XOR SHAKE-256(HMAC-SHA-256(K, 0x00 ‖ "starts" ‖ 0x00 ‖ store) ‖ salt)
    K         = HKDF-SHA-256(master of the year, info "retentiond/ref/v1/" + category), 32 bytes

Without K a reference is random. With the nonce of one item anybody can check that one item and
no other. Destroying the master of a year makes all references of that year random for ever.
RFC 2104 (HMAC), RFC 5869 (HKDF, without salt), FIPS 202 (SHAKE).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import struct
from collections.abc import Sequence
from datetime import datetime

SIZE = 16
START_SIZE = 8
NO_START = bytes([128, *bytes(START_SIZE - 1)])
"""What stands for a start that is not known: the least number there is."""
_SALT = 16
_INFO = b"retentiond/ref/v1/"
_BLOCK = 64
_REGISTERS = "-registers"


def derive(master: bytes, category: str) -> bytes:
    """The reference key of a category, from the master of a year."""
    extracted = hmac.digest(b"\0" * 32, master, "sha256")
    return hmac.digest(extracted, _INFO + category.encode() + b"\x01", "sha256")


class References:
    """Makes the references of one store's items under one key of at most 64 bytes, many at a time."""

    def __init__(self, key: bytes, store: str) -> None:
        if len(key) > _BLOCK or "\0" in store:
            raise ValueError("a key of references has at most 64 bytes, and the name of a store no zero byte")
        self._prefix = store.encode() + b"\0"
        padded = key.ljust(_BLOCK, b"\0")
        self._inner = hashlib.sha256(bytes(b ^ 0x36 for b in padded) + self._prefix)
        self._outer = hashlib.sha256(bytes(b ^ 0x5C for b in padded))
        self._veil = hmac.digest(key, b"\0starts\0" + store.encode(), "sha256")

    def nonce(self, key: str) -> bytes:
        """What lets a stranger check one reference: 32 bytes."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(key.encode())
        outer.update(inner.digest())
        return outer.digest()

    def of(self, key: str) -> bytes:
        """The reference of one item: 16 bytes."""
        return check(self.nonce(key), self._prefix, key)

    def veiled(self, starts: Sequence[datetime | None]) -> bytes:
        """The starts of some items as nobody can read them who has not the key; other bytes each time."""
        salt, plain = secrets.token_bytes(_SALT), seconds_of(starts)
        return salt + self._crossed(salt, plain)

    def unveiled(self, veiled: bytes) -> bytes:
        """The `seconds_of` the starts that were veiled."""
        return self._crossed(veiled[:_SALT], veiled[_SALT:])

    def _crossed(self, salt: bytes, text: bytes) -> bytes:
        stream = hashlib.shake_256(self._veil + salt).digest(len(text))
        return (int.from_bytes(text) ^ int.from_bytes(stream)).to_bytes(len(text))

    def each(self, keys: Sequence[str]) -> bytes:
        """The references of many items, one after the other: `of` each, with as few calls as there can be."""
        prefix, inners, outers, sha = self._prefix, self._inner.copy, self._outer.copy, hashlib.sha256
        references: list[bytes] = []
        for key in keys:
            name = key.encode()
            inner, outer = inners(), outers()
            inner.update(name)
            outer.update(inner.digest())
            references.append(sha(outer.digest() + prefix + name).digest()[:SIZE])
        return b"".join(references)


def seconds_of(starts: Sequence[datetime | None]) -> bytes:
    """By what starts are known again, eight bytes each: whole seconds since 1970, which every backup keeps, or `NO_START`."""
    none = -(2**63)
    return struct.pack(f">{len(starts)}q", *[none if start is None else int(start.timestamp()) for start in starts])


def check(nonce: bytes, prefix: bytes, key: str) -> bytes:
    """The reference that a nonce gives an item; `prefix` is the store's name and a zero byte."""
    return hashlib.sha256(nonce + prefix + key.encode()).digest()[:SIZE]


def of_word(master: bytes, kind: str, word: str) -> str:
    """The reference (32 hex digits) of what is no item: a hold's id, a person who approved, a reason."""
    return References(derive(master, _REGISTERS), kind).of(word).hex()
