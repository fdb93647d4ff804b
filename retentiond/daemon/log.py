"""What the daemon says: one JSON object a line on standard error, which is the journal under systemd.

Guarantee: every event is one of the fixed words below, and every fact beside it a category, a count,
a code, an id, an instant, or the place of a mistake in the configuration. Keys, subjects, names of
items and texts of drivers are never among them. A journal that cannot be written stops nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import structlog

EVENTS: Mapping[str, tuple[str, str]] = {
    "daemon-started": ("info", "the daemon is ready"),
    "daemon-stopped": ("info", "the last batch is recorded, and the daemon ends"),
    "daemon-stopping": ("info", "told to stop; the batch in hand goes on to its end"),
    "daemon-recovered": ("warning", "the daemon before this one was killed; `intents` were open"),
    "schedule-missed": ("info", "a category was due while no daemon ran; it runs now, once"),
    "run-started": ("info", "a run of a category begins"),
    "run-ended": ("info", "what came of it"),
    "run-waiting": ("info", "somebody else is at work on the state; the run waits for them"),
    "run-silent": ("warning", "a run makes no progress; the others go on beside it"),
    "run-killed": ("error", "a run made no progress for too long and was killed; the next one recovers it"),
    "run-died": ("error", "a run ended without a result; the next one recovers it"),
    "recovered": ("warning", "what became of the intents that a killed run had left open"),
    "paused": ("warning", "the stop file is there; nothing acts"),
    "resumed": ("info", "the stop file is gone"),
    "reloaded": ("info", "the new configuration is in force for all later runs"),
    "reload-refused": ("error", "the new configuration is broken; the old one stays"),
    "problem": ("error", "one mistake in the new configuration, and the way out"),
    "category-removed": ("warning", "a category is no longer in the rulebook; `plan` had been waiting for a person"),
    "clock-stepped": ("error", "the clock jumped; nothing is carried out until `retentiond clock --accept`"),
    "clock-accepted": ("info", "the clock is trusted again"),
    "state-unavailable": ("error", "the state cannot be read or written; nothing is destroyed without evidence"),
    "lease-lost": ("error", "the daemon of another machine has taken over; this one ends"),
    "not-told": ("error", "people could not be told at one address; it is tried again"),
}
"""Every event with its level and its meaning."""

_PRIORITIES = {"error": "<3>", "warning": "<4>", "info": "<6>"}


class Log:
    """The daemon's journal. `journald` says that its lines may begin with a priority (sd-daemon(3))."""

    def __init__(self, *, journald: bool | None = None) -> None:
        self._priorities = _is_journal() if journald is None else journald
        self._logger = structlog.wrap_logger(
            structlog.PrintLogger(sys.stderr),
            processors=[
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                _in_order,
                structlog.processors.JSONRenderer(sort_keys=False, ensure_ascii=False),
                self._with_priority,
            ],
        )
        self._level = "info"

    def say(self, event: str, level: str = "", /, **facts: Any) -> None:
        """One line; `KeyError` for an event that is none."""
        self._level = level or EVENTS[event][0]
        told = {name: value for name, value in facts.items() if value not in (None, "")}
        with suppress(OSError, ValueError):  # a closed or full journal
            self._logger.msg(event, level=self._level, **told)

    def _with_priority(self, _logger: Any, _method: str, line: Any) -> str:
        return f"{_PRIORITIES[self._level]}{line}" if self._priorities else str(line)


def _in_order(_logger: Any, _method: str, line: Any) -> dict[str, Any]:
    """When, how bad and what first."""
    first = {name: line.pop(name) for name in ("timestamp", "level", "event")}
    return {**first, **line}


def _is_journal() -> bool:
    """Whether standard error is the journal: systemd.exec(5), $JOURNAL_STREAM."""
    try:
        known = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{known.st_dev}:{known.st_ino}"
