"""The shapes of addresses that alarms are told to."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from retentiond.config.reading import Piece, Shape, Text, words
from retentiond.config.words import Unreadable, within
from retentiond.core.alarm import Kind


def _mail(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(r"[!-?A-~]+@[A-Za-z0-9.-]+", value) and not re.search(r'[<>(),;:"]', value):
        return value
    raise Unreadable("this is no mail address", "it is written like dpo@example.org, in ASCII, without a name beside it")


MailWords = Annotated[str, *words(_mail, "dpo@example.org")]


def _port(value: Any) -> int:
    return within(value, 1, 65_535, "a port", "587")


_ON = "Which kinds of alarm are told; default: all."
_FOR_INSTANCE: list[Any] = [["failure", "overdue", "violation"]]


class WebhookShape(Shape):
    """Alarms as JSON to an address of the web."""

    called: ClassVar[str] = "webhook"
    webhook: Annotated[Any, Piece()] = Field(
        description="The address, or a reference to a secret where it holds a token.", examples=[{"credential": "hook"}]
    )
    headers: Annotated[dict[str, Any], Piece()] = Field(
        default={}, description="Further headers, by name.", examples=[{"Authorization": {"credential": "hook-token"}}]
    )
    secret: Annotated[Any, Piece()] = Field(None, description="Signs the body (HMAC).", examples=[{"credential": "hook-key"}])
    on: Annotated[list[Kind], Field(min_length=1)] | None = Field(None, description=_ON, examples=_FOR_INSTANCE)


class MailShape(Shape):
    """Alarms as mail."""

    called: ClassVar[str] = "mail address"
    smtp: Text = Field(description="The mail server.", examples=["mail.example.org"])
    port: Annotated[int, *words(_port, "587", "integer")] | None = Field(
        None, description="Its port; default: 587, 465 with tls, 25 with none.", examples=[587]
    )
    security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="How the way is encrypted.", examples=["starttls"]
    )
    user: Text = Field("", description="Who logs in.", examples=["retentiond"])
    password: Annotated[Any, Piece()] = Field(None, description="The user's password.", examples=[{"credential": "smtp"}])
    __annotations__["from"] = MailWords
    vars()["from"] = Field(description="The sender.", examples=["retentiond@example.org"])  # a word of Python
    to: Annotated[list[MailWords], Field(min_length=1)] = Field(description="Who is told.", examples=[["dpo@example.org"]])
    on: Annotated[list[Kind], Field(min_length=1)] | None = Field(None, description=_ON, examples=_FOR_INSTANCE)


class AppriseShape(Shape):
    """Alarms by whatever apprise knows."""

    called: ClassVar[str] = "apprise address"
    apprise: Annotated[Any, Piece()] = Field(
        description="Where to find the address in apprise's spelling.", examples=[{"credential": "chat"}]
    )
    on: Annotated[list[Kind], Field(min_length=1)] | None = Field(None, description=_ON, examples=_FOR_INSTANCE)
