"""Where events are looked up: the queries of the rulebook and the records of the ledger, together."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from retentiond.app.house import House
from retentiond.core.policy import EventSource
from retentiond.core.times import read
from retentiond.errors import StoreDenied, StoreUnavailable

UNREADABLE = datetime(1970, 1, 1, tzinfo=UTC)
"""An event whose time cannot be read has happened, at no usable date: it starts no clock, and allows what is forbidden."""


class Happenings:
    """`engine.ports.Events`: for each subject the newest event, over query and records, that is not withdrawn."""

    def __init__(self, house: House) -> None:
        self._house = house

    def latest(self, category: str, event: str, subjects: Sequence[str | None], *, acting: bool) -> list[datetime | None]:
        """Asked for a page when planning, and again for a batch at the moment of disposal."""
        _ = acting
        source = self._house.rulebook.categories[category].events[event]
        wanted = list(dict.fromkeys(s for s in subjects if s is not None))
        found: dict[str, datetime] = {}
        if source.query:
            found = self._asked(source, wanted)
        if source.recorded and self._house.directory.exists():
            for subject, at in self._house.recorded.latest(event, wanted).items():
                found[subject] = max(at, found.get(subject, at))
        return [None if s is None else found.get(s) for s in subjects]

    def _asked(self, source: EventSource, subjects: Sequence[str]) -> dict[str, datetime]:
        zone = ZoneInfo(source.zone)
        found: dict[str, datetime] = {}
        try:
            for subject, value in self._house.answering(source.store).ask(source.query, subjects):
                at = read(value, zone) or UNREADABLE
                found[subject] = max(at, found.get(subject, at))
        except (StoreDenied, StoreUnavailable) as error:
            what, why = f"the event {source.name} cannot be looked up", "; ".join(filter(None, (error.what, error.why)))
            trouble = type(error)(what, why=why, do=error.do, word=source.query)
            trouble.event_store = source.store
            raise trouble from error
        return found
