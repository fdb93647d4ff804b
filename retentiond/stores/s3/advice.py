"""What `check` tells of a bucket: who else deletes there, what will not go, and dates that say nothing."""

from __future__ import annotations

import re
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
_UNREAD = "cannot be read with these credentials: they need"
_NAME = re.compile(r"[\w./ :-]{1,100}")
_TELLING = 10
"""So many items of one date are no accident."""


def advice(bucket: Bucket, wanted: Wanted, first: Page | None) -> list[str]:
    """Sentences for an operator, without data. `first` is the first page of a scan."""
    return [*_of_the_bucket(bucket, wanted), *_of_others(bucket, wanted), *_of_the_items(wanted, first)]


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


def _of_others(bucket: Bucket, wanted: Wanted) -> Iterator[str]:
    """Rules of the bucket's own that delete what this one may be about, and where its objects are copied to."""
    every = _asked(bucket, "get_bucket_lifecycle_configuration", "Rules")
    if every is None:
        yield f"whether the bucket has lifecycle rules of its own {_UNREAD} s3:GetLifecycleConfiguration"
    rules = [rule for rule in every or () if rule.get("Status") == "Enabled" and not rule.get("ID", "").startswith("retentiond/")]
    rules = [rule for rule in rules if _concerns(rule, wanted.prefix)]
    deleting = [rule for rule in rules if rule.keys() & {"Expiration", "NoncurrentVersionExpiration"}]
    if deleting:
        names = sorted(name for rule in deleting if _NAME.fullmatch(name := rule.get("ID", "")))
        told = f" ({', '.join(names)})" if names else ""
        yield (
            f"the bucket has {len(deleting)} lifecycle rules of its own that delete{told}: what they take"
            if len(deleting) > 1
            else f"the bucket has a lifecycle rule of its own that deletes{told}: what it takes"
        ) + " away is found gone, and there is no evidence of ours for it"
    if any("AbortIncompleteMultipartUpload" in rule for rule in rules):
        yield "a lifecycle rule of the bucket aborts incomplete uploads"
    copies = _asked(bucket, "get_bucket_replication", "Rules", "ReplicationConfiguration")
    if copies is None:
        yield f"whether the bucket is replicated {_UNREAD} s3:GetReplicationConfiguration"
    if any(rule.get("Status") == "Enabled" for rule in copies or ()):
        yield "the bucket is replicated: deletions by version id are not, and the copies need a rule of their own"


def _concerns(rule: dict[str, Any], prefix: str) -> bool:
    """Whether a rule of the bucket's may be about objects below a prefix."""
    told = rule.get("Filter") or {}
    mine = rule.get("Prefix") or told.get("Prefix") or told.get("And", {}).get("Prefix") or ""
    return bool(mine.startswith(prefix) or prefix.startswith(mine))


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


def _asked(bucket: Bucket, operation: str, name: str, inside: str = "") -> list[dict[str, Any]] | None:
    """A list of the bucket's configuration; empty where it has none, None where these credentials may not read it."""
    try:
        answer = bucket.ask(operation)
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if code_of(error) in _NONE or status in (404, 405, 501):
            return []
        if status == 403:
            return None
        raise refusal(error) from error
    except BotoCoreError as error:
        raise refusal(error) from error
    found: list[dict[str, Any]] = (answer.get(inside, {}) if inside else answer).get(name, [])
    return found
