"""What every command needs: the house it works in, JSON or words, progress, and a yes."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from retentiond.cli.front import Options
from retentiond.core.times import read
from retentiond.errors import RetentiondError, UsageError

if TYPE_CHECKING:
    from retentiond.app.house import House


def options() -> Options:
    """The common options of this call."""
    return click.get_current_context().ensure_object(Options)


@contextmanager
def house() -> Iterator[House]:
    """The house of this call's configuration; what it wrote is published at the end."""
    from retentiond.app.house import House
    from retentiond.config.load import find

    with House(find(options().config, os.environ)) as opened:
        yield opened


def tell_others(at_home: House) -> None:
    """Hands the newest checkpoint to its anchors, and tells those who are to be told what has come up.

    What hinders it is said, and changes nothing of what was done.
    """
    from retentiond.app.alarms import tell
    from retentiond.app.anchoring import anchor

    if not at_home.directory.exists():
        return
    troubles: dict[str, str] = {}
    try:
        troubles |= anchor(at_home)
        troubles |= tell(at_home, at_home.clock().now).troubles
    except RetentiondError as error:
        troubles["the others"] = str(error.problems[0])
    for label, trouble in troubles.items():
        click.echo(f"retentiond: {label}: not told: {trouble}; it is tried again later", err=True)


def answer(value: Any) -> None:
    """One JSON value on standard output."""
    click.echo(json.dumps(value, ensure_ascii=False, default=str))


def say(text: str = "") -> None:
    """A line for a person on standard output."""
    click.echo(text)


def agreed(question: str, *, yes: bool) -> None:
    """Asks on a terminal; elsewhere `--yes` is needed."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("this needs a yes", why="there is no terminal to ask at", do="add --yes")
    click.confirm(question, abort=True)


def happened(text: str, house: House) -> datetime:
    """The instant at which an event happened: ISO 8601; it starts a clock, so a bare date is the end of its day."""
    found = read(text, house.rulebook.zone)
    if found is None:
        raise UsageError("--at is no time", do="write 2026-11-22 or 2026-11-22T10:00:00Z")
    return found


def moment(text: str, house: House) -> datetime:
    """The instant to judge as of: ISO 8601; a bare date is its midnight in the organisation's zone."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return happened(text, house)
    from retentiond.core.period import first_instant

    return first_instant(day, house.rulebook.zone)


@contextmanager
def stoppable() -> Iterator[Callable[[], str | None]]:
    """Turns SIGTERM and SIGINT into a reason to stop after the batch in hand."""
    told: list[str] = []

    def hear(number: int, _frame: FrameType | None) -> None:
        told.append(f"told to stop ({signal.Signals(number).name})")

    before = {number: signal.signal(number, hear) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: told[0] if told else None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def progress(total: int | None) -> Iterator[Callable[[str, int], None]]:
    """Shows how far long work has come, on a terminal; nothing elsewhere."""
    if not sys.stderr.isatty() or options().json:
        yield lambda _what, _items: None
        return
    from retentiond.cli.bars import bar

    with bar(total) as show:
        yield show


def relative(path: Path) -> str:
    """A path as a person would type it from here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
