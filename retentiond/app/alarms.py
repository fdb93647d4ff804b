"""Alarms: what is wrong now, from the ledger alone; and telling it, once per state and not once per run.

Which states stand, and who is still owed what, is in the ledger, so that neither a run nor a restart
repeats a message. A look that could not see leaves a state as it was told: only what was seen to be over is over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from time import monotonic

from retentiond.app.answering import AHEAD
from retentiond.app.delivering import deliver, receivers
from retentiond.app.house import House
from retentiond.app.standing import CategoryStanding, Standing, standing
from retentiond.config.schedule import schedule
from retentiond.core.alarm import GROWTH, Alarm, Kind, Name
from retentiond.core.limits import UNPASSABLE
from retentiond.core.period import first_instant
from retentiond.errors import RetentiondError
from retentiond.ledger.clock import micros, moment
from retentiond.ledger.looks import Look
from retentiond.notify import TIMEOUT

_SHORT = 12

ALTOGETHER = 15.0
"""After so many seconds nobody further is told in one go: the daemon has signals to hear, and a watchdog that waits for it."""

_LOOK_AFTER_IT = "retentiond status; then see whether the daemon or its timer runs"

_SAYS_NOTHING: Mapping[str, tuple[Kind, ...]] = {
    "stopped": ("failure", "limit", "approval"),
    "unseen": ("limit", "approval"),
    "failed": ("limit", "approval"),
}
"""By the result of a look, the kinds of alarm about which it says nothing."""


@dataclass(slots=True)
class Told:
    """What telling came to: states that are new, grown or over; messages that went; what everybody is owed together.

    `troubles` has, by the label of an address, why it failed now.
    """

    new: int = 0
    over: int = 0
    sent: int = 0
    owed: int = 0
    troubles: dict[str, str] = field(default_factory=dict)


def tell(
    house: House, now: datetime, *, also: Sequence[Alarm] = (), timeout: float = TIMEOUT, altogether: float = ALTOGETHER
) -> Told:
    """Tells every address what is news to it. `also` are alarms that the caller knows and the ledger does not.

    An address that fails raises nothing: it takes `timeout` seconds and is tried again by a later call. Those
    that do not fail come first; after `altogether` seconds whoever is left is told by a later call.
    `StateUnavailable` where the ledger cannot be used.
    """
    register = house.alarms  # opens the ledger, which gives an older state the tables that it lacks
    found, undecided = alarms(house, now)
    everybody = receivers(house)
    on = {receiver.id: receiver.address.on for receiver in everybody}
    news = register.note([*found, *also], undecided, on, micros(now))
    told = Told(over=sum(one.change == "over" for one in news))
    told.new = len(news) - told.over
    failing = {address for address, debtor in register.debtors().items() if debtor.failing_since is not None}
    until = monotonic() + altogether
    for receiver in sorted(everybody, key=lambda each: each.id in failing):
        if monotonic() > until:
            break
        sent, trouble = deliver(house, receiver, now, timeout)
        told.sent += sent
        if trouble:
            told.troubles[receiver.label] = trouble
    told.owed = sum(debtor.owed for debtor in register.debtors().values())
    return told


def alarms(house: House, now: datetime) -> tuple[list[Alarm], set[Name]]:
    """What is wrong now, and the states about which nothing can be said now."""
    stands = standing(house)
    found = {alarm.name: alarm for one in stands.categories for alarm in _of_category(one, now)}
    undecided = {(kind, one.category) for one in stands.categories for kind in _says_nothing(one.look)}
    if stands.clock_step:
        seconds = int(stands.clock_step / 1_000_000)
        found["clock", ""] = Alarm("clock", "", micros(now), facts={"seconds": seconds}, do="retentiond clock")
        undecided |= {
            alarm.name for alarm in house.alarms.standing() if alarm.kind in ("silence", "hold-review", "request", "anchor")
        }
    else:
        found |= {
            alarm.name: alarm
            for alarm in (
                *_unanchored(house),
                *_silences(house, now, stands.categories),
                *_reviews(house, now),
                *_requests(stands),
            )
        }
    return list(found.values()), undecided


def broken_rulebook(error: RetentiondError, now: datetime) -> Alarm:
    """The alarm of a reload that failed, to be handed to every `tell` until a reload succeeds."""
    number = len(error.problems)
    return Alarm("configuration", "", micros(now), number, {"problems": number}, "retentiond check --offline")


def _of_category(one: CategoryStanding, now: datetime) -> Iterator[Alarm]:
    seen = micros(one.seen or now)
    if one.look is not None:
        yield from _of_look(one, one.look)
    if one.overdue:
        facts: dict[str, int | str] = {"overdue": one.overdue}
        if one.oldest_overdue is not None:
            facts["oldest_start"] = one.oldest_overdue.date().isoformat()
        yield Alarm("overdue", one.category, seen, one.overdue, facts, f"retentiond plan {one.category}")
    if newer := one.found["newer"]:
        yield Alarm("returned", one.category, seen, newer, {"newer": newer}, f"retentiond plan {one.category}")
    violations = one.found["violations"]
    if violations:
        facts = {"violations": violations}
        yield Alarm("violation", one.category, seen, violations, facts, f"retentiond plan {one.category}")


def _of_look(one: CategoryStanding, look: Look) -> Iterator[Alarm]:
    name, plan = one.category, (look.plan or "")[:_SHORT]
    due = {"due": look.found["due"]} if "due" in look.found else {}
    if look.result in ("failed", "unseen"):
        yield _failure(look)
    elif look.result == "refused" and look.code != "clock":  # of the clock there is one alarm for all
        do = f"retentiond plan show {plan}; if it is meant: retentiond apply {plan} --over-limits {plan}"
        if look.code in UNPASSABLE:
            do = f"retentiond check; if the move is meant: retentiond approve {name}"
        yield Alarm("limit", name, look.began, facts={"limit": look.code or "limit", **due}, do=do)
    elif look.result == "unapproved":
        do = f"retentiond apply {plan}" if one.approval == "each" and plan else f"retentiond approve {name}"
        yield Alarm("approval", name, look.began, facts=due, do=do)


def _failure(look: Look) -> Alarm:
    if look.code == "audit":
        return Alarm("audit", "", look.began, do="retentiond audit verify")
    counts = {kind: look.outcomes[kind] for kind in ("failed", "unknown") if look.outcomes.get(kind)}
    facts: dict[str, int | str] = {"code": look.code or look.result, **counts}
    return Alarm("failure", look.category, look.began, max(1, sum(counts.values())), facts, "retentiond check")


def _says_nothing(look: Look | None) -> tuple[Kind, ...]:
    return _SAYS_NOTHING.get(look.result if look else "stopped", ())


def _silences(house: House, now: datetime, categories: Sequence[CategoryStanding]) -> Iterator[Alarm]:
    """Categories for which nothing took effect for so many periods of their schedule: the dead man's signal."""
    watched = house.alarms.watched([one.category for one in categories], micros(now))
    for one in categories:
        gap = schedule(one.schedule).longest_gap
        patience = timedelta(minutes=house.settings.silence * gap)
        late_from = one.late_from or moment(watched[one.category]) + patience
        if now > late_from:
            facts: dict[str, int | str] = {"periods": house.settings.silence, "minutes_of_a_period": gap}
            yield Alarm("silence", one.category, micros(late_from - patience), facts=facts, do=_LOOK_AFTER_IT)


