"""The families of due rows, as planning shows them. Nothing here can change a row."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from retentiond.core.item import Kin
from retentiond.core.ladder import OTHERS
from retentiond.engine.ports import Scope
from retentiond.stores.sql.closure import CIRCLE, LARGE, LARGEST, Closure, Node, TooMany, closure, kin_layouts
from retentiond.stores.sql.keys import Parts

if TYPE_CHECKING:
    from retentiond.stores.sql.view import SqlView

_SLICE = 64
_MOST = 20 * LARGEST
"""More rows are not looked at together: then fewer roots are."""


class _Elsewhere:
    """The rows whose keys are taken."""

    def __init__(self, found: Closure, taken: Container[str]) -> None:
        self._rows, self._taken = found.rows, taken

    def __contains__(self, node: object) -> bool:
        met = self._rows.get(node)  # type: ignore[call-overload]  # whatever is asked for: what is no row is not there
        return met is not None and met.key in self._taken


class Families:
    """What goes with the rows of a scope, by the schema as it is now."""

    def __init__(self, view: SqlView, scope: Scope) -> None:
        self._view, self._scope = view, scope
        self._layout = view.layout(scope)
        self._layouts = kin_layouts(view.layout, scope)

    def of(self, keys: Sequence[str], taken: Container[str]) -> Iterator[Sequence[Kin] | str]:
        """For each key, in order: its kin, or why it stays. No transaction is open between two answers."""
        if not self._layouts:
            yield from ([] for _ in keys)
            return
        for first in range(0, len(keys), _SLICE):
            yield from self._some(keys[first : first + _SLICE], taken)

    def _some(self, keys: Sequence[str], taken: Container[str]) -> Iterator[Sequence[Kin] | str]:
        roots = [parts for parts in self._layout.keys.parts_of(keys) if parts is not None]
        most, database = LARGEST if len(keys) == 1 else _MOST, self._view.database
        try:
            found = database.read(lambda: closure(database, self._layout.table, self._layouts, roots, most))
        except TooMany:
            if len(keys) == 1:
                yield LARGE
                return
            half = len(keys) // 2
            yield from self._some(keys[:half], taken)
            yield from self._some(keys[half:], taken)
            return
        held = self._held(found)
        for key, parts in zip(keys, self._layout.keys.parts_of(keys), strict=True):
            yield [] if parts is None else self._family(found, key, parts, held, taken)

    def _family(
        self, found: Closure, key: str, parts: Parts, held: Mapping[Node, str], taken: Container[str]
    ) -> Sequence[Kin] | str:
        root = (self._layout.table.name, parts)
        order = found.family(root, _Elsewhere(found, taken))
        if order is None:
            return CIRCLE
        if len(order) > LARGEST:
            return LARGE
        kin = []
        for node, parent in order[:-1]:
            met = found.rows[node]
            if met.key is None or met.kept:
                return OTHERS
            above = key if parent is None or parent == root else found.rows[parent].key
            kin.append(Kin(met.key, met.revision, met.size, above or "", held.get(node), node[0] == root[0]))
        return kin

    def _held(self, found: Closure) -> dict[Node, str]:
        """The rows for which a hold's predicate is true, where it is a condition on their table."""
        held: dict[Node, str] = {}
        if not self._scope.predicates:
            return held
        for table, layout in self._layouts.items():
            asked = self._view.askable(layout, self._scope.predicates)
            wanted = [parts for name, parts in found.rows if name == table]
            if asked and wanted:
                rows = self._view.looked_up(layout, asked, wanted, self._view.database.read)
                held |= {(table, layout.parts(rows.rows[n])): hold for n, hold in rows.held().items()}
        return held
