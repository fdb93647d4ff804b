"""1,000,000 rows of which 300,000 are due, on PostgreSQL and MariaDB, against what people use there.

    benchmarks/databases.py [postgres] [mariadb]

Each server is private, and durable: every commit is on the disk before it returns, for everybody. Before
every run the table is put back as a copy of the same files, and read once. MariaDB's peer `pt-archiver`
goes row by row unless it is told otherwise: it gets a tenth of the rows, and rates are compared.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

from side_by_side import PROGRAM, ROOT, ROUNDS, Contestant, by_category, configure, newest_plan, race, report

sys.path.insert(0, str(ROOT))

import psycopg
import pymysql

from tests.servers.own import DURABLE, Own

ROWS = int(os.environ.get("ROWS", "1000000"))
COLUMNS = "id BIGINT PRIMARY KEY, created_at {} NOT NULL, caller TEXT NOT NULL, note TEXT NOT NULL"
AGE = "CASE WHEN n <= {due} THEN 1500 * 86400 - n * 60000000 / {due} ELSE 600 * 86400 - (n - {due}) * 50000000 / {young} END"
"""Seconds: the older, the smaller its key. 30 in 100 are older than 24 months."""
RULE = (
    'store: pbx\n    select: {table: call_recordings, everything: "yes, every item in call_recordings"}\n'
    "    start: {column: created_at}\n    retention_period: 24 months"
)


class Postgres:
    """Tables are put back by copying a database's files."""

    def __init__(self, server: Own, rows: int) -> None:
        self.server, self.rows, self.due = server, rows, rows * 3 // 10
        self.url = server.address.replace("postgresql:", "postgresql+psycopg:").replace("/postgres", "/bench")
        self._sql("postgres", "CREATE DATABASE base")
        age = AGE.format(due=self.due, young=rows - self.due)
        self._sql(
            "base",
            f"CREATE TABLE call_recordings ({COLUMNS.format('TIMESTAMPTZ')})",
            f"INSERT INTO call_recordings SELECT n, now() - ({age}) * interval '1 second',"
            f" '+44' || lpad((n % 9999999)::text, 10, '0'), repeat(md5(n::text), 5) FROM generate_series(1::bigint, {rows}) n",
            "CREATE INDEX call_recordings_created ON call_recordings (created_at)",
            "VACUUM (FREEZE, ANALYZE) call_recordings",
        )

    def prepare(self) -> None:
        self._sql(
            "postgres", "DROP DATABASE IF EXISTS bench WITH (FORCE)", "CREATE DATABASE bench TEMPLATE base STRATEGY file_copy",
            "CHECKPOINT",
        )  # fmt: skip
        self._sql("bench", "SELECT sum(length(note)) FROM call_recordings")

    def left(self) -> int:
        return self._sql("bench", "SELECT count(*) FROM call_recordings")

    def peers(self) -> list[tuple[str, list[str]]]:
        loop = [sys.executable, str(Path(__file__).with_name("postgres_loop.py")), self.url.replace("+psycopg", "")]
        return [("hand-written DELETE … RETURNING, no evidence", loop)]

    def _sql(self, database: str, *statements: str) -> int:
        with psycopg.connect(self.server.address.replace("/postgres", "/" + database), autocommit=True) as con:
            for statement in statements:
                cursor = con.execute(statement)
            return cursor.fetchone()[0] if cursor.description else 0


class Mariadb:
    """Tables are put back by importing a tablespace."""

    def __init__(self, server: Own, rows: int) -> None:
        self.server, self.rows, self.due = server, rows, rows * 3 // 10
        self.port = urlsplit(server.address).port
        self.url = server.address.replace("mysql:", "mysql+pymysql:").replace("/mysql", "/bench")
        age = AGE.format(due=self.due, young=rows - self.due).replace("/", "DIV").replace("n ", "seq ")
        self._table = f"{COLUMNS.format('DATETIME')}, KEY call_recordings_created (created_at)"
        self._sql(
            "CREATE DATABASE IF NOT EXISTS bench", "USE bench", "DROP TABLE IF EXISTS base", f"CREATE TABLE base ({self._table})",
            f"INSERT INTO base SELECT seq, UTC_TIMESTAMP() - INTERVAL {age} SECOND, CONCAT('+44', LPAD(seq % 9999999, 10, '0')),"
            f" REPEAT(MD5(seq), 5) FROM seq_1_to_{rows}",
        )  # fmt: skip
        with closing(self._connected()) as con, con.cursor() as cursor:
            cursor.execute("FLUSH TABLES bench.base FOR EXPORT")
            for kind in ("ibd", "cfg"):
                shutil.copy(f"{server.folder}/data/bench/base.{kind}", f"{server.folder}/base.{kind}")

    def prepare(self) -> None:
        self._sql(
            "USE bench", "DROP TABLE IF EXISTS call_recordings", f"CREATE TABLE call_recordings ({self._table})",
            "ALTER TABLE call_recordings DISCARD TABLESPACE",
        )  # fmt: skip
        for kind in ("ibd", "cfg"):
            there = f"{self.server.folder}/data/bench/call_recordings.{kind}"
            shutil.copy(f"{self.server.folder}/base.{kind}", there)
            found = os.stat(self.server.folder)
            os.chown(there, found.st_uid, -1)
        self._sql(
            "USE bench", "ALTER TABLE call_recordings IMPORT TABLESPACE", "ANALYZE TABLE call_recordings",
            "SELECT sum(length(note)) FROM call_recordings",
            "SELECT count(created_at) FROM call_recordings FORCE INDEX (call_recordings_created)",
        )  # fmt: skip

    def left(self) -> int:
        return self._sql("SELECT count(*) FROM bench.call_recordings")

    def peers(self) -> list[tuple[str, list[str]]]:
        return [
            ("pt-archiver --file --bulk-delete", [*self.archiver(), "--file", "archived.txt", "--bulk-delete"]),
            ("pt-archiver --purge --bulk-delete, no evidence", [*self.archiver(), "--purge", "--bulk-delete"]),
        ]

    def archiver(self) -> list[str]:
        at = f"h=127.0.0.1,P={self.port},u=test,D=bench,t=call_recordings"
        common = ["--limit", "1000", "--commit-each", "--no-check-charset", "--no-version-check", "--nosafe-auto-increment"]
        return ["pt-archiver", "--source", at, "--where", "created_at < UTC_TIMESTAMP() - INTERVAL 731 DAY", *common]

    def _connected(self) -> pymysql.Connection:
        return pymysql.connect(host="127.0.0.1", port=self.port, user="test", autocommit=True)

    def _sql(self, *statements: str) -> int:
        with closing(self._connected()) as con, con.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            rows = cursor.fetchall()
            return rows[0][0] if rows else 0


