"""`review`: what waits for a person, and what the person decides."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from retentiond.cli import complete
from retentiond.cli.desk import agreed, answer, house, moment, options, say
from retentiond.cli.front import common, row
from retentiond.cli.render import day, many, minute, sentence, size, table
from retentiond.core.plan import written
from retentiond.errors import UsageError

if TYPE_CHECKING:
    from retentiond.app.house import House
    from retentiond.app.reviewing import Waiting

_SHOWN = 20


@click.group()
@common
def review() -> None:
    """List what waits for a person, and decide about it: rules whose action is review.

    Nothing is disposed of here: what was approved is due in the next plan.
    """


@review.command(name="list")
@click.argument("categories", nargs=-1, shell_complete=complete.categories)
@common
def list_waiting(categories: tuple[str, ...]) -> None:
    """Look, and list what waits for review, with the keys in clear."""
    from retentiond.app.reviewing import waiting

    with house() as at_home:
        found = sorted(waiting(at_home, categories), key=lambda w: (w.category, w.rule, w.start is None, w.start, w.key))
    if options().json:
        answer({"waiting": [as_json(one) for one in found]})
    elif found:
        _show(found)
    else:
        say("Nothing waits for review.")


def _choosing(command: Callable[..., int]) -> Callable[..., int]:
    """The words by which items are chosen: a store and keys, or a filter on all that waits in a category."""
    for word in (
        click.option(
            "--before", metavar="DATE", help="Of all, only what started before; a bare date is its midnight (with --all)."
        ),
        click.option("--path", metavar="GLOB", help="Of all, only this path and what is below it (with --all)."),
        click.option("--category", shell_complete=complete.categories, help="The category of --all."),
        click.option("--all", "everything", is_flag=True, help="All that waits in the category (with --category)."),
        click.argument("keys", metavar="[KEY...]", nargs=-1),
        click.argument("store", required=False, shell_complete=complete.stores),
    ):
        command = word(command)
    return command


@review.command()
@_choosing
@click.option("--reason", required=True, help="Why they may go.")
@click.option("--by", metavar="NAME", help="Who decides (as stated; default: the user).")
@click.option("--yes", is_flag=True, help="Do not ask.")
@common
def approve(reason: str, by: str | None, yes: bool, **chosen: Any) -> int:
    """Let items go, each in the revision that is there now. The next plan deletes them.

    Either STORE and KEYs, or --all with --category.
    """
    from retentiond.app.reviewing import approve as let_go
    from retentiond.app.trail import publish

    who = _stated(reason, by)
    with house() as at_home:
        found, strangers = _wanted(at_home, **chosen)
        if strangers:
            return _refused(strangers)
        if found and not options().json:
            _show(found[:_SHOWN])
            say(
                f"{many(len(found), 'item')}." if len(found) <= _SHOWN else f"{len(found):,} items; the first {_SHOWN} are shown."
            )
        if found:
            agreed(f"Let {many(len(found), 'item')} be deleted by the next plan?", yes=yes)
            let_go(at_home, found, reason, who)
            publish(at_home)
    if options().json:
        answer({"decision": "approve", "items": [as_json(one) for one in found]})
    else:
        say("Approved; they are due in the next plan." if found else "Nothing waits for review.")
    return 0


@review.command()
@_choosing
@click.option("--until", metavar="DATE", required=True, help="Until when they stay; a bare date is its midnight.")
@click.option("--reason", required=True, help="Why they stay.")
@click.option("--by", metavar="NAME", help="Who decides (as stated; default: the user).")
@common
def extend(until: str, reason: str, by: str | None, **chosen: Any) -> int:
    """Keep items until a date, then they wait for review again. It takes an approval back.

    Either STORE and KEYs, or --all with --category. A batch that was in flight at that moment is waited for and said.
    """
    from retentiond.app.reviewing import extend as put_off
    from retentiond.app.trail import publish

    who = _stated(reason, by)
    with house() as at_home:
        try:
            end = moment(until, at_home)
        except UsageError:
            raise UsageError("--until is no date", do="write 2027-01-31") from None
        found, strangers = _wanted(at_home, **chosen)
        if strangers:
            return _refused(strangers)
        extended = put_off(at_home, found, end, reason, who)
        publish(at_home)
    if options().json:
        flight = {"batches": extended.in_flight, "items": extended.went}
        items = [as_json(one) for one in found]
        answer({"decision": "extend", "until": written(end), "items": items, "in_flight": flight})
    else:
        say(f"Extended until {minute(end)} UTC: {many(len(found), 'item')}.")
        if extended.in_flight:
            sentence(
                f"  in flight: {extended.in_flight} batch of {extended.went:,} items had begun before; see `retentiond runs`"
            )
    return 0


def _stated(reason: str, by: str | None) -> str:
    if not reason.strip():
        raise UsageError("--reason says nothing", do="say in a few words why")
    return by or getpass.getuser()


def _wanted(
    at_home: House,
    *,
    store: str | None,
    keys: Sequence[str],
    everything: bool,
    category: str | None,
    path: str | None,
    before: str | None,
) -> tuple[list[Waiting], list[str]]:
    """The items that are meant, and the keys of those that no review can decide about."""
    from retentiond.app.reviewing import chosen, waiting

    if (path or before) and not everything:
        raise UsageError("--path and --before choose among all that waits", do="write --all --category NAME beside them")
    if everything != (category is not None):
        raise UsageError("--all and --category go together", do="write --all --category NAME, or name a store and keys")
    if category is not None:
        if store is not None:
            raise UsageError("--all stands without a store and keys", do="write --all --category NAME, or name a store and keys")
        return _only(at_home, list(waiting(at_home, [category])), path, before), []
    if store is None or not keys:
        raise UsageError("no items are named", do="write STORE KEY, or --all --category NAME; see `retentiond review list`")
    return chosen(at_home, store, keys)


def _only(at_home: House, found: list[Waiting], path: str | None, before: str | None) -> list[Waiting]:
    """Those of the items that a filter lets through."""
    from retentiond.app.reviewing import below

    end = moment(before, at_home) if before else None
    found = [one for one in found if end is None or (one.start is not None and one.start < end)]
    return below(found, path) if path else found


def _refused(strangers: Sequence[str]) -> int:
    """Says that some keys do not wait for review. Keys are named in JSON, or on a terminal, and nowhere else."""
    why = "they are not due, something else keeps them, they are not there, or their rule asks nobody"
    error = UsageError(
        f"{len(strangers):,} of these items do not wait for review, so nothing was decided", why=why, do="retentiond review list"
    )
    if not options().json:
        if sys.stderr.isatty():
            for key in strangers:
                click.echo(f"  item: {key}", err=True)
        raise error
    answer({"errors": [row(problem) for problem in error.problems], "not_waiting": list(strangers)})
    return error.exit_code


def _show(found: Sequence[Waiting]) -> None:
    table(
        ("rule", "key", "start", "size", "overdue"),
        [(f"{w.category}/{w.rule}", w.key, day(w.start), size(w.size), "overdue" if w.overdue else "") for w in found],
        left=("rule", "key"),
        whole=("key",),
    )


def as_json(one: Waiting) -> dict[str, Any]:
    """A waiting item in JSON."""
    return {
        "category": one.category,
        "rule": one.rule,
        "store": one.store,
        "key": one.key,
        "start": one.start and written(one.start),
        "size": one.size,
        "overdue": one.overdue,
    }
