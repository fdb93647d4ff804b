"""`clock`: whether the clock is trusted."""

from __future__ import annotations

import getpass

import click

from retentiond.cli.desk import agreed, answer, house, options, say
from retentiond.cli.front import common


@click.command()
@click.option("--accept", is_flag=True, help="Say that the clock is right, so that plans are carried out again.")
@click.option("--by", metavar="NAME", help="Who says so (as stated; default: the user).")
@click.option("--yes", is_flag=True, help="Do not ask.")
@common
def clock(accept: bool, by: str | None, yes: bool) -> int:
    """Show whether the clock is trusted. A clock that jumped makes the wrong things due."""
    from retentiond.app.trail import publish

    with house() as at_home:
        found = at_home.ledger.watch_clock()
        if found and accept:
            agreed(f"Is {at_home.now:%Y-%m-%d %H:%M} UTC right?", yes=yes)
            at_home.ledger.accept_clock(at_home.word("person", by or getpass.getuser()))
            found = 0
        publish(at_home)
    seconds = int(found / 1_000_000)
    if options().json:
        answer({"now": at_home.now.isoformat(), "trusted": not found, "step_seconds": seconds})
    else:
        say(
            f"The clock says {at_home.now:%Y-%m-%d %H:%M:%S} UTC and is "
            + ("trusted." if not found else f"off by {seconds:+,} seconds.")
        )
        if found:
            say("Nothing is carried out until it is right, or until: retentiond clock --accept")
    return 3 if found else 0
