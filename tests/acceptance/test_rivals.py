"""Two rules whose conditions meet in some item: neither of them decides, and whoever asks is told which rules they are."""

import pytest

from tests.acceptance.shop import NEW, OLD
from tests.stores.letters import Maildir, letter

FIRST, SECOND = "id <= 6", "id >= 5"
LETTERS = """\
  first:
    store: mail
    select: {folder: in, to: a@example.org}
    start: created
    retention_period: 3 months
    action: delete
"""


def rule(name, where, action="delete"):
    return f"""\
  {name}:
    store: till
    select: {{table: sales, where: "{where}"}}
    start: {{column: at}}
    retention_period: 3 months
    action: {action}
    subject: {{customer: customer}}
"""


def sales(*ids):
    return {f"sales/{n}" for n in ids}


def test_two_conditions_on_one_table_leave_alone_what_they_have_in_common(bare):
    bare.sales(9)
    bare.category("trade", rule("early", FIRST) + rule("late", SECOND))
    assert bare.json("check")["ok"]
    plan = bare.plan()
    assert {f"sales/{n}" for n in (1, 2, 3, 4, 7, 8, 9)} == set(bare.steps(plan))
    counts = {r["rule"]: (r["due"], r["undetermined"]) for r in bare.json("plan")["rules"]}
    assert {"early": (4, 2), "late": (3, 2)} == counts
    both = "trade/{} and trade/{} both select it, and only one rule can decide"
    said = {r["rule"]: (r["verdict"], r["reason"]) for r in bare.json("explain", "till", "sales/5")["rules"]}
    expected = {
        "early": ("undetermined", both.format("early", "late")),
        "late": ("undetermined", both.format("late", "early")),
    }
    assert expected == said
    assert "due" == next(r for r in bare.json("explain", "till", "sales/4")["rules"] if r["rule"] == "early")["verdict"]
    bare.told("apply", plan)
    assert {5, 6} == bare.ids()


def test_a_rule_of_another_category_is_a_rival_whatever_is_planned_and_whatever_it_does(bare):
    bare.sales(9)
    bare.category("trade", rule("early", FIRST))
    bare.category("tax", rule("books", SECOND, "keep"))
    plan = bare.plan("trade")
    assert sales(1, 2, 3, 4) == set(bare.steps(plan))
    assert 2 == bare.rule("early", "trade")["undetermined"]
    assert "trade/early and tax/books both select it" in bare.told("explain", "till", "sales/6").out.replace("\n", " ")


def test_what_one_rule_deletes_another_may_anonymise(bare):
    bare.sales(9)
    masked = "{anonymise: {email: null}}"
    bare.category("trade", rule("early", FIRST) + rule("late", SECOND, masked))
    assert {"early": (6, 0), "late": (5, 0)} == {r["rule"]: (r["due"], r["undetermined"]) for r in bare.json("plan")["rules"]}


def test_where_the_store_cannot_say_what_a_rival_selects_everything_stays(bare):
    bare.sales(9)
    bare.category("trade", rule("early", FIRST))
    bare.category("tax", rule("books", "no_such_column = 1"))
    assert 6 == bare.json("plan", "trade")["rules"][0]["undetermined"]
    (early,) = [r for r in bare.json("explain", "till", "sales/1", code=None)["rules"] if r["rule"] == "early"]
    assert "trade/early and tax/books may both select it" in early["reason"]


def test_generations_leave_alone_what_a_rival_selects(bare):
    bare.sales(9)
    kept = rule("early", FIRST).replace("retention_period: 3 months", "generations: {last: 1}")
    bare.category("trade", kept + rule("late", SECOND))
    counts = {r["rule"]: r["undetermined"] for r in bare.json("plan")["rules"]}
    assert {"early": 2, "late": 2} == counts
    said = {r["rule"]: (r["verdict"], r["reason"]) for r in bare.json("explain", "till", "sales/6")["rules"]}
    assert ("undetermined", "trade/early and trade/late both select it, and only one rule can decide") == said["early"]


def test_the_root_of_a_family_decides(bare):
    bare.sql("CREATE TABLE lines(id INTEGER PRIMARY KEY, sale INTEGER REFERENCES sales(id))")
    bare.sales(9)
    bare.sql("INSERT INTO lines VALUES(1, 1), (5, 5)")
    family = rule("early", FIRST).replace('"}', '", children: reflect}')
    bare.category("trade", family + rule("late", SECOND))
    plan = bare.plan()
    assert "lines/1" in bare.steps(plan)
    assert not {"lines/5", "sales/5"} & set(bare.steps(plan))


def test_two_conditions_on_one_folder_leave_alone_the_letters_that_fit_both(bare):
    bare.settings(more="  mail: {type: mail, path: mail, format: maildir, location: GB}")
    box = Maildir(bare.folder / "mail")
    mine, other = box.put("1.x", letter(1, To="a@example.org"), OLD), box.put("2.x", letter(2, To="b@example.org"), OLD)
    both = box.put("3.x", letter(3, To="a@example.org, b@example.org"), OLD)
    box.put("4.x", letter(4, To="a@example.org, b@example.org"), NEW)
    bare.category("post", LETTERS + LETTERS.replace("first", "second").replace("a@", "b@"))
    assert {mine, other} == set(bare.steps(bare.plan()))
    assert "post/first and post/second both select it" in bare.told("explain", "mail", both).out.replace("\n", " ")


@pytest.mark.parametrize("table", ["sales", "public.sales"])
def test_two_names_for_one_database_are_one_place(bare, postgres, table):
    """What a rule selects by one name, a rule by the other name selects too, and neither decides."""
    more = f"  till2: {{type: sql, url: {postgres.url}, location: GB}}\n"
    text = bare.config.read_text().replace('"sqlite:///till.db"', postgres.url).replace("audit:", f"{more}audit:")
    bare.settings(text=text)
    postgres.sql("CREATE TABLE sales (id INT PRIMARY KEY, customer TEXT, at TIMESTAMP)")
    postgres.many("INSERT INTO sales VALUES (%s, 'x', %s)", [(n, OLD) for n in range(1, 10)])
    other = rule("late", SECOND).replace("store: till", "store: till2").replace("table: sales", f"table: {table}")
    bare.category("trade", rule("early", FIRST))
    bare.category("tax", other)
    said = " ".join(bare.told("check").out.split())
    assert "the store till2 is the same place, where tax/late may be about the same rows" in said
    counts = {r["rule"]: (r["due"], r["undetermined"]) for r in bare.json("plan")["rules"]}
    assert {"early": (4, 2), "late": (3, 2)} == counts
    assert "trade/early and tax/late both select it" in " ".join(bare.told("explain", "till", "sales/5").out.split())


def test_a_table_of_another_schema_is_another_table(bare, postgres):
    bare.settings(text=bare.config.read_text().replace('"sqlite:///till.db"', postgres.url))
    postgres.sql("CREATE SCHEMA old", "CREATE TABLE old.sales (id INT PRIMARY KEY, customer TEXT, at TIMESTAMP)")
    postgres.sql("CREATE TABLE sales (id INT PRIMARY KEY, customer TEXT, at TIMESTAMP)")
    postgres.many("INSERT INTO sales VALUES (%s, 'x', %s)", [(n, OLD) for n in range(1, 10)])
    postgres.sql("INSERT INTO old.sales SELECT * FROM sales")
    bare.category("trade", rule("early", FIRST) + rule("late", SECOND).replace("table: sales", "table: old.sales"))
    assert {"early": (6, 0), "late": (5, 0)} == {r["rule"]: (r["due"], r["undetermined"]) for r in bare.json("plan")["rules"]}
