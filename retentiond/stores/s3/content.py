"""Giving out the bytes of a version, in the revision that was asked for and in no other.

A server answers one request from one version, whatever is uploaded meanwhile, so that whoever has had all
bytes of an answer has had that version.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from retentiond.core.item import raw_of
from retentiond.engine.ports import PIECE
from retentiond.errors import ItemChanged, StoreUnavailable
from retentiond.stores.s3.client import Bucket, code_of, wire
from retentiond.stores.s3.listing import NULL
from retentiond.stores.s3.trouble import refusal

_OTHER = frozenset(
    {"NoSuchKey", "NoSuchVersion", "PreconditionFailed", "InvalidArgument", "MethodNotAllowed", "404", "405", "412"}
)
"""What a server says that has no such version: it was never there, is gone, or has been replaced."""


def pieces_of(bucket: Bucket, key: str, revision: str) -> Iterator[bytes]:
    """`engine.ports.Readable.read`; `StoreUnavailable` where the answer breaks off."""
    answer = _opened(bucket, key, revision)
    body, left = answer["Body"], int(answer["ContentLength"])
    try:
        while piece := body.read(PIECE):
            left -= len(piece)
            yield piece
    except BotoCoreError as error:
        raise refusal(error) from error
    finally:
        body.close()
    if left:
        raise StoreUnavailable("the object broke off while it was read", key=key)


def edges_of(bucket: Bucket, key: str, revision: str, head: int, tail: int) -> tuple[bytes, bytes]:
    """`engine.ports.Readable.edges`; errors as in `pieces_of`."""
    return _range(bucket, key, revision, head, f"bytes=0-{head - 1}"), _range(bucket, key, revision, tail, f"bytes=-{tail}")


def _range(bucket: Bucket, key: str, revision: str, count: int, range_: str) -> bytes:
    if not count:
        return b""
    try:
        answer = _opened(bucket, key, revision, Range=range_)
    except _Empty:
        return b""
    try:
        found: bytes = answer["Body"].read()
    except BotoCoreError as error:
        raise refusal(error) from error
    return found


def server_side_of(bucket: Bucket, key: str, revision: str) -> str:
    """How the server says that it encrypts: `AES256`, `aws:kms` and the like; of a key that the customer sends along too."""
    answer = _answered(bucket, key, revision, "head_object")
    return str(answer.get("ServerSideEncryption") or answer.get("SSECustomerAlgorithm") or "")


class _Empty(Exception):
    """The object has no byte of that range, because it has none at all."""


def _opened(bucket: Bucket, key: str, revision: str, **told: Any) -> dict[str, Any]:
    """An answer whose body is this version."""
    return _answered(bucket, key, revision, "get_object", **told)


def _answered(bucket: Bucket, key: str, revision: str, operation: str, **told: Any) -> dict[str, Any]:
    """What a server answers about this version and no other."""
    named, second = _named(bucket, key, revision)
    try:
        answer = bucket.ask(operation, **named, **told)
    except ClientError as error:
        if code_of(error) in _OTHER:
            raise ItemChanged(key=key) from error
        if code_of(error) in ("InvalidRange", "416"):
            raise _Empty from error
        raise refusal(error) from error
    except BotoCoreError as error:
        raise refusal(error) from error
    if second is not None and int(answer["LastModified"].timestamp()) != second:
        if "Body" in answer:
            answer["Body"].close()
        raise ItemChanged(key=key)
    return answer


def _named(bucket: Bucket, key: str, revision: str) -> tuple[dict[str, Any], int | None]:
    """The parameters that name this version, and the second of its upload where it can be replaced."""
    try:
        told: dict[str, Any] = {"Key": wire(raw_of(key))}
    except ValueError as error:
        raise ItemChanged(key=key) from error
    version = revision.partition("#")[0]
    etag, at, second = version.partition("@")
    if not at and bucket.versioning != "unversioned":
        return told | {"VersionId": version}, None
    if not second.isdecimal() or etag == "marker":
        raise ItemChanged(key=key)
    named = {"IfMatch": f'"{etag}"'} | ({} if bucket.versioning == "unversioned" else {"VersionId": NULL})
    return told | named, int(second)
