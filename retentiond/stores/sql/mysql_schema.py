"""What MariaDB's information schema says of a table: its columns, keys and indexes, and who refers to it.

It shows an account only what the account may use. A foreign key of a table that it may not read stays unseen,
unless it has the privilege PROCESS, and then InnoDB's own list is asked; triggers are seen with TRIGGER only.
Asking who refers to a table takes long, so that the answer counts for a second. A transaction asks once more before it
commits: nothing keeps a table from being referred to meanwhile, and what went with its rows then would be in no plan.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from retentiond.errors import StoreDenied
from retentiond.stores.sql.database import ColumnFacts, ForeignKey, Parent
from retentiond.stores.sql.spelling import Clock, Column, fold
from retentiond.stores.sql.spelling_mysql import MYSQL

Rows = tuple[tuple[Any, ...], ...]

_SYSTEM = "('information_schema', 'mysql', 'performance_schema', 'sys')"
_TABLES = f"""
SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, ENGINE, TABLE_SCHEMA = DATABASE() FROM information_schema.TABLES
WHERE TABLE_SCHEMA NOT IN {_SYSTEM} ORDER BY TABLE_SCHEMA = DATABASE() DESC, TABLE_SCHEMA, TABLE_NAME"""
_COLUMNS = """
SELECT COLUMN_NAME, COLUMN_TYPE, DATA_TYPE, IS_NULLABLE = 'NO', COALESCE(GENERATION_EXPRESSION, '') <> '',
  COALESCE(CHARACTER_SET_NAME, ''), COALESCE(COLLATION_NAME, '')
FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s ORDER BY ORDINAL_POSITION"""
_INDEXES = """
SELECT INDEX_NAME, NON_UNIQUE = 0, SUB_PART IS NULL AND COLUMN_NAME IS NOT NULL, COLUMN_NAME
FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s ORDER BY INDEX_NAME, SEQ_IN_INDEX"""
_REFERENCES = """
SELECT TABLE_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, COLUMN_NAME, REFERENCED_COLUMN_NAME
FROM information_schema.KEY_COLUMN_USAGE WHERE REFERENCED_TABLE_SCHEMA = %s AND REFERENCED_TABLE_NAME = %s
ORDER BY TABLE_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, ORDINAL_POSITION"""
_ALL_REFERENCES = """
SELECT f.FOR_NAME, f.ID, f.TYPE FROM information_schema.INNODB_SYS_FOREIGN f WHERE f.REF_NAME = %s ORDER BY f.ID"""
_REFERS = """
SELECT COLUMN_NAME, REFERENCED_TABLE_SCHEMA, REFERENCED_TABLE_NAME, REFERENCED_COLUMN_NAME
FROM information_schema.KEY_COLUMN_USAGE
WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s AND REFERENCED_TABLE_NAME IS NOT NULL"""
_CHECKS = """
SELECT CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = %s AND TABLE_NAME = %s"""
_TRIGGERS = "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = %s AND EVENT_OBJECT_TABLE = %s"
_PARTITIONS = """
SELECT PARTITION_NAME, PARTITION_DESCRIPTION LIKE '%%MAXVALUE%%', SUBPARTITION_NAME IS NOT NULL FROM information_schema.PARTITIONS
WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s AND PARTITION_METHOD IN ('RANGE', 'RANGE COLUMNS')
ORDER BY PARTITION_ORDINAL_POSITION"""
_PRIVILEGES = """
SELECT EXISTS (SELECT 1 FROM information_schema.USER_PRIVILEGES WHERE GRANTEE = %s AND PRIVILEGE_TYPE = %s)
  OR EXISTS (SELECT 1 FROM information_schema.SCHEMA_PRIVILEGES
             WHERE GRANTEE = %s AND PRIVILEGE_TYPE = %s AND %s LIKE TABLE_SCHEMA)
  OR EXISTS (SELECT 1 FROM information_schema.TABLE_PRIVILEGES
             WHERE GRANTEE = %s AND PRIVILEGE_TYPE = %s AND TABLE_SCHEMA = %s AND TABLE_NAME = %s)
  OR EXISTS (SELECT 1 FROM information_schema.COLUMN_PRIVILEGES
             WHERE GRANTEE = %s AND PRIVILEGE_TYPE = %s AND TABLE_SCHEMA = %s AND TABLE_NAME = %s AND COLUMN_NAME = %s)"""
_FRESH = 1.0
_PLAIN = frozenset(
    {
        "tinyint",
        "smallint",
        "mediumint",
        "int",
        "bigint",
        "decimal",
        "float",
        "double",
        "date",
        "time",
        "datetime",
        "timestamp",
        "year",
    }
)
"""Types whose text is of digits, signs, points and spaces."""

_INTEGERS = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint"})
_TEXTS = frozenset({"char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set"})
_BYTES = frozenset({"binary", "varbinary"})
_NAMED = _TEXTS | {"decimal", "date", "datetime", "timestamp", "uuid", "inet4", "inet6", "year"}
_KEPT = _PLAIN | _BYTES | {"char", "varchar", "tinytext", "text", "mediumtext", "longtext"}
"""Types that a column of a JSON_TABLE may have."""
_CLOCKS: dict[str, Clock] = {"timestamp": "instant", "datetime": "civil", "date": "day"}


class Known(NamedTuple):
    """A table or view, as the information schema lists it."""

    schema: str
    name: str
    kind: str
    engine: str
    is_default: bool


class MysqlSchema(ABC):
    """The half of a database that knows its schema. It asks with `_all`."""

    default = ""
    locking_updates = False

    def __init__(self) -> None:
        self._tables: dict[str, Known] = {}
        self._seen: dict[str, tuple[float, Rows, Rows | None]] = {}

    @abstractmethod
    def _all(self, sql: str, values: Sequence[Any] = ()) -> Sequence[tuple[Any, ...]]:
        """Every row of a query."""

    @abstractmethod
    def _unless_denied(self, sql: str, values: Sequence[Any]) -> Sequence[tuple[Any, ...]] | None:
        """Every row of a query; None where the account may not ask."""

    def _known(self) -> dict[str, Known]:
        found: dict[str, Known] = {}
        for schema, name, kind, engine, is_default in self._all(_TABLES):
            one = Known(schema, name, kind, engine or "", bool(is_default))
            found.setdefault(name if one.is_default else f"{schema}.{name}", one)
        self._tables = found
        return found

    def _table(self, table: str) -> Known:
        found = self._tables.get(table) or self._known().get(table)
        if found is None:
            raise StoreDenied(f"there is no table {table}", why="it went away")
        return found

    def _at(self, table: str) -> tuple[str, str]:
        one = self._table(table)
        return one.schema, one.name

    def schema_version(self, table: str) -> Any:
        """How the server would make the table anew, and who refers to it."""
        shown = self._unless_denied(f"SHOW CREATE TABLE {self.source(table)}", ())
        return shown and (str(shown[0][1]).partition(" AUTO_INCREMENT=")[0], self._references(table))

    def _references(self, table: str) -> Rows:
        if table not in self._seen or time.monotonic() - self._seen[table][0] > _FRESH:
            known, told = tuple(self._all(_REFERENCES, self._at(table))), self._told(table)
            self._refuse_unseen(table, known, told)
            self._seen[table] = time.monotonic(), known, told
        return self._seen[table][1]

    def _told(self, table: str) -> Rows | None:
        """Every foreign key to a table by InnoDB's own list, quickly; None where the account may not ask."""
        told = self._unless_denied(_ALL_REFERENCES, ["/".join(self._at(table))])
        return None if told is None else tuple(told)

    def referrers_changed(self, table: str) -> bool:
        """Whether others refer to a table than was known when it was claimed, asked anew."""
        if table not in self._seen:
            return False
        _, known, told = self._seen[table]
        return (tuple(self._all(_REFERENCES, self._at(table))) != known) if told is None else self._told(table) != told

    def _refuse_unseen(self, table: str, known: Rows, told: Rows | None) -> None:
        seen = {f"{row[0]}/{row[1]}" for row in known}
        if told and not {str(row[0]) for row in told} <= seen:
            raise StoreDenied(
                f"tables that this account may not read refer to {table}",
                why="nobody could see which rows they refer to",
                do="grant SELECT on them",
            )

    def forget(self) -> None:
        self._tables.clear()
        self._seen.clear()

    def tables(self) -> list[str]:
        return [name for name, one in self._known().items() if "VIEW" not in one.kind and one.kind != "SEQUENCE"]

    def views(self) -> list[str]:
        return [name for name, one in self._known().items() if "VIEW" in one.kind]

    def refuse_table(self, table: str) -> None:
        one = self._table(table)
        if "VERSIONED" in one.kind:
            raise StoreDenied(
                "a rule's table is system-versioned", why="what is deleted stays in its history", do="drop its history first"
            )
        if one.engine.lower() not in ("innodb", "rocksdb"):
            raise StoreDenied(
                "a rule's table has an engine without transactions", why="nothing could be undone", do="make it InnoDB"
            )

    def source(self, table: str) -> str:
        schema, name = self._at(table)
        return f"{MYSQL.quoted(schema)}.{MYSQL.quoted(name)}"

    def label(self, table: str) -> str:
        return MYSQL.quoted(self._table(table).name)

    def columns(self, table: str) -> dict[str, Column]:
        rows = self._all(_COLUMNS, self._at(table))
        return {name: _column(declared, kind.lower(), charset, collation, never_null=bool(never_null))
                for name, declared, kind, never_null, generated, charset, collation in rows if not generated}  # fmt: skip

    def primary(self, table: str) -> list[str]:
        return [row[3] for row in self._all(_INDEXES, self._at(table)) if row[0] == "PRIMARY"]

    def indexes(self, table: str, *, unique: bool) -> list[dict[str, str]]:
        return self._indexes_at(self._at(table), unique=unique)

    def _indexes_at(self, at: tuple[str, str], *, unique: bool) -> list[dict[str, str]]:
        found: dict[str, dict[str, str]] = {}
        partial = set()
        for index, is_unique, whole, column in self._all(_INDEXES, at):
            if not whole:
                partial.add(index)
            elif is_unique or not unique:
                found.setdefault(index, {})[column] = ""
        return [columns for index, columns in found.items() if index not in partial]

    def is_own_collation(self, table: str, column: str, collation: str) -> bool:
        return True

    def never_null(self, table: str) -> set[str]:
        return {row[0] for row in self._all(_COLUMNS, self._at(table)) if row[3]}

    def row_number(self, table: str) -> None:
        return None

    def row_id(self, table: str) -> None:
        return None

    def foreign_keys(self, table: str) -> Iterator[ForeignKey]:
        found: dict[tuple[str, str, str], list[tuple[str, str]]] = {}
        for schema, name, constraint, column, referred in self._references(table):
            found.setdefault((schema, name, constraint), []).append((column, referred))
        for (schema, name, constraint), pairs in found.items():
            columns, referred = [c for c, _ in pairs], [r for _, r in pairs]
            led = [list(index)[: len(columns)] for index in self._indexes_at((schema, name), unique=False)]
            shown = name if schema == self.default else f"{schema}.{name}"
            source = f"{MYSQL.quoted(schema)}.{MYSQL.quoted(name)}"
            indexed = any(set(index) == set(columns) for index in led)
            told = self._on_delete(source, constraint)
            yield ForeignKey(source, shown, columns, referred, indexed, (schema, name) == self._at(table), told)

    def _on_delete(self, source: str, constraint: str) -> str:
        """What a foreign key says, from the statement that makes its table: an account that only reads sees it nowhere else.

        Where it is not to be had, the worst is taken for granted.
        """
        shown = self._unless_denied(f"SHOW CREATE TABLE {source}", ())
        begins = [f"CONSTRAINT {quote}{constraint.replace(quote, 2 * quote)}{quote} FOREIGN KEY " for quote in '`"']
        for line in str(shown[0][1]).split("\n") if shown else ():
            if line.strip().startswith(tuple(begins)):
                told = line.rpartition(")")[2]
                return next((action for action in ("SET NULL", "SET DEFAULT", "CASCADE") if f"ON DELETE {action}" in told), "")
        return "SET NULL"

    def triggers(self, table: str | None = None) -> list[str]:
        return [] if table is None else [row[0] for row in self._all(_TRIGGERS, self._at(table))]

    def tells_triggers(self, table: str) -> bool:
        return self.may(table, "TRIGGER", None) is not False

    @property
    def account(self) -> str:
        user, _, host = str(self._all("SELECT CURRENT_USER()")[0][0]).rpartition("@")
        return f"'{user}'@'{host}'"

    def may(self, table: str, privilege: str, column: str | None) -> bool | None:
        """What a role brings is not looked into: then nobody knows."""
        if self._all("SELECT CURRENT_ROLE()")[0][0] not in (None, "NONE"):
            return None
        at, who = self._at(table), (self.account, privilege)
        return bool(self._all(_PRIVILEGES, [*who, *who, at[0], *who, *at, *who, *at, column or ""])[0][0])

    def parts(self, table: str) -> list[str]:
        return [
            f"{self.source(table)} PARTITION ({MYSQL.quoted(str(row[0]))})" for row in self._all(_PARTITIONS, self._at(table))
        ]

    def partitions(self, table: str) -> list[tuple[str, str]]:
        """All but the last one."""
        rows = self._all(_PARTITIONS, self._at(table))
        return [(str(name), f"{self.source(table)} PARTITION ({MYSQL.quoted(name)})") for name, endless, deep in rows[:-1]
                if not endless and not deep]  # fmt: skip

    def checks(self, table: str) -> list[str]:
        found = self._unless_denied(_CHECKS, self._at(table))
        return [str(row[0]).replace("%", "%%") for row in found or ()]

    def column_facts(self, table: str) -> dict[str, ColumnFacts]:
        at = self._at(table)
        unique = {row[3] for row in self._all(_INDEXES, at) if row[1]}
        refers: dict[str, list[Parent]] = {}
        for name, schema, parent, theirs in self._all(_REFERS, at):
            source = f"{MYSQL.quoted(schema)}.{MYSQL.quoted(parent)}"
            refers.setdefault(fold(name), []).append(Parent(source, theirs))
        primary = self.primary(table)
        return {
            name: ColumnFacts(
                declared=declared,
                never_null=bool(never_null),
                primary=name in primary,
                generated=bool(generated),
                unique=name in unique,
                refers=refers.get(fold(name), ()),
                numeric=False,
                strict=kind.lower() not in _TEXTS or kind.lower() == "enum",
            )
            for name, declared, kind, never_null, generated, _, _ in self._all(_COLUMNS, at)
        }


