"""`plan`: the dry run. `plan show`: the steps of a plan."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retentiond.cli import complete
from retentiond.cli.desk import answer, house, moment, options, progress, say
from retentiond.cli.front import common, row
from retentiond.cli.plan_diff import diff
from retentiond.cli.plan_page import as_page
from retentiond.core.plan import refusal_json, written
from retentiond.errors import UsageError

if TYPE_CHECKING:
    from retentiond.app.planning import Planned


class _OrMake(click.Group):
    """`plan` alone makes a plan; a word that is no subcommand is a category."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        at = 0
        while at < len(args) and (args[at] in ("--json", "--verbose", "--config") or args[at].startswith("--config=")):
            at += 2 if args[at] == "--config" else 1
        if at < len(args) and (args[at] in self.commands or (at == 0 and args[at] in ("-h", "--help"))):
            return super().parse_args(ctx, args)
        return super().parse_args(ctx, [*args[:at], "make", *args[at:]])


@click.group(cls=_OrMake)
@common
def plan() -> None:
    """Show what would happen, and seal it as a plan.

    `retentiond plan [CATEGORY…]` looks at every store and changes nothing. Options are those
    of `retentiond plan make --help`.
    """


@plan.command(name="make")
@click.argument("categories", nargs=-1, shell_complete=complete.plan_words)
@click.option("--out", metavar="FILE", shell_complete=complete.files, help="Write the plan to this file, too.")
@click.option("--at", metavar="TIME", help="Judge as of another time; such a plan cannot be applied.")
@click.option("--all", "stays", is_flag=True, help="List the items that stay, too, with the reason.")
@click.option("--html", metavar="FILE", shell_complete=complete.files, help="Write what it comes to as a page for people, too.")
@common
def make(categories: tuple[str, ...], out: str | None, at: str | None, stays: bool, html: str | None) -> int:
    """Look, judge and write down what is due. Nothing is changed."""
    from retentiond.app.planning import make_plan
    from retentiond.app.trail import publish
    from retentiond.ledger.plans import path_of

    for option, path in (("--out", out), ("--html", html)):
        if path and not os.access(os.path.dirname(path) or ".", os.W_OK | os.X_OK):
            why = "its folder is not there or not writable"
            raise UsageError(f"the plan cannot be written to {option}", why=why, do="name another")
    with house() as at_home, progress(None) as seen:
        when = moment(at, at_home) if at else None
        planned = make_plan(at_home, categories, at=when, stays=stays, progress=seen)
        publish(at_home)
        if out:
            _copy(path_of(at_home.directory.plans, planned.name), out)
        value = as_json(planned)
        if html:
            _write_page(as_page(at_home.settings.organisation, value, planned), html)
    if options().json:
        answer(value)
    else:
        from retentiond.cli.plan_words import tell

        tell(planned)
    return 5 if planned.unseen else 0


def _copy(plan: Path, out: str) -> None:
    """Copies a plan into a file that only its owner can read: it holds keys in clear."""
    try:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file, open(plan, "rb") as body:
            os.fchmod(descriptor, 0o600)
            shutil.copyfileobj(body, file)
    except OSError as error:
        why = f"{error.strerror}; the plan itself was made and stands in plans/"
        raise UsageError("the plan cannot be written to --out", why=why, do="see `retentiond plans`") from error


def _write_page(text: str, html: str) -> None:
    try:
        Path(html).write_text(text, "utf-8")
    except OSError as error:
        why = f"{error.strerror}; the plan itself was made and stands in plans/"
        raise UsageError("the plan cannot be written to --html", why=why, do="see `retentiond plans`") from error


def sets_json(planned: Planned) -> list[dict[str, Any]]:
    """The sets of each category by verdict, and its orphans with the keys of the first few."""
    return [
        {
            "category": name,
            **{str(state): n for state, n in linked.states.items()},
            "orphans": [{"rule": o.rule, "without": o.without, "count": o.count, "keys": [*o.keys]} for o in linked.orphans],
        }
        for name, linked in planned.linked.items()
    ]


def as_json(planned: Planned) -> dict[str, Any]:
    """The shape of `plan --json`."""
    value: dict[str, Any] = {
        "plan": planned.name,
        "at": written(planned.header.at),
        "expires": written(planned.header.expires),
        "rules": [c.as_json() for c in planned.counts],
        "refused": [refusal_json(r) for r in planned.header.refused],
        "violations": planned.header.violations,
        "warnings": planned.warnings,
    }
    if planned.header.sets:
        value["sets"] = sets_json(planned)
    if planned.unseen:
        value["errors"] = [{"rule": where} | row(p) for where, error in planned.unseen.items() for p in error.problems]
    return value


@plan.command()
@click.argument("plan_name", metavar="PLAN", shell_complete=complete.plans_or_files)
@click.option("--limit", default=20, show_default=True, help="So many steps at the most; 0 for all.")
@common
def show(plan_name: str, limit: int) -> None:
    """Show a plan: its header and its steps, with the keys in clear."""
    from itertools import groupby, islice

    with house() as at_home:
        at_home.require_state()
        found = at_home.plans.find(plan_name)
        found.check_steps()
        rows = (
            [s for block in found.full(1000) for s in block]
            if not limit
            else list(islice((s for b in found.full(1000) for s in b), limit))
        )
    if options().json:
        names = ("n", "category", "rule", "store", "key", "revision", "action", "reasons", "size")
        lines = [
            {n: getattr(s, n) for n in names} | {"start": s.start and written(s.start), "due": s.due and written(s.due)}
            for s in rows
        ]
        answer({"plan": found.name, **found.header.as_json(), "lines": lines})
        return
    from retentiond.cli.plan_words import tell_header
    from retentiond.cli.render import day, table

    tell_header(found.name, found.header)
    say()
    for rule, steps in groupby(rows, key=lambda s: f"{s.category}/{s.rule}: {s.action} in {s.store}"):
        say(rule)
        shown = [(s.n, s.key, day(s.start), day(s.due)) for s in steps]
        table(("step", "key", "start", "due"), shown, left=("key",), whole=("key",))
        say()
    if len(rows) < found.header.total:
        say(f"… {found.header.total - len(rows):,} more steps (--limit 0 shows all)")


plan.add_command(diff)
