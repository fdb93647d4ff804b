"""`archive`: what was archived and copied, whether it is whole, and bringing it back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retentiond.cli import complete
from retentiond.cli.desk import answer, house, options, say
from retentiond.cli.front import common

if TYPE_CHECKING:
    from retentiond.app.archives import Listed

_SOUND = ("there", "whole")


@click.group()
@common
def archive() -> None:
    """Archives and copies: which there are, and bringing them back."""


@archive.command(name="list")
@click.option("--store", metavar="NAME", shell_complete=complete.stores, help="Only those in this store.")
@click.option("--category", metavar="NAME", shell_complete=complete.categories, help="Only those of this category.")
@click.option("--read", is_flag=True, help="Read each one and compare its digest.")
@common
def list_(store: str | None, category: str | None, read: bool) -> int:
    """List what was archived and copied, and how it is now.

    1 where something is missing, changed or damaged, 5 where a store could not be seen.
    """
    from retentiond.app.archives import listed

    with house() as at_home:
        at_home.require_state()
        found = list(listed(at_home, destination=store, category=category, read=read))
    if options().json:
        answer({"archives": [as_json(one) for one in found]})
    else:
        _tell(found)
    conditions = {one.condition for one in found}
    return 5 if "unseen" in conditions else 1 if conditions & {"missing", "changed", "damaged"} else 0


@archive.command()
@click.argument("keys", metavar="KEY…", nargs=-1)
@click.option("--store", metavar="NAME", shell_complete=complete.stores, help="The store that the archives lie in.")
@click.option("--all", "everything", is_flag=True, help="Every archive that was noted in that store.")
@click.option(
    "--identity", metavar="FILE", shell_complete=complete.files, help="The identity of a recipient, as age-keygen writes it."
)
@click.option(
    "--into", metavar="DIR", required=True, shell_complete=complete.files, help="The folder that they are brought back into."
)
@common
def restore(keys: tuple[str, ...], store: str | None, everything: bool, identity: str | None, into: str) -> None:
    """Bring archives back into a folder: verified, decrypted, and written over nothing.

    KEY names an archive in its store, as `retentiond archive list` shows it. The store is read, and stays as it is.
    """
    from retentiond.app.archives import restore as bring_back

    with house() as at_home:
        done = bring_back(at_home, keys, store=store, everything=everything, identity=identity, into=Path(into))
        files = []
        for key, path in done:
            files.append({"key": key, "file": str(path)})
            if not options().json:
                say(f"{key} → {path}")
    if options().json:
        answer({"restored": files})


def as_json(one: Listed) -> dict[str, Any]:
    """One copy in JSON."""
    from retentiond.core.plan import written
    from retentiond.ledger.clock import moment

    names = ("purpose", "category", "rule", "store", "destination", "key", "size", "sha256", "items", "recipients")
    plain = {name: getattr(one.copied, name) for name in names}
    return plain | {"at": written(moment(one.copied.at)), "condition": one.condition}


def _tell(found: list[Listed]) -> None:
    from retentiond.cli.render import day, size, table
    from retentiond.ledger.clock import moment

    if not found:
        say("Nothing was archived or copied.")
        return
    rows = [
        (
            one.copied.purpose,
            f"{one.copied.category}/{one.copied.rule}",
            f"{one.copied.destination} {one.copied.key}",
            size(one.copied.size or 0),
            "age" if one.copied.recipients else "plain",
            day(moment(one.copied.at)),
            one.condition,
        )
        for one in found
    ]
    columns, numbers = ("what", "rule", "where", "size", "how", "since", "is"), ("size", "since")
    table(columns, rows, left=[name for name in columns if name not in numbers], whole=("where",))
    bad = sum(one.condition not in _SOUND for one in found)
    say()
    say(f"{len(found):,} in all, {bad:,} not as they should be.")
