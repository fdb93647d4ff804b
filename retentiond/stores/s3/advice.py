"""What `check` tells of a bucket: who else deletes there, what will not go, and dates that say nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from retentiond.core.item import Page
from retentiond.stores.s3.client import Bucket, code_of
from retentiond.stores.s3.trouble import refusal
from retentiond.stores.s3.wanted import Wanted

_NONE = frozenset(
    {"NoSuchLifecycleConfiguration", "ReplicationConfigurationNotFoundError", "NotImplemented", "MethodNotAllowed", "404"}
)
_TELLING = 10
"""So many items of one date are no accident."""


def advice(bucket: Bucket, wanted: Wanted, first: Page | None) -> list[str]:
    """Sentences for an operator, without data. `first` is the first page of a scan."""
    return [*_of_the_bucket(bucket, wanted), *_of_others(bucket), *_of_the_items(wanted, first)]


def _of_the_bucket(bucket: Bucket, wanted: Wanted) -> Iterator[str]:
    if bucket.versioning == "suspended":
        yield "the bucket's versioning is suspended: old versions are there still, and new uploads replace one another"
    if bucket.versioning == "unversioned" and wanted.selection.versions == "noncurrent":
        yield "the bucket keeps no versions, so that `versions: noncurrent` selects nothing"
    if bucket.versioning != "unversioned" and wanted.selection.versions == "current":
        yield "with `versions: current`, the version before the one that goes becomes the current one, for everybody to see"
    if bucket.versioning != "unversioned" and wanted.selection.tags:
        yield "delete markers bear no tags, so that this rule leaves them"
    if bucket.needs_mfa:
        yield "the bucket wants a one-time password for each deletion (MFA delete): nothing can be let go"
    if bucket.locks:
        yield "versions in this bucket may be locked (object lock): what is locked stays until its date, and is never forced"


def _of_others(bucket: Bucket) -> Iterator[str]:
    """Rules of the bucket's own that delete, and where its objects are copied to."""
    every = _asked(bucket, "get_bucket_lifecycle_configuration", "Rules")
    rules = [rule for rule in every if rule.get("Status") == "Enabled" and not rule.get("ID", "").startswith("retentiond/")]
    deleting = [rule for rule in rules if rule.keys() & {"Expiration", "NoncurrentVersionExpiration"}]
    if deleting:
        several = f"{len(deleting)} lifecycle rules of its own" if len(deleting) > 1 else "a lifecycle rule of its own"
        yield f"the bucket has {several} that deletes: what it takes away is found gone, and there is no evidence of ours for it"
    if any("AbortIncompleteMultipartUpload" in rule for rule in rules):
        yield "a lifecycle rule of the bucket aborts incomplete uploads"
    copies = [rule for rule in _asked(bucket, "get_bucket_replication", "Rules", "ReplicationConfiguration") if rule]
    if any(rule.get("Status") == "Enabled" for rule in copies):
        yield "the bucket is replicated: deletions by version id are not, and the copies need a rule of their own"


def _of_the_items(wanted: Wanted, first: Page | None) -> Iterator[str]:
    if first is None or not (len(first) or first.unseen):
        yield "the pattern matches nothing"
    elif wanted.by_time and len(first) >= _TELLING and len(set(map(_minute, first.starts))) == 1:
        yield (
            "all objects that were looked at have one date: a copy, a restore or a new encryption sets it anew; "
            "prefer a date from the key, the metadata or a tag"
        )


def _minute(start: Any) -> str:
    return f"{start:%Y-%m-%d %H:%M}" if start is not None else ""


def _asked(bucket: Bucket, operation: str, name: str, inside: str = "") -> list[dict[str, Any]]:
    """A list of the bucket's configuration; empty where it has none, or does not let us read it."""
    try:
        answer = bucket.ask(operation)
    except ClientError as error:
        if code_of(error) in _NONE or error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") in (403, 404, 405, 501):
            return []
        raise refusal(error) from error
    except BotoCoreError as error:
        raise refusal(error) from error
    found: list[dict[str, Any]] = (answer.get(inside, {}) if inside else answer).get(name, [])
    return found
