"""SQL on servers, looking: types, digests, keys and their collations, starts and what a pushed-down bound leaves out."""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from retentiond.core.policy import Start
from retentiond.errors import StoreDenied, StoreUnavailable
from retentiond.stores.sql import SqlType
from tests.stores.served import act, look
from tests.stores.tables import CHANGED, DISPOSED, NOW, everything, fates, scope, shown

EVENT = Start("event", "over", by="id")
SINCE = NOW - timedelta(days=365)

VALUES = {
    "postgres": {
        "numeric": ["1.0", "1.00", "1.000000001", "'NaN'", "NULL"],
        "float8": ["0.1", "0.1::float8 + 1.4e-17", "'-0'", "0", "'NaN'", "'Infinity'"],
        "float4": ["0.1", "0.1000001"],
        "text": ["''", "NULL", "'a'", "'A'", "'a '", "'ä'", "'a' || chr(776)"],
        "char(3)": ["'a'", "'A'", "NULL"],
        "bytea": ["''", "'\\x00'", "'\\x0000'", "NULL"],
        "json": ["'{}'", "'{ }'", "'null'", "NULL"],
        "jsonb": ["'{\"a\": 1}'", "'{\"a\": 1.0}'", "'null'", "NULL"],
        "timestamptz": ["'2020-01-01 00:00+00'", "'2020-01-01 00:00+01'", "'infinity'", "'2020-01-01 00:00:00.000001+00'"],
        "interval": ["'1 day'", "'24 hours'", "'1 mon'", "'30 days'"],
        "boolean": ["true", "false", "NULL"],
        "int[]": ["'{1,2}'", "'{12}'", "'{1,NULL}'", "'{}'", "NULL"],
        "inet": ["'192.0.2.1'", "'192.0.2.1/24'", "NULL"],
        "mood": ["'good'", "'bad'", "NULL"],
        "citext_like": ["'a'", "'A'"],
        "money": ["1", "1.01"],
    },
    "mariadb": {
        "DECIMAL(20, 9)": ["1.0", "1.000000001", "NULL"],
        "DOUBLE": ["0.1", "0.1e0 + 1.4e-17", "0", "1e300", "NULL"],
        "FLOAT": ["0.1", "0.1000001", "0.10000001"],
        "VARCHAR(20)": ["''", "NULL", "'a'", "'A'", "'a '", "'ä'", "CONCAT('a', CHAR(776 USING ucs2))", "'1'", "'N'"],
        "VARCHAR(20) CHARACTER SET latin1": ["'ä'", "'a'", "NULL"],
        "VARBINARY(9)": ["''", "x'00'", "x'0000'", "x'ff'", "NULL"],
        "BLOB": ["''", "x'00'", "x'ff'"],
        "JSON": ["'{}'", "'{ }'", "'null'", "NULL"],
        "DATETIME(6)": ["'2020-01-01'", "'2020-01-01 00:00:00.000001'", "NULL"],
        "TIMESTAMP(6) NULL": ["'2020-01-01'", "'2020-01-01 00:00:00.000001'", "NULL"],
        "TIME(3)": ["'00:00:01'", "'00:00:01.001'", "'-00:00:01'"],
        "BIT(9)": ["b'1'", "b'10'", "NULL"],
        "ENUM('a', 'b')": ["'a'", "'b'", "NULL"],
        "SET('a', 'b')": ["'a'", "'b'", "'a,b'", "''"],
        "BIGINT UNSIGNED": ["18446744073709551615", "0", "NULL"],
        "UUID": ["'12345678-1234-1234-1234-123456789012'", "'12345678-1234-1234-1234-123456789013'"],
    },
}


@pytest.fixture
def typed(served):
    if served.kind == "postgres":
        served.sql("CREATE TYPE mood AS ENUM ('good', 'bad')", "CREATE COLLATION any_case (provider = icu, deterministic = false,"
                   " locale = 'und-u-ks-level2')", "CREATE DOMAIN citext_like AS text COLLATE any_case")  # fmt: skip
    return served


