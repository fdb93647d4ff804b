"""`notify`: whom to tell when something is wrong, each with the kinds of alarm that are meant for them.

Guarantee: no secret is read, and none is written down: what as a rule holds a secret is a reference, or
refused. An address is known by an id that is made of where its secret is found, not of the secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal, cast
from urllib.parse import urlsplit

from retentiond.config.notify_shapes import AppriseShape, MailShape, WebhookShape
from retentiond.config.reading import Part, Reading, kind_of, read
from retentiond.config.secrets import Secret, is_reference, reference, refuse_inline_password
from retentiond.config.suggest import did_you_mean, listed, quoted
from retentiond.config.words import Unreadable
from retentiond.core.alarm import KINDS
from retentiond.core.canonical import digest
from retentiond.errors import Problem

Way = Literal["webhook", "smtp", "apprise"]
_SHAPES: Mapping[str, type[WebhookShape | MailShape | AppriseShape]] = {
    "webhook": WebhookShape,
    "smtp": MailShape,
    "apprise": AppriseShape,
}
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_SECRET_HEADERS = ("authorization", "proxy-authorization", "cookie", "x-api-key", "x-auth-token")
_OUR_HEADERS = ("content-type", "content-length", "host", "transfer-encoding", "connection", "retentiond-signature")


@dataclass(frozen=True, slots=True)
class Address:
    """Where alarms are told: `options` as they are written, secrets as references; `number` counts from 1."""

    number: int
    way: Way
    options: Mapping[str, Any]
    on: frozenset[str]

    @property
    def label(self) -> str:
        """How messages name it: neither a host nor a secret."""
        return f"address {self.number} ({self.way})"

    @property
    def ids(self) -> tuple[str, ...]:
        """What it is known by from one start of the program to the next; of mail, each recipient by themselves."""
        place = [self.way, repr(self.options[self.way])]
        return tuple(digest([*place, one]) for one in self.options["to"]) if self.way == "smtp" else (digest(place),)


def addresses(part: Part | None, folder: str, found: list[Problem]) -> tuple[Address, ...]:
    """Every address that is good; what is wrong with the others goes into `found`."""
    if part is None or part.data is None:
        return ()
    if not isinstance(part.data, list):
        found.append(part.problem("'notify' is no list", f"it is {kind_of(part.data)}", "begin each address with a dash"))
        return ()
    good, seen = [], set[str]()
    for i in range(len(part.data)):
        one = _address(i + 1, part.at(i), folder, found)
        if one is None:
            continue
        if len({*one.ids} - seen) < len(one.ids):
            why = "the same place, or the same recipient by the same server, would be told everything twice"
            found.append(part.at(i).problem("an address stands twice", why, "remove one of them"))
        seen |= {*one.ids}
        good.append(one)
    return tuple(good)


def webhook_problem(url: str) -> Unreadable | None:
    """What is wrong with the address of a webhook, without quoting it; None for one that may be used."""
    try:
        parts = urlsplit(url)
        host, _port, named = parts.hostname, parts.port, parts.username is not None
    except ValueError:
        return Unreadable("this is no address of a webhook", "it is https://, a host and a path")
    if not host or parts.scheme not in ("http", "https") or re.search(r"[^!-~]", url):
        return Unreadable("this is no address of a webhook", "it is https://, a host and a path, in ASCII without spaces")
    if named:
        why = "files are read by more people than passwords are meant for"
        return Unreadable("a user or a password in a URL", why, "take it out, and add headers: {Authorization: {credential: …}}")
    if parts.scheme == "http" and host not in _LOOPBACK:
        why = "whoever is on the way could read it, and answer in its place"
        return Unreadable("a webhook without encryption", why, "write https://; plain http is for this machine itself")
    return None


def _address(number: int, part: Part, folder: str, found: list[Problem]) -> Address | None:
    before = len(found)
    way = _way(part, found)
    if way is None:
        return None
    shape = read(_SHAPES[way], part, found)
    options = dict(_secrets(way, shape, folder, found))
    if way == "smtp":
        found += _mail_problems(shape)
    if way == "apprise" and find_spec("apprise") is None:
        found.append(part.problem("apprise is not installed", "it is an extra", "pip install 'retentiond[notify]'"))
    if len(found) > before:
        return None
    on = frozenset(part.data.get("on") or KINDS)
    return Address(number, way, {key: options.get(key, value) for key, value in part.data.items() if key != "on"}, on)


def _way(part: Part, found: list[Problem]) -> Way | None:
    words = list(part.data) if isinstance(part.data, dict) else [str(part.data)] if isinstance(part.data, str) else []
    ways = [word for word in words if word in _SHAPES]
    if len(ways) == 1 and isinstance(part.data, dict):
        return cast("Way", ways[0])
    what = "an address of two kinds" if len(ways) > 1 else "this is no address"
    near = next((close for close in (did_you_mean(word, _SHAPES) for word in words) if close), "")
    do = near if near and not ways else "write for example {webhook: {credential: NAME}}"
    found.append(part.problem(what, f"an address has one of the keys {listed(_SHAPES)}", do))
    return None


def _secrets(way: Way, shape: Reading[Any], folder: str, found: list[Problem]) -> Iterator[tuple[str, Any]]:
    """The options that are, or may be, references to secrets."""
    for key in ("webhook", "secret", "password", "apprise"):
        part = shape.piece(key) if key in type(shape.fields).model_fields else None
        if part is not None and part.data is not None:
            try:
                yield key, _webhook(part.data, folder) if key == "webhook" else reference(part.data, folder)
            except Unreadable as error:
                found.append(part.unreadable(error))
    headers = shape.piece("headers") if way == "webhook" else None
    if headers is not None and headers.data is not None:
        yield "headers", dict(_headers(headers, folder, found))


def _webhook(value: Any, folder: str) -> str | Secret:
    if is_reference(value):
        return reference(value, folder)
    if not isinstance(value, str):
        raise Unreadable("this is no address of a webhook", f"it is {kind_of(value)}", "write https://…, or {credential: NAME}")
    wrong = webhook_problem(value)
    if wrong:
        raise wrong
    refuse_inline_password(value)
    return value


def _headers(part: Part, folder: str, found: list[Problem]) -> Iterator[tuple[str, str | Secret]]:
    if not isinstance(part.data, dict):
        found.append(part.problem("'headers' is no mapping", f"it is {kind_of(part.data)}", "write the name of each as a key"))
    for name, header in part.each():
        try:
            yield name, _header(name, header.data, folder)
        except Unreadable as error:
            found.append(header.unreadable(error))


def _header(name: str, value: Any, folder: str) -> str | Secret:
    if not re.fullmatch(r"[A-Za-z0-9-]{1,64}", name):
        raise Unreadable(f"{quoted(name)} is no name of a header", "names have letters, digits and '-'")
    if name.lower() in _OUR_HEADERS:
        raise Unreadable(f"the header {quoted(name)} is written by retentiond", "another value would be another message")
    if is_reference(value) or name.lower() in _SECRET_HEADERS:
        return reference(value, folder)
    if not isinstance(value, str) or not re.fullmatch(r"[!-~]([ -~]*[!-~])?", value):
        raise Unreadable("this is no value of a header", "it is one line of ASCII, in quotes where it is a number")
    return value


def _mail_problems(shape: Reading[Any]) -> Iterator[Problem]:
    host, user, security = (shape.get(name) for name in ("smtp", "user", "security"))
    password = shape.piece("password")
    if host and not re.fullmatch(r"[A-Za-z0-9.-]+|[0-9a-f:.]*:[0-9a-f:.]*:[0-9a-f:.]*", host):
        why = "it is the name of a host, in ASCII, or its number"
        yield shape.where("smtp").problem("'smtp' is no mail server", why, "the port stands beside it: port: 587")
    if user and password is None:
        yield shape.where("user").problem_with_key("a user without a password", "both are needed to log in", "add password")
    if password is not None and not shape.piece("user"):
        yield password.problem_with_key("a password without a user", "both are needed to log in", "add user")
    if password is not None and security == "none" and host not in _LOOPBACK:
        why = "whoever is on the way could read it"
        yield password.problem_with_key("a password without encryption", why, "leave security out (starttls), or write tls")