def _unanchored(house: House) -> Iterator[Alarm]:
    """Anchors that do not take what they are given."""
    for one in house.settings.audit.anchors:
        known = house.anchors.of(one.id)
        if known.trouble:
            yield Alarm("anchor", one.label, known.failing_since, do="retentiond audit anchor")


def _requests(stands: Standing) -> Iterator[Alarm]:
    """Requests whose month is nearly over without an answer, each named by its entry in the audit log."""
    for one in stands.requests:
        if one.near:
            facts: dict[str, int | str] = {"answer_due": one.last_day.isoformat(), "late": int(one.late)}
            since, do = micros(one.deadline - AHEAD), "retentiond request list"
            yield Alarm("request", f"entry {one.kept.request.entry}", since, GROWTH if one.late else 1, facts, do)


def _reviews(house: House, now: datetime) -> Iterator[Alarm]:
    """Holds whose day of review has come, each named by its entry in the audit log."""
    zone = house.rulebook.zone
    today = now.astimezone(zone).date()
    for hold in house.holds.all():
        if hold.released_at or hold.review_on is None or (day := date.fromisoformat(hold.review_on)) > today:
            continue
        yield Alarm("hold-review", f"entry {hold.entry}", micros(first_instant(day, zone)), do="retentiond hold list")
