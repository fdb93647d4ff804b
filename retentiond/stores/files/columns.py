"""How the system's status of a file is read."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from operator import attrgetter

from retentiond.stores.columns import EPOCH, Reading
from retentiond.stores.files.claims import revision_of

LINKED = "it has other hard links, so removing one name would not erase it"


def modified_at(status: os.stat_result) -> datetime | None:
    """When a file was last modified (UTC, whole microseconds); None beyond the calendar."""
    try:
        return EPOCH + timedelta(0, 0, status.st_mtime_ns // 1000)
    except OverflowError:
        return None


def _linked(status: os.stat_result) -> str | None:
    return None if status.st_nlink == 1 else LINKED


READING: Reading[os.stat_result] = Reading(revision_of, attrgetter("st_size"), modified_at, _linked)
