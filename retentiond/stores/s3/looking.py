"""What lies under given keys now: by walking past them where they lie close together, else key by key.

A thousand steps of a plan are neighbours, as a rule: two or three answers of a listing show them all,
for a thousandth of the requests. Where a walk shows few of them, the rest is asked for one by one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from retentiond.stores.s3.client import Bucket
from retentiond.stores.s3.listing import Listing, Row, order

_FEW = 16
"""So few keys are asked for one by one at once."""
_WORTH = 25
"""One in so many rows of a walk has to be one of the keys, or asking for each is quicker."""
_GLANCE = 100
"""So many rows show at first whether anything is there: after a deletion nothing is, and what lies behind is nobody's concern."""

Found = dict[str, list[Row]]


class Looking:
    """Looks at keys in one bucket. The same rows come of it as of a scan."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._can_walk: bool | None = None if bucket.versioning != "unversioned" else True

    def at(self, raws: Iterable[str], *, present: bool = False) -> Found:
        """The rows under each of these keys; none under a key where nothing lies. `present`: they are expected to be there."""
        found: Found = {}
        wanted = sorted(set(raws), key=order)
        if len(wanted) > _FEW and self.walks():
            wanted = self._walk(wanted, found, 0 if present else _GLANCE)
        found.update(zip(wanted, self._bucket.all(self._one, wanted), strict=True))
        return found

    def _walk(self, wanted: Sequence[str], found: Found, glance: int) -> list[str]:
        """Settles keys as far as a walk is worth it; the rest."""
        prefix = os.path.commonprefix([wanted[0], wanted[-1]])  # noqa: RUF071 keys are texts, not paths
        listing = Listing(self._bucket, prefix, after=wanted[0][:-1], until=wanted[-1], glance=glance)
        at, worth = 0, True
        for rows in listing.pages():
            if not worth:
                return list(wanted[at:])
            before = at
            for row in rows:
                while wanted[at] != row.raw and order(wanted[at]) < order(row.raw):
                    found.setdefault(wanted[at], [])
                    at += 1
                if wanted[at] == row.raw:
                    found.setdefault(row.raw, []).append(row)
            worth = (at - before) * _WORTH >= len(rows)
        for raw in wanted[at:]:
            found.setdefault(raw, [])
        return []

    def _one(self, raw: str) -> list[Row]:
        """The rows under one key: they come first of all that begins with it."""
        rows: list[Row] = []
        page = 2 if self._bucket.versioning == "unversioned" else 50
        for answer in Listing(self._bucket, raw, page=page).pages():
            mine = [row for row in answer if row.raw == raw]
            rows += mine
            if len(mine) < len(answer) or self._bucket.versioning == "unversioned":
                break
        return rows

    def walks(self) -> bool:
        """Whether the server begins a listing of versions where it is told to: there are some that leave the first one out."""
        if self._can_walk is None:
            first = next(Listing(self._bucket, "", page=1).pages(), [])
            before = first[0].raw[:-1] if first else ""
            again = next(Listing(self._bucket, "", after=before, page=1).pages(), []) if before else []
            self._can_walk = bool(again) and again[:1] == first[:1]
        return self._can_walk
