"""What a server lists, as rows, in the order of their keys.

Guarantees: keys come byte for byte (`EncodingType=url`); each page begins after the one before, and a
server that lists out of order, in a circle or without end is an error, never a shorter listing.
Parsed here rather than by botocore, which needs ten times as long: what is written as nearly every server writes
it is cut out by a pattern, the rest and whatever differs is read as XML.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes
from xml.etree import ElementTree as ET

from retentiond.errors import StoreUnavailable
from retentiond.stores.s3.client import BODY, Bucket, wire

NULL = "null"
"""The version id of what was written while versions were not kept."""
_NOT_XML = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]|\xef\xbf[\xbe\xbf]|&#(?:x([0-9a-fA-F]{1,8})|([0-9]{1,10}));")
"""What may be no XML 1.0: characters as they are, and references to characters by number, of which most are."""
_LOST = "\ufffd"
_PLAIN = re.compile(
    rb"<Contents><Key>([^<&]*)</Key><LastModified>([0-9TZ:.-]*)</LastModified>"
    rb"<ETag>(?:&quot;|\")?([^<&\"]*)(?:&quot;|\")?</ETag>(?:<Checksum[^<]*</Checksum[^<]*>)*"
    rb"<Size>([0-9]+)</Size>(?:<(?!/?Contents>)[^<]*)*</Contents>"
)
"""An object with what is needed of it, in the order in which it comes; nothing in it has to be unescaped."""
_KINDS = frozenset({"Contents", "Version", "DeleteMarker"})
_MOST_EMPTY = 100


class Row(NamedTuple):
    """One version of an object, or a delete marker. `version` is "" in a bucket that never kept versions."""

    raw: str
    version: str
    etag: str
    modified: datetime
    size: int
    latest: bool
    marker: bool

    @property
    def overwritable(self) -> bool:
        """Whether an upload can take its place, so that its version id does not name it."""
        return self.version in ("", NULL)

    @property
    def revision(self) -> str:
        """The version id; where an upload can take its place, the ETag and the second of the upload."""
        if self.version in ("", NULL):
            return f"{'marker' if self.marker else self.etag}@{int(self.modified.timestamp())}"
        return self.version


class Listed(NamedTuple):
    """One answer: its rows, whether there are more, and the version that the next answer begins after."""

    rows: list[Row]
    truncated: bool
    marker: str


def rows_of(body: bytes) -> Listed:
    """The rows of one answer, sorted by key, the versions of a key newest first; `StoreUnavailable` where it is no listing."""
    rows, rest = _plain_rows(body)
    root = root_of(rest)
    space = space_of(root)
    start = len(space)
    if rows and any(entry.tag[start:] in _KINDS for entry in root):
        rows, root = [], root_of(body)
    encoded = (root.findtext(f"{space}EncodingType") or "").lower() == "url"
    try:
        for entry in root:
            kind = entry.tag[start:]
            if kind in _KINDS:
                rows.append(_row({field.tag[start:]: field.text for field in entry}, kind, encoded))
    except (KeyError, ValueError) as error:
        raise no_listing() from error
    if any(row.marker for row in rows):
        rows.sort(key=lambda row: order(row.raw))  # some servers list markers apart from versions
    truncated = root.findtext(f"{space}IsTruncated") == "true"
    return Listed(rows, truncated, root.findtext(f"{space}NextVersionIdMarker") or "")


def folders_of(body: bytes) -> tuple[list[str], bool]:
    """The common prefixes of an answer that was asked for them, in order, and whether there are more."""
    root = root_of(body)
    space = space_of(root)
    encoded = (root.findtext(f"{space}EncodingType") or "").lower() == "url"
    found = [one.findtext(f"{space}Prefix") or "" for one in root.iter(f"{space}CommonPrefixes")]
    folders = sorted((decoded(text) if encoded else text for text in found), key=order)
    return folders, root.findtext(f"{space}IsTruncated") == "true"


def order(raw: str) -> bytes:
    """What listings are sorted by: the bytes of the key."""
    return raw.encode("utf-8", "surrogateescape")


class Listing:
    """One walk through a bucket. `after` and `until` bound it to the keys between, `until` included.

    `page` is how many rows an answer has, `glance` how many the first one has.
    """

    def __init__(
        self, bucket: Bucket, prefix: str, after: str = "", until: str | None = None, page: int = 1000, glance: int = 0
    ) -> None:
        self._bucket, self._prefix, self._page, self._glance = bucket, prefix, page, glance
        self._after, self._version = after, ""
        self._shown: set[str] = set()
        self._until = None if until is None else order(until)
        self._versions = bucket.versioning != "unversioned"

    def pages(self) -> Iterator[list[Row]]:
        """The rows, an answer at a time."""
        empty = 0
        while True:
            listed = self._ask()
            rows = self._new(listed.rows)
            if self._until is not None and rows and self._is_over(order(rows[-1].raw), self._until):
                yield [row for row in rows if order(row.raw) <= self._until]
                return
            if rows:
                yield rows
            if not listed.truncated:
                return
            empty = 0 if rows else empty + 1
            if not listed.rows or empty > _MOST_EMPTY:
                raise StoreUnavailable("the listing does not end", why="the server says there is more, and shows nothing new")
            last = next((row for row in listed.rows if listed.marker and row.version == listed.marker), listed.rows[-1])
            if self._versions:
                before = self._shown if last.raw == self._after else set()
                self._shown = before | {row.version for row in listed.rows if row.raw == last.raw}
            self._after, self._version = last.raw, last.version

    def _is_over(self, last: bytes, until: bytes) -> bool:
        """Whether nothing can come any more: the last key may have further versions."""
        return last > until or (last == until and not self._versions)

    def _ask(self) -> Listed:
        told: dict[str, Any] = {"MaxKeys": self._glance or self._page, "EncodingType": "url"}
        self._glance = 0
        if self._prefix:
            told["Prefix"] = wire(self._prefix)
        if not self._versions:
            told |= {"StartAfter": wire(self._after)} if self._after else {}
            return rows_of(self._bucket.call("list_objects_v2", **told)[BODY])
        if self._after:
            told["KeyMarker"] = wire(self._after)
        if self._version:
            told["VersionIdMarker"] = self._version
        return rows_of(self._bucket.call("list_object_versions", **told)[BODY])

    def _new(self, rows: list[Row]) -> list[Row]:
        """The rows, if they go on where the ones before ended, without those of the last key that were shown before."""
        if rows and self._after and order(rows[0].raw) < order(self._after):
            raise StoreUnavailable("the listing goes round in circles", why="the server shows keys again that it has shown")
        if self._shown and rows and rows[0].raw == self._after:
            return [row for row in rows if row.raw != self._after or row.version not in self._shown]
        if rows and self._after and not self._versions and rows[0].raw == self._after:
            return rows[1:]
        return rows


def _plain_rows(body: bytes) -> tuple[list[Row], bytes]:
    """The objects that are plainly written, and what is left of an answer without them."""
    if b"<EncodingType>url</EncodingType>" not in body or b"<!" in body:
        return [], body
    pieces = _PLAIN.split(body)
    columns = [map(bytes.decode, pieces[first::5]) for first in (1, 2, 3, 4)]
    try:
        rows = [
            Row(decoded(key), "", etag, instant(at), int(size), True, False) for key, at, etag, size in zip(*columns, strict=True)
        ]
    except ValueError:
        return [], body
    return rows, b"".join(pieces[::5])


def _row(told: dict[str, str | None], kind: str, encoded: bool) -> Row:
    key, modified = told["Key"] or "", told["LastModified"] or ""
    key = decoded(key) if encoded else key
    at = instant(modified)
    if kind == "Contents":
        return Row(key, "", (told["ETag"] or "").strip('"'), at, int(told["Size"] or 0), True, False)
    version, latest = told["VersionId"] or NULL, told["IsLatest"] == "true"
    if kind == "DeleteMarker":
        return Row(key, version, "", at, 0, latest, True)
    return Row(key, version, (told["ETag"] or "").strip('"'), at, int(told["Size"] or 0), latest, False)


def instant(text: str) -> datetime:
    """When an object was uploaded; `ValueError` for what names no instant."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("an instant has a zone")
    return at


