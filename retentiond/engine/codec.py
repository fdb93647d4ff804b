"""Values to bytes, many at a time: plan lines, and rows for their digests. The only door to msgspec.

A plan line is one step: `{"n", "category", "rule", "store", "key", "revision", "start", "due",
"action", "reasons", "size"}`, with `"parent"` where its item goes with another, and `"request"` where its
ground is an erasure request (the index of its entry in the audit log), and `"set"` where it goes with items of other
rules (a number within the plan). After the steps a plan may
hold lines about items that stay, with `verdict` instead of `action`; they are for reading and are never
acted on.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

_pack = msgspec.msgpack.Encoder(enc_hook=str).encode


def pack(row: Sequence[Any]) -> bytes:
    """The bytes of one row, the same in every process: what a row's digest is made of."""
    return _pack(row)


class StepLine(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One step as a plan writes it. Instants are aware and UTC. `parent` is the key that a step's item goes with, if any.

    `request` is the erasure request on whose ground it goes, if it is one; `set` the set that it belongs to, if any.
    """

    n: int
    category: str
    rule: str
    store: str
    key: str
    revision: str
    start: datetime | None
    due: datetime | None
    action: str
    reasons: tuple[str, ...]
    size: int
    parent: str | None = None
    request: int | None = None
    set: int | None = None


class StayLine(msgspec.Struct, frozen=True, gc=False):
    """One item that stays, with the verdict and its reason.

    Its columns are written out again: those of a common base would come first, and the order of a step's is a contract.
    """

    category: str
    rule: str
    store: str
    key: str
    revision: str | None
    start: datetime | None
    verdict: str
    reasons: tuple[str, ...]
    size: int


class Step(msgspec.Struct, frozen=True, gc=False):
    """What acting needs of a step line; the rest is left unread."""

    n: int
    category: str
    rule: str
    store: str
    key: str
    revision: str
    action: str
    size: int
    parent: str | None = None
    request: int | None = None
    set: int | None = None
    start: datetime | None = None


class SealBroken(ValueError):
    """A line of a plan that is no step."""


_lines = msgspec.json.Encoder().encode_lines
_steps = msgspec.json.Decoder(Step).decode_lines
_full = msgspec.json.Decoder(StepLine).decode_lines


def lines(rows: Sequence[StepLine] | Sequence[StayLine]) -> bytes:
    """The rows as JSON lines, a line break after each."""
    return _lines(rows)


def steps(text: bytes) -> list[Step]:
    """The steps of some plan lines, as acting needs them; `SealBroken` for a line that is none."""
    try:
        return _steps(text)
    except msgspec.MsgspecError as error:
        raise SealBroken("a line of the plan is no step") from error


def step_lines(text: bytes) -> list[StepLine]:
    """The steps of some plan lines with everything they say; `SealBroken` for a line that is none."""
    try:
        return _full(text)
    except msgspec.MsgspecError as error:
        raise SealBroken("a line of the plan is no step") from error
