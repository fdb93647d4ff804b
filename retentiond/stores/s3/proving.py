"""What a server does, shown on an object of our own: for `check --probe`, the one time that looking writes something."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

from botocore.exceptions import BotoCoreError, ClientError

from retentiond.stores.s3.client import Bucket, code_of
from retentiond.stores.s3.listing import NULL, Row
from retentiond.stores.s3.looking import Looking
from retentiond.stores.s3.trouble import is_passing, refusal

_WRONG = '"00000000000000000000000000000000"'


def proof(bucket: Bucket, looking: Looking) -> Iterator[str]:
    """Sentences about what was seen. The scratch object goes again, in every version."""
    raw = f"{bucket.options.prefix}.retentiond-probe-{secrets.token_hex(8)}"
    try:
        bucket.call("put_object", Key=raw, Body=b"scratch")
        many, one = _refuses_many(bucket, raw, looking), _refuses_one(bucket, raw, looking)
        declared = bucket.options.conditional_deletes
        if many and one:
            yield "the server compares ETags while it deletes" + ("" if declared else ": `conditional_deletes: yes` can be set")
        elif declared:
            yield "the server does NOT compare ETags while it deletes: take `conditional_deletes` out"
        else:
            yield "the server does not compare ETags while it deletes"
        yield (
            "the server refuses to write over an object"
            if _refuses_to_overwrite(bucket, raw)
            else "the server writes over an object in spite of If-None-Match"
        )
    finally:
        for row in looking.at([raw])[raw]:
            bucket.call("delete_object", Key=raw, VersionId=row.version or NULL)


def _refuses_many(bucket: Bucket, raw: str, looking: Looking) -> bool:
    row = _current(bucket, raw, looking)
    told = {"Objects": [{"Key": raw, "VersionId": row.version or NULL, "ETag": _WRONG}]}
    bucket.call("delete_objects", Delete=told)
    return _is_there(raw, looking)


def _refuses_one(bucket: Bucket, raw: str, looking: Looking) -> bool:
    row = _current(bucket, raw, looking)
    _is_refused(bucket, "delete_object", Key=raw, VersionId=row.version or NULL, IfMatch=_WRONG)
    return _is_there(raw, looking)


def _refuses_to_overwrite(bucket: Bucket, raw: str) -> bool:
    bucket.call("put_object", Key=raw, Body=b"scratch")
    return _is_refused(bucket, "put_object", Key=raw, Body=b"other", IfNoneMatch="*")


def _current(bucket: Bucket, raw: str, looking: Looking) -> Row:
    """The scratch object, put back where it went."""
    if not _is_there(raw, looking):
        bucket.call("put_object", Key=raw, Body=b"scratch")
    return looking.at([raw])[raw][0]


def _is_there(raw: str, looking: Looking) -> bool:
    return any(row.latest and not row.marker for row in looking.at([raw])[raw])


def _is_refused(bucket: Bucket, operation: str, **told: object) -> bool:
    try:
        bucket.ask(operation, **told)
    except ClientError as error:
        if is_passing(code_of(error)):
            raise refusal(error) from error
        return True
    except BotoCoreError as error:
        raise refusal(error) from error
    return False
