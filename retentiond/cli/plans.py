"""`plans` and `runs`: what there is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click

from retentiond.cli.desk import answer, house, options, say
from retentiond.cli.front import common
from retentiond.cli.render import minute, short, table
from retentiond.core.outcome import counted
from retentiond.core.plan import Header, written

_NAMED = 2


@click.command()
@common
def plans() -> None:
    """List the plans that were made here, newest first."""
    with house() as at_home:
        rows = at_home.plans.headers() if at_home.directory.exists() else []
        now = at_home.now
    if options().json:
        answer({"plans": [_plan_json(name, header, done=done, kept=kept) for name, header, done, kept in rows]})
        return
    if not rows:
        say("There are no plans. Make one: retentiond plan")
        return
    table(
        ("plan", "as of", "categories", "steps", "state"),
        [
            (
                short(name),
                minute(header.at),
                _categories(header.categories),
                header.total,
                _state(header, now, done=done, kept=kept),
            )
            for name, header, done, kept in rows
        ],
        left=("plan", "as of", "categories", "state"),
    )


def _categories(names: Sequence[str]) -> str:
    """The names, or the first and how many more: `plan show` has all."""
    return ", ".join(names) if len(names) <= _NAMED else f"{names[0]} and {len(names) - 1:,} more"


def _state(header: Header, now: datetime, *, done: bool, kept: bool) -> str:
    if done:
        return "carried out"
    if header.forecast:
        return "forecast"
    if header.expires <= now:
        return "expired"
    if not kept:
        return "file removed"
    if header.blocked():
        return "refused in part"
    return "ready" if header.total else "nothing due"


def _plan_json(name: str, header: Header, *, done: bool, kept: bool) -> dict[str, Any]:
    return {
        "plan": name,
        "at": written(header.at),
        "expires": written(header.expires),
        "categories": list(header.categories),
        "steps": header.total,
        "forecast": header.forecast,
        "refused": sorted(header.blocked()),
        "done": done,
        "file": kept,
    }


@click.command()
@common
def runs() -> None:
    """List the runs of the past, newest first."""
    with house() as at_home:
        rows = at_home.runs.all() if at_home.directory.exists() else []
    if options().json:
        answer({"runs": [r | {"started": _written(r["started"]), "ended": _written(r["ended"])} for r in rows]})
        return
    if not rows:
        say("Nothing was carried out yet.")
        return
    table(
        ("run", "plan", "started", "allowed by", "came to"),
        [
            (r["run"], short(r["plan"]), _minute(r["started"]), r["allowed_by"], counts_in_words(r["counts"], r["ended"]))
            for r in rows
        ],
        left=("run", "plan", "started", "allowed by", "came to"),
    )


def counts_in_words(counts: dict[str, int], ended: object = True) -> str:
    """`12 disposed, 1 held`."""
    if not ended:
        return "cut short"
    told = counted(counts)
    return ", ".join(f"{told[n]:,} {n}" for n in told if told[n] and n != "inferred") or "nothing to do"


def _written(micros: int | None) -> str | None:
    return None if micros is None else written(_moment(micros))


def _minute(micros: int) -> str:
    return minute(_moment(micros))


def _moment(micros: int) -> datetime:
    return datetime.fromtimestamp(micros // 1_000_000, UTC)
