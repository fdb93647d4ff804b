"""What PostgreSQL's catalogue says of a table: its columns, keys and indexes, and who refers to it, in whatever schema.

The catalogue tells everybody everything, whatever an account may read: no foreign key stays unseen.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from retentiond.errors import StoreDenied
from retentiond.stores.sql.database import ColumnFacts, ForeignKey, Parent
from retentiond.stores.sql.spelling import Clock, Column, fold
from retentiond.stores.sql.spelling_postgres import POSTGRES

_TABLES = """
SELECT c.oid::bigint, n.nspname, c.relname, c.relkind::text, n.nspname = current_schema(),
       c.relkind = 'r' AND EXISTS (SELECT 1 FROM pg_inherits i WHERE i.inhparent = c.oid)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
ORDER BY n.nspname = current_schema() DESC NULLS LAST, n.nspname, c.relname"""
_COLUMNS = """
WITH RECURSIVE base (attnum, oid, kind, of, depth) AS (
  SELECT a.attnum, t.oid, t.typtype, t.typbasetype, 0 FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
  WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped
  UNION ALL SELECT b.attnum, t.oid, t.typtype, t.typbasetype, b.depth + 1 FROM base b JOIN pg_type t ON t.oid = b.of
  WHERE b.kind = 'd')
SELECT a.attname, format_type(a.atttypid, a.atttypmod), format('%%I.%%I', n.nspname, t.typname), t.typname::text,
       t.typtype::text, a.attnotnull, a.attgenerated <> '', a.attidentity = 'a',
       coalesce(l.collname::text, ''), coalesce(l.collisdeterministic, true)
FROM pg_attribute a JOIN base b ON b.attnum = a.attnum AND b.kind <> 'd' JOIN pg_type t ON t.oid = b.oid
JOIN pg_namespace n ON n.oid = t.typnamespace LEFT JOIN pg_collation l ON l.oid = a.attcollation
WHERE a.attrelid = %s ORDER BY a.attnum"""
_INDEXES = """
SELECT i.indexrelid::bigint, i.indisunique, i.indpred IS NULL AND i.indexprs IS NULL AND i.indisvalid, i.indisprimary, a.attname,
       coalesce(l.collname::text, ''), pg_get_indexdef(i.indexrelid)
FROM pg_index i CROSS JOIN LATERAL generate_series(0, i.indnkeyatts - 1) k
LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k] AND i.indkey[k] <> 0
LEFT JOIN pg_collation l ON l.oid = i.indcollation[k]
WHERE i.indrelid = %s ORDER BY i.indexrelid, k"""
_REFERENCES = """
SELECT f.conrelid::bigint, n.nspname, c.relname, n.nspname = current_schema(), f.conrelid = %s,
  ARRAY(SELECT a.attname::text FROM unnest(f.conkey) WITH ORDINALITY k (n, o)
        JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.n ORDER BY k.o),
  ARRAY(SELECT a.attname::text FROM unnest(f.confkey) WITH ORDINALITY k (n, o)
        JOIN pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = k.n ORDER BY k.o),
  CASE f.confdeltype WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' WHEN 'd' THEN 'SET DEFAULT' ELSE '' END
