"""`plan diff`: what lies between two plans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from retentiond.cli import complete
from retentiond.cli.desk import answer, house, options, say
from retentiond.cli.front import common
from retentiond.cli.render import day, short, size, table
from retentiond.core.plan import written

if TYPE_CHECKING:
    from retentiond.app.comparing import Difference
    from retentiond.core.versions import Amount


@click.command(name="diff")
@click.argument("old", metavar="OLD", shell_complete=complete.plans_or_files)
@click.argument("new", metavar="NEW", shell_complete=complete.plans_or_files)
@click.option("--limit", default=5, show_default=True, help="So many keys at the most on each side of a rule.")
@common
def diff(old: str, new: str, limit: int) -> None:
    """Show what NEW would dispose of and OLD would not, and the reverse, rule by rule."""
    from retentiond.app.comparing import differences

    with house() as at_home:
        at_home.require_state()
        plans = at_home.plans.find(old), at_home.plans.find(new)
        for plan in plans:
            plan.check_steps()
        found = differences(*plans, samples=limit)
    if options().json:
        rules = [{"category": c, "rule": r, **_json(d)} for (c, r), d in found.items()]
        answer({"old": plans[0].name, "new": plans[1].name, "rules": rules})
        return
    say(f"From plan {short(plans[0].name)} to plan {short(plans[1].name)}")
    say()
    rows = [
        (f"{c}/{r}", d.newly.items, _size(d.newly), day(d.newly.oldest), d.no_longer.items, _size(d.no_longer), d.both)
        for (c, r), d in found.items()
    ]
    table(("rule", "newly due", "bytes", "oldest", "no longer", "bytes", "both"), rows, left=("rule",))
    for (c, r), d in found.items():
        _tell_keys(f"newly due in {c}/{r}", "+", d.newly_keys, d.newly.items)
        _tell_keys(f"no longer due in {c}/{r}, or gone", "-", d.no_longer_keys, d.no_longer.items)


def _tell_keys(what: str, sign: str, keys: list[str], total: int) -> None:
    if not keys:
        return
    say()
    say(f"{what}:")
    for key in keys:
        say(f"  {sign} {key}")
    if total > len(keys):
        say(f"  {sign} … {total - len(keys):,} more")


def _size(amount: Amount) -> str:
    return size(amount.bytes) if amount.items else "·"


def _json(found: Difference) -> dict[str, Any]:
    return {
        "newly_due": amount_json(found.newly) | {"keys": found.newly_keys},
        "no_longer_due": amount_json(found.no_longer) | {"keys": found.no_longer_keys},
        "both": found.both,
    }


def amount_json(amount: Amount) -> dict[str, Any]:
    """Some items in JSON."""
    return {"items": amount.items, "bytes": amount.bytes, "oldest": amount.oldest and written(amount.oldest)}
