"""Words and tables for people: within 80 columns where there is no terminal to measure."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console

_WIDTH = 80


def table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], *, left: Sequence[str] = (), whole: Sequence[str] = ()
) -> None:
    """Prints a table. Numbers stand right with thousands separated; the columns in `left` stand left and may wrap.

    Columns stand closer together before anything is wrapped. Those in `whole` hold keys, which somebody copies: where there is
    no terminal they are not wrapped, however wide the table becomes.
    """
    from rich.box import SIMPLE_HEAD
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for name in columns:
        shown.add_column(name, justify="left" if name in left else "right", overflow="fold", no_wrap=name not in left)
    for row in rows:
        shown.add_row(*[Text(_cell(value)) for value in row])
    out = console()
    widest = Measurement.get(out, out.options.update(max_width=1_000_000), shown).maximum
    if widest > out.width and whole and not sys.stdout.isatty():
        out.width = widest
    elif widest > out.width:
        shown.padding = (0, 0, 0, 0)
    with out.capture() as captured:
        out.print(shown)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def sentence(text: str, further: str = "    ") -> None:
    """Prints a sentence within the width; its further lines begin with `further`. Words, and so digests, stay whole."""
    click.echo(folded(text, further, shutil.get_terminal_size().columns if sys.stdout.isatty() else _WIDTH))


def folded(text: str, further: str, width: int) -> str:
    """A sentence in lines of a width; its further lines begin with `further`, and words stay whole."""
    words = text.lstrip()
    start = text[: len(text) - len(words)]
    whole = textwrap.TextWrapper(
        max(width, 40), initial_indent=start, subsequent_indent=further, break_long_words=False, break_on_hyphens=False
    )
    return whole.fill(words)


def console() -> Console:
    """Standard output: 80 columns unless a terminal says otherwise; no colour where NO_COLOR is set."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else int(os.environ.get("COLUMNS") or _WIDTH)
    return Console(width=width, highlight=False, soft_wrap=False)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if value else "·"
    return "" if value is None else str(value)


def size(count: int) -> str:
    """Bytes in words, to two or three digits: 2.7 MiB."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 10 else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:,.1f} TiB"


def many(count: int, noun: str) -> str:
    """A number of things: 1 item, 2,346 items."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def day(moment: datetime | None) -> str:
    """The day of an instant, UTC."""
    return moment.strftime("%Y-%m-%d") if moment else ""


def minute(moment: datetime | None) -> str:
    """An instant to the minute, UTC."""
    return moment.strftime("%Y-%m-%d %H:%M") if moment else ""


def short(name: str) -> str:
    """The first characters of a digest, enough to mean it."""
    return name[:12]
