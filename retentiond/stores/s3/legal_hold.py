"""Legal holds of object lock: seen, put on and taken off, version by version.

A legal hold has no owner and no date: whoever may, puts it on or takes it off (Amazon S3, "Locking objects with Object Lock").
So it is looked at just before; S3 has no way to compare while it is written.
"""

from __future__ import annotations

from collections.abc import Sequence

from botocore.exceptions import BotoCoreError, ClientError

from retentiond.core.item import raw_of
from retentiond.errors import StoreDenied
from retentiond.stores.s3.client import Bucket, code_of, wire
from retentiond.stores.s3.listing import NULL
from retentiond.stores.s3.trouble import refusal

_ABSENT = frozenset({"NoSuchKey", "NoSuchVersion", "404", "MethodNotAllowed", "405"})
_NEVER = frozenset({"NoSuchObjectLockConfiguration", "ObjectLockConfigurationNotFoundError"})
"""What servers say of a version that no lock was ever put on."""


class LegalHolds:
    """The legal holds of one bucket."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def check(self) -> None:
        """`StoreDenied` where the bucket knows none."""
        if not self._bucket.locks:
            raise StoreDenied(
                "holds cannot be projected: object lock is not enabled in this bucket",
                why="only a bucket with object lock knows legal holds",
                do="enable object lock for the bucket, or take `legal_holds` out",
            )

    def state(self, keys: Sequence[str], versions: Sequence[str]) -> list[bool | None]:
        """`engine.projecting.Projecting.are_held`."""
        return self._bucket.all(self._is_on, list(zip(keys, versions, strict=True)))

    def put(self, keys: Sequence[str], versions: Sequence[str], *, on: bool) -> list[bool]:
        """`engine.projecting.Keeping.keep`."""
        status = {"Status": "ON" if on else "OFF"}

        def one(item: tuple[str, str]) -> bool:
            try:
                self._bucket.ask("put_object_legal_hold", **_named(item), LegalHold=status)
            except ClientError as error:
                if code_of(error) not in _ABSENT:
                    raise refusal(error) from error
                return False
            except BotoCoreError as error:
                raise refusal(error) from error
            return True

        return self._bucket.all(one, list(zip(keys, versions, strict=True)))

    def _is_on(self, item: tuple[str, str]) -> bool | None:
        try:
            told = self._bucket.ask("get_object_legal_hold", **_named(item))
        except ClientError as error:
            if code_of(error) not in _ABSENT | _NEVER:
                raise refusal(error) from error
            return None if code_of(error) in _ABSENT else False
        except BotoCoreError as error:
            raise refusal(error) from error
        return (told.get("LegalHold") or {}).get("Status") == "ON"


def version_of(revision: str | None) -> str:
    """The version id in a revision, `null` for what is overwritten in place; "" for a delete marker or nothing."""
    name = (revision or "").partition("#")[0]
    if "@" not in name:
        return name
    return "" if name.startswith("marker@") else NULL


def _named(item: tuple[str, str]) -> dict[str, str | bytes]:
    key, version = item
    return {"Key": wire(raw_of(key)), "VersionId": version}