def test_values_of_every_type_that_differ_have_other_revisions_and_go_in_the_one_that_was_seen(typed):
    for kind, values in VALUES[typed.kind].items():
        rows = ", ".join(f"({n}, {value})" for n, value in enumerate(values))
        typed.sql("DROP TABLE IF EXISTS t", f"CREATE TABLE t (id INT PRIMARY KEY, v {kind})", f"INSERT INTO t VALUES {rows}")
        with look(typed) as view, act(typed) as store:
            plan = everything(view, scope("t", start=EVENT))
            assert plan == everything(store, scope("t", start=EVENT, fields=("v",)))
            assert list(plan.values()) == list(view.probe(scope("t", start=EVENT), list(plan)).revisions)
            typed.sql("CREATE TABLE same AS SELECT * FROM t", "UPDATE t SET id = id + 100")
            typed.sql(f"UPDATE t SET v = {values[0]}")
            moved = {item.revision for item in shown(view, scope("t", start=EVENT))}
            assert len(moved) == len(values), "the key is part of the digest"
            typed.sql("DELETE FROM t", "INSERT INTO t SELECT * FROM same", "DROP TABLE same")
            stale = fates(store, scope("t", start=EVENT), {key: plan["t/0"] for key in plan if key != "t/0"})
            assert set(stale.values()) <= {CHANGED}, kind
            assert {DISPOSED} == set(fates(store, scope("t", start=EVENT), plan).values()), kind


def test_each_difference_of_a_value_is_a_difference_of_the_revision(typed):
    for kind, values in VALUES[typed.kind].items():
        typed.sql(
            "DROP TABLE IF EXISTS t", f"CREATE TABLE t (id INT PRIMARY KEY, v {kind})", f"INSERT INTO t VALUES (1, {values[0]})"
        )
        revisions = []
        with look(typed) as view:
            for value in values:
                typed.sql(f"UPDATE t SET v = {value}")
                revisions += everything(view, scope("t", start=EVENT)).values()
        assert len(set(revisions)) == len(values), (kind, revisions)


def test_what_an_account_is_used_to_does_not_change_a_revision(served):
    served.sql("CREATE TABLE t (id INT PRIMARY KEY, at TIMESTAMP NULL, v FLOAT)", "INSERT INTO t VALUES (1, '2020-01-01', 0.1)")
    with look(served) as view:
        before = everything(view, scope("t"))
        starts = [item.start for item in shown(view, scope("t"))]
    if served.kind == "postgres":
        habits = (
            ("DateStyle", "'SQL, DMY'"),
            ("TimeZone", "'Asia/Tokyo'"),
            ("extra_float_digits", "-3"),
            ("IntervalStyle", "iso_8601"),
        )
        served.sql(*[f"ALTER DATABASE {served.name} SET {name} TO {value}" for name, value in habits])
        undo = [f"ALTER DATABASE {served.name} RESET ALL"]
    else:
        served.sql("SET GLOBAL time_zone = '+09:00'", "SET GLOBAL sql_mode = 'PAD_CHAR_TO_FULL_LENGTH'")
        undo = ["SET GLOBAL time_zone = 'SYSTEM'", "SET GLOBAL sql_mode = DEFAULT"]
    try:
        with look(served) as view:
            assert before == everything(view, scope("t"))
            assert starts == [item.start for item in shown(view, scope("t"))]
    finally:
        served.sql(*undo)


# Keys


