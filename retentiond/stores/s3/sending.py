"""One upload on its way under a key: in parts that nobody sees where it is larger than one, whole when it has ended."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import accumulate
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from retentiond.core.item import key_of
from retentiond.engine.digest import Digest
from retentiond.errors import Occupied, RetentiondError
from retentiond.stores.s3.client import BODY, Bucket, code_of, md5_of, wire
from retentiond.stores.s3.listing import NULL, Row, root_of, space_of
from retentiond.stores.s3.looking import Looking
from retentiond.stores.s3.trouble import refusal

PART = 8 * 2**20
"""The bytes of a part; each thousand parts they become more, so that ten thousand hold 440 GiB."""
_MARK = "retentiond-copy"
_TAKEN = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict"})


class Sending:
    """An upload under one key. It bears a mark, by which it is known again whatever became of the last answer.

    `parts` are the ETag and the size of each part that was sent, none where there was one only; `way` is how the server says
    that it encrypts what it was sent. Where anything fails, `withdraw` leaves nothing of it.
    """

    def __init__(self, bucket: Bucket, looking: Looking, raw: str, *, anew: bool) -> None:
        """`anew`: the server is asked to refuse it where something lies under the key."""
        self._bucket, self._looking, self.raw = bucket, looking, raw
        self._condition = {"IfNoneMatch": "*"} if anew else {}
        self._mark, self._upload, self._may_be_there = secrets.token_hex(16), "", False
        self.parts: list[tuple[str, int]] = []
        self.digest, self.way = Digest(), ""

    def send(self, pieces: Iterable[bytes]) -> None:
        """Uploads all of it. What `pieces` raises comes through; `Occupied` where the server says that something lies there."""
        waiting = bytearray()
        for piece in pieces:
            self.digest.add(piece)
            waiting += piece
            while len(waiting) > (size := PART * (1 + len(self.parts) // 1000)):
                self._part(bytes(waiting[:size]))
                del waiting[:size]
        if self._upload:
            self._part(bytes(waiting))
            self._complete()
            return
        with self._placing():
            told = {"Key": wire(self.raw), "Metadata": self._metadata, **self._condition}
            self._hear(self._bucket.ask("put_object", **told, **self._body(bytes(waiting))))

    def copy(self, source: str, row: Row, parts: list[tuple[str, int]]) -> bool:
        """Has the server make the same of an object of its own; whether it came to the same ETags.

        Of several parts nothing has the key before each has come to its ETag. Not every server heeds the condition on
        the source: what counts is the ETag, the MD5 of the bytes unless the server encrypts with keys of its own.
        """
        version = {"VersionId": row.version} if row.version else {}
        whence = {"Bucket": self._bucket.options.bucket, "Key": source, **version}
        told = {"Key": wire(self.raw), "CopySource": whence, "CopySourceIfMatch": f'"{row.etag}"'}
        if not parts:
            return self._copy_whole(told) == row.etag
        self._begin()
        ends = list(accumulate(size for _, size in parts))

        def one(number: int) -> str:
            range_ = f"bytes={ends[number] - parts[number][1]}-{ends[number] - 1}"
            part = {"UploadId": self._upload, "PartNumber": number + 1, "CopySourceRange": range_}
            return _etag(self._bucket.call("upload_part_copy", **part, **told)["CopyPartResult"])

        etags = self._bucket.all(one, range(len(parts)))
        self.parts = [(etag, size) for etag, (_, size) in zip(etags, parts, strict=True)]
        if self.parts == parts or self.is_sealed:
            self._complete()
        return self.parts == parts

    def _copy_whole(self, told: dict[str, Any]) -> str:
        """The ETag of the copy; of one whose answer was lost that which lies there."""
        directive = {"MetadataDirective": "REPLACE", "Metadata": self._metadata}
        answer: dict[str, Any] = {}
        with self._placing():
            answer = self._bucket.ask("copy_object", **told, **directive, **self._condition)
            self._hear(answer)
        row = None if answer else self.current()
        return _etag(answer["CopyObjectResult"]) if answer else row.etag if row is not None else ""

    @property
    def is_sealed(self) -> bool:
        """Whether the server encrypts with keys of its own, so that an ETag is no digest (Object.ETag of the S3 API)."""
        return self.way.startswith("aws:kms")

    def withdraw(self) -> None:
        """Takes away what was sent, wherever it has come to; the trouble that led here is told, not one with this."""
        with suppress(RetentiondError):
            if self._upload:
                self._bucket.call("abort_multipart_upload", Key=wire(self.raw), UploadId=self._upload)
            if self._may_be_there and (row := self.current()) is not None and self._is_ours(row):
                remove(self._bucket, self.raw, row.version)

    def current(self) -> Row | None:
        """What lies under the key now."""
        return current(self._looking, self.raw)

    def _begin(self) -> None:
        self._hear(self._bucket.call("create_multipart_upload", Key=wire(self.raw), Metadata=self._metadata))
        self._abort_strays()

    def _hear(self, answer: dict[str, Any]) -> None:
        self._upload = answer.get("UploadId", "")
        self.way = str(answer.get("ServerSideEncryption") or "")

    def _part(self, body: bytes) -> None:
        if not self._upload:
            self._begin()
        told = {"Key": wire(self.raw), "UploadId": self._upload, "PartNumber": len(self.parts) + 1}
        self.parts.append((_etag(self._bucket.call("upload_part", **told, **self._body(body))), len(body)))

    def _body(self, body: bytes) -> dict[str, Any]:
        """Bytes as they are sent; where a bucket locks them, S3 wants their MD5 beside (PutObject, "Content-MD5")."""
        return {"Body": body} | ({"ContentMD5": md5_of(body)} if self._bucket.locks_all else {})

    def _complete(self) -> None:
        parts = [{"PartNumber": n, "ETag": f'"{etag}"'} for n, (etag, _) in enumerate(self.parts, 1)]
        told = {"Key": wire(self.raw), "UploadId": self._upload, "MultipartUpload": {"Parts": parts}}
        with self._placing():
            self._bucket.ask("complete_multipart_upload", **told, **self._condition)
        self._upload = ""

    def _abort_strays(self) -> None:
        """Aborts uploads of this key that a crash of ours has left: those that the same account began."""
        root = root_of(self._bucket.call("list_multipart_uploads", Prefix=wire(self.raw))[BODY])
        space = space_of(root)
        mine = [
            (upload.findtext(f"{space}UploadId") or "", upload.findtext(f"{space}Initiator/{space}ID"))
            for upload in root.iter(f"{space}Upload")
            if upload.findtext(f"{space}Key") == self.raw
        ]
        by = next((initiator for upload, initiator in mine if upload == self._upload), None)
        for upload, initiator in mine:
            if by is not None and upload != self._upload and initiator == by:
                self._bucket.call("abort_multipart_upload", Key=wire(self.raw), UploadId=upload)

    @contextmanager
    def _placing(self) -> Iterator[None]:
        """The request after which it lies under its key. Where its answer is lost, it is looked at what came of it."""
        self._may_be_there = True
        try:
            yield
        except ClientError as error:
            if code_of(error) in _TAKEN:
                raise Occupied(key=key_of(self.raw)) from error
            raise refusal(error) from error
        except BotoCoreError as error:
            row = self.current()
            if row is None or not self._is_ours(row):
                raise refusal(error) from error

    def _is_ours(self, row: Row) -> bool:
        named = {"VersionId": row.version} if row.version else {}
        head = self._bucket.call("head_object", Key=wire(self.raw), **named)
        found: str = head.get("Metadata", {}).get(_MARK, "")
        return found == self._mark

    @property
    def _metadata(self) -> dict[str, str]:
        return {_MARK: self._mark}


def _etag(answer: dict[str, Any]) -> str:
    etag: str = answer["ETag"]
    return etag.strip('"')


def current(looking: Looking, raw: str) -> Row | None:
    """What lies under a key now."""
    return next((row for row in looking.at([raw])[raw] if row.latest and not row.marker), None)


def remove(bucket: Bucket, raw: str, version: str) -> None:
    """Deletes one version, and never what is current: that would make a delete marker."""
    bucket.call("delete_object", Key=wire(raw), VersionId=version or NULL)
