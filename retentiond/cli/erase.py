"""`erase`: one person, every store (Art. 17 GDPR)."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from retentiond.cli.apply import as_json as applied_json
from retentiond.cli.apply import code_of
from retentiond.cli.apply import tell as tell_applied
from retentiond.cli.desk import agreed, answer, house, options, progress, say, stoppable, tell_others
from retentiond.cli.front import common, row
from retentiond.cli.plan_words import counts, tell_refused
from retentiond.cli.render import many, sentence, short
from retentiond.core.plan import refusal_json

if TYPE_CHECKING:
    from retentiond.app.applying import Progress
    from retentiond.app.beyond_use import Beyond
    from retentiond.app.erasing import Erasure
    from retentiond.app.house import House
    from retentiond.app.identifying import Widened
    from retentiond.ledger.requests import Kept


@click.command()
@click.argument("identifiers", metavar="K=V...", nargs=-1, required=True)
@click.option("--request", "name", metavar="REF", required=True, help="What you call the request, for instance its ticket.")
@click.option("--reason", required=True, help="Why, in words for people.")
@click.option("--plan", "only_plan", is_flag=True, help="Only plan; carry it out later with `apply PLAN`.")
@click.option("--by", metavar="NAME", help="Who decides (as stated; default: the user).")
@click.option("--yes", is_flag=True, help="Do not ask.")
@common
def erase(identifiers: tuple[str, ...], name: str, reason: str, only_plan: bool, by: str | None, yes: bool) -> int:
    """Erase one person from every store, as far as the law lets you, and look again afterwards.

    The person is named by identifiers (email=… customer=…), which the look-ups of `identities` widen. What
    a hold, a minimum or another ground of Art. 17(3) GDPR keeps is refused; it goes by itself, with the
    next plan of its category, when nothing keeps it any more. The same command goes on with a request that
    is there already.
    """
    from retentiond.app.erasing import plan_erasure
    from retentiond.app.identifying import identifiers_of
    from retentiond.app.trail import publish

    given = identifiers_of(identifiers, "a word")
    with house() as at_home:
        with progress(None) as show:
            erasure = plan_erasure(at_home, given, name, reason, by or getpass.getuser(), show)
        publish(at_home)
        if not options().json:
            _tell(erasure)
        if only_plan:
            return _planned(erasure)
        return _carry_out(at_home, erasure, yes=yes)


def _planned(erasure: Erasure) -> int:
    planned = erasure.planned
    if options().json:
        answer(as_json(erasure))
    else:
        say(f"Nothing was changed. To carry it out: retentiond apply {short(planned.name)}")
    return 5 if planned.unseen else 0


def _carry_out(at_home: House, erasure: Erasure, *, yes: bool) -> int:
    from retentiond.app.enforcing import apply_named
    from retentiond.app.trail import publish

    total, is_refused = erasure.planned.header.total, bool(erasure.planned.header.blocked())
    if total and not is_refused:
        agreed(f"Erase {many(total, 'item')} for ever?", yes=yes)
    plan = at_home.plans.find(erasure.planned.name)
    try:
        with stoppable() as stop, progress(total) as show:
            disposing: Progress = lambda done, _total: show("disposing", done)  # noqa: E731 a line beside its use
            applied = apply_named(at_home, plan, over_limits=None, stop=stop, progress=disposing).applied
    finally:
        checkpoint = publish(at_home)
        tell_others(at_home)
    kept = at_home.requests.get(erasure.request.entry)
    if options().json:
        answer(as_json(erasure, kept) | {"applied": applied_json(applied, checkpoint)})
    else:
        tell_applied(applied, checkpoint, named=True)
        _tell_left(kept)
    return code_of(applied) or (5 if erasure.planned.unseen else 0)


def _tell(erasure: Erasure) -> None:
    planned, widened = erasure.planned, erasure.widened
    say(f"Erasure request, entry {erasure.request.entry} of the audit log")
    say(f"Plan {planned.name}")
    for look_up in widened.look_ups:
        gave = ", ".join(f"{kind}={value}" for kind, value in look_up.gave) or "nothing further"
        sentence(f"  looked up: {look_up.name}: {'='.join(look_up.took)} gives {gave}")
    for (kind, value), look_up in widened.left_out.items():
        sentence(f"  left out: {kind}={value}: {look_up.name} leads from it to others, too, so what only it names stays")
    sentence("  identifiers: " + ", ".join(f"{kind}={value}" for kind, value in widened.identifiers))
    say()
    counts(planned.header.counts)
    for (category, rule), stays in planned.followed.get(erasure.request.entry, {}).items():
        for stay in stays.grounds:
            if stay.ground not in ("due", "unseen"):
                until = f", until {stay.until}" if stay.until else ""
                word = "refused" if stay.lawful else "not done"
                sentence(f"  {word}: {category}/{rule}: {many(stay.items, 'item')}: {stay.words}{until}")
    tell_refused(planned.name, planned.header)
    for warning in planned.warnings:
        sentence(f"  note: {warning}")
    for where, error in planned.unseen.items():
        sentence(f"  not seen: {where}: {error.problems[0]}")
    _tell_beyond(erasure.beyond)
    say()


def _tell_beyond(beyond: Sequence[Beyond]) -> None:
    for one in beyond:
        kind = "beyond use" if one.backup else "not searched"
        until = f"gone by rule by {one.until}" if one.until else "no rule sets an end"
        items = f"{many(one.items, 'item')}: " if one.items is not None else ""
        sentence(f"  {kind}: {one.category}/{one.rule} in {one.store}: {items}{one.words}; {until}")


def _tell_left(kept: Kept) -> None:
    if kept.done is not None:
        say("A later look found nothing of this person: the request is carried out.")
        return
    left = sum(stay.items for stays in kept.stays.values() for stay in stays.grounds)
    say(f"The request stays open: {many(left, 'item')} left; each goes with the next plan when nothing keeps it any more.")


def as_json(erasure: Erasure, kept: Kept | None = None) -> dict[str, Any]:
    """The shape of `erase --json`."""
    planned, widened = erasure.planned, erasure.widened
    header = planned.header
    found = kept.stays if kept is not None else planned.followed.get(erasure.request.entry, {})
    return {
        "request": erasure.request.entry,
        "state": kept.state if kept is not None else "received",
        "plan": planned.name,
        **_as_json_whom(widened),
        "rules": [dict(c) for c in header.counts],
        "refused": [refusal_json(r) for r in header.refused],
        "stays": [
            {
                "category": category,
                "rule": rule,
                "store": stays.store,
                "ground": stay.code,
                "lawful": stay.lawful,
                "words": stay.words,
                "items": stay.items,
                "until": stay.until,
            }
            for (category, rule), stays in sorted(found.items())
            for stay in stays.grounds
            if stay.ground != "due" or kept is not None
        ],
        "beyond_use": [
            {
                "category": b.category,
                "rule": b.rule,
                "store": b.store,
                "backup": b.backup,
                "words": b.words,
                "until": b.until and b.until.isoformat(),
                "items": b.items,
            }
            for b in erasure.beyond
        ],
        "warnings": planned.warnings,
        "errors": [row(error.problems[0]) for error in planned.unseen.values()],
    }


def _as_json_whom(widened: Widened) -> dict[str, Any]:
    left_out = [{"kind": kind, "value": value, "look_up": u.name} for (kind, value), u in widened.left_out.items()]
    look_ups = [
        {"name": u.name, "took": dict([u.took]), "gave": [{"kind": k, "value": v} for k, v in u.gave]} for u in widened.look_ups
    ]
    identifiers = [{"kind": kind, "value": value} for kind, value in widened.identifiers]
    return {"identifiers": identifiers, "look_ups": look_ups, **({"left_out": left_out} if left_out else {})}
