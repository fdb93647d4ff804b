"""`archive`: what was archived and copied, whether it is whole, and bringing it back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retentiond.cli import complete
from retentiond.cli.desk import answer, house, options, say
from retentiond.cli.front import common
from retentiond.errors import StoreUnavailable

if TYPE_CHECKING:
    from retentiond.app.archives import Brought, Listed

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
    "--into",
    metavar="DIR",
    required=True,
    shell_complete=complete.files,
    help="The folder that they are brought back into; not in a store, nor above one.",
)
@common
def restore(keys: tuple[str, ...], store: str | None, everything: bool, identity: str | None, into: str) -> int:
    """Bring archives back into a folder: verified, decrypted, and written over nothing.

    KEY names an archive in its store, as `retentiond archive list` shows it. The store is read, and stays as it is. One that
    cannot be brought back is named, and the others come; what is there already from an earlier try stays. 1 where one did
    not come back, 5 where that is because the store could not be reached.
    """
    from retentiond.app.archives import restore as bring_back

    done = []
    with house() as at_home:
        for one in bring_back(at_home, keys, store=store, everything=everything, identity=identity, into=Path(into)):
            done.append(one)
            if not options().json:
                _tell_brought(one)
    failed = [one.error for one in done if one.error is not None]
    there = sum(one.was_there for one in done)
    if options().json:
        answer({"restored": _files(done, False), "there": _files(done, True), "failed": _failures(done)})
    elif len(done) > 1:
        say(f"{len(done) - there - len(failed):,} brought back, {there:,} there already, {len(failed):,} failed.")
    return 5 if any(isinstance(error, StoreUnavailable) for error in failed) else 1 if failed else 0


def _tell_brought(one: Brought) -> None:
    if one.error is not None:
        reasons = dict.fromkeys(part for part in (one.error.what, one.error.why, one.error.do) if part)
        say(f"{one.key}: {'; '.join(reasons)}")
    else:
        say(f"{one.key} → {one.path}{' (there already)' if one.was_there else ''}")


def _files(done: list[Brought], was_there: bool) -> list[dict[str, str]]:
    return [{"key": one.key, "file": str(one.path)} for one in done if one.path is not None and one.was_there == was_there]


def _failures(done: list[Brought]) -> list[dict[str, str]]:
    failed = ((one.key, one.error) for one in done if one.error is not None)
    return [{"key": key, "code": e.code, "what": e.what, "why": e.why, "do": e.do} for key, e in failed]


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
