"""Uploads that never came to their end: their parts are kept, and paid for, and no listing of objects shows them.

Each is an item under the key that it was meant for; its revision is its upload id, its clock starts when it
was begun. Letting it go aborts it.

Guarantee: a key is decoded only where the server says that it has encoded it, or is seen to have: some servers
encode the keys of uploads without a word. One that ends while it is looked at is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from retentiond.errors import StoreUnavailable
from retentiond.stores.s3.client import BODY, Bucket, code_of, wire
from retentiond.stores.s3.listing import Row, carried, decoded, instant, no_listing, order, root_of, space_of
from retentiond.stores.s3.looking import Found
from retentiond.stores.s3.trouble import refusal

GONE = "NoSuchUpload"


class _Answer(NamedTuple):
    """One answer of a listing; its keys as they stand there. `encoded`: the server says that they are."""

    rows: list[Row]
    truncated: bool
    encoded: bool


class Uploads:
    """The incomplete uploads of one bucket, as rows."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def pages(self, prefix: str) -> Iterator[list[Row]]:
        """All below a prefix, an answer at a time, without their sizes. What is shown again is left out."""
        after: dict[str, Any] = {}
        last, shown = "", set[str]()
        while True:
            told = {"Prefix": wire(prefix)} if prefix else {}
            found, truncated = self._asked(told | after)
            rows = [row for row in found if row.raw != last or row.version not in shown]
            yield rows
            if not truncated:
                return
            if not rows or order(rows[0].raw) < order(last):
                raise StoreUnavailable("the listing of uploads does not end", why="the server shows nothing new")
            shown = (shown if rows[-1].raw == last else set()) | {row.version for row in rows if row.raw == rows[-1].raw}
            last = rows[-1].raw
            after = {"KeyMarker": wire(last), "UploadIdMarker": rows[-1].version}

    def at(self, raws: Iterable[str]) -> Found:
        """Those that were meant for each of these keys."""

        def one(raw: str) -> list[Row]:
            return [row for rows in self.pages(raw) for row in rows if row.raw == raw]

        wanted = list(dict.fromkeys(raws))
        return dict(zip(wanted, self._bucket.all(one, wanted), strict=True))

    def _asked(self, told: dict[str, Any]) -> tuple[list[Row], bool]:
        """The rows of an answer, and whether there are more. Where keys may be encoded or not, the same is asked for as it is."""
        answer = _read(self._bucket.call("list_multipart_uploads", EncodingType="url", **told)[BODY])
        rows = [row._replace(raw=decoded(row.raw)) for row in answer.rows]
        if answer.encoded or rows == answer.rows:
            return rows, answer.truncated
        as_it_is = _read(self._bucket.call("list_multipart_uploads", **told)[BODY], lost=True)
        plain = {row.version: row.raw for row in as_it_is.rows}
        asked = [
            (as_told, row) for as_told, row in zip(answer.rows, rows, strict=True) if as_told != row and row.version in plain
        ]
        if asked and all(plain[row.version] == carried(row.raw) != as_told.raw for as_told, row in asked):
            return rows, answer.truncated
        if asked and all(plain[row.version] == as_told.raw for as_told, row in asked):
            return answer.rows, answer.truncated
        raise StoreUnavailable("the server does not say how it writes the keys of uploads", do="try again later")

    def sized(self, rows: list[Row]) -> list[Row]:
        """The same rows, each with the bytes of its parts, without those that have ended meanwhile."""

        def sum_of(row: Row) -> int | None:
            total: int = 0
            marker = 0
            while True:
                told = {"PartNumberMarker": marker} if marker else {}
                try:
                    answer = self._bucket.ask("list_parts", Key=wire(row.raw), UploadId=row.version, **told)
                except ClientError as error:
                    if code_of(error) in (GONE, "NoSuchKey"):
                        return None
                    raise refusal(error) from error
                except BotoCoreError as error:
                    raise refusal(error) from error
                size, following, truncated = _parts(answer[BODY])
                total += size
                if not truncated:
                    return total
                if following <= marker:
                    raise StoreUnavailable("the listing of an upload's parts does not end", why="the server shows nothing new")
                marker = following

        sizes = zip(rows, self._bucket.all(sum_of, rows), strict=True)
        return [row._replace(size=n) for row, n in sizes if n is not None]


def _parts(body: bytes) -> tuple[int, int, bool]:
    """The bytes of the parts in one answer, the part that the next one begins after, and whether there are more."""
    root = root_of(body, lost=True)
    space = space_of(root)
    try:
        total = sum(int(part.findtext(f"{space}Size") or 0) for part in root.iter(f"{space}Part"))
        following = int(root.findtext(f"{space}NextPartNumberMarker") or 0)
    except ValueError as error:
        raise no_listing() from error
    return total, following, root.findtext(f"{space}IsTruncated") == "true"


def _read(body: bytes, *, lost: bool = False) -> _Answer:
    """An answer as it stands. `lost`: a character in a key that XML cannot carry is U+FFFD."""
    root = root_of(body, lost=lost)
    space = space_of(root)

    def said(entry: Any, name: str) -> str:
        return entry.findtext(space + name) or ""

    try:
        rows = [
            Row(
                said(u, "Key"),
                said(u, "UploadId"),
                "",
                instant(said(u, "Initiated")).astimezone(UTC),
                0,
                latest=True,
                marker=False,
            )
            for u in root.iter(f"{space}Upload")
        ]
    except (ValueError, OverflowError) as error:
        raise no_listing() from error
    if not all(row.raw and row.version for row in rows):
        raise no_listing()
    return _Answer(rows, said(root, "IsTruncated") == "true", said(root, "EncodingType").lower() == "url")
