"""SQL: the contract of stores on real SQLite files, by journal mode and by kind of key, and on real servers."""

from contextlib import closing

import pytest

from retentiond.testing.contract import StoreContract
from retentiond.testing.sharding import LanesContract, ShardableContract
from tests.stores.served import Served
from tests.stores.tables import NAMED_KEY, NUMBER_KEY, PAIR_KEY, TEXT_KEY, Database

PLACES = {
    "number, rollback journal": {"schema": NUMBER_KEY},
    "text, rollback journal": {"schema": TEXT_KEY},
    "number, WAL": {"schema": NUMBER_KEY, "wal": True},
    "pair without rowid, WAL": {"schema": PAIR_KEY, "wal": True},
    "unique column, rollback journal": {"schema": NAMED_KEY, "key": ("name",)},
}


class TestTables(StoreContract):
    @pytest.fixture(params=PLACES.values(), ids=PLACES.keys())
    def place(self, request, tmp_path):
        database = Database(tmp_path / "store.db", **request.param)
        with closing(database.con):
            yield database


class TestServedTables(StoreContract, LanesContract):
    @pytest.fixture(params=["number", "name", "pair"])
    def place(self, request, served):
        return Served(served, request.param)


class TestRangesOfServedTables(ShardableContract):
    @pytest.fixture(params=["number", "pair"])
    def place(self, request, served):
        return Served(served, request.param)