DATED = ["'x,', '2020-01-02'", "'y', '2020-01-01'"]
KEYS = {
    "postgres": [
        ("a uuid PRIMARY KEY", ["'12345678-1234-1234-1234-1234567890AB'"], ["12345678-1234-1234-1234-1234567890ab"]),
        ("a numeric PRIMARY KEY", ["1.50", "-2"], ["-2", "1.50"]),
        ("a varchar(5), b date, PRIMARY KEY (b, a)", DATED, ["2020-01-01,y", "2020-01-02,x%2C"]),
        ("a timestamptz PRIMARY KEY", ["'2020-01-01 01:00+01'"], ["2020-01-01 00:00:00+00"]),
        ("a mood PRIMARY KEY", ["'bad'", "'good'"], ["good", "bad"]),
        ("a bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY", ["DEFAULT"], ["1"]),
        ("a char(5) PRIMARY KEY", ["'ab'"], ["ab"]),
        ("a text COLLATE any_case PRIMARY KEY", ["'Anna'", "'bob'"], ["Anna", "bob"]),
        ("a text COLLATE \"C\" PRIMARY KEY", ["'b'", "'B'", "'ä'"], ["B", "b", "ä"]),
        ("a smallint, b int, c bigint, PRIMARY KEY (c, b, a)", ["1, 2, 3", "2, 1, 3", "9, 9, -1"], ["-1,9,9", "3,1,2", "3,2,1"]),
    ],
    "mariadb": [
        ("a UUID PRIMARY KEY", ["'12345678-1234-1234-1234-1234567890AB'"], ["12345678-1234-1234-1234-1234567890ab"]),
        ("a BINARY(2) PRIMARY KEY", ["x'00ff'", "x'2c2f'"], ["00ff", "2c2f"]),
        ("a BIGINT UNSIGNED PRIMARY KEY", ["18446744073709551615", "7"], ["7", "18446744073709551615"]),
        ("a VARCHAR(9) COLLATE utf8mb4_general_ci PRIMARY KEY", ["'bob'", "'Anna'", "'zoë'"], ["Anna", "bob", "zoë"]),
        ("a VARCHAR(9) CHARACTER SET latin1 PRIMARY KEY", ["'é'", "'b'"], ["b", "é"]),
        ("a CHAR(9), b DATE, PRIMARY KEY (b, a)", DATED, ["2020-01-01,y", "2020-01-02,x%2C"]),
        ("a DECIMAL(9,2) PRIMARY KEY", ["1.5", "-2"], ["-2.00", "1.50"]),
        ("a SMALLINT, b INT, c BIGINT, PRIMARY KEY (c, b, a)", ["1, 2, 3", "2, 1, 3", "9, 9, -1"], ["-1,9,9", "3,1,2", "3,2,1"]),
        ("a DATETIME(3) PRIMARY KEY", ["'2020-01-01 10:00:00.5'"], ["2020-01-01 10:00:00.500"]),
    ],
}  # fmt: skip


def test_a_key_is_shown_in_its_own_order_and_finds_its_row_again_and_lets_it_go(typed):
    for columns, rows, keys in KEYS[typed.kind]:
        typed.sql(
            "DROP TABLE IF EXISTS t", f"CREATE TABLE t ({columns})", f"INSERT INTO t VALUES {', '.join(f'({r})' for r in rows)}"
        )
        what, named = scope("t", start=EVENT), [f"t/{key}" for key in keys]
        with act(typed) as store:
            found = everything(store, what)
            assert named == list(found), columns
            asked = [*named, "t/ANNA", "t/none", "t/1,2", "t/99999999999999999999", "t/-0", "u/1"]
            assert [*found.values(), *[None] * 6] == list(store.probe(what, asked).revisions), columns
            assert {DISPOSED} == set(fates(store, what, found).values()), columns
            assert {} == everything(store, what)


def test_a_key_that_was_respelled_is_changed_and_not_gone(typed):
    ci = "text COLLATE any_case" if typed.kind == "postgres" else "VARCHAR(20) COLLATE utf8mb4_general_ci"
    typed.sql(f"CREATE TABLE t (a {ci} PRIMARY KEY, rev INT)", "INSERT INTO t VALUES ('Anna', 1), ('Bob', 1)")
    for version in ("rev", None):
        what = scope("t", version=version, start=EVENT)
        with act(typed) as store:
            plan = everything(store, what)
            key = next(key for key in plan if key.lower() == "t/anna")
            typed.sql("UPDATE t SET a = '" + ("ANNA" if version else "anna") + "' WHERE a = 'anna'")
            assert {key: CHANGED} == fates(store, what, {key: plan[key]})


def fetched(database, clause):
    return database.rows(clause).fetchall()


@pytest.mark.parametrize("key", ["a INT, b VARCHAR(9), PRIMARY KEY (a, b)", "a VARCHAR(9), b INT, PRIMARY KEY (b, a)"])
def test_a_walk_over_many_pages_shows_each_row_once(served, key):
    served.sql(f"CREATE TABLE t ({key}, at TIMESTAMP NULL)")
    numbers = "generate_series(0, 11999) n" if served.kind == "postgres" else "(SELECT seq AS n FROM seq_0_to_11999) x"
    served.sql(f"INSERT INTO t (a, b, at) SELECT n % 7, n / 7, NULL FROM {numbers}" if served.kind == "postgres" else
               f"INSERT INTO t (a, b, at) SELECT n % 7, n DIV 7, NULL FROM {numbers}")  # fmt: skip
    with look(served) as view:
        pages = list(view.scan(scope("t")))
        assert 12_000 == len({key for page in pages for key in page.keys}) == sum(map(len, pages))
        statements = view.layout(scope("t")).statements
        (first, *_), last = pages, pages[5].keys[-1]
        parts = view.layout(scope("t")).keys.parts_of([last, first.keys[0]])
        asked = [statements.page(parts[0], (), [], 10), *(statements.lookup(n, []) for n in statements.named(parts))]
        for clause in asked:
            explained = clause._replace(sql="EXPLAIN " + clause.sql)
            plan = repr(view.database.read(partial(fetched, view.database, explained)))
            assert ("t_pkey" if served.kind == "postgres" else "PRIMARY") in plan, plan
            assert "Seq Scan" not in plan
            assert "filesort" not in plan


