"""What was told to whom, and what is still owed: each news is owed to each address until the address has taken it.

It is a memory, not evidence. Guarantees: what is found, what is news of it, and to whom it is owed, are one
transaction, so that no crash forgets news and no second process tells it again; an address is served by one
process at a time (by a claim that ends by itself), so that news reaches it at least once, in its order.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from retentiond.core.alarm import Alarm, Name, News, news
from retentiond.ledger import schema
from retentiond.ledger.ledger import Ledger

_SECOND = 1_000_000
CLAIM = 120 * _SECOND
"""How long an address belongs to whoever claimed it, should that process die."""
FIRST_WAIT, LONGEST_WAIT = 60 * _SECOND, 3600 * _SECOND
"""After a failure an address is left alone so long; twice as long after each further one, up to the longest."""


@dataclass(frozen=True, slots=True)
class Debtor:
    """How an address stands: how much it is owed, and, where it fails, since when and why (fixed words)."""

    owed: int = 0
    failing_since: int | None = None
    trouble: str = ""


class AlarmRegister:
    """The alarms that were told, and what is owed to each address. Addresses are known by an id without secrets."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def watched(self, categories: Iterable[str], now: int) -> dict[str, int]:
        """For each category the instant from which on it is missed when nothing runs: when it was first asked for here."""
        w, wanted = schema.alarm_watched, set(categories)
        with self._ledger.transaction() as change:
            known = {row.category: row.since for row in change.connection.execute(sa.select(w.c.category, w.c.since))}
            if known.keys() - wanted:
                change.connection.execute(w.delete().where(w.c.category.in_(known.keys() - wanted)))
            added = dict.fromkeys(wanted - known.keys(), now)
            if added:
                change.connection.execute(w.insert(), [{"category": name, "since": since} for name, since in added.items()])
        return {name: since for name, since in (known | added).items() if name in wanted}

    def standing(self) -> list[Alarm]:
        """What was told and is not over."""
        with self._ledger.transaction() as change:
            return _standing(change.connection)

    def note(
        self, found: Sequence[Alarm], undecided: AbstractSet[Name], on: Mapping[str, AbstractSet[str]], now: int
    ) -> list[News]:
        """Keeps what is found now, and owes what is news to every address that wants its kind (`on`).

        An address that was not there before is owed what stands already. One that is no longer there is owed nothing.
        """
        with self._ledger.transaction() as change:
            told = _standing(change.connection)
            changes = news(told, found, undecided, now)
            for one in changes:
                _keep(change.connection, one)
            _owe_all(change.connection, on, [News("new", now, alarm) for alarm in told], changes)
        return changes

    def announce(self, news: Sequence[News], on: Mapping[str, AbstractSet[str]]) -> None:
        """Owes news that is no state, and is never over, to every address that wants its kind."""
        with self._ledger.transaction() as change:
            standing = [News("new", one.since, one) for one in _standing(change.connection)]
            _owe_all(change.connection, on, standing, news)

    def claim(self, address: str, now: int, most: int) -> list[tuple[int, News]]:
        """The oldest news that an address is owed, at most so many; none while it is left alone, or somebody else's.

        What a clock that has gone back since said about waiting is not believed.
        """
        a, o = schema.alarm_address, schema.alarm_owed
        mine = a.c.address == address
        with self._ledger.transaction() as change:
            free_at = change.connection.execute(sa.select(a.c.free_at).where(mine)).scalar()
            if free_at is None or now < free_at <= now + LONGEST_WAIT:
                return []
            wanted = sa.select(o.c.id, o.c.news).where(o.c.address == address).order_by(o.c.id).limit(most)
            owed = [(number, _read_news(text)) for number, text in change.connection.execute(wanted)]
            if owed:
                change.connection.execute(a.update().where(mine).values(free_at=now + CLAIM))
        return owed

    def delivered(self, address: str, numbers: Sequence[int]) -> None:
        """An address has taken this news."""
        a, o = schema.alarm_address, schema.alarm_owed
        with self._ledger.transaction() as change:
            change.connection.execute(o.delete().where(o.c.id.in_(numbers)))
            good = {"free_at": 0, "failures": 0, "failing_since": None, "trouble": ""}
            change.connection.execute(a.update().where(a.c.address == address).values(**good))

    def put_off(self, address: str, trouble: str, now: int) -> None:
        """An address has failed: it is left alone for a while, each time twice as long, up to an hour."""
        a = schema.alarm_address
        mine = a.c.address == address
        with self._ledger.transaction() as change:
            row = change.connection.execute(sa.select(a.c.failures, a.c.failing_since).where(mine)).one_or_none()
            failures, since = row or (0, None)
            wait = min(FIRST_WAIT * 2 ** min(failures, 10), LONGEST_WAIT)
            values = {"free_at": now + wait, "failures": failures + 1, "failing_since": since or now, "trouble": trouble}
            change.connection.execute(a.update().where(mine).values(**values))

    def debtors(self) -> dict[str, Debtor]:
        """How each known address stands."""
        a, o = schema.alarm_address, schema.alarm_owed
        owed = sa.select(sa.func.count()).where(o.c.address == a.c.address).scalar_subquery()
        with self._ledger.transaction() as change:
            rows = change.connection.execute(sa.select(a.c.address, owed, a.c.failing_since, a.c.trouble)).all()
        return {address: Debtor(number, since, trouble) for address, number, since, trouble in rows}


def _standing(connection: sa.Connection) -> list[Alarm]:
    texts = connection.execute(sa.select(schema.alarm.c.state).order_by(schema.alarm.c.id)).scalars()
    return [Alarm(**json.loads(text)) for text in texts]


def _keep(connection: sa.Connection, one: News) -> None:
    row = schema.alarm
    mine = sa.and_(row.c.kind == one.alarm.kind, row.c.about == one.alarm.about)
    if one.change == "over":
        connection.execute(row.delete().where(mine))
    elif one.change == "new":
        connection.execute(row.insert().values(kind=one.alarm.kind, about=one.alarm.about, state=_written(one.alarm)))
    else:
        connection.execute(row.update().where(mine).values(state=_written(one.alarm)))


def _addresses(connection: sa.Connection, on: Mapping[str, object]) -> set[str]:
    """Makes the known addresses those of the configuration; the new ones."""
    a, o = schema.alarm_address, schema.alarm_owed
    known = set(connection.execute(sa.select(a.c.address)).scalars())
    for gone in known - on.keys():
        connection.execute(o.delete().where(o.c.address == gone))
        connection.execute(a.delete().where(a.c.address == gone))
    for address in on.keys() - known:
        connection.execute(a.insert().values(address=address, free_at=0, failures=0, trouble=""))
    return on.keys() - known


def _owe_all(
    connection: sa.Connection, on: Mapping[str, AbstractSet[str]], standing: Sequence[News], changes: Sequence[News]
) -> None:
    """Owes changes to every address that wants their kinds, and what stands already to one that was not there before."""
    new = _addresses(connection, on)
    for address, kinds in on.items():
        known = standing if address in new else ()
        _owe(connection, address, [one for one in (*known, *changes) if one.alarm.kind in kinds])


def _owe(connection: sa.Connection, address: str, changes: Sequence[News]) -> None:
    if changes:
        rows = [{"address": address, "news": _written(one)} for one in changes]
        connection.execute(schema.alarm_owed.insert(), rows)


def _written(value: Any) -> str:
    return json.dumps(asdict(value))


def _read_news(text: str) -> News:
    value = json.loads(text)
    return News(value["change"], value["at"], Alarm(**value["alarm"]))
