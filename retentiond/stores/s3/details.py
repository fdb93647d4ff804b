"""What a listing does not tell of a version: its metadata, its tags, its lock. Asked for each, several at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from retentiond.core.item import NOTHING, WITHOUT_END
from retentiond.errors import RetentiondError, StoreUnavailable
from retentiond.stores.s3.client import Bucket, code_of, wire
from retentiond.stores.s3.listing import Row
from retentiond.stores.s3.trouble import refusal

UNREADABLE = "its metadata, tags or lock may not be read with these credentials"
_ABSENT = frozenset({"404", "NoSuchKey", "NoSuchVersion"})


@dataclass(frozen=True, slots=True)
class Detail:
    """`locked` is until when the version is locked, None where it is not. `doubt` says why something could not be read.

    `governed`: the lock is one that whoever may can pass (governance mode, and no legal hold).
    """

    metadata: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    tags: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    locked: datetime | None = None
    doubt: str = ""
    governed: bool = False


NONE = Detail()


def named(row: Row) -> dict[str, Any]:
    """The parameters that name one version."""
    return {"Key": wire(row.raw)} | ({"VersionId": row.version} if row.version else {})


def detail_of(bucket: Bucket, row: Row, *, head: bool, tags: bool) -> Detail:
    """The details of one version. One that has gone meanwhile has none."""
    try:
        told = bucket.ask("head_object", **named(row)) if head else {}
        labels = bucket.ask("get_object_tagging", **named(row)).get("TagSet") if tags else []
    except ClientError as error:
        if code_of(error) in _ABSENT:
            return NONE
        trouble: RetentiondError = refusal(error)
        if isinstance(trouble, StoreUnavailable):
            raise trouble from error
        return Detail(doubt=UNREADABLE)
    except BotoCoreError as error:
        raise refusal(error) from error
    if labels is None:
        raise StoreUnavailable("the server does not say which tags an object bears", why="its answer broke off")
    metadata = {name.lower(): value for name, value in told.get("Metadata", {}).items()}
    governed = told.get("ObjectLockMode") == "GOVERNANCE" and told.get("ObjectLockLegalHoldStatus") != "ON"
    return Detail(metadata, {one["Key"]: one["Value"] for one in labels}, _locked(told), governed=governed)


def _locked(told: Mapping[str, Any]) -> datetime | None:
    if told.get("ObjectLockLegalHoldStatus") == "ON":
        return WITHOUT_END
    until: datetime | None = told.get("ObjectLockRetainUntilDate")
    return until.astimezone(UTC) if until is not None else None
