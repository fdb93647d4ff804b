"""`audit certificate`: what came of a run or of an erasure request, to hand to whoever asks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from retentiond.cli.desk import answer, house, options, say
from retentiond.cli.front import common
from retentiond.cli.render import sentence
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
    sentence(f"Certificate {made['id']}: {made['summary']}")
    _tell(made)
    if out:
        say(f"Written to {out}.")


def _tell(made: Mapping[str, Any]) -> None:
    """The rows of a certificate, each on a line."""
    for row in made["disposed"]:
        _row(row["items"], f"{row['words']}: {row['category']}/{row['rule']} in {row['store']}")
    for row in made["stays"]:
        word = "refused" if row["lawful"] else "not done"
        _row(row["items"], f"{word}: {row['category']}/{row['rule']}: {row['words']}")
    for row in made["beyond_use"]:
        until = f"gone by {row['until']}" if row["until"] else "no day by which it goes is known"
        _row(row["items"], f"beyond use: {row['category']}/{row['rule']} in {row['store']}: {row['words']}; {until}")
    for row in made["recipients"]:
        sentence(f"  told: {row['recipient']}, for {row['category']}")
    for row in made["to_be_told"]:
        sentence(f"  still to be told, by a person: {row['recipient']}, for {row['category']}")


def _row(items: int | None, words: str) -> None:
    """A number, right-aligned (`?` where it is not known), and what it is of."""
    sentence(f"  {f'{items:,}' if items is not None else '?':>8} {words}", " " * 11)
