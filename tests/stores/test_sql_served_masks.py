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
