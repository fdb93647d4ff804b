"""What a shell offers for a word that is not finished: names of categories, stores, plans and events.

Only the configuration and the names in `plans/` are read; nothing is opened or made. Where they
cannot be read nothing is offered, and no error is shown: a person is in the middle of typing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from retentiond.app.house import House


def categories(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Categories, with their titles; those that stand on the line already are not offered again."""
    house = _house(ctx)
    known = house.rulebook.categories.values() if house else ()
    given = ctx.params.get(param.name or "") or ()
    return [CompletionItem(c.name, help=c.title) for c in known if c.name.startswith(incomplete) and c.name not in given]


def plan_words(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What may follow `plan`: its subcommands, as long as nothing else stands there, and categories."""
    first = not ctx.params.get(param.name or "")
    group = ctx.parent.command if ctx.parent else None
    commands = {n: c for n, c in group.commands.items() if n != "make"} if first and isinstance(group, click.Group) else {}
    subcommands = [
        CompletionItem(name, help=command.get_short_help_str())
        for name, command in commands.items()
        if name.startswith(incomplete)
    ]
    return [*subcommands, *categories(ctx, param, incomplete)]


def stores(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Stores, with their kinds."""
    house = _house(ctx)
    known = house.settings.stores.values() if house else ()
    return [CompletionItem(store.name, help=store.type) for store in known if store.name.startswith(incomplete)]


def events(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Events that people may record."""
    house = _house(ctx)
    declared = [e for c in house.rulebook.categories.values() for e in c.events.values()] if house else []
    return _items({e.name for e in declared if e.recorded}, incomplete)


def plans(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Plans whose files are there, newest first; a longer beginning of a digest is completed as it is."""
    house = _house(ctx)
    try:
        files = [entry for entry in os.scandir(house.directory.plans) if entry.name.endswith(".jsonl")] if house else []
        files.sort(key=lambda entry: -entry.stat().st_mtime)
    except OSError:
        return []
    length = max(12, len(incomplete))
    return _items([entry.name.removesuffix(".jsonl")[:length] for entry in files], incomplete)


def plans_or_files(ctx: click.Context, param: click.Parameter, incomplete: str) -> Sequence[CompletionItem]:
    """Plans, or the file of one where no plan is called so."""
    return plans(ctx, param, incomplete) or files(ctx, param, incomplete)


def files(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The shell's own files."""
    return [CompletionItem(incomplete, type="file")]


def folders(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The shell's own folders."""
    return [CompletionItem(incomplete, type="dir")]


def _items(names: Iterable[str], incomplete: str) -> list[CompletionItem]:
    found = names if isinstance(names, list) else sorted(names)
    return [CompletionItem(name) for name in found if name.startswith(incomplete)]


def _house(ctx: click.Context) -> House | None:
    """The house of the configuration that the line names, or of the usual one; None where it cannot be read."""
    try:
        from retentiond.app.house import House
        from retentiond.cli.front import Options
        from retentiond.config.load import find

        return House(find(ctx.ensure_object(Options).config, os.environ))
    except Exception:  # noqa: BLE001 whatever is wrong, a person who is typing is not told by a traceback
        return None
