"""How the system's status of a file is read."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime, timedelta
from operator import attrgetter

from retentiond.engine.ports import Scope
from retentiond.stores.columns import EPOCH, Reading
from retentiond.stores.files.claims import revision_of

LINKED = "it has other hard links, so removing one name would not erase it"
UNQUIET = "it was changed a moment ago, so that somebody may still be writing it (`quiet`)"


def modified_at(status: os.stat_result) -> datetime | None:
    """When a file was last modified (UTC, whole microseconds); None beyond the calendar."""
    try:
        return EPOCH + timedelta(0, 0, status.st_mtime_ns // 1000)
    except OverflowError:
        return None


def _linked(status: os.stat_result) -> str | None:
    return None if status.st_nlink == 1 else LINKED


_PLAIN: Reading[os.stat_result] = Reading(revision_of, attrgetter("st_size"), modified_at, _linked)


def reading_of(scope: Scope, quiet: timedelta) -> Reading[os.stat_result]:
    """How a scope reads a status: what has changed less than `quiet` ago is in doubt, whatever its clock says."""
    if not quiet or scope.now is None:
        return _PLAIN
    last = (scope.now - quiet - EPOCH) // timedelta(microseconds=1) * 1000

    def doubt(status: os.stat_result) -> str | None:
        return _linked(status) or (UNQUIET if status.st_mtime_ns > last else None)

    return replace(_PLAIN, doubt=doubt)