def decoded(text: str) -> str:
    """A key as it was before it was encoded; bytes that are no text become surrogates."""
    text = text.replace("%2F", "/")  # most have nothing else
    if "%" in text or "+" in text:
        return unquote_to_bytes(text.replace("+", " ")).decode("utf-8", "surrogateescape")
    return text


def root_of(body: bytes, *, lost: bool = False) -> ET.Element:
    """The answer as XML. What is no XML becomes U+FFFD: some servers repeat a prefix as it is.

    `StoreUnavailable` where that would alter a key. `lost`: it may.
    """
    try:
        return ET.fromstring(body)  # noqa: S314 expat refuses entities that grow; botocore reads the same answers by the same parser
    except ET.ParseError:
        legible = _NOT_XML.sub(_replaced, body)
    try:
        root = ET.fromstring(legible)  # noqa: S314 as above
    except ET.ParseError as error:
        raise no_listing() from error
    if not lost and any(_LOST in (entry.text or "") for entry in root.iter() if entry.tag.endswith("Key")):
        raise no_listing()
    return root


def space_of(root: ET.Element) -> str:
    """What stands before the name of each element of an answer: some servers write the namespace, and some do not."""
    return root.tag[: root.tag.find("}") + 1]


def carried(text: str) -> str:
    """A key as an answer has it where what XML cannot carry was replaced in it."""
    return "".join(c if _is_legible(ord(c)) else _LOST for c in text)


def _replaced(found: re.Match[bytes]) -> bytes:
    """A reference to a character that XML can carry, as it is; else U+FFFD."""
    sixteen, ten = found.groups()
    return found[0] if _is_legible(int(sixteen, 16) if sixteen else int(ten or 0)) else _LOST.encode()


def _is_legible(code: int) -> bool:
    return code in (9, 10, 13) or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or 0x10000 <= code <= 0x10FFFF


def no_listing() -> StoreUnavailable:
    """The error of an answer that is something else."""
    return StoreUnavailable("the server's answer is no listing", why="it is not the XML that S3 describes")