FROM pg_constraint f JOIN pg_class c ON c.oid = f.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE f.contype = 'f' AND f.conparentid = 0
  AND (f.confrelid = %s OR f.confrelid IN (SELECT relid FROM pg_partition_ancestors(%s) AS relid)) ORDER BY f.oid"""
_VERSION = """
SELECT md5(string_agg(x, ',' ORDER BY x)) FROM (
  SELECT 'c' || oid || '.' || relname || '.' || relnamespace || '.' || relkind::text FROM pg_class WHERE oid = %s
  UNION ALL SELECT 'a' || attnum || '.' || xmin FROM pg_attribute WHERE attrelid = %s AND attnum > 0
  UNION ALL SELECT 'f' || oid || '.' || xmin FROM pg_constraint WHERE conrelid = %s OR confrelid = %s
  UNION ALL SELECT 'i' || indexrelid || '.' || indisvalid FROM pg_index WHERE indrelid = %s
  UNION ALL SELECT 't' || oid || '.' || xmin FROM pg_trigger WHERE tgrelid = %s AND NOT tgisinternal) AS known (x)"""
_TRIGGERS = """
SELECT tgname::text FROM pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D'{0}
UNION ALL SELECT rulename::text FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
WHERE ev_enabled <> 'D' AND rulename <> '_RETURN' AND c.relkind IN ('r', 'p') AND c.relnamespace <> 'pg_catalog'::regnamespace{1}
ORDER BY 1"""
_PARTS = """
SELECT format('%%I.%%I', n.nspname, c.relname), has_table_privilege(c.oid, 'SELECT')
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_partitioned_table p ON p.partrelid = i.inhparent AND p.partstrat = 'r'
WHERE i.inhparent = %s
ORDER BY pg_get_expr(c.relpartbound, c.oid) = 'DEFAULT', strpos(pg_get_expr(c.relpartbound, c.oid), 'FROM (MINVALUE') = 0,
  pg_get_expr(c.relpartbound, c.oid)"""
_PARTITIONS = """
WITH part AS (
  SELECT c.oid, format('%%I.%%I', n.nspname, c.relname) AS name, c.relkind, c.relowner, o.relowner AS above,
    regexp_match(pg_get_expr(c.relpartbound, c.oid), '^FOR VALUES FROM [(](.*)[)] TO [(](.*)[)]$') AS ends
  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_partitioned_table p ON p.partrelid = i.inhparent AND p.partstrat = 'r' JOIN pg_class o ON o.oid = i.inhparent
  WHERE i.inhparent = %s)
SELECT one.name FROM part one JOIN part next ON next.ends[1] = one.ends[2]
WHERE one.relkind = 'r' AND pg_has_role(one.relowner, 'USAGE') AND pg_has_role(one.above, 'USAGE')
  AND NOT EXISTS (SELECT 1 FROM pg_constraint f WHERE f.contype = 'f' AND f.confrelid = one.oid)
  AND NOT EXISTS (SELECT 1 FROM pg_trigger t WHERE t.tgrelid = one.oid AND NOT t.tgisinternal)
