"""SQL on servers, anonymising: every strategy of the language beside every constraint, judged before a row is touched."""

import pytest

from retentiond.core.anonymise import Constant, Hash, Mask, Null, Truncate
from retentiond.errors import StoreDenied
from tests.stores.masks import anonymise, due, what
from tests.stores.served import act, look
from tests.stores.tables import DISPOSED

STRATEGIES = {
    "constant": Constant("removed"),
    "null": Null(),
    "hash": Hash(16),
    "truncate": Truncate(24),
    "mask": Mask(3),
}
ALL_BUT_NULL = ("constant", "hash", "truncate", "mask")
FORBIDDEN = {
    "NOT NULL": ("x VARCHAR(40) NOT NULL", {"it is NOT NULL": ("null",)}),
    "UNIQUE": ("x VARCHAR(40) UNIQUE", {"it is unique": ("constant", "truncate", "mask")}),
    "UNIQUE with others": ("x VARCHAR(40), y INT DEFAULT 1, UNIQUE (x, y)", {"it is unique": ("constant", "truncate", "mask")}),
    "CHECK": ("x VARCHAR(40) CHECK (x LIKE '19%')", {"a CHECK of the table forbids it": ("constant", "hash")}),
    "CHECK of null": ("x VARCHAR(40), CHECK (x IS NOT NULL)", {"a CHECK of the table forbids it": ("null",)}),
    "length": ("x VARCHAR(6)", {"it holds at most 6 characters": ("constant", "hash")}),
    "foreign key": (
        "x VARCHAR(40), FOREIGN KEY (x) REFERENCES others (y)",
        {"it refers to another": ("hash", "truncate", "mask")},
    ),
    "generated": ("x VARCHAR(40) GENERATED ALWAYS AS (ip) STORED", {"it is generated": tuple(STRATEGIES)}),
    "number": ("x BIGINT", {"it holds numbers": ALL_BUT_NULL}),
    "date": ("x DATE", {"its type takes no such value": ("constant",), "values of its type": ("hash", "mask")}),
    "key": ("x VARCHAR(40), PRIMARY KEY (x)", {"it is part of the key": tuple(STRATEGIES)}),
}


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("constraint", FORBIDDEN)
def test_a_strategy_beside_a_constraint_is_refused_before_a_row_is_touched_or_is_carried_out(served, constraint, strategy):
    declared, reasons = FORBIDDEN[constraint]
    refused = {name: why for why, names in reasons.items() for name in names}
    key = "id INT" if constraint == "key" else "id INT PRIMARY KEY"
    served.sql(
        "CREATE TABLE others (y VARCHAR(40) PRIMARY KEY)",
        "INSERT INTO others VALUES ('192.9'), ('removed')",
        f"CREATE TABLE t ({key}, at TIMESTAMP NULL, ip VARCHAR(40), {declared})",
    )
    value = {"number": 7, "date": "2020-05-17", "length": "192.9", "foreign key": "192.9"}.get(constraint, "192.0.2.1")
    named = {"ip": "192.0.2.1"} if constraint == "generated" else {"x": value}
    served.sql(f"INSERT INTO t (id, at, {', '.join(named)}) VALUES (1, '2020-01-01', '{next(iter(named.values()))}')")
    sc = what([("x", STRATEGIES[strategy])], "t")
    before = served.sql("SELECT * FROM t")
    if strategy in refused:
        with look(served) as view:
            for attempt in (view.warnings, lambda sc: list(view.scan(sc)), lambda sc: view.probe(sc, ["t/1"])):
                with pytest.raises(StoreDenied, match="the column x cannot be anonymised") as caught:
                    attempt(sc)
                assert refused[strategy] in caught.value.why
        assert before == served.sql("SELECT * FROM t")
        return
    with act(served) as store:
        said = set(anonymise(store, sc, due(store, sc)).values())
        fitting = strategy != "truncate" or value == "192.0.2.1"
        assert ({DISPOSED} if fitting else {("failed", "unmaskable")}) == said
        assert fitting == (not due(store, sc))


def test_a_check_about_several_columns_is_the_fate_of_each_row(served):
    served.sql(
        "CREATE TABLE t (id INT PRIMARY KEY, at TIMESTAMP NULL, ip VARCHAR(40), x VARCHAR(40), CHECK (id > 1 OR x IS NOT NULL))",
        "INSERT INTO t VALUES (1, '2020-01-01', '', 'a'), (2, '2020-01-01', '', 'b')",
    )
    sc = what([("x", Null())], "t")
    with act(served) as store:
        assert {"t/1": ("failed", "constraint"), "t/2": DISPOSED} == anonymise(store, sc, due(store, sc))


