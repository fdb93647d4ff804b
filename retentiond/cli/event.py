"""`event`: record, withdraw and list what happened to a subject."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from operator import attrgetter

import click

from retentiond.cli import complete
from retentiond.cli.desk import answer, happened, house, options, say
from retentiond.cli.front import common
from retentiond.cli.render import many, minute, sentence, table
from retentiond.core.plan import written
from retentiond.core.registers import RecordedEvent


@click.group()
@common
def event() -> None:
    """Record, withdraw and list events: they start the clock of a rule."""


@event.command()
@click.argument("name", shell_complete=complete.events)
@click.argument("subject")
@click.option("--at", metavar="TIME", help="When it happened (default: now; a bare date: the end of that day).")
@common
def record(name: str, subject: str, at: str | None) -> None:
    """Record that an event happened to a subject."""
    from retentiond.app.telling import record_event
    from retentiond.app.trail import publish

    with house() as at_home:
        when = happened(at, at_home) if at else at_home.now
        record_event(at_home, name, subject, when)
        publish(at_home)
    if options().json:
        answer({"event": name, "subject": subject, "at": written(when)})
        return
    say(f"Recorded: {name} of {subject} at {minute(when)} UTC.")
    if when > at_home.now:
        sentence("note: that is in the future, and until then nothing whose clock it starts is due. To take it back:")
        say(f"  retentiond event withdraw {name} {shlex.quote(subject)} --at {written(when)}")


@event.command()
@click.argument("name", shell_complete=complete.events)
@click.argument("subject")
@click.option("--at", metavar="TIME", help="Only the event of this instant (default: all of the subject).")
@common
def withdraw(name: str, subject: str, at: str | None) -> None:
    """Withdraw recorded events of a subject, as if they had not happened."""
    from retentiond.app.telling import withdraw_event
    from retentiond.app.trail import publish

    with house() as at_home:
        found = withdraw_event(at_home, name, subject, happened(at, at_home) if at else None)
        publish(at_home)
    if options().json:
        answer({"event": name, "subject": subject, "withdrawn": found})
    else:
        say(f"Withdrawn: {found} of {name} of {subject}.")


@event.command()
@common
def take() -> None:
    """Take over the events that other programs have dropped as files; plans, runs and the daemon do so by themselves."""
    from retentiond.app.dropping import take_events
    from retentiond.app.trail import publish

    with house() as at_home:
        taken = take_events(at_home)
        if taken.recorded or taken.withdrawn:
            publish(at_home)
    if options().json:
        answer(asdict(taken))
        return
    files, recorded = many(taken.files, "file"), many(taken.recorded, "event")
    say(f"Taken: {files}; {recorded} recorded, {taken.withdrawn:,} withdrawn, {taken.known:,} known.")
    for warning in taken.warnings:
        sentence(f"  warning: {warning}")


@event.command(name="list")
@common
def list_events() -> None:
    """List the recorded events."""
    with house() as at_home:
        found = at_home.recorded.all() if at_home.directory.exists() else []
    latest = {(e.name, e.subject): e.at for e in sorted(found, key=attrgetter("at")) if not e.withdrawn}
    if options().json:
        names = [
            {
                "event": e.name,
                "subject": e.subject,
                "at": written(e.at),
                "recorded": written(e.recorded_at),
                "withdrawn": e.withdrawn,
                "counts": not e.withdrawn and e.at == latest[e.name, e.subject],
            }
            for e in found
        ]
        answer({"events": names})
        return
    if not found:
        say("No events were recorded by hand.")
        return
    table(
        ("event", "subject", "at", "state"),
        [(e.name, e.subject, minute(e.at), _state(e, latest, at_home.now)) for e in found],
        left=("event", "subject", "at", "state"),
    )


def _state(event: RecordedEvent, latest: Mapping[tuple[str, str], datetime], now: datetime) -> str:
    """What has become of an event: of several of one subject, the latest counts."""
    if event.withdrawn:
        return "withdrawn"
    if event.at < latest[event.name, event.subject]:
        return "not the latest"
    return "counts" if event.at <= now else "in the future"
