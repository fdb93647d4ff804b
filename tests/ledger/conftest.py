"""The state in either database; the one on a server is fresh for each test."""

import pytest

from retentiond.ledger.database import Sqlite
from retentiond.ledger.postgres import Postgres
from tests.servers.databases import postgres, postgres_database, postgres_server  # noqa: F401 these are fixtures


@pytest.fixture(params=["sqlite", "postgres"])
def database(request, tmp_path):
    """A place for a ledger, with nothing in it."""
    if request.param == "sqlite":
        return Sqlite(tmp_path / "state.db")
    return Postgres(request.getfixturevalue("postgres").url)


@pytest.fixture
def shared(request):
    """How `retentiond.yaml` names a state whose database is on a server."""
    return f"{{directory: state, database: '{request.getfixturevalue('postgres').url}'}}"
