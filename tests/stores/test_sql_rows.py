"""Rows of MariaDB as they are taken here, and as the driver itself takes them."""

from contextlib import closing
from urllib.parse import urlsplit

import pymysql
import pytest

from retentiond.stores.sql.mysql_rows import Reading
from retentiond.testing.wire import DOWN, Wire

QUERIES = {
    "nothing": "SELECT 1 LIMIT 0",
    "no column has a value": "SELECT NULL, NULL",
    "one empty text": "SELECT ''",
    "numbers": "SELECT 0, -1, 18446744073709551615, 1.50, 1e300, TRUE",
    "times": "SELECT CAST('2024-02-29 23:59:59.000001' AS DATETIME(6)), CURRENT_DATE, CAST('-838:59:59' AS TIME), NULL",
    "texts and bytes": "SELECT 'é', x'00ff', CAST('a' AS BINARY), JSON_ARRAY('é', 1)",
    "lengths about the marks": f"SELECT {', '.join(f'REPEAT(0x61, {n})' for n in (249, 250, 251, 252, 254, 255, 256))}",
    "lengths of two bytes": "SELECT REPEAT('é', 32767), NULL, REPEAT('b', 65535)",
    "lengths of three bytes": "SELECT REPEAT('c', 65536), NULL, REPEAT('d', 70000)",
    "a row that fills a packet": "SELECT REPEAT('a', 16777200), REPEAT('b', 20)",
    "a row of exactly one packet": "SELECT REPEAT('a', 16777215 - 4)",
    "a row of several packets": "SELECT REPEAT('a', 12000000), REPEAT('b', 12000000), 7",
    "many rows": "SELECT seq, IF(seq % 3, NULL, REPEAT('x', seq % 300)) FROM seq_0_to_3000",
}


@pytest.fixture
def connect(mariadb):
    host = urlsplit(mariadb.url)
    arguments = {"user": host.username, "password": host.password or "", "database": mariadb.name, "charset": "utf8mb4"}

    def connected(kind, host=host.hostname, port=host.port):
        return closing(kind(host=host, port=port, **arguments))

    mariadb.sql("SET GLOBAL max_allowed_packet = 67108864")
    return connected


def told(con, query):
    with con.cursor() as cursor:
        count = cursor.execute(query)
        return count, cursor.rowcount, cursor.fetchall(), cursor.description


@pytest.mark.parametrize("name", QUERIES)
def test_rows_are_those_that_the_driver_gives(connect, name):
    with connect(Reading) as mine, connect(pymysql.connections.Connection) as theirs:
        expected = told(theirs, QUERIES[name])
        assert expected == told(mine, QUERIES[name])
        assert told(mine, "SELECT 1")[2] == ((1,),), "the next answer begins where this one ended"


def test_what_is_no_row_stays_with_the_driver(connect):
    with connect(Reading) as mine:
        told(mine, "CREATE TABLE counted (id INT PRIMARY KEY AUTO_INCREMENT)")
        count, affected, rows, _ = told(mine, "INSERT INTO counted VALUES (), (), ()")
        assert (count, affected, len(rows)) == (3, 3, 0)
        with pytest.raises(pymysql.err.ProgrammingError, match="nowhere"):
            told(mine, "SELECT * FROM nowhere")
        assert told(mine, "SELECT count(*) FROM counted")[2] == ((3,),)


def test_an_error_between_rows_is_that_error_and_the_connection_goes_on(connect):
    """The server sends rows as it finds them, until one of them takes a value that there is none of."""
    late = "SELECT IF(seq < 200000, seq, (SELECT 1 UNION SELECT 2)) FROM seq_1_to_200001"
    with connect(Reading) as mine:
        with pytest.raises(pymysql.err.OperationalError, match="more than 1 row"):
            told(mine, late)
        assert told(mine, "SELECT 1")[2] == ((1,),)


def test_the_driver_still_has_what_is_read_in_its_place(connect):
    assert callable(pymysql.connections.MySQLResult._read_rowdata_packet)
    with connect(Reading) as mine:
        told(mine, "SELECT 1")
        assert Reading.__module__ == type(mine._result).__module__


@pytest.mark.parametrize("count", [1, 4096, 100_000])
def test_a_line_that_is_cut_between_rows_is_a_lost_connection(connect, mariadb, count):
    server = urlsplit(mariadb.url)
    with Wire(server.hostname, server.port) as wire, connect(Reading, wire.host, wire.port) as mine:
        wire.cut_after(DOWN, count)
        with pytest.raises(pymysql.err.OperationalError, match="Lost connection"):
            told(mine, "SELECT seq FROM seq_1_to_1000000")
        assert not mine.open
