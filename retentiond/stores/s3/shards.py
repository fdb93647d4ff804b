"""Splitting a scope into ranges of keys, which share none and leave none out, whatever comes or goes.

Where the keys are is found by asking for folders, and then for the first key after some that are made up, character by
character, as long as there are too few places to cut at. The places only decide how alike the ranges are in size.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from retentiond.stores.s3.client import BODY, Bucket, wire
from retentiond.stores.s3.listing import Listing, folders_of, order

_FEW = 200
"""So few keys are not worth splitting."""
_A_PART = 6_000
"""So many keys are worth a further part."""
_SAMPLES = 4
_ANSWER = 500
"""So many folders and objects are looked at to find folders."""
_MOST_CHARACTERS = 64
_LAST = "\U0010ffff"


def bounds_of(part: str) -> tuple[str, str | None]:
    """What a part has been named: the key that it begins after, and the last one in it (None: no bound)."""
    if not part:
        return "", None
    after, until = json.loads(part)
    return after, until


def parts_of(bucket: Bucket, prefix: str, wanted: int) -> list[str]:
    """The names of about so many parts; one without a name where the scope is not split."""
    first = next(Listing(bucket, prefix).pages(), [])
    if wanted < 2 or len(first) < _FEW:
        return [""]
    places = _Places(bucket).found(prefix, wanted)
    count = min(wanted, len(places), max(2, _guess(bucket, prefix, places) // _A_PART))
    cuts = [places[n * len(places) // count] for n in range(1, count)]
    if not cuts:
        return [""]
    return [json.dumps(bounds) for bounds in zip(["", *cuts], [*cuts, None], strict=True)]


def _guess(bucket: Bucket, prefix: str, places: list[str]) -> int:
    """How many keys there may be: by some answers here and there, and how many places each reaches into, the fewest counting."""

    def looked(first: int) -> int:
        rows = next(Listing(bucket, prefix, after=places[first]).pages(), [])
        last = order(rows[-1].raw) if rows else b""
        reached = sum(order(place) <= last for place in places[first:])
        return len(rows) * len(places) // max(1, reached)

    return max(bucket.all(looked, range(0, len(places), -(-len(places) // _SAMPLES))))


class _Places:
    """Beginnings of keys, in order."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def found(self, prefix: str, enough: int) -> list[str]:
        """So many beginnings of the keys below a prefix, or more, if there are: folders, else character by character."""
        return self._spread(self._spread([prefix], enough, self._folders), enough, self._characters)

    def _spread(self, places: list[str], enough: int, below: Callable[[str], list[str]]) -> list[str]:
        """The places with what is below them in their stead, as deep as it takes."""
        closed: set[str] = set()
        while len(places) < enough and not closed.issuperset(places):
            looked = [place for place in places if place not in closed]
            deeper = dict(zip(looked, self._bucket.all(below, looked), strict=True))
            closed |= {place for place, found in deeper.items() if not found}
            places = [one for place in places for one in (deeper.get(place) or [place])]
        return places

    def _folders(self, prefix: str) -> list[str]:
        """The folders right below a prefix; none where there are more than one answer shows, or hardly any beside objects."""
        told = {"Prefix": wire(prefix), "Delimiter": "/", "MaxKeys": _ANSWER, "EncodingType": "url"}
        folders, truncated = folders_of(self._bucket.call("list_objects_v2", **told)[BODY])
        return [] if truncated or len(folders) < 2 else folders

    def _characters(self, prefix: str) -> list[str]:
        """What keys below a prefix go on with, one character each."""
        found: list[str] = []
        after = prefix
        while len(found) < _MOST_CHARACTERS:
            row = next(Listing(self._bucket, prefix, after=after, page=1).pages(), [])
            if not row or len(row[0].raw) <= len(prefix):
                break
            found.append(row[0].raw[: len(prefix) + 1])
            after = found[-1] + _LAST
        return found
