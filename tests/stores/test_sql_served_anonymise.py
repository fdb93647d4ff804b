"""SQL on servers, anonymising: what cannot be masked is refused, and a row is anonymised wholly, once, or not at all."""

from dataclasses import replace

import pytest

from retentiond.core.anonymise import Constant, Hash, Mask, Null, Truncate
from retentiond.core.selector import Predicate
from retentiond.errors import StoreDenied
from tests.stores.masks import ALL, anonymise, due, what
from tests.stores.served import act, look
from tests.stores.tables import CHANGED, DISPOSED, GONE

TEXT = {"postgres": "TEXT", "mariadb": "VARCHAR(60)"}


@pytest.fixture
def people(served):
    text = TEXT[served.kind]
    served.sql(
        f"CREATE TABLE people (id INT PRIMARY KEY, at TIMESTAMP NULL, ip {text}, email {text}, name {text}, ref {text},"
        f" born DATE, note {text})"
    )
    rows = [(i, "2020-01-01", f"192.0.2.{i}", f"p{i}@example.org", f"Änna{i}", f"c{i % 10}", f"198{i % 10}-05-17", "x")
            for i in range(1, 41)]  # fmt: skip
    served.many("INSERT INTO people VALUES (%s, %s, %s, %s, %s, %s, %s, %s)", rows)
    return served


def test_every_strategy_is_carried_out_and_done_rows_are_known(people):
    with act(people) as store:
        plan = due(store, what())
        assert len(plan) == 40
        assert {DISPOSED} == set(anonymise(store, what(), plan).values())
        (page,) = store.scan(what())
        assert page.done == frozenset(range(40))
        assert {("changed", "done-already")} == set(
            anonymise(store, what(), dict(zip(page.keys, page.revisions, strict=True))).values()
        )
    rows = people.sql("SELECT ip, email, name, ref, born, note FROM people ORDER BY id")
    assert {("192.0.2.0", None)} == {row[:2] for row in rows}
    assert [f"Ä{'*' * (len(str(i)) + 3)}" for i in range(1, 41)] == [row[2] for row in rows]
    assert len({row[3] for row in rows}) == 10, "equal values stay equal"
    assert {f"198{i}-01-01" for i in range(10)} == {str(row[4]) for row in rows}
    assert {"removed"} == {row[5] for row in rows}


def test_each_row_has_its_own_fate(people):
    with act(people) as store:
        sc = what(where="id < 30")
        plan = due(store, sc) | {"people/99": "0" * 32}
        people.sql(
            "UPDATE people SET email = 'new' WHERE id = 1",
            "DELETE FROM people WHERE id = 2",
            "UPDATE people SET id = 50 WHERE id = 3",
        )
        plan["people/50"] = store.probe(sc, ["people/50"]).revisions[0]
        said = anonymise(store, sc, plan, (Predicate("h", "id = 4"), Predicate("n", "id = 5", frozenset({4}))))
    odd = {"people/1": CHANGED, "people/2": GONE, "people/3": GONE, "people/4": ("held", "predicate"),
           "people/5": ("held", "predicate"),
           "people/50": ("changed", "outside"), "people/99": GONE}  # fmt: skip
    assert {**dict.fromkeys(plan, DISPOSED), **odd} == said
    assert [1, 4, 5, *range(30, 41), 50] == [
        row[0] for row in people.sql("SELECT id FROM people WHERE email IS NOT NULL ORDER BY id")
    ]


def test_nothing_is_hashed_twice_and_done_rows_are_left_unread(people):
    columns = (("ref", Hash(16)), ("email", Null()), ("note", Constant("gone")))
    with act(people) as store:
        anonymise(store, what(columns), due(store, what(columns)))
        before = people.sql("SELECT ref FROM people ORDER BY id")
        people.sql("UPDATE people SET email = 'new@example.org' WHERE id = 5")
        (page,) = store.scan(what(columns, leave_done=True))
        assert (["people/5"], 39) == (list(page.keys), page.unseen_done)
        assert {"people/5": DISPOSED} == anonymise(store, what(columns), due(store, what(columns)))
    assert before == people.sql("SELECT ref FROM people ORDER BY id")


def test_a_row_that_cannot_be_masked_is_in_doubt_and_stays_whole(people):
    people.sql("UPDATE people SET ip = 'not an address' WHERE id = 3")
    with act(people) as store:
        (page,) = store.scan(what())
        assert {2: "its column ip holds what truncate cannot anonymise"} == page.doubts
        said = anonymise(store, what(), due(store, what()))
    assert ["people/3"] == [key for key, fate in said.items() if fate == ("failed", "unmaskable")]


@pytest.mark.parametrize(
    ("declared", "strategy", "why"),
    [
        ("x VARCHAR(20) NOT NULL", Null(), "NOT NULL"),
        ("x VARCHAR(20) UNIQUE", Constant("a"), "unique"),
        ("x VARCHAR(20) UNIQUE", Hash(15), "unique"),
        ("x VARCHAR(20), UNIQUE (x, id)", Mask(1), "unique"),
        ("x VARCHAR(8)", Hash(16), "at most 8"),
        ("x INT", Hash(16), "numbers"),
        ("x BIGINT", Constant("removed"), "numbers"),
        ("x NUMERIC(8, 2)", Mask(1), "numbers"),
        ("x DOUBLE PRECISION", Mask(1), "numbers"),
        ("x DATE", Hash(16), "values of its type"),
        ("x VARCHAR(40) GENERATED ALWAYS AS (concat_it) STORED", Null(), "generated"),
        ("x VARCHAR(9), FOREIGN KEY (x) REFERENCES other (y)", Hash(8), "refers"),
    ],
)
def test_what_the_schema_forbids_is_refused_beforehand(served, declared, strategy, why):
    declared = declared.replace("concat_it", "note")
    served.sql(
        "CREATE TABLE other (y VARCHAR(9) PRIMARY KEY)",
        f"CREATE TABLE t (id INT PRIMARY KEY, at TIMESTAMP NULL, note VARCHAR(40), {declared})",
    )
    with look(served) as view:
        for attempt in (view.warnings, lambda sc: list(view.scan(sc)), lambda sc: view.probe(sc, ["t/1"])):
            with pytest.raises(StoreDenied, match="the column x cannot be anonymised") as caught:
                attempt(what([("X", strategy)], "t"))
            assert why in caught.value.why


