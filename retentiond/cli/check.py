"""`check`: reads everything, opens every store, changes nothing."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from retentiond.cli.desk import answer, house, options, say
from retentiond.cli.front import common, row
from retentiond.cli.render import sentence

if TYPE_CHECKING:
    from retentiond.app.checking import Checked, RuleChecked


@click.command()
@click.option("--offline", is_flag=True, help="Open no store: check the files alone.")
@click.option("--probe", is_flag=True, help="Let stores that need it (s3) write a scratch object, to see what their server does.")
@common
def check(offline: bool, probe: bool) -> int:
    """Read the configuration and every category, open every store, and change nothing.

    All errors are shown at once, each with file:line:column. Warnings leave the exit code 0.
    """
    from retentiond.app.checking import check as check_house

    with house() as at_home:
        found = check_house(at_home, offline=offline, probe=probe)
    if options().json:
        answer(
            {
                "ok": not found.down,
                "warnings": [asdict(w) for w in found.warnings],
                "rules": [asdict(r) for r in found.rules],
                "proved": {store: list(told) for store, told in found.proved.items()},
                "errors": [{"rule": where} | row(p) for where, error in found.down.items() for p in error.problems],
            }
        )
    else:
        _tell(found)
    return 5 if found.down else 0


def _when(rule: RuleChecked) -> str:
    if rule.action == "keep":
        return ""
    if rule.retention.startswith(("generations: ", "forbidden, ")):
        return f" ({rule.retention})"
    return {"immediately": " at once", "forever": " never"}.get(rule.retention, f" after {rule.retention}")


def _tell(found: Checked) -> None:
    for rule in found.rules:
        where = f"from {rule.store} to {rule.to}" if rule.to else f"in {rule.store}"
        say(f"{rule.category}/{rule.rule}: {rule.action} {where}{_when(rule)}")
        if rule.samples and options().verbose:
            say("  such as " + ", ".join(rule.samples))
        for warning in rule.warnings:
            sentence(f"  warning: {warning}")
    for store, told in found.proved.items():
        for words in told:
            sentence(f"{store}: {words}")
    for problem in found.warnings:
        say(f"warning: {problem}")
    for where, error in found.down.items():
        say(f"{where}: {error.problems[0]}")
    rules = f"{len(found.rules):,} rules" if len(found.rules) != 1 else "1 rule"
    say(f"{rules} checked, nothing was changed." if not found.down else "Some stores could not be looked at.")
