"""`approve`: lets the daemon enforce a category as it stands."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING

import click

from retentiond.cli import complete
from retentiond.cli.desk import agreed, answer, house, options, progress, say
from retentiond.cli.front import common

if TYPE_CHECKING:
    from retentiond.app.planning import Planned


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
    from retentiond.app.planning import make_plan
    from retentiond.app.telling import approve as approve_category
    from retentiond.app.trail import publish

    who = by or getpass.getuser()
    with house() as at_home:
        at_home.categories([category])
        if revoke:
            revoked = at_home.memory.revoke(category, who, at_home.word)
            publish(at_home)
            _told(category, "revoked" if revoked else "there was no approval to revoke")
            return 0
        with progress(None) as seen:
            planned = make_plan(at_home, [category], progress=seen)
        publish(at_home)
        if planned.unseen:
            raise next(iter(planned.unseen.values()))
        if not options().json:
            from retentiond.cli.plan_words import tell_header

            tell_header(planned.name, planned.header)
            say()
        agreed(f"Let the daemon enforce '{category}' as it stands?", yes=yes)
        approve_category(at_home, category, who, planned)
        publish(at_home)
    _told(category, "approved", planned)
    return 0


def _told(category: str, what: str, planned: Planned | None = None) -> None:
    if options().json:
        from retentiond.cli.plan import as_json

        answer({"category": category, "state": what} | ({"plan": as_json(planned)} if planned else {}))
    else:
        say(f"{category}: {what}.")
