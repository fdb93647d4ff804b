"""`status`: what is overdue, broken or late, what waits for a person, and whether the daemon runs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retentiond.cli import complete
from retentiond.cli.desk import answer, house, options, say
from retentiond.cli.front import common
from retentiond.cli.plan_words import breaches
from retentiond.cli.render import day, minute, sentence, short, size, table
from retentiond.core.plan import written
from retentiond.errors import RetentiondError, UsageError
from retentiond.ledger.clock import moment

if TYPE_CHECKING:
    from retentiond.app.house import House
    from retentiond.app.standing import CategoryStanding, Standing
    from retentiond.ledger.looks import Look

NOT_OK = 7

_CAME_TO: Mapping[str, str] = {
    "done": "done",
    "nothing": "nothing due",
    "refused": "refused",
    "unapproved": "wants a person",
    "unseen": "not seen",
    "failed": "failed",
    "stopped": "stopped",
}
_APPROVAL: Mapping[str, str] = {
    "never": "never approved",
    "revoked": "not approved any more",
    "changed": "changed since the approval",
}


@click.command()
@click.option("--check", "checked", is_flag=True, help="End with 7 where something is overdue, violated or late.")
@click.option("--metrics", metavar="FILE", shell_complete=complete.files, help="Write the same as metrics into this file.")
@common
def status(checked: bool, metrics: str | None) -> int:
    """Show how things stand. No store is opened and nothing is changed.

    What is overdue is what the last plan found that saw it, less what was disposed of since.
    """
    from retentiond.app.standing import standing

    with house() as at_home:
        found = standing(at_home)
    if metrics:
        _write(metrics, found)
    if options().json:
        answer(as_json(found))
    else:
        _tell(found)
    return NOT_OK if checked and not found.ok else 0


@contextmanager
def metrics_after(at_home: House, file: str | None) -> Iterator[None]:
    """Writes how things stand into `file` as metrics when the block has ended, however it ended.

    `UsageError` before the block where the file cannot be written; after it, what the block came to counts, and
    a file that could not be written is told on standard error only: its age shows the rest.
    """
    if file is None:
        yield
        return
    if not os.access(os.path.dirname(file) or ".", os.W_OK | os.X_OK) or os.path.isdir(file):
        raise _unwritable("its folder is not there or not writable")
    try:
        yield
    finally:
        from retentiond.app.standing import standing

        try:
            _write(file, standing(at_home))
        except RetentiondError as error:
            click.echo(f"retentiond: {error.problems[0]}", err=True)


def _write(file: str, found: Standing) -> None:
    from retentiond.daemon.metrics import write_textfile

    try:
        write_textfile(Path(file), found)
    except OSError as error:
        raise _unwritable(error.strerror or "") from error


def _unwritable(why: str) -> UsageError:
    return UsageError("the metrics cannot be written to --metrics", why=why, do="name another file")


def as_json(found: Standing) -> dict[str, Any]:
    """The shape of `status --json`."""
    return {
        "at": written(found.at),
        "ok": found.ok,
        "daemon": found.daemon,
        "running": found.running,
        "stop_file": found.stop_file,
        "clock": {"trusted": not found.clock_step, "step_seconds": int(found.clock_step / 1_000_000)},
        "categories": [_category_json(each) for each in found.categories],
        "open_intents": found.open_intents,
        "holds": {"active": found.holds, "to_review": found.holds_to_review},
        "requests": {
            "open": len(found.requests),
            "late": sum(one.late for one in found.requests),
            "answer_due": _first_answer(found),
        },
        "messages": {"owed": found.messages_owed, "receivers_failing": found.receivers_failing},
        "audit": {
            "entries": found.trail.entries,
            "published": found.trail.published,
            "published_at": _written(found.trail.published_at),
            "bytes": found.trail.bytes,
            "anchors": found.trail.anchors,
            "anchored_at": _written(found.trail.anchored_at),
            "anchors_failing": found.trail.anchors_failing,
        },
        "state_bytes": found.state_bytes,
    }


def _first_answer(found: Standing) -> str | None:
    """The day by which the first answer is due to somebody who asked for erasure."""
    return min((one.last_day.isoformat() for one in found.requests if one.kept.waits), default=None)


def _requests(found: Standing) -> str:
    first, late = _first_answer(found), sum(one.late for one in found.requests)
    told = f", {late:,} without an answer after a month" if late else f", the first answer due by {first}" if first else ""
    return f"Erasure requests open: {len(found.requests):,}{told}. See `retentiond request list`."


def _category_json(each: CategoryStanding) -> dict[str, Any]:
    return {
        "category": each.category,
        "schedule": each.schedule,
        "approval": each.approval,
        "troubles": each.troubles,
        "overdue": each.overdue,
        "oldest_overdue": _written(each.oldest_overdue),
        **each.found,
        "seen": _written(each.seen),
        "last_look": _look_json(each.look) if each.look else None,
        "last_effective": _written(each.effective),
        "next_look": _written(each.next_look),
        "late_from": _written(each.late_from),
        "waits_with": each.waits_with,
        "totals": dict(each.look.totals) if each.look else {},
    }


def _look_json(look: Look) -> dict[str, Any]:
    return {
        "began": written(moment(look.began)),
        "ended": written(moment(look.ended)),
        "result": look.result,
        "code": look.code,
        "plan": look.plan,
        "run": look.run,
        "outcomes": dict(look.outcomes),
    }


def _written(at: datetime | None) -> str | None:
    return None if at is None else written(at)


def _tell(found: Standing) -> None:
    """How things stand, in words."""
    say(f"As of {minute(found.at)} UTC. The daemon is {'running' if found.daemon else 'not running'}.")
    say()
    if found.categories:
        table(
            ("category", "last look", "came to", "next look", "overdue"),
            [
                (
                    each.category,
                    minute(moment(each.look.ended)) if each.look else "never",
                    _CAME_TO[each.look.result] if each.look else "",
                    minute(each.next_look),
                    each.overdue if each.seen or each.overdue else "?",
                )
                for each in found.categories
            ],
            left=("category", "last look", "came to", "next look"),
        )
        for each in found.categories:
            for line in _troubles(each):
                sentence(f"  {line}")
        for approval, words in _APPROVAL.items():
            names = [each.category for each in found.categories if each.approval == approval]
            if names:
                sentence(f"  {words}: {', '.join(names)}; see `retentiond approve`")
        say()
    for line in _around(found):
        sentence(line)


def _troubles(each: CategoryStanding) -> Iterator[str]:
    """What is wrong with a category, and what waits."""
    name = each.category
    if each.found["violations"]:
        yield f"violation: {name}: {_violations(each)}{_as_of(each)}"
    if each.overdue:
        oldest = f", the oldest from {day(each.oldest_overdue)}" if each.oldest_overdue else ""
        yield f"overdue: {name}: {each.overdue:,}{oldest}{_as_of(each)}"
    if each.late:
        since = f"since {minute(each.effective)} UTC" if each.effective else "ever"
        yield f"late: {name}: nothing effective {since}; its schedule is: {each.schedule}"
    if each.found["undetermined"]:
        yield f"undetermined: {name}: {each.found['undetermined']:,} in doubt{_doubts(each)}"
    if each.found["newer"]:
        yield f"returned: {name}: {each.found['newer']:,} about somebody who was erased, and newer than the request"
    if each.waits_with:
        yield f"waits: {name}: a person is to look at it: retentiond plan show {short(each.waits_with)}"


def _violations(each: CategoryStanding) -> str:
    """What the violations of a category are: what must not exist, and what of its requirements is broken."""
    required = each.found["violations"] - each.forbidden
    words = [f"{each.forbidden:,} that must not exist"] if each.forbidden else []
    return ", ".join([*words, *([f"{required:,} {breaches(each.breaches)}"] if required else [])])


def _doubts(each: CategoryStanding) -> str:
    """Why items are in doubt, as the newest plans say; else where to look."""
    by = sorted(each.doubts.items(), key=lambda one: -one[1])
    words = [f"{why}: {items:,}" if len(by) > 1 else why for why, items in by]
    return f" ({'; '.join(words)})" if words else "; see `retentiond plan`"


def _as_of(each: CategoryStanding) -> str:
    return f" (seen {minute(each.seen)} UTC)" if each.seen else " (not all of it was seen yet)"


def _around(found: Standing) -> Iterator[str]:
    """What concerns all categories."""
    if found.running:
        yield "A plan is being carried out."
    if found.stop_file:
        yield "The stop file is there: nothing is carried out until it is removed."
    if found.clock_step:
        seconds = int(found.clock_step / 1_000_000)
        yield f"The clock is off by {seconds:+,} seconds: nothing is carried out; see `retentiond clock`."
    if found.open_intents and not found.running:
        yield f"Batches without an outcome: {found.open_intents:,}. The next `retentiond apply` looks what became of them."
    if found.holds:
        due = f", {found.holds_to_review:,} of them to be looked at again" if found.holds_to_review else ""
        yield f"Holds in force: {found.holds:,}{due}. See `retentiond hold list`."
    if found.requests:
        yield _requests(found)
    if found.receivers_failing:
        yield f"Messages to people: {found.messages_owed:,} not delivered; see `retentiond notify test`."
    trail = found.trail
    if trail.anchors_failing:
        yield f"Anchors that fail: {trail.anchors_failing:,} of {trail.anchors:,}; see `retentiond audit anchor`."
    if not trail.entries:
        yield "There is no state yet: nothing was planned here."
        return
    lag = f", {trail.unpublished:,} not published yet" if trail.unpublished else ""
    at = f", checkpoint of {minute(trail.published_at)} UTC" if trail.published_at else ""
    kept = f", anchored {minute(trail.anchored_at)} UTC" if trail.anchored_at else ", never anchored" if trail.anchors else ""
    yield f"Audit log: {trail.entries:,} entries{lag}, {size(trail.bytes)}{at}{kept}."
