"""Pages of MariaDB that come as one text, and rows that are let go by the place of their digest."""

from datetime import timedelta

import pytest

from retentiond.core.policy import Start
from retentiond.core.selector import Predicate
from retentiond.stores.sql.packed import at_once
from retentiond.stores.sql.spelling import Clause
from tests.stores.served import act, look
from tests.stores.tables import CHANGED, DISPOSED, NOW, everything, fates, scope, shown

AT = Start("column", "at", zone="Europe/London")
EVENT = Start("event", "over", by="id")
TABLES = {
    "numbers, some of them negative": (
        "id BIGINT PRIMARY KEY, at DATETIME(6)",
        "-9223372036854775808, -5, 0, 7, 9223372036854775807",
    ),
    "the largest numbers": ("id BIGINT UNSIGNED PRIMARY KEY, at DATETIME", "0, 9223372036854775808, 18446744073709551615"),
    "instants": ("id INT PRIMARY KEY, at TIMESTAMP(3) NULL", "1, 2, 3"),
    "days": ("id INT PRIMARY KEY, at DATE", "1, 2, 3"),
    "no row": ("id INT PRIMARY KEY, at DATE", ""),
}


def filled(database, columns, ids):
    database.sql(f"CREATE TABLE t ({columns}, note TEXT)")
    for n, number in enumerate(ids.split(", ") if ids else ()):
        start = "NULL" if n == 1 else f"'2020-02-{n + 1:02} 03:04:05'"
        database.sql(f"INSERT INTO t VALUES ({number}, {start}, 'a,b')")


def both(view, what, predicates=()):
    """A page as one text, and row by row."""
    layout = view.layout(what)
    page = layout.statements.page(None, [], predicates, 5000)
    return at_once(view.database, layout, page, len(predicates)), list(view.database.rows(page).fetchall())


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("start", [AT, EVENT], ids=["by a column", "by an event"])
def test_a_page_as_one_text_is_the_page_row_by_row(mariadb, name, start):
    filled(mariadb, *TABLES[name])
    with look(mariadb) as view:
        packed, rows = both(view, scope("t", start=start))
        assert rows == packed
        plain = shown(view, scope("t", start=start, fields=("note",)))
        assert [(i.key, i.revision, i.start, i.size) for i in plain] == [
            (i.key, i.revision, i.start, i.size) for i in shown(view, scope("t", start=start))
        ]
        assert len(rows) == len(plain)


def test_keys_of_several_numbers_and_what_is_asked_of_each_row_come_with_it(mariadb):
    mariadb.sql(
        "CREATE TABLE t (a INT, b INT UNSIGNED, at DATETIME NOT NULL, PRIMARY KEY (b, a))",
        "INSERT INTO t VALUES (1, 2, '2020-01-01'), (-7, 1, '2020-01-02'), (3, 1, '2020-01-03')",
        "CREATE TABLE refers (id INT PRIMARY KEY, a INT, b INT UNSIGNED, FOREIGN KEY (b, a) REFERENCES t (b, a))",
        "INSERT INTO refers VALUES (1, 3, 1)",
    )
    with look(mariadb) as view:
        packed, rows = both(view, scope("t", start=AT), ["a > 0", "b = NULL"])
        assert rows == packed
        assert [row[-3:] for row in packed] == [(0, 0, 1), (1, 1, 1), (0, 1, 1)]
        (page,) = view.scan(scope("t", start=AT, predicates=(Predicate("H1", "a > 0", frozenset({0})),)))
        assert (["t/1,-7", "t/1,3", "t/2,1"], {1: "H1", 2: "H1"}) == (list(page.keys), page.held)


@pytest.mark.parametrize(
    ("columns", "options"),
    [
        ("id VARCHAR(20) PRIMARY KEY, at DATETIME", {}),
        ("id INT PRIMARY KEY, at VARCHAR(30)", {}),
        ("id INT PRIMARY KEY, at DATETIME, v INT NOT NULL", {"version": "v"}),
        ("id INT PRIMARY KEY, at DATETIME", {"fields": ("id",)}),
    ],
    ids=["a text as key", "a text as start", "a version", "a field"],
)
def test_what_may_have_a_comma_in_it_is_read_row_by_row(mariadb, columns, options):
    mariadb.sql(f"CREATE TABLE t ({columns})")
    with look(mariadb) as view:
        packed, rows = both(view, scope("t", start=AT, **options))
        assert (packed, rows) == (None, [])