@pytest.mark.parametrize(
    ("columns", "key", "words"),
    [
        ("a INT", (), "no primary key"),
        ("a INT, UNIQUE (a)", ("a",), "may be NULL"),
        ("a INT NOT NULL, b INT NOT NULL, UNIQUE (a, b)", ("a",), "not unique"),
        ("a DOUBLE PRECISION PRIMARY KEY", (), "has no type"),
        ("a INT PRIMARY KEY", ("aa",), "no column aa"),
    ],
)
def test_a_table_whose_rows_have_no_names_is_refused(served, columns, key, words):
    served.sql(f"CREATE TABLE t ({columns})", "CREATE VIEW seen AS SELECT * FROM t")
    with look(served) as view:
        for name, match in (("t", words), ("seen", "is a view"), ("tt", "did you|no table tt")):
            with pytest.raises(StoreDenied, match=match):
                everything(view, scope(name, start=EVENT, key=key))


def test_tables_that_keep_what_is_deleted_or_cannot_undo_are_refused(mariadb):
    mariadb.sql(
        "CREATE TABLE kept (id INT PRIMARY KEY) WITH SYSTEM VERSIONING", "CREATE TABLE old (id INT PRIMARY KEY) ENGINE = MyISAM"
    )
    with look(mariadb) as view:
        for name, words in (("kept", "system-versioned"), ("old", "without transactions")):
            with pytest.raises(StoreDenied, match=words):
                everything(view, scope(name, start=EVENT))


def test_tables_are_found_in_other_schemas_and_the_default_one_is_left_out_of_keys(postgres):
    postgres.sql("CREATE SCHEMA archive", "CREATE TABLE archive.t (id INT PRIMARY KEY, kind TEXT)",
                 "INSERT INTO archive.t VALUES (1, 'a')",
                 "CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (2)",
                 "CREATE TABLE parted (id INT PRIMARY KEY) PARTITION BY RANGE (id)",
                 "CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10)", "INSERT INTO parted VALUES (3)",
                 "CREATE TABLE heir () INHERITS (t)")  # fmt: skip
    with act(postgres) as store:
        for name, key in (("archive.t", "archive.t/1"), ("parted", "parted/3"), ("public.parted", "parted/3")):
            assert [key] == list(everything(store, scope(name, start=EVENT)))
        what = scope("archive.t", "t.kind = 'a'", start=EVENT)
        assert {"archive.t/1": DISPOSED} == fates(store, what, everything(store, what))
        with pytest.raises(StoreDenied, match="inherit"):
            everything(store, scope("t", start=EVENT))


# Starts


STARTS = {
    "postgres": ["timestamptz", "timestamp", "date", "text", "varchar(40)", 'text COLLATE "C"'],
    "mariadb": ["DATETIME(6)", "DATE", "VARCHAR(40)", "VARCHAR(40) CHARACTER SET latin1", "TIMESTAMP(6) NULL"],
}
TEXTS = ["2026-06-01", "2026-06-01 10:00:00", "2026-06-01T10:00:00Z", "2026-06-01 12:00:00.123+02:00", "2026-02-30", "2026-06-31",
         "soon", "2026-06-01 24:00:00", "2026-06-01 10:00:00 ", "2026-06-01\n", "0000-00-00", "1970-01-01 00:00:00", "2999-01-01",
         "", "20260601",
         "2026-06-01 10:00", "٢٠٢٦-٠٦-٠١"]  # fmt: skip


