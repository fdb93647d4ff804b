"""What an account may not do that a rule would need, as the statement that would allow just that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from retentiond.core.policy import Action
from retentiond.stores.sql.database import Database
from retentiond.stores.sql.reading import Layout
from retentiond.stores.sql.table import Table

Need = tuple[str, str | None]
"""A privilege, and the column that it is about; None for the whole table."""


def lacking(database: Database, own: Layout, kin: Sequence[Layout], action: Action) -> Iterator[str]:
    """The GRANTs that carrying out a rule would need, beyond what the account has. An unknown privilege is not said to lack."""
    columns = [mask.name for mask in own.masks]
    needs: dict[str, list[Need]] = {}
    for layout in (own, *kin):
        table = layout.table
        wanted = needs.setdefault(table.name, [("SELECT", None)])
        if action.destroys:
            wanted += [("UPDATE", name) for name in columns] if columns else _deleting(database, table)
        for reference in (*table.references, *table.follows):
            needs.setdefault(reference.table, [("SELECT", None)])
    with database.guard():
        for name, wanted in needs.items():
            missing = [need for need in dict.fromkeys(wanted) if database.may(name, *need) is False]
            if missing:
                yield f"GRANT {_listed(database, missing)} ON {database.source(name)} TO {database.account}".replace("%%", "%")


def _deleting(database: Database, table: Table) -> list[Need]:
    """Where rows are locked before they go, and that takes the privilege to change something, the key's first column will do."""
    locked: list[Need] = [("UPDATE", table.key[0].name)] if database.locking_updates else []
    return [("DELETE", None), *locked]


def _listed(database: Database, needs: Sequence[Need]) -> str:
    whole = [privilege for privilege, column in needs if column is None]
    columns = [database.spelling.quoted(column) for _, column in needs if column is not None]
    return ", ".join([*whole, f"UPDATE ({', '.join(columns)})"] if columns else whole)
