"""Signed notes: who said that the log looked like this, in a form that a person can read.

A note is text, an empty line, and one line per signature (c2sp.org/signed-note). A checkpoint is
a note with three lines: the log's origin, its size in entries, its root hash in base64
(c2sp.org/tlog-checkpoint). Keys are Ed25519 (RFC 8032) and carry the name of the log.

Guarantee: a note is read only if writing down what was read gives the same bytes again; base64
has one spelling, lines end in one newline character. Signatures by unknown keys are ignored (witnesses may
add theirs), a wrong signature by the known key refuses the whole note. Signing the same text
twice gives the same bytes. A signer shows its secret only through `to_line`.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass
from hashlib import sha256
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from retentiond.audit.merkle import SIZE
from retentiond.errors import AuditBroken

LONGEST = 64 * 1024
"""Bytes of the longest note that is read; far above sixteen signatures, as c2sp.org/signed-note asks."""

_ED25519 = b"\x01"
_PRIVATE = "PRIVATE+KEY+"
_DASH = "\u2014 "
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")


def canonical_base64(text: str) -> bytes | None:
    """The bytes that a base64 text stands for; None unless it is their one standard spelling."""
    try:
        raw = b64decode(text, validate=True)
    except (Base64Error, ValueError):
        return None
    return raw if b64encode(raw).decode() == text else None


def number_of(text: str) -> int | None:
    """A decimal without sign or leading zeros; None for any other spelling."""
    return int(text) if _NUMBER.fullmatch(text) else None


def _usable(name: str) -> bool:
    """Whether a key may have this name: no spaces, no plus, nothing that cannot stand in a line."""
    return bool(name) and "+" not in name and not any(c.isspace() for c in name) and not _CONTROL.search(name)


def _key_id(name: str, public: bytes) -> bytes:
    return sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:4]


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key with its name: `name`, and the 32 bytes of the Ed25519 key."""

    name: str
    public: bytes

    @classmethod
    def from_line(cls, line: str) -> Self:
        """Reads a key line `name+hash+base64` (a final newline is allowed); `ValueError` if it is none."""
        parts = line.removesuffix("\n").split("+", 2)
        raw = canonical_base64(parts[2]) if len(parts) == 3 else None
        if raw is None or len(raw) != 1 + SIZE or raw[:1] != _ED25519 or not _usable(parts[0]):
            raise ValueError("a verifier key reads name+hash+base64, for Ed25519")
        found = cls(parts[0], raw[1:])
        if found.line != line.removesuffix("\n"):
            raise ValueError("the hash in the verifier key does not belong to its name and key")
        return found

    @property
    def key_id(self) -> bytes:
        """Four bytes that stand beside each signature."""
        return _key_id(self.name, self.public)

    @property
    def line(self) -> str:
        """The key line, without a newline."""
        return f"{self.name}+{self.key_id.hex()}+{b64encode(_ED25519 + self.public).decode()}"

    def holds(self, signature: bytes, text: str) -> bool:
        """Whether this key signed this text."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text.encode())
        except (InvalidSignature, ValueError):
            return False
        return True


class Signer:
    """A private key with its name. Its 32 secret bytes leave it only through `to_line`."""

    __slots__ = ("_key", "name")

    def __init__(self, name: str, seed: bytes) -> None:
        if not _usable(name):
            raise ValueError("a key's name has no spaces, no plus and no control characters")
        self.name = name
        self._key = Ed25519PrivateKey.from_private_bytes(seed)

    @classmethod
    def generate(cls, name: str) -> Self:
        """A new key, from the operating system's randomness."""
        return cls(name, Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def from_line(cls, line: str) -> Self:
        """Reads a key file: one line `PRIVATE+KEY+name+hash+base64`; `ValueError`, without the secret, if it is none."""
        line = line.removesuffix("\n")
        parts = line.removeprefix(_PRIVATE).split("+", 2)
        raw = canonical_base64(parts[2]) if len(parts) == 3 and line.startswith(_PRIVATE) else None
        if raw is None or len(raw) != 1 + SIZE or raw[:1] != _ED25519:
            raise ValueError("a signing key reads PRIVATE+KEY+name+hash+base64, for Ed25519")
        found = cls(parts[0], raw[1:])
        if found.to_line() != line:
            raise ValueError("the hash in the signing key does not belong to its name and key")
        return found

    def to_line(self) -> str:
        """The key file's one line, without a newline. Whoever can read it can sign in this log's name."""
        secret = b64encode(_ED25519 + self._key.private_bytes_raw()).decode()
        return f"{_PRIVATE}{self.name}+{self.verifier.key_id.hex()}+{secret}"

    @property
    def verifier(self) -> Verifier:
        """The public half."""
        return Verifier(self.name, self._key.public_key().public_bytes_raw())

    def sign(self, text: str) -> bytes:
        """The note that says `text`, which ends in a newline."""
        signature = self.verifier.key_id + self._key.sign(text.encode())
        return Note(text, (Signature(self.name, signature),)).to_bytes()


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line: the key's name, then the key's id and the signature proper in one."""

    name: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """Text and the signatures under it, none of them checked yet."""

    text: str
    signatures: tuple[Signature, ...]

    def to_bytes(self) -> bytes:
        """The note as it is written."""
        lines = "".join(f"{_DASH}{s.name} {b64encode(s.raw).decode()}\n" for s in self.signatures)
        return f"{self.text}\n{lines}".encode()


def parse_note(data: bytes) -> Note:
    """Takes a note apart without trusting it; `AuditBroken` unless it is written in the one way."""
    if len(data) > LONGEST:
        raise AuditBroken(["the note is too long to be one"])
    try:
        whole = data.decode()
    except UnicodeDecodeError:
        raise AuditBroken(["the note is not UTF-8"]) from None
    text, gap, lines = whole.rpartition("\n\n")
    if not (gap and text and lines.endswith("\n")) or _CONTROL.search(whole):
        raise AuditBroken(["the note is not text, an empty line and signature lines"])
    note = Note(text + "\n", tuple(_signature(line) for line in lines[:-1].split("\n")))
    if note.to_bytes() != data:
        raise AuditBroken(["the note is not byte for byte what it says"])
    return note


def _signature(line: str) -> Signature:
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    raw = canonical_base64(encoded)
    if not line.startswith(_DASH) or not _usable(name) or raw is None or len(raw) < 5:
        raise AuditBroken(["a signature line of the note is malformed"])
    return Signature(name, raw)


def open_note(data: bytes, verifier: Verifier) -> str:
    """The text of a note that this key signed; `AuditBroken` for any other."""
    note = parse_note(data)
    mine = [s.raw[4:] for s in note.signatures if s.name == verifier.name and s.raw[:4] == verifier.key_id]
    if not mine:
        raise AuditBroken(["the note is not signed by the log's key"])
    if not all(verifier.holds(signature, note.text) for signature in mine):
        raise AuditBroken(["the signature on the note is wrong"])
    return note.text


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What the log's key signs: so many entries, and the root over them."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The three lines that are signed."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"


def open_checkpoint(data: bytes, verifier: Verifier) -> Checkpoint:
    """The checkpoint in a note that this key signed for the log of its name; `AuditBroken` otherwise."""
    lines = open_note(data, verifier).split("\n")
    size = number_of(lines[1]) if len(lines) == 4 else None
    root = canonical_base64(lines[2]) if len(lines) == 4 else None
    if size is None or root is None or len(root) != SIZE:
        raise AuditBroken(["the note is no checkpoint: origin, size, root"])
    if lines[0] != verifier.name:
        raise AuditBroken(["the checkpoint is one of another log"])
    return Checkpoint(lines[0], size, root)