@pytest.mark.parametrize(
    ("declared", "value", "strategy"),
    [
        ("VARCHAR(16) UNIQUE NOT NULL", "{}", Hash(16)),
        ("VARCHAR(20) UNIQUE", "{}", Null()),
        ("INT", "{}", Constant(0)),
        ("NUMERIC(8, 2)", "{}.5", Constant(0)),
        ("VARCHAR(9)", "{}", Constant(5)),
        ("DATE", "2020-05-1{}", Truncate("month")),
        ("TIMESTAMP NULL", "2020-05-1{} 10:00:00", Truncate("year")),
        ("CHAR(9)", "ab{}", Mask(1)),
        ("BOOLEAN", "1", Null()),
        ("inet", "192.0.2.{}", Truncate(24)),
    ],
)
def test_what_the_schema_allows_is_done_for_every_row(served, declared, value, strategy):
    if served.kind == "mariadb" and declared == "inet":
        declared = "INET6 NULL"
        value = "2001:db8:1:{}::1"
    served.sql(f"CREATE TABLE t (id INT PRIMARY KEY, at TIMESTAMP NULL, x {declared})")
    served.many("INSERT INTO t VALUES (%s, '2020-01-01', %s)", [(n, value.format(n)) for n in (1, 2, 3)])
    sc = what([("x", strategy)], "t")
    with act(served) as store:
        assert {DISPOSED} == set(anonymise(store, sc, due(store, sc)).values())
        assert {} == due(store, sc)
        assert {} == due(store, replace(sc, leave_done=True))


def test_a_check_or_a_trigger_that_objects_keeps_its_row_whole(served):
    served.sql("CREATE TABLE t (id INT PRIMARY KEY, at TIMESTAMP NULL, ip VARCHAR(20), email VARCHAR(20),"
               " CHECK (id <> 2 OR email IS NOT NULL))",
               "INSERT INTO t VALUES (1, '2020-01-01', '192.0.2.1', 'a'), (2, '2020-01-01', '192.0.2.2', 'b')")  # fmt: skip
    sc = what([("ip", Truncate(24)), ("email", Null())], "t")
    with act(served) as store:
        assert {"t/1": DISPOSED, "t/2": ("failed", "constraint")} == anonymise(store, sc, due(store, sc))
    assert [(1, "192.0.2.0", None), (2, "192.0.2.2", "b")] == served.sql("SELECT id, ip, email FROM t ORDER BY id")


def test_a_value_whose_parent_goes_after_the_plan_keeps_the_batch(served):
    served.sql("CREATE TABLE other (y VARCHAR(9) PRIMARY KEY)", "INSERT INTO other VALUES ('a'), ('nobody')",
               "CREATE TABLE t (id INT PRIMARY KEY, at TIMESTAMP NULL, x VARCHAR(9), FOREIGN KEY (x) REFERENCES other (y))",
               "INSERT INTO t VALUES (1, '2020-01-01', 'a')")  # fmt: skip
    sc = what([("x", Constant("nobody"))], "t")
    with act(served) as store:
        plan = due(store, sc)
        served.sql("DELETE FROM other WHERE y = 'nobody'")
        assert {"t/1": ("failed", "foreign-key")} == anonymise(store, sc, plan)


def test_rows_that_refer_to_an_anonymised_row_are_no_obstacle(people):
    people.sql(
        "CREATE TABLE orders (id INT, person INT, FOREIGN KEY (person) REFERENCES people (id) ON DELETE CASCADE)",
        "INSERT INTO orders VALUES (1, 7)",
    )
    with act(people) as store:
        assert {DISPOSED} == set(anonymise(store, what(), due(store, what())).values())
    assert [(1, 7)] == people.sql("SELECT * FROM orders")


def test_keys_of_several_columns_and_of_every_spelling(served):
    served.sql("CREATE TABLE t (a VARCHAR(20), b INT, at TIMESTAMP NULL, email VARCHAR(60), PRIMARY KEY (a, b))")
    names = ["it's", 'a"b', "émile", "a,b/c%", "007", "back\\slash", "line\nbreak"]
    served.many("INSERT INTO t VALUES (%s, %s, NULL, %s)", [(name, n, f"{name}@x") for n, name in enumerate(names * 10)])
    sc = what([("email", Mask(2))], "t")
    with act(served) as store:
        plan = due(store, sc)
        doomed = dict(list(plan.items())[::2])
        assert {DISPOSED} == set(anonymise(store, sc, doomed).values())
        assert {key: plan[key] for key in plan if key not in doomed} == due(store, sc)


def test_the_whole_list_of_strategies_is_tried():
    assert {type(strategy) for _, strategy in ALL} == {Constant, Hash, Mask, Null, Truncate}
