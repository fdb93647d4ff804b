"""`replay`: after a restore, what was erased or disposed of goes again."""

from __future__ import annotations

import click

from retentiond.cli.apply import as_json as applied_json
from retentiond.cli.apply import code_of
from retentiond.cli.apply import tell as tell_applied
from retentiond.cli.desk import agreed, answer, house, moment, options, progress, say, stoppable, tell_others
from retentiond.cli.front import common
from retentiond.cli.plan import as_json
from retentiond.cli.render import many, sentence
from retentiond.errors import UsageError


@click.command()
@click.option("--since", metavar="TIME", required=True, help="As of when the store was restored; a bare date is its midnight.")
@click.option("--yes", is_flag=True, help="Carry the plan out at once.")
@common
def replay(since: str, yes: bool) -> int:
    """Find what went since the time of a restored backup and is there again, and plan it once more.

    Disposals are known again by their key and start, erasures by the person. Carry the plan out with
    `apply PLAN`, or with --yes.
    """
    from retentiond.app.enforcing import apply_named
    from retentiond.app.replaying import replay as find
    from retentiond.app.trail import publish
    from retentiond.cli.plan_words import tell

    with house() as at_home:
        at_home.require_state()
        try:
            when = moment(since, at_home)
        except UsageError:
            raise UsageError("--since is no time", do="write 2026-11-22 or 2026-11-22T10:00:00Z") from None
        with progress(None) as show:
            planned, back = find(at_home, when, show)
        checkpoint = publish(at_home)
        value = as_json(planned) | {"back": back.found, "newcomers": back.newcomers, "stayed": back.stayed}
        if not options().json:
            say(f"{many(back.found, 'item')} had gone and {'is' if back.found == 1 else 'are'} back.")
            if back.stayed:
                sentence(f"{many(back.stayed, 'item')} of people who asked to be erased never went, as something keeps them.")
            if back.newcomers:
                sentence(f"{back.newcomers:,} others lie under the key of one that had gone, with another start: left alone.")
            tell(planned)
        if not yes or not planned.header.total:
            if options().json:
                answer(value)
            return 5 if planned.unseen else 0
        agreed("Carry it out?", yes=yes)
        try:
            with stoppable() as stop:
                plan = at_home.plans.find(planned.name)
                applied = apply_named(at_home, plan, over_limits=None, stop=stop, progress=lambda _done, _total: None).applied
        finally:
            checkpoint = publish(at_home)
            tell_others(at_home)
    if options().json:
        answer(value | {"applied": applied_json(applied, checkpoint)})
    else:
        tell_applied(applied, checkpoint, named=True)
    return code_of(applied) or (5 if planned.unseen else 0)
