"""Somebody comes to refer to rows on MariaDB while they are being let go: nothing keeps a table from being referred to."""

import pytest

from retentiond.core.policy import Start
from retentiond.engine import failpoints
from tests.stores.served import act
from tests.stores.tables import DISPOSED, everything, fates, scope

AT = Start("column", "at", zone="UTC")
CHILD = "CREATE TABLE child (id INT PRIMARY KEY, pid INT, FOREIGN KEY (pid) REFERENCES t (id) ON DELETE CASCADE)"


@pytest.fixture(params=["PROCESS", "no more than it needs"])
def account(mariadb, request):
    """An address of an account that sees InnoDB's own list of foreign keys, or does not."""
    name = f"u_{mariadb.name}"
    mariadb.sql(f"CREATE USER {name}", f"GRANT SELECT, DELETE ON {mariadb.name}.* TO {name}")
    if request.param == "PROCESS":
        mariadb.sql(f"GRANT PROCESS ON *.* TO {name}")
    yield mariadb.url.replace("test@", f"{name}@")
    mariadb.sql(f"DROP USER {name}")


@pytest.fixture
def rows(mariadb):
    mariadb.sql("CREATE TABLE t (id INT PRIMARY KEY, at DATETIME)", "INSERT INTO t SELECT seq, '2020-01-01' FROM seq_1_to_50")
    return mariadb


@pytest.mark.parametrize("arrow", ["claimed", "compared", "destroyed"])
def test_rows_that_would_go_with_others_by_a_new_foreign_key_stay(rows, account, arrow):
    other = rows.connect()

    def refer(reached):
        if reached == arrow:
            failpoints.watch(None)
            with other.cursor() as cursor:
                cursor.execute("SET lock_wait_timeout = 1, innodb_lock_wait_timeout = 1")
                cursor.execute(CHILD)
                cursor.execute("INSERT INTO child SELECT id, id FROM t WHERE id > 40" if arrow != "destroyed" else "DO 1")

    with act(rows, url=account) as store:
        plan = everything(store, scope("t", start=AT))
        failpoints.watch(refer)
        try:
            found = fates(store, scope("t", start=AT), plan)
        finally:
            failpoints.watch(None)
            other.close()
    children = 0 if arrow == "destroyed" else 10
    assert rows.sql("SELECT count(*) FROM child")[0][0] == children
    assert sum(fate == DISPOSED for fate in found.values()) == 50 - children
    assert rows.sql("SELECT count(*) FROM t")[0][0] == children
