"""What something is, by its first and last bytes: encrypted, and how well, or plain.

Names and suffixes prove nothing, and neither does entropy, which cannot tell encryption from compression. So each
format is known by its own structure; whatever has none of these is `unknown`. Pure: it is given the first `HEAD`
bytes and the last ones, and where a directory at the end is longer than that it says how much it wants.

Sources: C2SP age; RFC 9580 (OpenPGP); RFC 5652 and 5083 (CMS); LUKS1 and LUKS2 on-disk formats; PKWARE APPNOTE and
WinZip AE-2; 7zFormat.txt; openssl-enc(1).
"""

from __future__ import annotations

import base64
import binascii
import codecs
import json
import re
from collections.abc import Callable, Sequence

from retentiond.archive.containers import seven_zip, zip_file
from retentiond.archive.openpgp import armoured_message, message
from retentiond.archive.sample import HEAD, Sample, Wants
from retentiond.core.assurance import UNKNOWN, Assurance, Recognised

AGE = b"age-encryption.org/v1\n-> "
_AGE_HEADER = re.compile(
    rb"age-encryption\.org/v1\n"
    rb"(?:-> [!-~]+(?: [!-~]+)*\n(?:[A-Za-z0-9+/]{64}\n)*[A-Za-z0-9+/]{0,63}\n)+"
    rb"--- [A-Za-z0-9+/]{43}\n"
)
_AGE_NONCE, _AGE_TAG, _AGE_CHUNK = 16, 16, 64 * 1024 + 16
"""The payload is a nonce and chunks with their tags. The last is shorter, and has no byte only where it is the first, too."""
_AGE_COLUMNS = 64
"""So long is each line of an armour but the last."""
_ARMOUR = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\r?\n(.*)", re.DOTALL)
_END = re.compile(rb"\r?\n-----END ([A-Z0-9 ]+)-----\s*\Z")
_CMS: dict[bytes, tuple[str, Assurance]] = {
    bytes.fromhex("06092a864886f70d010703"): ("cms", "client_unauthenticated"),
    bytes.fromhex("060b2a864886f70d0109100117"): ("cms", "client_authenticated"),
    bytes.fromhex("06092a864886f70d010701"): ("cms-data", "plain"),
    bytes.fromhex("06092a864886f70d010702"): ("cms-signed", "plain"),
}
_PLAIN: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x1f\x8b", "gzip"),
    (0, b"\x28\xb5\x2f\xfd", "zstd"),
    (0, b"\xfd7zXZ\x00", "xz"),
    (0, b"BZh", "bzip2"),
    (0, b"\x04\x22\x4d\x18", "lz4"),
    (257, b"ustar", "tar"),
    (0, b"SQLite format 3\x00", "sqlite"),
    (0, b"PGDMP", "pg_dump"),
    (0, b"-- MySQL dump", "mysqldump"),
    (0, b"-- MariaDB dump", "mysqldump"),
    (0, b"-- PostgreSQL database dump", "pg_dump"),
    (0, b"%PDF", "pdf"),
    (0, b"RIFF", "riff"),
)
_LUKS = bytes.fromhex("4c554b53babe")
_NOT_TEXT = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")

Known = Callable[[Sample], Recognised | Wants | None]


def recognise(sample: Sample) -> Recognised | Wants:
    """What the sample is of; `Wants` where its last bytes do not suffice and more of them would."""
    for known in _KNOWN:
        found = known(sample)
        if found is not None:
            return found
    return UNKNOWN


def _age(sample: Sample) -> Recognised | None:
    if not sample.head.startswith(AGE):
        return None
    header = _AGE_HEADER.match(sample.head)
    whole = header is not None and _is_age_payload(sample.size - header.end())
    return Recognised("age", "client_authenticated") if whole else UNKNOWN


def _is_age_payload(size: int) -> bool:
    """Whether there are payloads of so many bytes. Of one that was cut off elsewhere only its identity could tell."""
    chunks = size - _AGE_NONCE
    last = chunks % _AGE_CHUNK
    return chunks == _AGE_TAG or (chunks > _AGE_TAG and (last == 0 or last > _AGE_TAG))


