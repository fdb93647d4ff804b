"""Progress on a terminal: items, rate, time left. Imported only where it is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


@contextmanager
def bar(total: int | None) -> Iterator[Callable[[str, int], None]]:
    """Yields a function that is told (what, items so far)."""
    known = total is not None
    columns = (
        TextColumn("{task.description}"),
        *((BarColumn(), MofNCompleteColumn()) if known else (TextColumn("{task.completed:,} seen"),)),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn() if known else TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("", total=total, rate="")

        def show(what: str, items: int) -> None:
            speed = shown.tasks[0].speed
            shown.update(task, description=what, completed=items, rate=f"{speed:,.0f}/s" if speed else "")

        yield show
