"""`schema`: the JSON Schema of the files, for editors."""

from __future__ import annotations

import json
from typing import Any

import click

from retentiond.cli.desk import say
from retentiond.cli.front import common

KINDS = ("category", "settings")


@click.command()
@click.argument("kind", type=click.Choice(KINDS), default="category", metavar="[category|settings]")
@common
def schema(kind: str) -> None:
    """Print the JSON Schema of a category file, or with `settings` that of retentiond.yaml.

    Editors complete and check what follows a first line such as
    `# yaml-language-server: $schema=../schema/category.json`.
    """
    say(text_of(kind))


def text_of(kind: str) -> str:
    """A schema as a file holds it."""
    from retentiond.config import schema as schemas

    found: dict[str, Any] = schemas.category() if kind == "category" else schemas.settings()
    return json.dumps(found, ensure_ascii=False, indent=2)
