"""How the daemon is, for whoever asks from another thread: plain values, written by the loop alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(slots=True)
class Pulse:
    """`turned` is the end of the loop's last turn by the monotonic clock; the mappings are by category and replaced whole."""

    started: datetime
    turned: float = 0.0
    ready: bool = False
    paused: bool = False
    clock_trusted: bool = True
    reload_failed: bool = False
    waiting: int = 0
    running: Mapping[str, datetime] = field(default_factory=dict)
    next: Mapping[str, datetime] = field(default_factory=dict)
