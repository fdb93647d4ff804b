"""`explain`: every rung of the ladder for one item."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from retentiond.cli import complete
from retentiond.cli.desk import answer, house, options, say
from retentiond.cli.front import common
from retentiond.cli.render import minute, sentence
from retentiond.core.plan import written

if TYPE_CHECKING:
    from retentiond.app.explaining import Explained
    from retentiond.app.trail import Evidence


@click.command()
@click.argument("store", shell_complete=complete.stores)
@click.argument("key")
@common
def explain(store: str, key: str) -> None:
    """Show why one item stays or goes, by the same code that judges it."""
    from retentiond.app.explaining import explain as explain_item
    from retentiond.app.trail import lookup

    with house() as at_home:
        found = explain_item(at_home, store, key)
        evidence, _ = lookup(at_home, store, key)
    if options().json:
        answer({"store": store, "key": key, "rules": [_json(e) for e in found], "evidence": [evidence_json(e) for e in evidence]})
        return
    say(f"{store} {key}")
    for explained in found:
        if explained.present:
            _tell(explained)
    for explained in found:
        if explained.verdict == "unseen":
            sentence(f"  {explained.category}/{explained.rule} could not look: {explained.reason}")
    absent = [f"{e.category}/{e.rule}" for e in found if e.verdict == "absent"]
    if absent:
        say()
        sentence(f"  not among the items of {', '.join(absent)}")
    for e in evidence:
        tell_evidence(e)


def _tell(e: Explained) -> None:
    say()
    sentence(f"  {e.category}/{e.rule}: {e.verdict}" + (f", {e.reason}" if e.reason else ""))
    if not e.selected:
        return
    say(f"    start  {minute(e.start) or 'none'}" + (" UTC" if e.start else ""))
    say(f"    due    {minute(e.due) or 'never'}" + (" UTC" if e.due else "") + (", overdue" if e.overdue else ""))
    if e.minimum_until:
        say(f"    not before {minute(e.minimum_until)} UTC, by its statutory minimum")
    if e.gone_by:
        say(f"    gone by {minute(e.gone_by)} UTC, as promised")
    if e.breaks:
        say(f"    breaks what is required: {e.breaks.replace('-', ' ')}")
    for name, reason in e.rungs:
        sentence(f"    {'●' if reason else '○'} {name:<18} {reason or ''}".rstrip(), " " * 25)


def tell_evidence(e: Evidence) -> None:
    """One line of evidence about an item."""
    at = datetime.fromtimestamp(e.time // 1_000_000, UTC)
    inferred = " (inferred)" if e.inferred else ""
    say(f"  evidence: {e.outcome}{inferred} on {minute(at)} UTC in run {e.run}, entry {e.index}")
    say(f"    reference {e.reference}")
    if e.archive is not None:  # the key of an archive may hold a name, and is for a terminal only
        sentence(f"    archived{f' to {e.archive.store}' if e.archive.store else ''}: {e.archive.kept}")
        if e.archive.key and sys.stdout.isatty():
            say(f"    as {e.archive.key}")


def _json(e: Explained) -> dict[str, Any]:
    return asdict(e) | {
        "start": e.start and written(e.start),
        "due": e.due and written(e.due),
        "minimum_until": e.minimum_until and written(e.minimum_until),
        "gone_by": e.gone_by and written(e.gone_by),
        "rungs": [{"rung": name, "matches": reason is not None, "reason": reason} for name, reason in e.rungs],
    }


def evidence_json(e: Evidence) -> dict[str, Any]:
    """One piece of evidence in JSON: of an archive its store, and not its key, which may hold a name."""
    archive = {"store": e.archive.store, "until": e.archive.until} if e.archive is not None else None
    return asdict(e) | {"archive": archive}