def test_a_text_that_was_cut_short_or_out_of_order_is_no_page(mariadb):
    mariadb.sql("CREATE TABLE t (id INT PRIMARY KEY, at DATETIME NOT NULL)", "INSERT INTO t SELECT seq, NOW() FROM seq_1_to_999")
    with look(mariadb) as view:
        layout = view.layout(scope("t", start=AT))
        page = layout.statements.page(None, [], [], 5000)
        backwards = Clause(page.sql.replace("ORDER BY `t`.`id`", "ORDER BY `t`.`id` DESC"), page.values)
        assert backwards.sql != page.sql
        assert at_once(view.database, layout, backwards, 0) is None
        assert len(at_once(view.database, layout, page, 0)) == 999
        view.database.rows(Clause("SET SESSION group_concat_max_len = 5000"))
        assert at_once(view.database, layout, page, 0) is None
        assert len(everything(view, scope("t", start=AT))) == 999, "then they are read row by row"


def test_pages_follow_one_another_and_what_is_not_due_is_counted(mariadb):
    mariadb.sql(
        "CREATE TABLE t (id INT PRIMARY KEY, at DATETIME NOT NULL, KEY (at))",
        "INSERT INTO t SELECT seq * 3, IF(seq % 4 = 0, '2026-11-01', '2019-01-01') + INTERVAL seq SECOND FROM seq_1_to_16000",
    )
    what = scope("t", start=AT, waiting_from=NOW - timedelta(days=365))
    with look(mariadb) as view:
        pages = list(view.scan(what))
        assert [f"t/{3 * n}" for n in range(1, 16001) if n % 4] == [key for page in pages for key in page.keys]
        assert sum(page.unseen for page in pages) == 4000


# Letting go


def rows_of(database, numbers):
    listed = ", ".join(f"({n}, '2020-01-01', 'note {n}')" for n in numbers)
    database.sql("CREATE TABLE t (id BIGINT PRIMARY KEY, at DATETIME, note TEXT)", f"INSERT INTO t VALUES {listed}")


NUMBERS = {
    "one span": range(1, 200),
    "a few spans": [*range(-50, 3), *range(7, 20), 44, *range(9_000_000_000, 9_000_000_100)],
    "more spans than are written out": range(0, 400, 3),
}


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("backwards", [False, True])
def test_rows_go_whatever_order_they_are_named_in_and_no_other_does(mariadb, name, backwards):
    rows_of(mariadb, NUMBERS[name])
    wanted = [f"t/{n}" for n in NUMBERS[name]][1:-1]
    wanted = wanted[::-1] if backwards else wanted
    with act(mariadb) as store:
        found = everything(store, scope("t", start=AT))
        assert {DISPOSED} == set(fates(store, scope("t", start=AT), {key: found[key] for key in wanted}).values())
    left = {n for (n,) in mariadb.sql("SELECT id FROM t")}
    assert {NUMBERS[name][0], NUMBERS[name][-1]} == left


@pytest.mark.parametrize("name", NUMBERS)
def test_a_row_that_changed_in_the_midst_of_others_stays_and_the_others_go(mariadb, name):
    rows_of(mariadb, NUMBERS[name])
    middle = NUMBERS[name][len(NUMBERS[name]) // 2]
    with act(mariadb) as store:
        plan = everything(store, scope("t", start=AT))
        mariadb.sql(f"UPDATE t SET note = 'changed' WHERE id = {middle}")
        found = fates(store, scope("t", start=AT), plan)
        assert {key: CHANGED if key == f"t/{middle}" else DISPOSED for key in plan} == found
    assert [(middle, "changed")] == [(n, note) for n, note in mariadb.sql("SELECT id, note FROM t")]


def test_a_digest_counts_only_at_its_own_key(mariadb):
    rows_of(mariadb, range(1, 100))
    with act(mariadb) as store:
        plan = everything(store, scope("t", start=AT))
        plan["t/41"], plan["t/42"] = plan["t/42"], plan["t/41"]
        found = fates(store, scope("t", start=AT), plan)
        assert {"t/41", "t/42"} == {key for key, fate in found.items() if fate == CHANGED}
    assert [(41,), (42,)] == [tuple(row) for row in mariadb.sql("SELECT id FROM t ORDER BY id")]