ORDER BY one.ends"""
_CHECKS = "SELECT pg_get_expr(conbin, conrelid) FROM pg_constraint WHERE contype = 'c' AND conrelid = %s ORDER BY conname"
_FOREIGN = """
SELECT a.attname::text, n.nspname::text, c.relname::text, b.attname::text
FROM pg_constraint f CROSS JOIN LATERAL unnest(f.conkey, f.confkey) AS k (mine, theirs)
JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.mine
JOIN pg_attribute b ON b.attrelid = f.confrelid AND b.attnum = k.theirs
JOIN pg_class c ON c.oid = f.confrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE f.conrelid = %s AND f.contype = 'f'
  AND NOT EXISTS (SELECT 1 FROM pg_constraint g WHERE g.oid = f.conparentid AND g.conrelid = f.conrelid)"""

_INTEGERS = frozenset({"int2", "int4", "int8"})
_TEXTS = frozenset({"text", "varchar", "bpchar", "name", "citext"})
_NAMED = _TEXTS | {"uuid", "numeric", "date", "timestamp", "timestamptz", "inet", "cidr", "macaddr", "macaddr8", "bool"}
"""Types beside whole numbers and enumerations of which each value has one text."""
_HASHED = _INTEGERS | {"text", "varchar", "name", "bool", "date", "timestamp", "timestamptz", "time", "uuid", "bytea", "oid"}
"""Types in which no two different values are equal."""
_NUMBERS = _INTEGERS | {"numeric", "float4", "float8"}
_CLOCKS: dict[str, Clock] = {"timestamptz": "instant", "timestamp": "civil", "date": "day"}
_PLAIN_ADDRESS = "CASE WHEN masklen({0}) = CASE family({0}) WHEN 4 THEN 32 ELSE 128 END THEN host({0}) ELSE CAST({0} AS text) END"
_WORDS = {"interval": "span of time", "point": "place", "int4range": "range", "int8range": "range"}


class Known(NamedTuple):
    """A table, view or the like, as the catalogue lists it."""

    oid: int
    schema: str
    name: str
    kind: str
    is_default: bool
    has_heirs: bool


class PostgresSchema(ABC):
    """The half of a database that knows its schema. It asks with `_all`."""

    default = ""
    locking_updates = True

    def __init__(self) -> None:
        self._oids: dict[str, Known] = {}

    @abstractmethod
    def _all(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Every row of a query."""

    def _known(self) -> dict[str, Known]:
        """Whatever has rows, by its name in keys; the default schema comes first."""
        found: dict[str, Known] = {}
        for row in self._all(_TABLES):
            one = Known(*row)
            found.setdefault(one.name if one.is_default else f"{one.schema}.{one.name}", one)
        self._oids = found
        return found

    def _table(self, table: str) -> Known:
        found = self._oids.get(table) or self._known().get(table)
        if found is None:
            raise StoreDenied(f"there is no table {table}", why="it went away")
        return found

    def schema_version(self, table: str) -> str:
        """A digest of what the catalogue says of a table, its columns, indexes and triggers, and of who refers to it."""
        oid = self._table(table).oid
        return f"{oid} {self._all(_VERSION, [oid] * 6)[0][0]}"

    def tables(self) -> list[str]:
        return [name for name, one in self._known().items() if one.kind in ("r", "p", "f")]

    def views(self) -> list[str]:
        return [name for name, one in self._known().items() if one.kind in ("v", "m")]

    def refuse_table(self, table: str) -> None:
        one = self._table(table)
        if one.kind == "f":
            raise StoreDenied("a rule's table is a foreign table", why="its rows are in another database", do="make that a store")
        if one.has_heirs:
            raise StoreDenied("a rule's table has tables that inherit from it", why="a key is not unique over all of them")

    def source(self, table: str) -> str:
        one = self._table(table)
        return f"{POSTGRES.quoted(one.schema)}.{POSTGRES.quoted(one.name)}"

    def label(self, table: str) -> str:
        return POSTGRES.quoted(self._table(table).name)

    def _columns(self, table: str) -> list[tuple[Any, ...]]:
        oid = self._table(table).oid
        return self._all(_COLUMNS, [oid, oid])

    def columns(self, table: str) -> dict[str, Column]:
        return {
            name: _column(declared, full, base, kind, exact)
            for name, declared, full, base, kind, _, generated, _, _, exact in self._columns(table)
            if not generated
        }

    def primary(self, table: str) -> list[str]:
        return [row[4] for row in self._all(_INDEXES, [self._table(table).oid]) if row[3]]

    def indexes(self, table: str, *, unique: bool) -> list[dict[str, str]]:
        found: dict[int, dict[str, str]] = {}
        for index, is_unique, whole, _, column, collation, _ in self._all(_INDEXES, [self._table(table).oid]):
            if whole and column is not None and (is_unique or not unique):
                found.setdefault(index, {})[column] = collation
        return list(found.values())

    def is_own_collation(self, table: str, column: str, collation: str) -> bool:
        return any(row[0] == column and row[8] == collation for row in self._columns(table))

    def never_null(self, table: str) -> set[str]:
        return {row[0] for row in self._columns(table) if row[5]}

    def row_number(self, table: str) -> None:
        return None

    def row_id(self, table: str) -> None:
        return None

    def foreign_keys(self, table: str) -> Iterator[ForeignKey]:
        oid = self._table(table).oid
        for child, schema, name, is_default, itself, columns, referred, told in self._all(_REFERENCES, [oid] * 3):
            led: dict[int, list[str]] = {}
            for index, _, whole, _, column, _, _ in self._all(_INDEXES, [child]):
                if whole:
                    led.setdefault(index, []).append(column)
            indexed = any(set(index[: len(columns)]) == set(columns) for index in led.values())
            shown = name if is_default else f"{schema}.{name}"
            source = f"{POSTGRES.quoted(schema)}.{POSTGRES.quoted(name)}"
            yield ForeignKey(source, shown, columns, referred, indexed, itself, told)

    def triggers(self, table: str | None = None) -> list[str]:
        """Rules, which rewrite statements, are among them."""
        if table is None:
            return [row[0] for row in self._all(_TRIGGERS.format("", ""))]
        oid = self._table(table).oid
        return [row[0] for row in self._all(_TRIGGERS.format(" AND tgrelid = %s", " AND ev_class = %s"), [oid, oid])]

    def tells_triggers(self, table: str) -> bool:
        return True

    @property
    def account(self) -> str:
        return str(self._all("SELECT quote_ident(current_user)")[0][0])

    def may(self, table: str, privilege: str, column: str | None) -> bool:
        """A column to be locked by may be any; what is updated is asked for by its name."""
        oid = self._table(table).oid
        asked = "table_privilege(CAST(%s AS oid), %s)" if column is None else "column_privilege(CAST(%s AS oid), %s, %s)"
        return bool(self._all(f"SELECT has_{asked}", [oid, *([] if column is None else [column]), privilege])[0][0])

    def parts(self, table: str) -> list[str]:
        """None where the account may read only the table, and not each of its partitions as well."""
        found = self._all(_PARTS, [self._table(table).oid])
        sources = [f"{name.replace('%', '%%')} AS {self.label(table)}" for name, may_read in found if may_read]
        return sources if len(sources) == len(found) else []

    def partitions(self, table: str) -> list[tuple[str, str]]:
        """Those that another one follows, beginning where they end: the last one is not among them."""
        found = [row[0].replace("%", "%%") for row in self._all(_PARTITIONS, [self._table(table).oid])]
        return [(name, f"{name} AS {self.label(table)}") for name in found]

    def checks(self, table: str) -> list[str]:
        return [row[0].replace("%", "%%") for row in self._all(_CHECKS, [self._table(table).oid])]

    def column_facts(self, table: str) -> dict[str, ColumnFacts]:
        oid = self._table(table).oid
        indexes = [row for row in self._all(_INDEXES, [oid]) if row[1]]
        primary = {row[4] for row in indexes if row[3]}
        refers: dict[str, list[Parent]] = {}
        for name, schema, parent, theirs in self._all(_FOREIGN, [oid]):
            source = f"{POSTGRES.quoted(schema)}.{POSTGRES.quoted(parent)}"
            refers.setdefault(name, []).append(Parent(source, theirs))
        return {
            name: ColumnFacts(
                declared=_WORDS.get(base, declared),
                never_null=never_null,
                primary=name in primary,
                generated=generated or given,
                unique=any(row[4] == name or (not row[2] and fold(name) in fold(row[6])) for row in indexes),
                refers=refers.get(name, ()),
                numeric=False,
                strict=base not in _TEXTS,
            )
            for name, declared, _, base, _, never_null, generated, given, _, _ in self._columns(table)
        }


def _column(declared: str, full: str, base: str, kind: str, exact: bool) -> Column:
    """How a column is spelled. `full` is its type without a length, so that a cast to it cuts nothing off."""
    full = full.replace("%", "%%")
    read = "{}" if base in _INTEGERS else _PLAIN_ADDRESS if base == "inet" else "CAST({} AS text)"
    return Column(
        kind="integer" if base in _INTEGERS else "text" if base in _NAMED or kind == "e" else None,
        declared=declared,
        clock="number" if base in _NUMBERS else "text" if base in _TEXTS else _CLOCKS.get(base, "any"),
        read=read,
        given=f"CAST({{}} AS {full})",
        dated="({} AT TIME ZONE 'UTC')" if base == "timestamptz" else read,
        digested="{}" if (base in _HASHED and exact) or kind == "e" else 'CAST({} AS text) COLLATE "C"',
        masked="CAST(trim_scale({}) AS text)" if base == "numeric" else "",
        kept=f"CAST(CAST({{}} AS {full}) AS {declared.replace('%', '%%')})",
    )
