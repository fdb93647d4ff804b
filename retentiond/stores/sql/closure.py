"""Rows that go with others: what refers to a row, and to what refers to it, by the live foreign keys.

A *family* is a due row (its root) and all rows below it. Level by level, and all roots of a slice at
once, the rows are found that refer to the rows already met; a row is met once, so that trees within
a table and circles come to an end. Rows that keep what they refer to (`table`) are not followed: a
family with such a row stays. So does one whose rows refer to one another in a circle, because no
order lets them go, and one of more rows than one transaction takes.

A row below two roots belongs to the first; the second one goes after it. Planning and disposal ask
the same questions: at disposal within the transaction, each level locked before the next is looked for,
so that nobody can add a row or change one in between.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from retentiond.core.ladder import REFERRED
from retentiond.core.policy import Start, TableSelection
from retentiond.engine.ports import PAGE, Scope
from retentiond.stores.sql.database import Database
from retentiond.stores.sql.keys import Parts
from retentiond.stores.sql.reading import Found, Layout
from retentiond.stores.sql.table import Reference, Table

LARGEST = PAGE
"""A family of more rows stays."""
CIRCLE = f"{REFERRED} in a circle, so that none of them can go first"
LARGE = f"{REFERRED}: more than the {LARGEST:,} that can go together"

Node = tuple[str, Parts]
"""A row: the name of its table and the values of its key."""
Lock = Callable[[Layout, Sequence[Parts]], object]


class TooMany(Exception):
    """More rows are below some rows than are looked at together."""


class Met(NamedTuple):
    """A row below another. `key` is None where it has no name; `kept`: rows refer to it that do not go."""

    key: str | None
    revision: str
    size: int
    kept: bool


@dataclass(slots=True)
class Closure:
    """The rows below some roots, and for each row those that refer to it."""

    rows: dict[Node, Met] = field(default_factory=dict)
    below: dict[Node, dict[Node, None]] = field(default_factory=dict)

    def family(self, root: Node, elsewhere: Container[Node]) -> list[tuple[Node, Node | None]] | None:
        """The root and what goes with it, each with the row that it refers to, in an order in which they can go.

        What stands elsewhere is left out. None where there is no such order.
        """
        order: list[tuple[Node, Node | None]] = []
        done = {root: False}
        path: list[tuple[Node, Node | None]] = [(root, None)]
        ways = [iter(self.below.get(root, ()))]
        while path:
            node = path[-1][0]
            for child in ways[-1]:
                if child in elsewhere or done.get(child):
                    continue
                if child in done:
                    return None
                done[child] = False
                path.append((child, node))
                ways.append(iter(self.below.get(child, ())))
                break
            else:
                done[node] = True
                order.append(path.pop())
                ways.pop()
        return order


def goes_with_kin(scope: Scope) -> bool:
    """Whether rows may go with those that a scope selects."""
    return isinstance(scope.selection, TableSelection) and scope.selection.children != "forbid"


def kin_scope(scope: Scope, own: str, table: str) -> Scope:
    """How rows of a table are looked at that go with others. In the rule's own table a row has the same name as ever."""
    selection = scope.selection
    assert isinstance(selection, TableSelection)
    mine = replace(selection, where=None) if table == own else replace(selection, table=table, where=None, key=(), version=None)
    return Scope(mine, Start("event"))


def kin_layouts(layout_of: Callable[[Scope], Layout], scope: Scope) -> dict[str, Layout]:
    """How the rows are read of each table whose rows may go with those of a scope."""
    own = layout_of(scope).table
    found: dict[str, Layout] = {}
    todo = [own]
    while todo:
        for reference in todo.pop().follows:
            if reference.table not in found:
                found[reference.table] = layout_of(kin_scope(scope, own.name, reference.table))
                todo.append(found[reference.table].table)
    return found


def closure(
    database: Database, own: Table, layouts: Mapping[str, Layout], roots: Sequence[Parts], most: int, lock: Lock | None = None
) -> Closure:
    """What is below some rows of a table; `TooMany` for more than `most`. Within the transaction that is open."""
    found = Closure()
    known: set[Node] = {(own.name, parts) for parts in roots}
    level: dict[str, list[Parts]] = {own.name: list(roots)}
    while level:
        fresh: dict[str, list[Parts]] = {}
        for name, keys in level.items():
            table = own if name == own.name else layouts[name].table
            for reference in table.follows:
                layout = layouts[reference.table]
                rows = _referring(database, layout, reference, table, keys, most)
                for n, row in enumerate(rows.rows):
                    parent, node = (name, tuple(row[-len(table.key) :])), (reference.table, layout.parts(row))
                    if node == parent:
                        continue
                    found.below.setdefault(parent, {})[node] = None
                    if node not in known:
                        known.add(node)
                        fresh.setdefault(reference.table, []).append(node[1])
                    if node not in found.rows:
                        kept = bool(layout.table.references and row[layout.width])
                        key = layout.keys.of(node[1])
                        found.rows[node] = Met(key, rows.revisions[n], rows.sizes[n], kept)
                if len(found.rows) > most:
                    raise TooMany
        if lock is not None:
            for name, keys in fresh.items():
                lock(layouts[name], keys)
        level = fresh
    return found


def _referring(
    database: Database, layout: Layout, reference: Reference, parent: Table, keys: Sequence[Parts], most: int
) -> Found:
    found = Found()
    for clause in layout.statements.referring(reference, parent, keys, most + 1):
        found.take(database.rows(clause), layout)
        if len(found.rows) > most:
            raise TooMany
    return found
