"""Brings the tables of a state to what this program knows, on first need, by any command that writes.

It happens in one transaction, under the ledger's lock: whoever comes at the same time waits and finds
it done, and where it fails, everything is as it was. A new state gets its tables at once; Alembic,
which takes a second to load, is asked only where there is an older one to migrate. A state of a newer
version is refused, because what this program would leave out of it nobody could see.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from retentiond.errors import StateUnavailable
from retentiond.ledger import schema

_BEFORE, _SINCE = "1", "2"
"""What `meta` says of a state from before there were migrations, and, to a program from before then, of a later one."""


def bring_up(connection: sa.Connection) -> None:
    """Makes or migrates the tables, in the transaction of this connection; `StateUnavailable` for a newer state."""
    found = _revision(connection)
    if found == schema.REVISIONS[-1]:
        return
    if found is None and not sa.inspect(connection).has_table(schema.meta.name):
        schema.metadata.create_all(connection, checkfirst=False)
        connection.execute(schema.revision.insert().values(version_num=schema.REVISIONS[-1]))
        connection.execute(schema.meta.insert().values(key="schema", value=_SINCE))
        return
    _refuse_stranger(connection, found)
    _migrate(connection)


def check(connection: sa.Connection) -> None:
    """`StateUnavailable` unless the tables are those that this program knows; nothing is changed."""
    found = _revision(connection)
    if found != schema.REVISIONS[-1]:
        _refuse_stranger(connection, found)
        raise StateUnavailable("the state is of an earlier version, and nothing was written to it since", do="retentiond plan")


def _revision(connection: sa.Connection) -> str | None:
    """Which schema it is; None where there is none yet, or one from before there were migrations."""
    if not sa.inspect(connection).has_table(schema.revision.name):
        return None
    found: str | None = connection.execute(sa.select(schema.revision.c.version_num)).scalar()
    return found


def _refuse_stranger(connection: sa.Connection, found: str | None) -> None:
    if found is None:
        number = connection.execute(sa.select(schema.meta.c.value).where(schema.meta.c.key == "schema")).scalar()
        known = number == _BEFORE
    else:
        number, known = found, found in schema.REVISIONS
    if not known:
        raise StateUnavailable(
            "the state was written by a newer version of the program",
            why=f"its schema is {number}, this program knows {schema.REVISIONS[-1]}",
            do="use the version of retentiond that wrote it, or a newer one",
        )


def _migrate(connection: sa.Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    command.upgrade(config, "head")
