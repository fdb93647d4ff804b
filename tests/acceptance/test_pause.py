"""A run that waits for a replica hears that it is to stop, at once and with nothing gone."""

import signal

import pytest

from tests.acceptance.shop import OLD, Shop

RULES = """\
  calls:
    store: till
    select: {table: calls, everything: "yes, every item in calls"}
    start: {column: at}
    retention_period: 3 months
    action: delete
"""
WAITS = "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_stat_wal_receiver%' AND pid <> pg_backend_pid()"


@pytest.fixture
def waiting(postgres, tmp_path):
    """A shop whose till has a replica that follows nobody, so that nothing goes."""
    shop = Shop(tmp_path / "shop")
    store = f"type: sql, url: {postgres.url}, replicas: [{postgres.url}]"
    shop.settings(text=shop.config.read_text().replace('type: sql, url: "sqlite:///till.db"', store))
    shop.category("trade", RULES)
    postgres.sql(
        "CREATE TABLE calls (id INT PRIMARY KEY, at TIMESTAMP)",
        f"INSERT INTO calls SELECT n, '{OLD:%Y-%m-%d}' FROM generate_series(1, 30) n",
    )
    return shop


@pytest.mark.parametrize("how", ["stop file", "SIGTERM"])
def test_a_stop_is_heard_while_a_replica_is_waited_for(waiting, postgres, how):
    run = waiting.process("apply", waiting.plan())
    while not postgres.sql(WAITS):
        assert run.poll() is None
    if how == "SIGTERM":
        run.send_signal(signal.SIGTERM)
    else:
        (waiting.folder / "state" / "stop").touch()
    said, errors = run.communicate(timeout=30)  # it would wait for a minute
    assert 0 == run.returncode, errors
    assert "Stopped before the end" in said + errors
    assert 30 == postgres.sql("SELECT count(*) FROM calls")[0][0]
    assert [] == waiting.entries("intent"), "no intent is open while it waits, so that holds need not"
