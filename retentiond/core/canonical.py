"""One spelling for one value: the bytes that digests and signatures are made of.

Guarantee: for strings, integers below 2^53, booleans, null, lists and objects with string
keys, the bytes equal RFC 8785 (JSON Canonicalization Scheme). Floats are refused, because
their spelling is where implementations differ. RFC 8785 sorts keys by UTF-16 code units; for
the ASCII keys that are used here that is the order of `sorted`, and other keys are refused.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode
LARGEST_INTEGER = 2**53 - 1
"""The last whole number that every reader of JSON takes for itself (RFC 8785, 3.2.2.3)."""


def canonical(value: Any) -> bytes:
    """The RFC 8785 bytes of `value`; `ValueError` for what has no single spelling."""
    _refuse_ambiguous(value)
    return _encode(value).encode()


def digest(value: Any) -> str:
    """SHA-256 of the canonical bytes, in 64 hex digits."""
    return hashlib.sha256(canonical(value)).hexdigest()


def _refuse_ambiguous(value: Any) -> None:
    if value is None or isinstance(value, str | bool):
        return
    if isinstance(value, int):
        if abs(value) > LARGEST_INTEGER:
            raise ValueError("an integer of 2^53 or more has no exact JSON spelling")
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            if not (isinstance(key, str) and key.isascii()):
                raise ValueError("keys are ASCII strings")
            _refuse_ambiguous(inner)
        return
    if isinstance(value, list | tuple):
        for inner in value:
            _refuse_ambiguous(inner)
        return
    raise ValueError(f"a {type(value).__name__} has no canonical spelling")