def _column(declared: str, kind: str, charset: str, collation: str, *, never_null: bool) -> Column:
    """How a column is spelled. A value is given in the column's own character set and compared by its own collation."""
    text, given = "CAST({} AS CHAR)", "{}"
    if kind in _INTEGERS:
        text = "{}"
    elif kind in _TEXTS and charset:
        text, given = "CONVERT({} USING utf8mb4)", f"CONVERT({{}} USING {charset}) COLLATE {collation}"
    elif kind in _BYTES:
        text, given = "LOWER(HEX({}))", "UNHEX({})"
    elif kind == "float":
        text = "CAST(CAST({} AS DOUBLE) AS CHAR)"
    number = kind in _INTEGERS or kind in ("decimal", "float", "double")
    return Column(
        kind="integer" if kind in _INTEGERS else "text" if kind in _NAMED | _BYTES else None,
        declared=declared,
        clock="number" if number else "text" if kind in _TEXTS else _CLOCKS.get(kind, "any"),
        read=text,
        given=given,
        dated=text,
        digested=_digested(kind, never_null=never_null),
        masked="CAST(CAST({} AS DOUBLE) AS CHAR)" if kind == "decimal" else "",
        kept=_kept(declared, charset, collation) if kind in _KEPT else "",
    )


def _kept(declared: str, charset: str, collation: str) -> str:
    """A value as a column holds it: a CAST knows few types, and would neither cut off nor leave out what the column does."""
    kind = f"{declared} CHARACTER SET {charset} COLLATE {collation}" if charset else declared
    return f"(SELECT c FROM JSON_TABLE(JSON_ARRAY({{}}), '$[*]' COLUMNS (c {kind} PATH '$' ERROR ON EMPTY ERROR ON ERROR)) AS x)"


def _digested(kind: str, *, never_null: bool) -> str:
    """A value as it enters the digest of its row, and its length where a comma in it could be taken for the next one."""
    value = "CAST(CAST({0} AS DOUBLE) AS BINARY)" if kind == "float" else "CAST({0} AS BINARY)"
    if kind in _PLAIN:
        return value if never_null else f"IFNULL({value}, 'N')"
    return f"LENGTH({{0}}), {value}" if never_null else f"IFNULL(LENGTH({{0}}), 'N'), {value}"
