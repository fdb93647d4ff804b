"""`notify test`: whether those who are to be told can be told."""

from __future__ import annotations

import click

from retentiond.cli.desk import answer, house, options, say
from retentiond.cli.front import common
from retentiond.errors import UsageError


@click.group()
@common
def notify() -> None:
    """Tell people when something is wrong: see `notify` in retentiond.yaml."""


@notify.command()
@common
def test() -> int:
    """Send a test message to everybody who is to be told, and say what came of it."""
    from retentiond.app.delivering import try_each

    with house() as at_home:
        if not at_home.settings.notify:
            raise UsageError("nobody is to be told", why="notify in retentiond.yaml has no address", do="add one")
        tried = []
        for label, problem in try_each(at_home, at_home.now):
            tried.append((label, problem))
            if not options().json:
                say(f"{label}: {'delivered' if problem is None else f'not delivered: {problem}'}")
    if options().json:
        answer({"addresses": [{"address": label, "delivered": p is None, "trouble": str(p) if p else ""} for label, p in tried]})
    return 1 if any(problem is not None for _, problem in tried) else 0
