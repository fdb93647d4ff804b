"""The rules of a bucket's own that let objects go: ours among those of others, which are never touched.

The configuration of a bucket is one document. It is changed as bytes: the rule of ours is cut out or put in, and all the rest
stays as the server gave it. S3 has no way to compare while it is written, so it is read just before and just after, and
whatever else became of it then is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from botocore.exceptions import BotoCoreError, ClientError

from retentiond.core.canonical import digest
from retentiond.core.lifecycle import ABSENT, Expiry
from retentiond.core.outcome import Outcome
from retentiond.errors import StoreDenied, StoreUnavailable
from retentiond.stores.s3.client import BODY, Bucket, code_of
from retentiond.stores.s3.looking import Looking
from retentiond.stores.s3.trouble import refusal
from retentiond.stores.s3.wanted import Wanted

_RULE = re.compile(rb"<(\w+:)?Rule\b[^>]*>.*?</(\w+:)?Rule>", re.DOTALL)
_EMPTY = b'<LifecycleConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"></LifecycleConfiguration>'
_END = re.compile(rb"</(\w+:)?LifecycleConfiguration>\s*$")
_SIZES = "TransitionDefaultMinimumObjectSize"
"""A setting beside the rules, which a change that does not repeat it sets back."""


@dataclass(frozen=True, slots=True)
class _Configuration:
    """A bucket's configuration as the server gave it: the document, and its rules as pieces of it. Nothing where it has none."""

    body: bytes
    sizes: str = ""

    def rules(self) -> list[bytes]:
        return [found.group(0) for found in _RULE.finditer(self.body)]

    def named(self, name: str) -> bytes | None:
        """The rule of a name."""
        return next((rule for rule in self.rules() if _meaning(rule)["ID"] == [name]), None)

    def others(self, name: str) -> list[Any]:
        """What every other rule means."""
        return sorted((m for m in map(_meaning, self.rules()) if m["ID"] != [name]), key=str)

    def without(self, rule: bytes | None) -> bytes:
        return self.body.replace(rule, b"", 1) if rule is not None else self.body or _EMPTY

    def with_rule(self, old: bytes | None, new: bytes) -> bytes:
        """The document with a rule of ours in the place of an older one, or after all the others."""
        if old is not None:
            return self.body.replace(old, new, 1)
        body = self.body or _EMPTY
        end = _END.search(body)
        if end is None:
            raise StoreUnavailable("the bucket's lifecycle rules cannot be read", why="the server's answer broke off")
        return body[: end.start()] + new + body[end.start() :]


