"""`apply`: carries out a plan, or what is left of it."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Any

import click

from retentiond.cli import complete
from retentiond.cli.desk import answer, house, options, progress, say, stoppable, tell_others
from retentiond.cli.fates import reasons
from retentiond.cli.front import common, row
from retentiond.cli.render import sentence, short
from retentiond.cli.status import metrics_after
from retentiond.core.outcome import counted
from retentiond.core.plan import SHORTEST_NAME
from retentiond.errors import RetentiondError, UsageError

if TYPE_CHECKING:
    from retentiond.app.applying import Applied, Progress
    from retentiond.app.house import House
    from retentiond.app.trail import Checkpoint
    from retentiond.ledger.plans import PlanFile


@click.command()
@click.argument("plan_name", metavar="[PLAN]", required=False, shell_complete=complete.plans_or_files)
@click.option(
    "--category",
    "categories",
    metavar="C",
    multiple=True,
    shell_complete=complete.categories,
    help="Plan and carry out an approved category; may be repeated.",
)
@click.option(
    "--over-limits",
    metavar="DIGEST",
    shell_complete=complete.plans,
    help="Pass the limits of the plan with this digest (at least 12 characters).",
)
@click.option(
    "--bypass-governance",
    metavar="DIGEST",
    shell_complete=complete.plans,
    help="Pass locks in governance mode, where a rule lets the plan with this digest do so.",
)
@click.option("--by", metavar="NAME", help="Who passes the locks (as stated; default: the user).")
@click.option("--metrics", metavar="FILE", shell_complete=complete.files, help="Write metrics into this file at the end.")
@common
def apply(
    plan_name: str | None,
    categories: tuple[str, ...],
    over_limits: str | None,
    bypass_governance: str | None,
    by: str | None,
    metrics: str | None,
) -> int:
    """Carry out a plan: never more than it says, less where things have changed.

    What was cut short is resumed by the same command. Only this command destroys anything.
    """
    if bool(plan_name) == bool(categories):
        raise UsageError("name a plan, or categories", do="retentiond apply PLAN, or retentiond apply --category C")
    from retentiond.app.enforcing import apply_named, enforce
    from retentiond.app.trail import publish

    with house() as at_home, stoppable() as stop, metrics_after(at_home, metrics):
        plan = at_home.plans.find(plan_name) if plan_name else None
        bypass = _passing(at_home, plan, bypass_governance, by)
        try:
            with progress(plan.header.total if plan else None) as show:
                disposing: Progress = lambda done, _total: show("disposing", done)  # noqa: E731 a line beside its use
                if plan is not None:
                    enforced = apply_named(at_home, plan, over_limits=over_limits, bypass=bypass, stop=stop, progress=disposing)
                else:
                    enforced = enforce(at_home, categories, over_limits=over_limits, stop=stop, watch=show, progress=disposing)
        except RetentiondError:
            if at_home.directory.exists():
                publish(at_home)
            tell_others(at_home)
            raise
        checkpoint = publish(at_home)
        tell_others(at_home)
    if options().json:
        answer(as_json(enforced.applied, checkpoint))
    else:
        tell(enforced.applied, checkpoint, named=plan is not None)
    return code_of(enforced.applied)


def _passing(at_home: House, plan: PlanFile | None, digest: str | None, by: str | None) -> str:
    """The person who lets locks be passed; "" for nobody. `UsageError` where that is not asked for by plan and rule."""
    if digest is None:
        if by is not None:
            raise UsageError("--by names somebody who passes nothing", do="it goes with --bypass-governance DIGEST")
        return ""
    if plan is None or len(digest) < SHORTEST_NAME or not plan.name.startswith(digest):
        why = "it takes the digest of the plan that is applied, which a person names"
        raise UsageError("--bypass-governance names another plan", why=why, do=plan.name if plan else "retentiond apply PLAN")
    book = at_home.rulebook.categories
    if not any(rule.bypass_governance for name in plan.header.categories if name in book for rule in book[name].rules):
        why = "locks are passed only where a rule and a person say so"
        raise UsageError("no rule of this plan lets a lock be passed", why=why, do="write bypass_governance: yes in the rule")
    return by or getpass.getuser()


def code_of(applied: Applied) -> int:
    """The exit code: a store that was not reached, then a refusal, then steps that failed."""
    if applied.down:
        return 5
    if applied.refused is not None:
        return 3
    unknown = applied.counts["unknown"] + applied.recovered["unknown"]
    return 1 if applied.counts["failed"] or unknown else 0


def as_json(applied: Applied, checkpoint: Checkpoint) -> dict[str, Any]:
    """The shape of `apply --json`."""
    value: dict[str, Any] = {
        "run": applied.run,
        "plan": applied.plan,
        "counts": counted(applied.counts),
        "recovered": {name: n for name, n in applied.recovered.items() if n},
        "verified": {"looked": applied.looked, "absent": applied.absent},
        "copies": {"verified": applied.copies.copied, "bytes": applied.copies.bytes, "left": applied.copies.left},
        "stopped": applied.stopped,
        "checkpoint": {"size": checkpoint.size, "root": checkpoint.root},
    }
    if applied.why:
        outcomes = dict.fromkeys(outcome for outcome, _ in applied.why)
        value["why"] = {name: {code: n for (of, code), n in applied.why.items() if of == name} for name in outcomes}
    if applied.refused is not None or applied.down or applied.troubles:
        troubles = [*applied.down.values(), *([applied.refused] if applied.refused else [])]
        value["errors"] = [row(p) for trouble in troubles for p in trouble.problems]
        value["errors"] += [{"store": name} | row(p) for name, error in applied.troubles.items() for p in error.problems]
    return value


def tell(applied: Applied, checkpoint: Checkpoint, *, named: bool) -> None:
    """What carrying out a plan came to, in words; one that nobody `named` and that has no run had no steps."""
    if any(applied.recovered.values()):
        found = ", ".join(f"{n:,} {name}" for name, n in applied.recovered.items() if n)
        say(f"Recovered from a run that was cut short: {found}")
    copies = applied.copies
    if copies.copied or copies.left:
        say(f"Copies: {copies.copied:,} made or found and verified, {copies.left:,} still without one")
    if applied.run is None and not named:
        say(f"Plan {short(applied.plan)}: nothing is due.")
    elif applied.run is None:
        say(f"Plan {short(applied.plan)} has been carried out already; nothing was left to do.")
    else:
        _tell_run(applied)
    if applied.stopped:
        say(f"Stopped before the end: {applied.stopped}. The same command goes on where it stopped.")
    for store, error in applied.down.items():
        say(f"Not reached: {store}: {error.problems[0]}")
    if applied.refused is not None:
        say(f"Refused: {applied.refused.why}")
        say(f"  {applied.refused.do}")
    say(f"Audit log: {checkpoint.size:,} entries, root {checkpoint.root[:16]}…")


def _tell_run(applied: Applied) -> None:
    """What became of the steps, why some failed, and once what the stores of archives and copies have said."""
    say(f"Run {applied.run} of plan {short(applied.plan)}")
    for name, items in counted(applied.counts).items():
        if items or name == "disposed":
            say(f"  {name:<10} {items:>10,}")
        for words in reasons(applied.why, name):
            sentence(f"    {words}", "      ")
    for store, trouble in applied.troubles.items():
        if store not in applied.down:
            sentence(f"  the store {store}, which copies go to: {trouble.problems[0]}")
    say(f"  looked again at {applied.looked:,}: {applied.absent:,} are gone")
