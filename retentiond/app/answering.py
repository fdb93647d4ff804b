"""Erasure requests and their time: a person has to be told what came of a request within a month (Art. 12(3) GDPR).

An answer is due as long as nobody has allowed a request, or something is left on no ground that the law knows. What a hold, a
minimum or another ground of the law keeps is an answer: the certificate says it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from retentiond.core.period import Period
from retentiond.ledger.clock import moment
from retentiond.ledger.ledger import Ledger
from retentiond.ledger.requests import Kept, RequestRegister

MONTH = Period(months=1)
AHEAD = timedelta(days=7)
"""An alarm comes so long before the month is over."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request at an instant. `deadline` is when its month is over, and `last_day` the last of it.

    `late` and `near` are about an answer that is still due.
    """

    kept: Kept
    deadline: datetime
    last_day: date
    at: datetime

    @property
    def late(self) -> bool:
        """Whether the month has passed without an answer."""
        return self.kept.waits and self.deadline <= self.at

    @property
    def near(self) -> bool:
        """Whether the month is nearly over, or over, without an answer."""
        return self.kept.waits and self.deadline - AHEAD <= self.at


def asked(ledger: Ledger, zone: ZoneInfo, at: datetime) -> list[Asked]:
    """Every request, oldest first."""
    return [_asked(kept, zone, at) for kept in RequestRegister(ledger).all()]


def still_open(requests: list[Asked]) -> list[Asked]:
    """Those that were neither carried out nor withdrawn."""
    return [one for one in requests if one.kept.state in ("received", "open")]


def _asked(kept: Kept, zone: ZoneInfo, at: datetime) -> Asked:
    end = MONTH.end(moment(kept.received), zone)
    assert end is not None, "a month has an end"
    return Asked(kept, end, (end.astimezone(zone) - timedelta(microseconds=1)).date(), at)
