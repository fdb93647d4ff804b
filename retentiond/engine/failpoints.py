"""Named places on the way of one deletion, at which a test may end the process.

The way is safe only if the process may die between any two steps. Every arrow of the way has
a name here, and the crash tests kill at each. Outside those tests `reach` does nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

Arrow = Literal[
    "plan-written",
    "plan-registered",
    "run-allowed",
    "intent-written",
    "intent-committed",
    "claimed",
    "compared",
    "destroyed",
    "settled",
    "outcome-written",
    "outcome-committed",
    "absence-verified",
    "certified",
    "head-stored",
    "refs-published",
    "entries-published",
    "tiles-published",
    "checkpoint-kept",
    "checkpoint-published",
    "copied",
    "archived",
    "hold-begun",
    "hold-kept",
]
ASIDE: tuple[Arrow, ...] = ("copied", "archived", "hold-begun", "hold-kept")
"""Beside the way: copies are written, and noted; a hold is about to be carried into a bucket, and is there."""
ARROWS: tuple[Arrow, ...] = tuple(arrow for arrow in get_args(Arrow) if arrow not in ASIDE)

_watcher: Callable[[Arrow], None] | None = None


def reach(arrow: Arrow) -> None:
    """Says that the way has come this far."""
    if _watcher is not None:
        _watcher(arrow)


def watch(watcher: Callable[[Arrow], None] | None) -> None:
    """Sets who is told; for crash tests only."""
    global _watcher  # noqa: PLW0603 one process has one watcher, set before the way begins
    _watcher = watcher
