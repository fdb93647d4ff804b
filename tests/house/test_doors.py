"""Every third-party library has one door, and only the edges know what time it is."""

import ast
import re
import sys

import pytest

DOORS: dict[str, tuple[str, ...]] = {
    "yaml": ("retentiond/config",),
    "pydantic": ("retentiond/config",),
    "pydantic_core": ("retentiond/config",),
    "sqlalchemy": ("retentiond/stores/sql", "retentiond/ledger"),
    "alembic": ("retentiond/ledger",),
    "cryptography": ("retentiond/audit/note.py",),
    "msgspec": ("retentiond/engine/codec.py",),
    "rich": ("retentiond/cli",),
    "click": ("retentiond/cli",),
    "structlog": ("retentiond/daemon/log.py",),
    "apscheduler": ("retentiond/daemon/scheduler.py",),
    "prometheus_client": ("retentiond/daemon/metrics.py",),
    "apprise": ("retentiond/notify/apprise.py",),
    "paramiko": ("retentiond/stores/sftp/connection.py",),
    "psycopg": ("retentiond/stores/sql/postgres.py", "retentiond/ledger"),
    "pymysql": ("retentiond/stores/sql/mysql.py", "retentiond/stores/sql/mysql_rows.py"),
    "botocore": ("retentiond/stores/s3",),
    "duckdb": ("retentiond/stores/s3/inventory.py",),
    "pyrage": ("retentiond/archive/age.py",),
    "pytest": ("retentiond/testing",),
    "hypothesis": ("retentiond/testing",),
}
"""Who may import what. A library that is not here has no door yet, and whoever needs it makes one."""

CLOCKS = {
    "datetime.now", "datetime.utcnow", "datetime.today", "date.today",
    "time.time", "time.time_ns", "time.localtime", "time.gmtime", "time.ctime", "time.strftime",
}  # fmt: skip
EDGES = ("retentiond/app", "retentiond/cli", "retentiond/daemon")

_SQL_CLOCK = re.compile(
    r"\b(?:now\s*\(\)|(?:clock|statement|transaction)_timestamp|current_(?:timestamp|date|time)\b|datetime\('now')", re.IGNORECASE
)
SQL_CLOCKS = (
    "retentiond/stores/sql",  # compares the database's clock with ours when it is opened, and refuses to act where they differ
    "retentiond/ledger/leases.py",  # whether a lease is over is to be told alike by all machines; nothing is judged due by it
)


def is_standard(module: str) -> bool:
    return module.partition(".")[0] in sys.stdlib_module_names


def is_ours(module: str) -> bool:
    return module.partition(".")[0] == "retentiond"


def test_each_library_is_imported_behind_its_door_only(program):
    strangers = [
        f"{source.name}:{line} {module}"
        for source in program
        for line, module in source.imports()
        if not is_standard(module) and not is_ours(module) and not source.within(*DOORS.get(module.partition(".")[0], ()))
    ]
    assert strangers == []


def test_the_core_stands_on_the_standard_library_alone(program):
    imports = [(s.name, module) for s in program if s.within("retentiond/core") for _, module in s.imports()]
    allowed = ("retentiond.core", "retentiond.errors")
    assert [(name, module) for name, module in imports if not is_standard(module) and not module.startswith(allowed)] == []


@pytest.mark.parametrize("room", ["core", "errors.py"])
def test_meaning_does_no_input_or_output_and_no_logging(program, room):
    doing = {"logging", "socket", "subprocess", "sqlite3", "os", "pathlib", "shutil", "threading", "asyncio", "time"}
    found = [
        (s.name, m) for s in program if s.within(f"retentiond/{room}") for _, m in s.imports() if m.partition(".")[0] in doing
    ]
    assert found == []


def clocks(source):
    """Every place that reads the clock: `datetime.now`, `dt.datetime.now`, `from time import time`."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute):
            name = ".".join(ast.unparse(node).split(".")[-2:])
            if name in CLOCKS:
                yield node.lineno, name
    yield from ((line, module) for line, module in source.imports() if module in CLOCKS)


def test_now_is_an_argument_and_only_the_edges_read_the_clock(program):
    assert [f"{s.name}:{line} {name}" for s in program if not s.within(*EDGES) for line, name in clocks(s)] == []


def docstrings(tree):
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            yield from (id(n.value) for n in body if isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant))


def test_no_database_is_asked_what_time_it_is(program):
    """But for those that have a reason which is not to judge by it."""
    found = []
    for source in program:
        if source.within(*SQL_CLOCKS):
            continue
        prose = set(docstrings(source.tree))
        texts = (n for n in ast.walk(source.tree) if isinstance(n, ast.Constant) and isinstance(n.value, str))
        found += [f"{source.name}:{n.lineno}" for n in texts if id(n) not in prose and _SQL_CLOCK.search(n.value)]
    assert found == []
