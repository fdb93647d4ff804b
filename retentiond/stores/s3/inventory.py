"""Reports of S3 Inventory, read instead of a listing: what the bucket held when the report was made.

Guarantees: the newest whole report is read, the one of this bucket, each of its files with the digest that its manifest
names; a report that is spoilt, or does not tell what a plan needs, is refused, and nothing of it is told. A report is a day
old, or a week. What was uploaded since is not in it and is not due; what changed or went since is found by the comparison
before a deletion. The rows of a report stand in no order, so that a marker may be planned before what it hides; it stays then.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import re
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import IO, Any, NamedTuple
from urllib.parse import unquote_to_bytes

from botocore.exceptions import BotoCoreError

from retentiond.engine.ports import PAGE, PIECE
from retentiond.errors import StoreDenied, StoreUnavailable
from retentiond.stores.s3.client import Bucket, wire
from retentiond.stores.s3.listing import NULL, Row
from retentiond.stores.s3.trouble import refusal

_DATED = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}-[0-9]{2}Z/")
_NEEDED = ("key", "size", "lastmodifieddate", "etag")
_VERSIONED = ("versionid", "islatest", "isdeletemarker")


_SPOILT = (
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    OverflowError,
    RecursionError,
    OSError,
    EOFError,
    zlib.error,
    csv.Error,
)
"""What reading raises where a report is not as AWS describes it: only what has been read already stands under these."""


class _File(NamedTuple):
    """A file of a report."""

    key: str
    md5: str


class _Manifest(NamedTuple):
    """What a report says of itself: the bucket that it is about, when it was made, how it is written and where it lies."""

    about: str
    made: datetime
    kind: str
    files: list[_File]
    columns: list[str]


class Inventory:
    """The newest report about one bucket."""

    def __init__(self, bucket: Bucket) -> None:
        told = bucket.options.inventory
        self._bucket, self._folder = bucket, told["prefix"].rstrip("/") + "/"
        self._where = {"Bucket": told["bucket"]} if "bucket" in told else {}
        manifest = _manifest(self._read(self._newest()))
        if manifest.about != bucket.options.bucket:
            raise StoreDenied("the inventory report is about another bucket", do="correct `inventory`")
        self.made, self._format, self._files, self._columns = manifest.made, manifest.kind, manifest.files, manifest.columns
        needed = _NEEDED if bucket.versioning == "unversioned" else (*_NEEDED, *_VERSIONED)
        missing = [name for name in needed if name not in self._columns]
        if missing:
            raise StoreDenied(
                "the inventory report does not tell enough",
                why=f"it has no {', '.join(missing)}",
                do="let it have Size, LastModifiedDate and ETag, and all versions where the bucket keeps them",
            )

    def pages(self, prefix: str) -> Iterator[list[Row]]:
        """The rows below a prefix."""
        read = {"CSV": _from_csv, "Parquet": _from_parquet}.get(self._format)
        if read is None:
            raise StoreDenied("the inventory report is in a format that cannot be read", do="make it CSV or Parquet")
        page: list[Row] = []
        for file in self._files:
            with self._downloaded(file) as local:
                for row in self._rows(read(local, self._columns)):
                    if not row.raw.startswith(prefix):
                        continue
                    page.append(row)
                    if len(page) == PAGE:
                        yield page
                        page = []
        yield page

    def _rows(self, lines: Iterator[Mapping[str, Any]]) -> Iterator[Row]:
        """The lines of a file as rows; the first one that is none ends it."""
        try:
            for told in lines:
                yield self._row(told)
        except _SPOILT as error:
            raise _unreadable("a file of it does not hold what its manifest says") from error

    def _row(self, told: Mapping[str, Any]) -> Row:
        key, marker = told["key"], _yes(told.get("isdeletemarker"))
        raw = unquote_to_bytes(key.replace("+", " ")).decode("utf-8", "surrogateescape") if self._format == "CSV" else key
        at = told["lastmodifieddate"]
        modified = datetime.fromisoformat(at) if isinstance(at, str) else at
        modified = modified.astimezone(UTC) if modified.tzinfo else modified.replace(tzinfo=UTC)
        versioned = self._bucket.versioning != "unversioned"
        version = (told.get("versionid") or NULL) if versioned else ""
        latest = _yes(told.get("islatest")) if versioned else True
        return Row(raw, version, (told["etag"] or "").strip('"'), modified, int(told["size"] or 0), latest, marker)

    def _newest(self) -> str:
        """The key of the newest manifest."""
        told: dict[str, Any] = {"Prefix": self._folder, "Delimiter": "/", **self._where}
        found: list[str] = []
        while True:
            answer = self._bucket.call("list_objects", **told)
            found += [p["Prefix"] for p in answer.get("CommonPrefixes", ())]
            if not answer.get("IsTruncated") or not answer.get("NextMarker"):
                break
            told["Marker"] = answer["NextMarker"]
        dated = sorted(prefix for prefix in found if _DATED.fullmatch(prefix[len(self._folder) :]))
        if not dated:
            raise StoreDenied("there is no inventory report yet", do="correct `inventory`, or wait for the first report")
        return dated[-1] + "manifest.json"

    def _read(self, key: str) -> bytes:
        with self._body(key) as body:
            data: bytes = body.read()
        return data

    @contextmanager
    def _downloaded(self, file: _File) -> Iterator[IO[bytes]]:
        """A file of the report on this machine, whole and as its manifest says."""
        digest = hashlib.md5(usedforsecurity=False)
        with tempfile.NamedTemporaryFile() as local:
            with self._body(file.key) as body:
                while piece := body.read(PIECE):
                    digest.update(piece)
                    local.write(piece)
            if digest.hexdigest() != file.md5:
                raise StoreUnavailable("a file of the inventory report is not as its manifest says")
            local.flush()
            local.seek(0)
            yield local

    @contextmanager
    def _body(self, key: str) -> Iterator[Any]:
        body = self._bucket.call("get_object", Key=wire(key), **self._where)["Body"]
        try:
            yield body
        except BotoCoreError as error:
            raise refusal(error) from error
        finally:
            body.close()


def _manifest(body: bytes) -> _Manifest:
    """The manifest of a report; `StoreUnavailable` where it is none: the next report may be better."""
    try:
        told = json.loads(body)
        return _Manifest(
            str(told["sourceBucket"]),
            datetime.fromtimestamp(int(told["creationTimestamp"]) / 1000, UTC),
            str(told["fileFormat"]),
            [_File(_text(file["key"]), _text(file["MD5checksum"]).lower()) for file in told["files"]],
            [_plain(name) for name in _schema(_text(told["fileSchema"]), told["fileFormat"])],
        )
    except _SPOILT as error:
        raise _unreadable("its manifest is not as S3 Inventory writes it") from error


def _unreadable(why: str) -> StoreUnavailable:
    return StoreUnavailable(
        "the inventory report cannot be read", why=why, do="wait for the next report, or take `inventory` out"
    )


def _text(told: Any) -> str:
    if not isinstance(told, str):
        raise TypeError("not a text")
    return told


def _schema(told: str, kind: str) -> Sequence[str]:
    """The names of the columns: of CSV a list, of Parquet a `message` with a line for each."""
    if kind == "CSV":
        return [name.strip() for name in told.split(",")]
    return re.findall(r"(?:required|optional)\s+\S+\s+(\w+)", told)


def _plain(name: str) -> str:
    """One spelling for both kinds of file: `last_modified_date` is `LastModifiedDate`."""
    return name.replace("_", "").lower()


def _from_csv(file: IO[bytes], columns: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    with gzip.open(file, "rt", encoding="utf-8", newline="") as text:
        for line in csv.reader(text):
            yield dict(zip(columns, line, strict=True))


def _from_parquet(file: IO[bytes], _columns: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    try:
        import duckdb
    except ImportError:
        raise StoreDenied("reports in Parquet cannot be read", do="pip install 'retentiond[inventory]'") from None
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        try:
            cursor = database.execute("SELECT * FROM read_parquet(?)", [file.name])
            names = [_plain(name) for name, *_ in cursor.description or ()]
            while rows := cursor.fetchmany(PAGE):
                for row in rows:
                    yield dict(zip(names, row, strict=True))
        except duckdb.Error as error:
            raise _unreadable("a file of it cannot be read as Parquet") from error


def _yes(told: Any) -> bool:
    return told is True or str(told).lower() == "true"