def contest(server: Postgres | Mariadb, peers: Sequence[tuple[str, list[str]]], folder: Path, *, ours: bool) -> list[Contestant]:
    """Everybody on the same rows, in turns; each has to leave what is not due, and nothing else."""
    store = f'pbx: {{type: sql, url: "{server.url}", zone: UTC, location: GB}}'
    configure(folder, store, RULE)
    left: list[int] = []

    def prepare() -> None:
        if left:
            found = server.left()
            assert found == server.rows - server.due, f"{found} rows are left"
        left.append(1)
        shutil.rmtree(folder / "state", ignore_errors=True)
        (folder / "archived.txt").unlink(missing_ok=True)
        server.prepare()

    contestants = [Contestant(name, [command]) for name, command in peers]
    if ours:
        contestants += [
            Contestant("retentiond plan + apply", [[*PROGRAM, "plan"], newest_plan(folder)]),
            Contestant("retentiond apply --category, one process", [by_category()]),
        ]
    race(contestants, folder, prepare)
    return contestants


def written(title: str, found: Sequence[tuple[Contestant, int]]) -> str:
    """A Markdown table of rates; the ratio is ours to theirs."""
    ours, due = found[-1]
    mine = due / ours.median
    rows = [f"### {title}", "", "| | rows | seconds | rows/s | ours to theirs | peak MiB |", "|---|---:|---:|---:|---:|---:|"]
    for c, items in found:
        rate = items / c.median
        peak, ratio = f"{c.peak / 1024:.0f}", f"{mine / rate:.2f}"
        rows.append(f"| {c.name} | {items:,} | {c.median:.2f} | {rate:,.0f} | {ratio} | {peak} |")
    spread = "; ".join(f"{c.name}: {min(c.seconds):.2f}–{max(c.seconds):.2f} s" for c, _ in found)
    plan, apply = zip(*found[-2][0].parts, strict=True)
    rows += ["", f"{ROUNDS} rounds, medians; spread {spread}", "", f"plan {min(plan):.2f} s, apply {min(apply):.2f} s at best"]
    return "\n".join(rows) + "\n"


def measured(kind: str, folder: Path) -> None:
    server = Own(kind, DURABLE[kind], place=str(folder)).start()
    try:
        make: Callable[[Own, int], Postgres | Mariadb] = Postgres if kind == "postgres" else Mariadb
        found: list[tuple[Contestant, int]] = []
        if kind == "mariadb":
            few = Mariadb(server, ROWS // 10)
            default = ("pt-archiver --purge, its default", [*few.archiver(), "--purge"])
            found += [(c, few.due) for c in contest(few, [default], folder, ours=False)]
        many = make(server, ROWS)
        found += [(c, many.due) for c in contest(many, many.peers(), folder, ours=True)]
        report(kind, written(f"{ROWS:,} rows of {_version(kind)}, {many.due:,} of them due, every commit on the disk", found))
    finally:
        server.close()


def _version(kind: str) -> str:
    if kind == "postgres":
        return "PostgreSQL 15"
    said = subprocess.run(["mariadbd", "--version"], capture_output=True, text=True, check=True).stdout
    return "MariaDB " + said.partition("Ver ")[2].partition("-")[0]


def main(kinds: Sequence[str]) -> None:
    for kind in kinds or ("postgres", "mariadb"):
        folder = Path(tempfile.mkdtemp())
        folder.chmod(0o711)
        try:
            measured(kind, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])
