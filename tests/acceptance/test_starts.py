"""Starts: what is no usable date is counted, reported, and never due."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.acceptance.shop import LETTERS, OLD, SALES

DOUBTFUL = [
    None, "", "soon", "0000-00-00", "2026-13-45", "1970-01-01 00:00:00", "1979-12-31 23:59:59", "2999-01-01", "20200101T",
    b"2020-01-01", "2020-01-01 25:00:00", 0, -1, "٢٠٢٠-٠١-٠١",
]  # fmt: skip


@pytest.mark.parametrize("value", DOUBTFUL, ids=repr)
def test_a_value_that_is_no_usable_date_is_never_due(shop, value):
    shop.sql("CREATE TABLE loose(id INTEGER PRIMARY KEY, at)")
    shop.category(
        "trade", SALES.replace("table: sales", "table: loose").replace("    subject: {customer: customer, email: email}\n", "")
    )
    shop.sql("INSERT INTO loose VALUES(1, ?)", value)
    sales = shop.rule("sales", "trade")
    assert (sales["scanned"], sales["due"], sales["undetermined"]) == (1, 0, 1)
    assert list(shop.stays("trade")) == ["loose/1"]
    shop.told("apply", shop.plan("trade"))
    assert shop.sql("SELECT count(*) FROM loose") == [(1,)]


USABLE = [
    ("2020-02-03", "2020-02-03T23:59:59.999999Z"),
    ("2020-02-03 10:11:12", "2020-02-03T10:11:12"),
    ("2020-02-03T10:11:12", "2020-02-03T10:11:12"),
    ("2020-02-03T10:11:12Z", "2020-02-03T10:11:12"),
    ("2020-02-03T10:11:12+02:00", "2020-02-03T08:11:12"),
    ("2020-02-03 10:11:12.5", "2020-02-03T10:11:12.5"),
]


@pytest.mark.parametrize(("value", "start"), USABLE)
def test_a_usable_date_is_the_end_of_what_it_denotes(shop, value, start):
    shop.sale((1, value, None, None))
    assert shop.json("explain", "till", "sales/1")["rules"][0]["start"].startswith(start)
    assert shop.rule("sales", "trade")["due"] == 1


def test_a_time_without_a_zone_is_read_in_the_zone_of_the_rule_then_of_the_store_then_of_the_house(shop):
    shop.sale((1, "2020-07-03 10:00:00", None, None))

    def start():
        return shop.json("explain", "till", "sales/1")["rules"][0]["start"]

    assert start() == "2020-07-03T10:00:00Z"
    shop.category("trade", SALES.replace("{column: at}", "{column: at, zone: Asia/Tokyo}"))
    assert start() == "2020-07-03T01:00:00Z"
    shop.category("trade", SALES)
    shop.settings(zone="Europe/London", text=None)
    shop.settings(text=shop.config.read_text().replace("zone: UTC, location", "location"))
    assert start() == "2020-07-03T09:00:00Z"
    assert "zone" in shop.told("check").out, "check says so"


@pytest.mark.parametrize(("unit", "factor"), [("s", 1), ("ms", 1000)])
def test_a_number_needs_its_unit(shop, unit, factor):
    shop.sql("CREATE TABLE counted(id INTEGER PRIMARY KEY, at INTEGER)")
    rules = SALES.replace("table: sales", "table: counted").replace("    subject: {customer: customer, email: email}\n", "")
    shop.category("trade", rules.replace("{column: at}", f"{{column: at, unit: {unit}}}"))
    shop.sql("INSERT INTO counted VALUES(1, ?)", int(OLD.timestamp() * factor))
    shop.sql("INSERT INTO counted VALUES(2, 0)")
    sales = shop.rule("sales", "trade")
    assert (sales["due"], sales["undetermined"]) == (1, 1)
    shop.category("trade", rules)
    assert shop.rule("sales", "trade")["undetermined"] == 2


def test_files_from_epoch_zero_and_from_the_future_are_never_due(shop):
    shop.file("letters/zero", datetime.fromtimestamp(0, UTC))
    shop.file("letters/1979", datetime(1979, 12, 31, tzinfo=UTC))
    shop.file("letters/1980", datetime(1980, 1, 2, tzinfo=UTC))
    shop.file("letters/future", datetime.now(UTC) + timedelta(days=2))
    letters = shop.rule("letters", "post")
    assert (letters["due"], letters["undetermined"]) == (1, 3)
    shop.told("apply", shop.plan("post"))
    assert shop.left() == {"letters/zero", "letters/1979", "letters/future"}


def test_a_date_in_a_path_is_the_end_of_its_day_or_month(shop):
    rules = LETTERS.replace("letters/**", "{day:%Y-%m-%d}/**").replace("modified", "{path: day}")
    shop.category("post", rules)
    for day in ("2020-02-29", "2021-02-29", "1970-01-01", "2999-01-01", "2020-2-29"):
        shop.file(f"{day}/a.txt")
    letters = shop.rule("letters", "post")
    assert (letters["due"], letters["undetermined"]) == (1, 3), "2020-2-29 has another form and is not selected"
    start = shop.json("explain", "desk", "2020-02-29/a.txt")["rules"][0]["start"]
    assert start == "2020-02-29T23:59:59.999999Z"
    shop.category("post", LETTERS.replace("letters/**", "{m:%Y-%m}/**").replace("modified", "{path: m}"))
    shop.file("2020-02/a.txt")
    assert shop.json("explain", "desk", "2020-02/a.txt")["rules"][0]["start"] == "2020-02-29T23:59:59.999999Z"


def test_created_is_refused_for_files(shop):
    shop.category("post", LETTERS.replace("modified", "created"))
    (error,) = shop.json("check", "--offline", code=2)["errors"]
    assert "created" in error["what"] + error["why"]


def test_the_end_of_a_month_is_clamped_and_counted_once(shop):
    shop.category("trade", SALES.replace("3 months", "1 month"))
    shop.sale((1, "2021-01-31", None, None), (2, "2020-02-29 12:00:00", None, None))
    dues = [shop.json("explain", "till", f"sales/{i}")["rules"][0]["due"] for i in (1, 2)]
    assert dues == ["2021-03-01T00:00:00Z", "2020-03-30T00:00:00Z"]


def test_keys_of_rows_are_their_table_and_their_encoded_parts(shop):
    shop.sql("CREATE TABLE odd(a TEXT, b INTEGER, at TEXT, PRIMARY KEY(a, b))")
    for a in ("plain", "com,ma", "sl/ash", "per%cent", "b64:x", "ünï", ""):
        shop.sql("INSERT INTO odd VALUES(?, 1, '2020-01-01')", a)
    rules = SALES.replace("table: sales", "table: odd").replace("id > 0", "b > 0")
    shop.category("trade", rules.replace("    subject: {customer: customer, email: email}\n", ""))
    plan = shop.plan("trade")
    assert sorted(shop.steps(plan)) == sorted(
        ["odd/plain,1", "odd/com%2Cma,1", "odd/sl%2Fash,1", "odd/per%25cent,1", "odd/b64:x,1", "odd/ünï,1", "odd/,1"]
    )
    for key in shop.steps(plan):
        assert shop.json("explain", "till", key)["rules"][0]["verdict"] == "due"
    assert shop.json("apply", plan)["counts"]["disposed"] == 7
    shop.told("audit", "lookup", "till", "odd/sl%2Fash,1")


def test_names_that_are_not_utf8_are_written_in_base64_and_go(shop):
    import base64

    odd = [b"letters/\xff\xfe.txt", b"letters/new\nline", b"b64:name"]
    for name in odd:
        shop.file(name)
    shop.category("post", LETTERS.replace('"letters/**"', '"{any}/**"'))
    shop.category("more", LETTERS.replace("letters:", "top:").replace('"letters/**"', '"b64:name"'))
    plan = shop.plan("post", "more")
    written = ["b64:" + base64.b64encode(odd[0]).decode(), "letters/new\nline", "b64:" + base64.b64encode(odd[2]).decode()]
    assert sorted(shop.steps(plan)) == sorted(written)
    for key in written:
        verdicts = {r["verdict"] for r in shop.json("explain", "desk", key)["rules"]}
        assert "due" in verdicts
    shop.told("hold", "place", "H", "--reason", "r", "--mandate", "m", "--path", written[0])
    value = shop.json("apply", plan)
    assert (value["counts"]["disposed"], value["counts"]["held"]) == (2, 1)
    assert [e["outcome"] for e in shop.json("audit", "lookup", "desk", written[2])["evidence"]] == ["disposed"]
    for told in (shop.told("plan", "show", plan), shop.apart("plan", "show", plan)):
        assert "b64:" in told.out
