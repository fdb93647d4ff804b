"""`request`: the erasure requests that there are, how far they have come, and that a person takes one back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from retentiond.cli.desk import answer, house, options, say
from retentiond.cli.front import common
from retentiond.cli.render import day, many, sentence
from retentiond.core.plan import written
from retentiond.ledger.clock import moment

if TYPE_CHECKING:
    from retentiond.app.answering import Asked
    from retentiond.core.request import Stay


@click.group()
@common
def request() -> None:
    """List the erasure requests, and withdraw one; `erase` receives them."""


@request.command(name="list")
@click.option("--all", "every", is_flag=True, help="Those that were carried out or withdrawn, too.")
@common
def list_requests(every: bool) -> None:
    """List the requests that are open: since when, what waits on which ground, and until when an answer is due."""
    from retentiond.app.answering import asked, still_open

    with house() as at_home:
        known = asked(at_home.ledger, at_home.rulebook.zone, at_home.now) if at_home.directory.exists() else []
    found = known if every else still_open(known)
    if options().json:
        answer({"requests": [as_json(one) for one in found]})
        return
    if not found:
        say("There are no requests." if every else "No request is open.")
    for one in found:
        _tell(one)


@request.command()
@click.argument("name", metavar="REF")
@click.option("--reason", required=True, help="Why, in words for people.")
@common
def withdraw(name: str, reason: str) -> None:
    """Take a request back, as the person asked: from now on nothing goes on its ground.

    What went before is gone. A run that is at work on it ends after the batch in hand.
    """
    from retentiond.app.trail import publish

    with house() as at_home:
        at_home.require_state()
        kept = at_home.requests.withdraw(name, reason, at_home.word)
        publish(at_home)
    if options().json:
        answer({"request": kept.request.entry, "name": name, "state": kept.state})
    else:
        say(f"Request {name} is withdrawn.")


def _tell(one: Asked) -> None:
    kept = one.kept
    due = f", answer {'was ' if one.late else ''}due by {one.last_day}" if kept.waits else ""
    sentence(f"{kept.name}  {kept.state}, received {day(moment(kept.received))} (entry {kept.request.entry}){due}", "  ")
    sentence(f"  reason   {kept.reason}", " " * 11)
    if kept.withdraw_reason is not None:
        sentence(f"  taken back  {kept.withdraw_reason}", " " * 11)
    if kept.state == "received":
        sentence("  waits    for a person to carry out a plan of it: the same `retentiond erase` again, or `retentiond apply`")
    for category, rule, stay in _stays(one):
        until = f", until {stay.until}" if stay.until else ""
        sentence(f"  waits    {category}/{rule}: {many(stay.items, 'item')}: {stay.words}{until}", " " * 11)


def _stays(one: Asked) -> Iterator[tuple[str, str, Stay]]:
    for (category, rule), stays in sorted(one.kept.stays.items()):
        yield from ((category, rule, stay) for stay in stays.grounds)


def as_json(one: Asked) -> dict[str, Any]:
    """A request in JSON."""
    kept = one.kept
    return {
        "request": kept.request.entry,
        "name": kept.name,
        "state": kept.state,
        "reason": kept.reason,
        "by": kept.by,
        "received": written(moment(kept.received)),
        "allowed": _at(kept.allowed),
        "carried_out": _at(kept.done),
        "withdrawn": _at(kept.withdrawn),
        "withdraw_reason": kept.withdraw_reason,
        "answer_due": one.last_day.isoformat() if kept.waits else None,
        "late": one.late,
        "stays": [
            {
                "category": category,
                "rule": rule,
                "store": kept.stays[category, rule].store,
                "ground": stay.code,
                "lawful": stay.lawful,
                "words": stay.words,
                "items": stay.items,
                "until": stay.until,
            }
            for category, rule, stay in _stays(one)
        ],
    }


def _at(instant: int | None) -> str | None:
    return None if instant is None else written(moment(instant))