def _armour(sample: Sample) -> Recognised | Wants | None:
    """What stands between two lines in base64: age, OpenPGP or CMS. One that does not end is no whole one."""
    opened = _ARMOUR.match(sample.head)
    if opened is None:
        return None
    label, closed = opened[1], _END.search(sample.tail)
    if label.startswith(b"PGP ") and label != b"PGP MESSAGE":  # only messages are encrypted: keys and signatures are not
        return Recognised("openpgp-" + label[4:].decode("ascii").lower().replace(" ", "-"), "plain")
    if closed is None or closed[1] != label:
        return UNKNOWN
    if label == b"AGE ENCRYPTED FILE":
        size = _unarmoured_size(sample, opened.start(2), sample.size - len(sample.tail) + closed.start())
        return _age(Sample(_unarmoured(opened[2]), b"", size)) or UNKNOWN
    if label == b"PGP MESSAGE":
        return armoured_message(opened[2], ended=sample.size <= len(sample.head))
    if label in (b"CMS", b"PKCS7"):
        body = _unarmoured(opened[2])
        return _cms(Sample(body, b"", sample.size)) or UNKNOWN
    return None


def _unarmoured(text: bytes) -> bytes:
    """The bytes behind base64, as many as are there; a line that ends it ends it."""
    letters = b"".join(text.partition(b"-----END")[0].split())
    try:
        return base64.b64decode(letters[: len(letters) // 4 * 4], validate=True)
    except binascii.Error:
        return b""


def _unarmoured_size(sample: Sample, start: int, end: int) -> int:
    """How many bytes are behind the base64 between two positions, in lines as age writes them; 0 where they are not such."""
    newline = 2 if sample.at(start - 2, 1) == b"\r" else 1
    lines, rest = divmod(end - start, _AGE_COLUMNS + newline)
    letters = lines * _AGE_COLUMNS + rest
    padding = (sample.at(end - 2, 2) or b"").count(b"=")
    return letters // 4 * 3 - padding if rest <= _AGE_COLUMNS and letters % 4 == 0 else 0


def _openpgp(sample: Sample) -> Recognised | Wants | None:
    return message(sample)


def _openssl(sample: Sample) -> Recognised | None:
    """No integrity, and a key from a password that is stretched little or not at all."""
    return Recognised("openssl", "weak") if sample.head.startswith((b"Salted__", b"U2FsdGVkX1")) else None


def _cms(sample: Sample) -> Recognised | None:
    """A DER or BER sequence that begins with the type of its content."""
    head = sample.head
    if len(head) < 4 or head[0] != 0x30:
        return None
    at = 2 + (head[1] & 0x7F if head[1] > 0x80 else 0)
    for oid, (name, assurance) in _CMS.items():
        if head[at : at + len(oid)] == oid:
            return Recognised(name, assurance)
    return None


def _luks(sample: Sample) -> Recognised | None:
    head = sample.head
    if not head.startswith(_LUKS):
        return None
    ciphers = _luks_ciphers(head)
    if not ciphers:
        return UNKNOWN
    null = any("null" in cipher for cipher in ciphers)
    return Recognised("luks", "plain" if null else "client_unauthenticated")


def _luks_ciphers(head: bytes) -> Sequence[str]:
    """The cipher of each stretch of data; none where the header cannot be read."""
    if head[6:8] == b"\x00\x01":
        return [head[8:40].rstrip(b"\x00").decode("latin-1")]
    try:
        segments = json.loads(head[4096:].partition(b"\x00")[0])["segments"].values()
        return [s["encryption"] if s["type"] == "crypt" else "null" for s in segments]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []


def _plain(sample: Sample) -> Recognised | None:
    for at, magic, name in _PLAIN:
        if sample.head[at : at + len(magic)] == magic:
            return Recognised(name, "plain")
    return Recognised("text", "plain") if sample.head and _is_text(sample.head) else None


def _is_text(head: bytes) -> bool:
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head, final=len(head) < HEAD)
    except UnicodeDecodeError:
        return False
    return _NOT_TEXT.search(text) is None


_KNOWN: tuple[Known, ...] = (_age, _armour, _openssl, zip_file, seven_zip, _luks, _cms, _plain, _openpgp)
"""In this order: those that a few bytes tell for certain come before OpenPGP, whose packets begin with one bit."""
