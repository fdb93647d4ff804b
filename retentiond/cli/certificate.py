"""`audit certificate`: what came of a run or of an erasure request, to hand to whoever asks."""

from __future__ import annotations

import json
from pathlib import Path

import click

from retentiond.cli.desk import answer, house, options, say
from retentiond.cli.front import common
from retentiond.errors import UsageError


@click.command()
@click.argument("run")
@click.option("--out", metavar="FILE", help="Write it into this file: .html for people, .json for programs.")
@common
def certificate(run: str, out: str | None) -> None:
    """Make the certificate of a RUN, or of an erasure request (the name that --request gave it, or its entry).

    It names stores, counts, dates and grounds, and nobody, and is sealed with the key of the log.
    """
    from retentiond.app.certifying import certificate as certify
    from retentiond.app.trail import publish
    from retentiond.audit.certificate import as_html

    if out and Path(out).suffix not in (".html", ".json"):
        raise UsageError("--out is neither .html nor .json", do="name such a file; a browser prints the page as PDF")
    with house() as at_home:
        at_home.require_state()
        made = certify(at_home, run, publish(at_home))
    if out:
        text = as_html(made) if out.endswith(".html") else json.dumps(made, ensure_ascii=False, indent=2) + "\n"
        try:
            Path(out).write_text(text, "utf-8")
        except OSError as error:
            raise UsageError("the certificate cannot be written to --out", why=error.strerror or "", do="name another") from error
    if options().json:
        answer(made)
        return
    say(f"Certificate {made['id']}: {made['summary']}")
    for row in made["disposed"]:
        say(f"  {row['items']:>8,} {row['how']}: {row['category']}/{row['rule']} in {row['store']}")
    for row in made["stays"]:
        word = "refused" if row["lawful"] else "not done"
        say(f"  {row['items']:>8,} {word}: {row['category']}/{row['rule']}: {row['words']}")
    if out:
        say(f"Written to {out}.")
