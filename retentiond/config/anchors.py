"""`audit: {anchors: […]}`: where every checkpoint is handed to somebody else, who then knows what the log was.

An anchor is the journal of this machine, a store that takes in copies, or a program that is given the checkpoint. Where
it leads is made into an id, by which the ledger knows what the anchor has had; a secret belongs in none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import Field

from retentiond.config.reading import Part, Shape, Text, kind_of, read
from retentiond.config.stores import Declared
from retentiond.config.suggest import did_you_mean, listed, quoted
from retentiond.core.canonical import digest
from retentiond.errors import Problem


class StoreAnchorShape(Shape):
    """Checkpoints go into a store that takes in copies, each a new item."""

    called: ClassVar[str] = "store anchor"
    store: Text = Field(
        description="The store; best on another machine, where nobody here can remove anything.", examples=["offsite"]
    )
    folder: Text = Field("checkpoints", description="Where in the store.", examples=["checkpoints"])


class CommandAnchorShape(Shape):
    """Checkpoints go to a program, on its standard input."""

    called: ClassVar[str] = "command anchor"
    command: list[Text] = Field(
        description="A program and its words, without a shell; by 0 it says that it has it.",
        examples=[["/usr/local/bin/keep-checkpoint"]],
    )


Way = Literal["journal", "store", "command"]
JOURNAL = "journal"
_SHAPES: Mapping[str, type[StoreAnchorShape | CommandAnchorShape]] = {
    "store": StoreAnchorShape,
    "command": CommandAnchorShape,
}
_LIKE = "write for example journal, {store: offsite, folder: checkpoints}, or {command: [/usr/local/bin/keep-checkpoint]}"


@dataclass(frozen=True, slots=True)
class Anchor:
    """Somewhere a checkpoint is handed to. `number` counts from 1; `place` is the store's name and folder, or the command."""

    number: int
    way: Way
    place: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """How messages name it: no path and no word of a command."""
        return f"anchor {self.number} ({self.way})"

    @property
    def id(self) -> str:
        """What it is known by from one start of the program to the next."""
        return digest([self.way, *self.place])[:32]


def anchors(part: Part | None, stores: Mapping[str, Declared] | None, found: list[Problem]) -> tuple[Anchor, ...]:
    """Every anchor that is good; what is wrong with the others goes into `found`."""
    if part is None or part.data is None:
        return ()
    if not isinstance(part.data, list):
        found.append(part.problem("'anchors' is no list", f"it is {kind_of(part.data)}", "begin each anchor with a dash"))
        return ()
    good: list[Anchor] = []
    for i in range(len(part.data)):
        one = _anchor(i + 1, part.at(i), stores, found)
        if one is not None and one.id in {each.id for each in good}:
            found.append(part.at(i).problem("an anchor stands twice", "it would be given everything twice", "remove one of them"))
        elif one is not None:
            good.append(one)
    return tuple(good)


def _anchor(number: int, part: Part, stores: Mapping[str, Declared] | None, found: list[Problem]) -> Anchor | None:
    if part.data == JOURNAL:
        return Anchor(number, "journal")
    ways = [word for word in part.data if word in _SHAPES] if isinstance(part.data, dict) else []
    if len(ways) != 1:
        near = did_you_mean(str(part.data), [JOURNAL]) if isinstance(part.data, str) else ""
        found.append(
            part.problem("this is no anchor", f"it is {JOURNAL}, or has one of the keys {listed(_SHAPES)}", near or _LIKE)
        )
        return None
    before = len(found)
    shape = read(_SHAPES[ways[0]], part, found)
    if ways[0] == "command":
        command: list[Any] = shape.get("command") or []
        if len(found) == before and not command:
            found.append(shape.where("command").problem("'command' names no program", "it is a program and its words", _LIKE))
        return Anchor(number, "command", tuple(command)) if len(found) == before else None
    store, folder = shape.get("store"), shape.get("folder")
    if store and stores is not None:
        found += _cannot_take(shape.where("store"), store, stores)
    if folder and any(step in ("", ".", "..") for step in folder.split("/")):
        why = "it is a path below the root of the store"
        found.append(shape.where("folder").problem("'folder' is no place in a store", why, "write for example checkpoints"))
    return Anchor(number, "store", (store, folder)) if len(found) == before else None


def _cannot_take(part: Part, name: str, stores: Mapping[str, Declared]) -> list[Problem]:
    if name not in stores:
        what, why = f"the store {quoted(name)} is not declared", f"declared are {listed(stores)}"
        return [part.problem(what, why, did_you_mean(name, stores))]
    if stores[name].selects == "table":
        what, why = f"the store {quoted(name)} takes in no copies", f"its type is {stores[name].type}"
        return [part.problem(what, why, "name a store of files or objects")]
    return []
