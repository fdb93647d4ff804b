"""`approve`: lets the daemon enforce a category as it stands."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Any

import click

from retentiond.cli import complete
from retentiond.cli.desk import agreed, answer, house, options, progress, say
from retentiond.cli.front import common
from retentiond.cli.render import day, sentence, size, table
from retentiond.errors import UsageError

if TYPE_CHECKING:
    from retentiond.app.planning import Planned
    from retentiond.core.versions import Change


@click.command()
@click.argument("category", shell_complete=complete.categories)
@click.option("--by", metavar="NAME", help="Who approves (as stated; default: the user).")
@click.option("--revoke", is_flag=True, help="Take the approval back.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@common
def approve(category: str, by: str | None, revoke: bool, yes: bool) -> int:
    """Let the daemon enforce this version of a category; shows what it would destroy.

    The name is recorded as stated: in clear in the ledger, as a keyed reference in the log.
    """
    from retentiond.app.approving import approve as approve_category
    from retentiond.app.approving import changes_of, preview
    from retentiond.app.trail import publish

    who = by or getpass.getuser()
    with house() as at_home:
        at_home.categories([category])
        if revoke:
            if at_home.rulebook.categories[category].approval == "none":
                raise UsageError(
                    f"the category {category} needs no approval, so there is none to take back",
                    why="approval: none",
                    do=f"write approval: first; to pause everything at once: touch {at_home.directory.stop_file}",
                )
            revoked = at_home.memory.revoke(category, who, at_home.word)
            publish(at_home)
            _told(category, "revoked" if revoked else "there was no approval to revoke")
            return 0
        with progress(None) as seen:
            planned = preview(at_home, category, seen)
        publish(at_home)
        if planned.unseen:
            raise next(iter(planned.unseen.values()))
        if not options().json:
            from retentiond.cli.plan_words import tell_header

            tell_header(planned.name, planned.header)
            _tell_changes(changes_of(planned))
            say()
        approval = at_home.rulebook.categories[category].approval
        question = f"Approve '{category}'" if approval == "always" else f"Let the daemon enforce '{category}'"
        agreed(f"{question} as it stands?", yes=yes)
        approve_category(at_home, category, who, planned)
        publish(at_home)
    _told(category, "approved", planned)
    if approval == "always" and not options().json:
        sentence("Each of its plans wants a person all the same (approval: always): retentiond plan, then retentiond apply.")
    return 0


def _tell_changes(changes: dict[tuple[str, str], Change]) -> None:
    """What the change since the last approval comes to, rule by rule and both ways."""
    rows = [
        (f"{category}/{rule}", what, amount.items, size(amount.bytes), day(amount.oldest))
        for (category, rule), change in changes.items()
        for what, amount in (("newly due", change.newly), ("no longer due", change.no_longer))
        if amount.items
    ]
    if rows:
        say()
        say("Against the version that was approved:")
        say()
        table(("rule", "change", "items", "bytes", "oldest"), rows, left=("rule", "change"))


def _told(category: str, what: str, planned: Planned | None = None) -> None:
    if options().json:
        from retentiond.cli.plan import as_json

        more = {"plan": as_json(planned), "changes": _changes_json(planned)} if planned else {}
        answer({"category": category, "state": what} | more)
    else:
        say(f"{category}: {what}.")


def _changes_json(planned: Planned) -> list[dict[str, Any]]:
    from retentiond.cli.plan_diff import amount_json

    return [
        {"category": c, "rule": r, "newly_due": amount_json(change.newly), "no_longer_due": amount_json(change.no_longer)}
        for (c, r), change in planned.changes.items()
    ]