class Lifecycle:
    """The lifecycle rules of one bucket."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def state(self, expiry: Expiry, wanted: Wanted) -> str:
        """`engine.expiring.Expiring.expires`."""
        found = self._read().named(expiry.name)
        return ABSENT if found is None else _state(found, expiry, wanted)

    def check(self, wanted: Wanted, looking: Looking) -> None:
        """`StoreDenied` where a rule of the bucket's would do something else than the policy's."""
        if self._bucket.versioning != "unversioned":
            raise StoreDenied(
                "a bucket that keeps versions cannot be left to its own lifecycle rule",
                why="there the rule would only hide objects, and what it hid would stay",
                do="leave `by` out: retentiond deletes version by version",
            )
        if wanted.prefix and looking.at([wanted.prefix])[wanted.prefix]:
            raise StoreDenied(
                "an object is named like the folder itself",
                why="the bucket's own rule would take it, and the policy's pattern does not select it",
                do="rename or delete that object, or leave `by` out",
            )

    def install(self, expiry: Expiry, wanted: Wanted, planned: str) -> tuple[Outcome, str]:
        """Puts our rule in, where it stands as it was planned; what came of it, by reading it back."""
        before = self._read()
        old = before.named(expiry.name)
        now = ABSENT if old is None else _state(old, expiry, wanted)
        if not now:
            return Outcome.GONE, ""
        if now != planned:
            return Outcome.CHANGED, ""
        self._write(before.with_rule(old, _written(expiry, wanted)), before.sizes)
        after = self._read()
        new = after.named(expiry.name)
        if new is None or _state(new, expiry, wanted):
            return Outcome.FAILED, "not-as-written"
        same = after.others(expiry.name) == before.others(expiry.name)
        return (Outcome.INSTALLED, "") if same else (Outcome.FAILED, "others-changed")

    def withdraw(self, name: str) -> bool:
        """Takes our rule out, and makes sure of it."""
        before = self._read()
        old = before.named(name)
        if old is None:
            return False
        if len(before.rules()) == 1:
            self._bucket.call("delete_bucket_lifecycle")
        else:
            self._write(before.without(old), before.sizes)
        if self._read().named(name) is not None:
            raise StoreUnavailable("the bucket's own rule is still there", why="the server has not taken it away")
        return True

    def _read(self) -> _Configuration:
        try:
            answer = self._bucket.ask("get_bucket_lifecycle_configuration")
        except ClientError as error:
            if code_of(error) == "NoSuchLifecycleConfiguration":
                return _Configuration(b"")
            raise refusal(error) from error
        except BotoCoreError as error:
            raise refusal(error) from error
        found = _Configuration(answer[BODY], answer.get(_SIZES, ""))
        try:
            told = len(ET.fromstring(found.body).findall("{*}Rule"))  # noqa: S314 expat refuses entities that grow
        except ET.ParseError as error:
            raise StoreUnavailable("the bucket's lifecycle rules cannot be read", why="the answer is no XML") from error
        if told != len(found.rules()):
            raise StoreDenied("the bucket's lifecycle rules are written in a way that cannot be kept", do="leave `by` out")
        return found if told else _Configuration(b"")

    def _write(self, body: bytes, sizes: str) -> None:
        self._bucket.send("put_bucket_lifecycle_configuration", body, **({_SIZES: sizes} if sizes else {}))


def _written(expiry: Expiry, wanted: Wanted) -> bytes:
    """Our rule as S3 writes it."""
    tags = "".join(f"<Tag><Key>{escape(k)}</Key><Value>{escape(v)}</Value></Tag>" for k, v in wanted.selection.tags)
    prefix = f"<Prefix>{escape(wanted.prefix)}</Prefix>"
    inside = f"<And>{prefix}{tags}</And>" if tags else prefix
    rule = f"<ID>{escape(expiry.name)}</ID><Filter>{inside}</Filter><Status>Enabled</Status>"
    return f"<Rule>{rule}<Expiration><Days>{expiry.days}</Days></Expiration></Rule>".encode()


def _state(rule: bytes, expiry: Expiry, wanted: Wanted) -> str:
    """A digest of what a rule means; nothing where it means what ours should."""
    found = _meaning(rule)
    return "" if found == _meaning(_written(expiry, wanted)) else digest(found)[:16]


def _meaning(rule: bytes) -> dict[str, list[str]]:
    """What a rule says, however it is written: each element's way and text, in no order; where a filter stands does not count."""
    root = ET.fromstring(rule if b"xmlns:" in rule else re.sub(rb"(</?)\w+:", rb"\1", rule))  # noqa: S314 as above
    found: dict[str, list[str]] = {"ID": []}
    tags = []
    for way, text in _leaves(root, ""):
        name = re.sub(r"^(Filter/)?(And/)?(?=Prefix$|Tag/)", "", way)
        if name.startswith("Tag/"):
            tags.append(f"{name[4:]}={text}")
        elif name != "Prefix" or text:
            found.setdefault(name, []).append(text)
    pairs = ["\n".join(tags[i : i + 2]) for i in range(0, len(tags), 2)]
    return {name: sorted(texts) for name, texts in found.items()} | ({"Tag": sorted(pairs)} if pairs else {})


def _leaves(element: ET.Element, way: str) -> Iterator[tuple[str, str]]:
    for child in element:
        name = f"{way}/{child.tag.partition('}')[2] or child.tag}".lstrip("/")
        if len(child):
            yield from _leaves(child, name)
        elif (child.text or "").strip() or name in ("ID", "Status"):
            yield name, child.text or ""
