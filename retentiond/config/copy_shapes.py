"""The shapes of what is copied elsewhere: archives, copies, and what is required of them.

A recipient is judged where it stands: who cannot be encrypted to is found when the file is read, not in the night.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from retentiond.config.reading import Piece, Shape, Text, words
from retentiond.config.words import Unreadable
from retentiond.core import recipient


def _recipient(value: Any) -> str:
    wrong = recipient.fault(value) if isinstance(value, str) else "it is a text that begins with age1"
    if wrong:
        raise Unreadable("this is no recipient of age", wrong, "copy the line again that age-keygen -y prints")
    return str(value)


EXAMPLE = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
Recipients = Annotated[list[Annotated[str, *words(_recipient, EXAMPLE)]], Field(min_length=1)]


class ArchiveShape(Shape):
    """Where an item goes before it is let go."""

    called: ClassVar[str] = "archive"
    to: Text = Field(description="A declared store of files, of another place.", examples=["vault"])
    path: Text = Field(
        "",
        description="The path of a copy; default: {category}/{rule}/{key}, of rows {category}/{rule}/{table}-{batch}.jsonl.",
        examples=["{category}/{date:%Y/%m}/{key}.age"],
    )
    encrypt: Recipients | None = Field(None, description="Who will be able to read it.", examples=[[EXAMPLE]])


class CopyShape(Shape):
    """A second store, in which each item has a verified copy before it may go."""

    called: ClassVar[str] = "copy"
    to: Text = Field(description="A declared store of files, of another place.", examples=["offsite"])
    encrypt: Recipients | None = Field(None, description="Who will be able to read it.", examples=[[EXAMPLE]])


def _one(value: Any) -> int:
    if value != 1 or isinstance(value, bool):
        raise Unreadable("this is no number of copies", "a store has one copy of an item, or none", "write 1, or leave it out")
    return 1


class CopiesShape(Shape):
    """Copies that each item must have."""

    called: ClassVar[str] = "requirement of copies"
    store: Text = Field(description="The store that they are in.", examples=["offsite"])
    at_least: Annotated[int, *words(_one, "1", "integer")] = Field(1, description="How many.", examples=[1])


class RequireShape(Shape):
    """What has to be true of every item; one of which it is not is a violation."""

    called: ClassVar[str] = "requirement"
    encrypted: Literal["age", "openpgp", "any"] | None = Field(
        None, description="How it is encrypted, as its bytes tell.", examples=["age"]
    )
    copies: Annotated[CopiesShape | None, Piece()] = Field(
        None, description="Verified copies that it has elsewhere.", examples=[{"store": "offsite", "at_least": 1}]
    )