@pytest.mark.parametrize("zone", ["UTC", "Europe/London", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_whatever_is_left_out_is_waiting_and_everything_is_seen_or_counted(served, zone):
    edges = [
        at + timedelta(hours=h, microseconds=m) for at in (SINCE, NOW) for h in (-50, -14, -1, 0, 1, 14, 50) for m in (-1, 0, 1)
    ]
    for kind in STARTS[served.kind]:
        served.sql("DROP TABLE IF EXISTS items", f"CREATE TABLE items (id INT PRIMARY KEY, at {kind})")
        rows = [f"{at:%Y-%m-%d %H:%M:%S.%f}" for at in edges]
        if "text" in kind or "VARCHAR" in kind:
            rows += TEXTS if "latin1" not in kind else TEXTS[:-1]
        elif served.kind == "postgres":
            rows += ["infinity", "-infinity", "0044-03-15 BC", "12026-01-01"]
        served.many("INSERT INTO items VALUES (%s, %s)", [*enumerate(rows), (999, None)])
        start = Start("column", "at", zone=zone)
        with look(served) as view:
            every = {item.key: item.start for item in shown(view, scope(start=start))}
            pages = list(view.scan(scope(start=start, waiting_from=SINCE)))
        seen = {page.keys[i]: page.starts[i] for page in pages for i in range(len(page))}
        assert len(every) == len(rows) + 1 == len(seen) + sum(page.unseen for page in pages)
        assert seen.items() <= every.items()
        left = [every[key] for key in every.keys() - seen.keys()]
        assert left, kind
        assert all(at is not None and SINCE <= at <= NOW for at in left), (kind, left)


DENOTED = [
    ("i", None, datetime(2026, 7, 1, 10, tzinfo=UTC)),
    ("c", None, datetime(2026, 7, 1, 9, tzinfo=UTC)),
    ("d", None, datetime(2026, 7, 1, 22, 59, 59, 999999, UTC)),
    ("n", "s", datetime(2026, 7, 1, 8, tzinfo=UTC)),
]


@pytest.mark.parametrize(("column", "unit", "at"), DENOTED)
def test_a_start_is_what_the_column_denotes(served, column, unit, at):
    instant, civil = ("timestamptz", "timestamp") if served.kind == "postgres" else ("TIMESTAMP(6) NULL", "DATETIME")
    served.sql(
        f"CREATE TABLE items (id INT PRIMARY KEY, i {instant}, c {civil}, d DATE, n BIGINT)",
        "INSERT INTO items VALUES (1, '2026-07-01 10:00:00', '2026-07-01 10:00:00', '2026-07-01', 1782892800)",
    )
    start = Start("column", column, zone="Europe/London", unit=unit)
    with look(served) as view:
        assert [at] == [item.start for item in shown(view, scope(start=start))]
        (page,) = view.scan(scope(start=start, waiting_from=SINCE))
        assert (0, 1) == (len(page), page.unseen)


def test_facts_are_texts(typed):
    inet = "inet" if typed.kind == "postgres" else "INET6"
    typed.sql(f"CREATE TABLE t (id INT PRIMARY KEY, n NUMERIC(8, 2), c CHAR(5), d DATE, i {inet}, b BOOLEAN)")
    typed.sql("INSERT INTO t VALUES (1, 1.5, 'ab', '2020-01-01', '2001:db8::1', true), (2, NULL, NULL, NULL, NULL, NULL)")
    with look(typed) as view:
        one, two = shown(view, scope("t", start=EVENT, fields=("n", "c", "d", "i", "b", "id")))
    true = "true" if typed.kind == "postgres" else "1"
    assert {"n": "1.50", "c": "ab", "d": "2020-01-01", "i": "2001:db8::1", "b": true, "id": "1"} == one.facts
    assert {None} == {value for name, value in two.facts.items() if name != "id"}


# Opening


def test_the_place_is_the_server_and_the_database_and_the_clock_is_told(served):
    with look(served) as one, act(served) as two:
        assert one.place == two.place
        assert one.place.endswith("/" + served.name)
        assert abs(one.database.clock - two.database.clock) < timedelta(minutes=1)


def test_what_cannot_be_opened_is_said_in_fixed_words(served):
    scheme = served.url.partition("://")[0]
    host = served.url.partition("@")[2].partition("/")[0]
    unused = f"{scheme}://test@127.0.0.1:1/x"
    for url, kind, words in (
        (unused, StoreUnavailable, "cannot be reached"),
        (f"{scheme}://test@{host}/nosuch", StoreDenied, "no such database"),
        (f"{scheme}://nobody@{host}/{served.name}", StoreDenied, "does not let the account in"),
    ):
        with pytest.raises(kind, match=words) as refusal, closing(SqlType().look({"url": url})):
            pass
        assert "nobody" not in f"{refusal.value.why} {refusal.value.do}"
