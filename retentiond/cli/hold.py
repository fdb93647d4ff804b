"""`hold`: place, release and list the suspensions of disposal."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

import click

from retentiond.cli import complete
from retentiond.cli.desk import answer, house, options, say
from retentiond.cli.front import common
from retentiond.cli.render import day, many, sentence
from retentiond.core.plan import written
from retentiond.core.registers import Hold
from retentiond.errors import UsageError

if TYPE_CHECKING:
    from retentiond.app.projecting import Projected
    from retentiond.app.telling import Placed


@click.group()
@common
def hold() -> None:
    """Place, release and list holds: they suspend disposal, and win over everything else."""


@hold.command()
@click.argument("hold_id", metavar="ID")
@click.option("--reason", required=True, help="Why, in words for people.")
@click.option("--mandate", required=True, help="The ground: the claim, the law, the order.")
@click.option("--category", shell_complete=complete.categories, help="Only this category.")
@click.option("--store", shell_complete=complete.stores, help="Only this store.")
@click.option("--path", metavar="GLOB", help="Only this path and what is below it.")
@click.option("--subject", "subjects", metavar="K=V", multiple=True, help="Only what is about this person; may be repeated.")
@click.option(
    "--from", "listed", metavar="FILE", type=click.File(), help="The same for each line of a file (- for standard input)."
)
@click.option("--where", metavar="SQL", help="Only the rows for which this holds (with --store).")
@click.option("--everything", is_flag=True, help="Hold everything there is.")
@click.option("--review-on", metavar="DATE", help="When to look at it again.")
@click.option("--dry-run", is_flag=True, help="Say what it would cover, and place nothing.")
@common
def place(
    hold_id: str, reason: str, mandate: str, dry_run: bool, review_on: str | None, listed: IO[str] | None, **scope: Any
) -> int:
    """Place a hold. It wins from the moment this command returns.

    Scopes are joined with AND. A batch that was in flight at that moment is waited for and
    said.
    """
    from retentiond.app.identifying import identifiers_of
    from retentiond.app.telling import place_hold
    from retentiond.app.trail import publish

    words = _words(listed) if listed is not None else []
    if listed is not None and not words:
        raise UsageError(
            "the file of --from names nobody", why="a hold without its subjects would be a wider one", do="one K=V a line"
        )
    subjects = (*identifiers_of(scope.pop("subjects"), "a --subject"), *identifiers_of(words, "a line of --from"))
    wanted = Hold(hold_id, reason, mandate, subjects=subjects, review_on=_date(review_on), **scope)
    with house() as at_home:
        placed = place_hold(at_home, wanted, dry_run=dry_run)
        if not dry_run:
            publish(at_home)
    if options().json:
        answer(_placed_json(placed, dry_run=dry_run))
    else:
        _tell(placed, dry_run=dry_run)
    return 5 if placed.expiring or placed.projected.failed else 0


def _words(listed: IO[str]) -> list[str]:
    """The lines of `--from` that say something."""
    try:
        return [line.strip() for line in listed if line.strip() and not line.startswith("#")]
    except UnicodeDecodeError:
        raise UsageError("the file of --from is not UTF-8", do="save it as UTF-8, one K=V a line") from None


def _date(text: str | None) -> str | None:
    from retentiond.ledger.registers import as_day

    try:
        return as_day(text) if text else None
    except ValueError:
        raise UsageError(f"'{text}' is no date", do="write 2027-01-31") from None


def _tell(placed: Placed, *, dry_run: bool) -> None:
    say(f"Hold {placed.hold.id} " + ("would cover:" if dry_run else "is in force. It covers:"))
    for (category, rule), items in placed.covers.items():
        say(f"  {many(items, 'item'):>14} of {category}/{rule}")
    for where, what in placed.failed.items():
        sentence(f"  {where} could not be looked at: {what}")
    for rule, error in placed.expiring.items():
        sentence(f"  NOT STOPPED: the bucket's own rule of {rule} goes on deleting: {error.problems[0]}")
    _tell_projected(placed.projected)
    for warning in placed.warnings:
        sentence(f"  warning: {warning}")
    if placed.covers and not any(placed.covers.values()):
        say("  note: it covers nothing that is there now")
    if placed.uncovered:
        rules = ", ".join(f"{category}/{rule}" for category, rule in placed.uncovered)
        sentence(f"  uncovered, since they map none of its subjects, so that it cannot protect their items: {rules}")
    if placed.through_sets:
        rules = ", ".join(f"{category}/{rule}" for category, rule in placed.through_sets)
        sentence(f"  covered with their sets, where another item of these is: {rules}")
    if placed.in_flight:
        batches = "1 batch" if placed.in_flight == 1 else f"{placed.in_flight} batches"
        sentence(f"  in flight: {batches} of {placed.went:,} items had begun before; see `retentiond runs`")


def _tell_projected(done: Projected) -> None:
    for name, versions in done.put_on.items():
        sentence(f"  {many(versions, 'version')} in the bucket of {name} now bear a legal hold") if versions else None
    for name, versions in done.taken_off.items():
        sentence(f"  the legal hold of {many(versions, 'version')} in the bucket of {name} is taken off") if versions else None
    for name, error in done.failed.items():
        sentence(f"  NOT CARRIED into the bucket of {name}: {error.problems[0]}")


def _projected_json(done: Projected) -> dict[str, Any]:
    """What became of the legal holds of buckets, by store."""
    failed = {name: str(error.problems[0]) for name, error in done.failed.items()}
    return {"legal_holds": {"set": +done.put_on, "removed": +done.taken_off, "failed": failed}}


def _placed_json(placed: Placed, *, dry_run: bool) -> dict[str, Any]:
    return {
        "hold": as_json(placed.hold),
        "placed": not dry_run,
        "covers": [{"category": c, "rule": r, "items": n} for (c, r), n in placed.covers.items()],
        "uncovered": [{"category": c, "rule": r} for c, r in placed.uncovered],
        "through_sets": [{"category": c, "rule": r} for c, r in placed.through_sets],
        "failed": placed.failed,
        "not_stopped": {rule: str(error.problems[0]) for rule, error in placed.expiring.items()},
        "warnings": placed.warnings,
        "in_flight": {"batches": placed.in_flight, "items": placed.went},
        **_projected_json(placed.projected),
    }


@hold.command()
@click.argument("hold_id", metavar="ID")
@click.option("--reason", required=True, help="Why it is released.")
@common
def release(hold_id: str, reason: str) -> int:
    """Release a hold. What it covered is judged by the other rungs again."""
    from retentiond.app.telling import release_hold
    from retentiond.app.trail import publish

    with house() as at_home:
        done = release_hold(at_home, hold_id, reason)
        publish(at_home)
    if options().json:
        answer({"hold": hold_id, "released": True, **_projected_json(done)})
    else:
        say(f"Hold {hold_id} is released.")
        _tell_projected(done)
    return 5 if done.failed else 0


@hold.command(name="list")
@click.option("--covers", nargs=2, metavar="STORE KEY", help="Only the active holds that cover this item.")
@common
def list_holds(covers: tuple[str, str] | None) -> None:
    """List the holds."""
    from retentiond.app.telling import hold_warnings, holds_covering

    with house() as at_home:
        every = at_home.holds.all() if at_home.directory.exists() else []
        found = holds_covering(at_home, *covers) if covers else every
        warnings = hold_warnings(at_home)
    if options().json:
        answer({"holds": [as_json(h) for h in found], "warnings": warnings})
        return
    for warning in warnings:
        sentence(f"warning: {warning}")
    if not found:
        say("No hold covers it." if covers else "There are no holds.")
        return
    for each in found:
        _tell_one(each)


def _tell_one(found: Hold) -> None:
    """A hold on a few lines: what it is about, and whose word it is."""
    until = f", released {day(found.released_at)}" if found.released_at else ""
    review = f", to be reviewed on {found.review_on}" if found.review_on and not found.released_at else ""
    sentence(f"{found.id}  {'released' if found.released_at else 'active'}, placed {day(found.placed_at)}{until}{review}", "  ")
    for name, words in (("covers", scope_in_words(found)), ("mandate", found.mandate), ("reason", found.reason)):
        sentence(f"  {name:<8} {words}", " " * 11)


def scope_in_words(found: Hold) -> str:
    """A hold's scope on one line."""
    if found.everything:
        return "everything"
    parts = [f"{name} {getattr(found, name)}" for name in ("category", "store", "path", "where") if getattr(found, name)]
    return "; ".join([*parts, *(f"{kind}={value}" for kind, value in found.subjects)])


def as_json(found: Hold) -> dict[str, Any]:
    """A hold in JSON."""
    return {
        "id": found.id,
        "reason": found.reason,
        "mandate": found.mandate,
        "category": found.category,
        "store": found.store,
        "path": found.path,
        "subjects": {kind: [v for k, v in found.subjects if k == kind] for kind, _ in found.subjects},
        "where": found.where,
        "everything": found.everything,
        "review_on": found.review_on,
        "placed": found.placed_at and written(found.placed_at),
        "released": found.released_at and written(found.released_at),
    }
