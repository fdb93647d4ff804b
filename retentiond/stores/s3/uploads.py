"""Uploads that never came to their end: their parts are kept, and paid for, and no listing of objects shows them.

Each is an item under the key that it was meant for; its revision is its upload id, its clock starts when it
was begun. Letting it go aborts it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC
from typing import Any
from urllib.parse import unquote_to_bytes

from retentiond.errors import StoreUnavailable
from retentiond.stores.s3.client import Bucket, wire
from retentiond.stores.s3.listing import Row, order
from retentiond.stores.s3.looking import Found

GONE = "NoSuchUpload"


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
            answer = self._bucket.call("list_multipart_uploads", EncodingType="url", **told, **after)
            encoded = answer.get("EncodingType") == "url"
            found = [_row(upload, encoded) for upload in answer.get("Uploads", ())]
            rows = [row for row in found if row.raw != last or row.version not in shown]
            yield rows
            if not answer.get("IsTruncated"):
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

    def sized(self, rows: list[Row]) -> list[Row]:
        """The same rows, each with the bytes of its parts."""

        def size(row: Row) -> int:
            total: int = 0
            marker = 0
            while True:
                told = {"PartNumberMarker": marker} if marker else {}
                answer = self._bucket.call("list_parts", Key=wire(row.raw), UploadId=row.version, **told)
                total += sum(part["Size"] for part in answer.get("Parts", ()))
                following = int(answer.get("NextPartNumberMarker") or 0)
                if not answer.get("IsTruncated"):
                    return total
                if following <= marker:
                    raise StoreUnavailable("the listing of an upload's parts does not end", why="the server shows nothing new")
                marker = following

        return [row._replace(size=n) for row, n in zip(rows, self._bucket.all(size, rows), strict=True)]


def _row(upload: dict[str, Any], encoded: bool) -> Row:
    key = upload["Key"]
    raw = unquote_to_bytes(key.replace("+", " ")).decode("utf-8", "surrogateescape") if encoded else key
    return Row(raw, upload["UploadId"], "", upload["Initiated"].astimezone(UTC), 0, latest=True, marker=False)
