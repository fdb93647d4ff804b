"""SQL on servers, done rows: what the database leaves out is done and counted, and what was masked or cut short is left out."""

from dataclasses import replace

import pytest

from retentiond.core.anonymise import Constant, Hash, Mask, Null, Truncate
from tests.stores.masks import anonymise, due, what
from tests.stores.served import act, look

ODD = [None, "", " ", "#",
       "#abc", "#abcdef0", "#ABCDEF0", "#abcdef0\n", "removed", "Removed", "5", "****", "A***", "A**x", "A***\n",
       "É***", "192.0.2.0", "192.0.2.1", "192.0.128.0", "999.0.2.0", "01.2.3.0", "1..2.0", "1.2.0", "1.2.3.4.0", "1.2.3.0 ",
       "-1.2.3.0", "0.0.0.0", "::", "2001:db8::", "1980-01-01", "1980-05-01", "1980-13-01", "0000-01-01", "1980-01-01 00:00:00",
       "1980-01-01T00:00Z", "1980-01-01 00:00:01", "1980-01-01 00:00:00+00", "1980-01-01 00:00:00.000"]  # fmt: skip
STRATEGIES = [
    Constant("removed"),
    Constant(""),
    Null(),
    Hash(8),
    Mask(0),
    Mask(1),
    Mask(300),
    *map(Truncate, (24, 17, 8, 64, "year", "month")),
]
PLAIN = {
    Mask: ["+44 20 7946 0000", "Ann", "", "x y"],
    Truncate: ["192.0.2.77", "10.255.255.255", "0.0.0.0"],
}


@pytest.mark.parametrize("strategy", STRATEGIES, ids=repr)
def test_what_is_left_unread_is_done_and_is_counted(served, strategy):
    served.sql("CREATE TABLE people (id INT PRIMARY KEY, at TIMESTAMP NULL, x VARCHAR(60))")
    served.many("INSERT INTO people VALUES (%s, '2020-01-01', %s)", list(enumerate(ODD)))
    sc = what([("x", strategy)], "people")
    with look(served) as view:
        (whole,) = view.scan(sc)
        pages = list(view.scan(replace(sc, leave_done=True)))
    shown = {key for page in pages for key in page.keys}
    unread = set(whole.keys) - shown
    assert unread <= {whole.keys[i] for i in whole.done}
    assert len(unread) == sum(page.unseen_done for page in pages)


@pytest.mark.parametrize("strategy", [Mask(0), Mask(2), *map(Truncate, (8, 17, 24))], ids=repr)
def test_what_was_masked_or_cut_short_is_not_read_again(served, strategy):
    served.sql("CREATE TABLE people (id INT PRIMARY KEY, at TIMESTAMP NULL, x VARCHAR(60))")
    served.many("INSERT INTO people VALUES (%s, '2020-01-01', %s)", list(enumerate(PLAIN[type(strategy)])))
    check_not_read_again(served, strategy)


@pytest.mark.parametrize("declared", ["DATE", "TIMESTAMP NULL", "DATETIME(6)", "TIMESTAMPTZ", "INET"])
def test_nor_are_dates_and_addresses_of_their_own_type(served, declared):
    only = {"DATETIME(6)": "mariadb", "TIMESTAMPTZ": "postgres", "INET": "postgres"}.get(declared)
    if only not in (None, served.kind):
        pytest.skip(f"{declared} is no type of {served.kind}")
    served.sql(f"CREATE TABLE people (id INT PRIMARY KEY, at TIMESTAMP NULL, x {declared})")
    values = ["192.0.2.77", "10.1.2.3"] if declared == "INET" else ["1980-05-17", "2001-12-31"]
    served.many("INSERT INTO people VALUES (%s, '2020-01-01', %s)", list(enumerate(values)))
    for strategy in [Truncate(24)] if declared == "INET" else [Truncate("month"), Truncate("year")]:
        check_not_read_again(served, strategy)


def check_not_read_again(served, strategy):
    sc = what([("x", strategy)], "people")
    with act(served) as store:
        anonymise(store, sc, due(store, sc))
        assert {} == due(store, sc)
        pages = list(store.scan(replace(sc, leave_done=True)))
    rows = served.sql("SELECT count(*) FROM people")[0][0]
    assert (0, rows) == (sum(map(len, pages)), sum(page.unseen_done for page in pages))
