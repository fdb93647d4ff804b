"""Taking in a copy: it appears whole or not at all, and never in the place of something else.

An object is there when its upload has come to its end, and not before; one of more than a part is put
together from parts that nobody sees. `If-None-Match: *` lets a server refuse what would replace something. Not
every server honours it (Ceph 16 does for one part only), so the key is looked at as well, just before: there an
upload by somebody else at that very moment is the one thing that cannot be kept out.

S3 cannot rename, so a copy has its name before it has been read back: whole already, and not yet compared. It bears a
mark of ours, so that whatever goes wrong from then on, the answer that says it is there included, it is known
again, and taken away. Where the server cannot be reached any more, or we are killed, it stays, whole and noted by nobody.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from retentiond.core.item import raw_of
from retentiond.engine.digest import Digest
from retentiond.engine.ports import Deposit
from retentiond.errors import Occupied, RetentiondError, StoreDenied, StoreUnavailable
from retentiond.stores.s3.client import Bucket, code_of, wire
from retentiond.stores.s3.content import pieces_of
from retentiond.stores.s3.listing import NULL, Row
from retentiond.stores.s3.looking import Looking
from retentiond.stores.s3.trouble import refusal

PART = 8 * 2**20
"""The bytes of a part; each thousand parts they become more, so that ten thousand hold 440 GiB."""
_MARK = "retentiond-copy"
_TAKEN = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict"})


class Taking:
    """One copy on its way into a bucket."""

    def __init__(self, bucket: Bucket, looking: Looking, key: str) -> None:
        self._bucket, self._looking, self._key = bucket, looking, key
        try:
            self._raw = raw_of(key)
        except ValueError as error:
            raise StoreDenied("an object cannot be given this name", key=key) from error
        if not self._raw.startswith(bucket.options.prefix) or self._raw == bucket.options.prefix:
            raise StoreDenied("an object of this name would not be one of the store", key=key)
        self._upload = ""
        self._parts: list[dict[str, Any]] = []
        self._digest = Digest()
        self._mark, self._may_be_there = secrets.token_hex(16), False

    def take(self, pieces: Iterable[bytes]) -> Deposit:
        """`engine.ports.Writable.take`."""
        self._refuse_occupied()
        try:
            rest = self._send(pieces)
            self._refuse_occupied()
            self._finish(rest)
            self._read_back()
        except BaseException:
            self._abort()
            self._withdraw()
            raise
        return Deposit(self._key, self._digest.hex(), self._digest.size)

    def _send(self, pieces: Iterable[bytes]) -> bytes:
        """Uploads whole parts as they fill; what is left over."""
        waiting = bytearray()
        for piece in pieces:
            self._digest.add(piece)
            waiting += piece
            while len(waiting) > (size := PART * (1 + len(self._parts) // 1000)):
                self._part(bytes(waiting[:size]))
                del waiting[:size]
        return bytes(waiting)

    def _part(self, body: bytes) -> None:
        if not self._upload:
            self._upload = self._bucket.call("create_multipart_upload", Key=wire(self._raw), Metadata=self._metadata)["UploadId"]
            self._abort_strays()
        number = len(self._parts) + 1
        told = {"Key": wire(self._raw), "UploadId": self._upload, "PartNumber": number}
        self._parts.append({"PartNumber": number, "ETag": self._bucket.call("upload_part", Body=body, **told)["ETag"]})

    def _finish(self, rest: bytes) -> None:
        with self._refusing():
            if not self._upload:
                self._bucket.ask("put_object", Key=wire(self._raw), Body=rest, IfNoneMatch="*", Metadata=self._metadata)
                return
            self._part(rest)
            parts = {"Parts": self._parts}
            told = {"Key": wire(self._raw), "UploadId": self._upload, "MultipartUpload": parts}
            self._bucket.ask("complete_multipart_upload", IfNoneMatch="*", **told)
            self._upload = ""

    def _refuse_occupied(self) -> None:
        if self._current() is not None:
            raise Occupied(key=self._key)

    def _current(self) -> Row | None:
        return next((row for row in self._looking.at([self._raw])[self._raw] if row.latest and not row.marker), None)

    def _read_back(self) -> None:
        """That what lies there now is what was given."""
        row = self._current()
        if row is None:
            raise StoreUnavailable("what was uploaded is not there", key=self._key)
        digest = Digest()
        for piece in pieces_of(self._bucket, self._key, row.revision):
            digest.add(piece)
        if (digest.hex(), digest.size) != (self._digest.hex(), self._digest.size):
            raise StoreUnavailable("what was uploaded does not read back as it was given", key=self._key)

    def _abort_strays(self) -> None:
        """Aborts uploads of this key that a crash of ours has left: those that the same account began."""
        listed = self._bucket.call("list_multipart_uploads", Prefix=wire(self._raw)).get("Uploads", ())
        mine = [upload for upload in listed if upload["Key"] == self._raw]
        by = next((u.get("Initiator", {}).get("ID") for u in mine if u["UploadId"] == self._upload), None)
        for upload in mine:
            if by is not None and upload["UploadId"] != self._upload and upload.get("Initiator", {}).get("ID") == by:
                self._bucket.call("abort_multipart_upload", Key=wire(self._raw), UploadId=upload["UploadId"])

    def _abort(self) -> None:
        """Takes the parts away that nobody will see; the trouble that led here is told, not one with this."""
        if self._upload:
            with suppress(RetentiondError):
                self._bucket.call("abort_multipart_upload", Key=wire(self._raw), UploadId=self._upload)

    def _withdraw(self) -> None:
        """Takes away what has its name and was not proven; the trouble that led here is told, not one with this."""
        if not self._may_be_there:
            return
        with suppress(RetentiondError):
            row = self._current()
            if row is not None and self._is_ours(row):
                self._bucket.call("delete_object", Key=wire(self._raw), VersionId=row.version or NULL)

    def _is_there(self) -> bool:
        """Whether ours lies there now."""
        row = self._current()
        return row is not None and self._is_ours(row)

    def _is_ours(self, row: Row) -> bool:
        named = {"VersionId": row.version} if row.version else {}
        head = self._bucket.call("head_object", Key=wire(self._raw), **named)
        found: str = head.get("Metadata", {}).get(_MARK, "")
        return found == self._mark

    @property
    def _metadata(self) -> dict[str, str]:
        return {_MARK: self._mark}

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        """The request that gives the copy its name. Where its answer is lost, it is looked at what came of it."""
        self._may_be_there = True
        try:
            yield
        except ClientError as error:
            if code_of(error) in _TAKEN:
                raise Occupied(key=self._key) from error
            raise refusal(error) from error
        except BotoCoreError as error:
            if not self._is_there():
                raise refusal(error) from error
            self._upload = ""
