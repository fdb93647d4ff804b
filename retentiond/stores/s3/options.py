"""What a store says of its bucket, and what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from retentiond.stores.s3.regions import COUNTRIES

_KNOWN = frozenset(
    {
        "bucket", "prefix", "region", "endpoint", "access_key", "secret_key", "profile", "owner", "content_md5",
        "conditional_deletes", "legal_holds", "inventory", "zone", "location", "site",
    }
)  # fmt: skip
_TEXTS = ("bucket", "prefix", "region", "endpoint", "profile")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,253}[a-z0-9]|arn:[a-z0-9:/._-]+", re.IGNORECASE)
_ENDPOINT = re.compile(r"https?://[^/?#@\s]+/?")
_ANSWERS = ("content_md5", "conditional_deletes", "legal_holds")
_SWITCHES = {"yes": True, "no": False, True: True, False: False}


@dataclass(frozen=True, slots=True)
class Options:
    """A bucket as the configuration names it. Secrets are revealed here, when a store is opened, and not before."""

    bucket: str
    prefix: str = ""
    region: str = ""
    endpoint: str = ""
    profile: str = ""
    owner: str = ""
    access_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)
    content_md5: bool = False
    conditional_deletes: bool = False
    legal_holds: bool = False
    inventory: Mapping[str, str] = field(default_factory=dict)


def options_of(options: Mapping[str, Any]) -> Options:
    """The options of a store that has no `problems`."""
    told: dict[str, Any] = {name: str(options[name]) for name in (*_TEXTS, "owner") if options.get(name)}
    if told.get("prefix") and not told["prefix"].endswith("/"):
        told["prefix"] += "/"  # what is below it, and nothing beside it
    told |= {name: _revealed(options[name]) for name in ("access_key", "secret_key") if options.get(name)}
    told |= {name: _SWITCHES.get(options.get(name, False), False) for name in _ANSWERS}
    return Options(**told, inventory=dict(options.get("inventory", {})))


def problems_of(options: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """What is wrong with the options of a store: (option, what)."""
    for option in sorted(options.keys() - _KNOWN):
        near = get_close_matches(option, _KNOWN, 1)
        yield option, "is unknown to an s3 store" + (f"; did you mean {near[0]!r}?" if near else "")
    for option in _TEXTS:
        if option in options and (not isinstance(options[option], str) or not options[option].strip()):
            yield option, "is no text"
    yield from _problems_of_the_bucket(options)
    if ("access_key" in options) != ("secret_key" in options):
        yield "access_key" if "access_key" in options else "secret_key", "comes with the other of the two"
    if "profile" in options and "access_key" in options:
        yield "profile", "does not go with access_key: which of the two would hold?"
    for option in _ANSWERS:
        if option in options and (not isinstance(options[option], str | bool) or options[option] not in _SWITCHES):
            yield option, "is answered with yes or no"
    if "inventory" in options:
        yield from _problems_of_the_inventory(options["inventory"])


def country_of(options: Mapping[str, Any]) -> str | None:
    """The country that a bucket is in, by its region; None where nothing tells, as with an endpoint of one's own."""
    return None if options.get("endpoint") else COUNTRIES.get(str(options.get("region", "")))


def _problems_of_the_bucket(options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    bucket = options.get("bucket")
    if "bucket" not in options:
        yield "bucket", "an s3 store needs the name of its bucket"
    elif isinstance(bucket, str) and not _BUCKET.fullmatch(bucket):
        yield "bucket", "this cannot be the name of a bucket"
    elif isinstance(bucket, str) and bucket.endswith("--x-s3"):
        yield "bucket", "a directory bucket lists in no order, and is not in this version"
    if isinstance(options.get("endpoint"), str) and not _ENDPOINT.fullmatch(options["endpoint"]):
        yield "endpoint", "is written http(s)://HOST[:PORT], without a path or a password"
    if "endpoint" not in options and "region" not in options:
        yield "region", "says where the bucket is; it may be left out only beside an endpoint"
    owner = options.get("owner")
    if "owner" in options and (isinstance(owner, bool) or not str(owner).strip() or not isinstance(owner, str | int)):
        yield "owner", "is the id of an account"
    elif owner is not None and "endpoint" not in options and not re.fullmatch("[0-9]{12}", str(owner)):
        yield "owner", "the id of an account has 12 digits"


def _problems_of_the_inventory(inventory: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(inventory, dict) or not inventory.keys() <= {"bucket", "prefix"} or "prefix" not in inventory:
        yield "inventory", "says where the reports lie: {prefix: …}, and {bucket: …} if they lie in another bucket"
    elif not all(isinstance(value, str) and value.strip() for value in inventory.values()):
        yield "inventory", "has texts in it: {prefix: reports/calls/daily/}"


def _revealed(secret: Any) -> str:
    return str(secret.reveal() if hasattr(secret, "reveal") else secret)