def test_a_word_that_an_enumeration_does_not_know_is_refused(served):
    words = "ENUM ('a', 'b')"
    if served.kind == "postgres":
        served.sql("CREATE TYPE word AS ENUM ('a', 'b')")
        words = "word"
    served.sql(
        f"CREATE TABLE t (id INT PRIMARY KEY, at TIMESTAMP NULL, x {words})", "INSERT INTO t VALUES (1, '2020-01-01', 'a')"
    )
    with act(served) as store:
        with pytest.raises(StoreDenied, match="cannot be anonymised") as caught:
            due(store, what([("x", Constant("removed"))], "t"))
        assert "its type takes no such value" in caught.value.why
        sc = what([("x", Constant("b"))], "t")
        assert {"t/1": DISPOSED} == anonymise(store, sc, due(store, sc))


HELD = {
    "a number": ("INT", 7),
    "a number as a text": ("INT", "7"),
    "a fraction": ("DECIMAL(5,2)", "12.5"),
    "a fraction with an idle zero": ("DECIMAL(5,2)", "12.50"),
    "a fraction below zero": ("DECIMAL(5,2)", "-0.25"),
    "a whole number": ("DECIMAL(5,2)", 12),
    "a text": ("VARCHAR(6)", "Łódź a"),
    "a blank in the middle": ("CHAR(6)", "a b"),
    "a moment": ("TIMESTAMP NULL", "2020-01-01 00:00:00"),
    "a day": ("DATE", "2020-01-01"),
}
LOST = {
    "a number out of range": ("INT", 99999999999),
    "a number below": ("SMALLINT", -32769),
    "a fraction of a whole number": ("INT", "12.5"),
    "a fraction out of range": ("DECIMAL(5,2)", 99999),
    "a fraction that is too fine": ("DECIMAL(5,2)", "12.345"),
    "a blank at the end": ("CHAR(6)", "a "),
    "a moment that is a day": ("TIMESTAMP NULL", "2020-01-01"),
    "a day that is none": ("DATE", "2020-02-30"),
    "no number": ("DECIMAL(5,2)", "removed"),
}


def typed(served, declared):
    served.sql(
        f"CREATE TABLE t (id INT PRIMARY KEY, at TIMESTAMP NULL, x {declared})", "INSERT INTO t (id, at) VALUES (1, '2020-01-01')"
    )


@pytest.mark.parametrize("case", HELD)
def test_a_value_that_fits_its_column_exactly_is_written_and_then_done(served, case):
    declared, value = HELD[case]
    typed(served, declared)
    sc = what([("x", Constant(value))], "t")
    with act(served) as store:
        assert {"t/1": DISPOSED} == anonymise(store, sc, due(store, sc))
        assert {} == due(store, sc)


@pytest.mark.parametrize("case", LOST)
def test_a_value_that_its_column_would_hold_as_another_one_is_refused_beforehand(served, case):
    declared, value = LOST[case]
    typed(served, declared)
    refused(served, value)


def refused(served, value):
    """A rule that writes a value is refused before a row is looked at."""
    with look(served) as view, pytest.raises(StoreDenied, match="the column x cannot be anonymised by a value") as caught:
        list(view.scan(what([("x", Constant(value))], "t")))
    assert caught.value.why
    assert caught.value.do
    return caught.value


def test_a_day_for_a_moment_is_told_how_to_be_written(served):
    typed(served, "TIMESTAMP NULL")
    assert "write '2020-01-01 00:00:00'" == refused(served, "2020-01-01").do


def test_a_character_that_the_column_has_not_is_refused(mariadb):
    typed(mariadb, "VARCHAR(20) CHARACTER SET latin1")
    refused(mariadb, "Łódź")
    sc = what([("x", Constant("gelöscht"))], "t")
    with act(mariadb) as store:
        assert {"t/1": DISPOSED} == anonymise(store, sc, due(store, sc))


def test_a_domain_refuses_what_it_does_not_allow(postgres):
    postgres.sql("CREATE DOMAIN short AS VARCHAR(20) CHECK (VALUE LIKE '%%a%%' AND VALUE NOT LIKE 'r%%')".replace("%%", "%"))
    typed(postgres, "short")
    refused(postgres, "removed")


@pytest.mark.parametrize("value", [8, "a"])
def test_a_value_for_a_reference_is_refused_unless_it_is_there(served, value):
    kind = "INT" if value == 8 else "VARCHAR(20)"
    served.sql(f"CREATE TABLE others (y {kind} PRIMARY KEY)")
    typed(served, f"{kind}, FOREIGN KEY (x) REFERENCES others (y)")
    assert "it refers to another table, where there is no such row" == refused(served, value).why
    served.many("INSERT INTO others VALUES (%s)", [(value,)])
    sc = what([("x", Constant(value))], "t")
    with act(served) as store:
        assert {"t/1": DISPOSED} == anonymise(store, sc, due(store, sc))


def test_one_column_of_several_that_refer_needs_its_value_there_as_well(served):
    served.sql("CREATE TABLE others (y INT, z INT, PRIMARY KEY (y, z))", "INSERT INTO others VALUES (1, 2), (7, 8)")
    typed(served, "INT, w INT, FOREIGN KEY (x, w) REFERENCES others (y, z)")
    refused(served, 8)
    sc = what([("x", Constant(7)), ("w", Constant(8))], "t")
    with act(served) as store:
        assert {"t/1": DISPOSED} == anonymise(store, sc, due(store, sc))
