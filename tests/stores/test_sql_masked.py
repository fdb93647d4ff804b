"""SQL: the contract of stores that anonymise, on real SQLite files."""

from contextlib import closing
from dataclasses import replace

import pytest

from retentiond.core.anonymise import Hash, Null
from retentiond.testing.contract import AnonymisingContract
from tests.stores.tables import NUMBER_KEY, Database


class Masked(Database):
    """A table of which two columns are anonymised."""

    def scope(self):
        return replace(super().scope(), columns=(("name", Hash(16)), ("select", Null())))

    def values(self, key):
        return self._run(f'SELECT name, "select" FROM {self.quoted} WHERE number = ?', key).fetchone()

    def rest(self, key):
        return self._run(f"SELECT number, at, kind FROM {self.quoted} WHERE number = ?", key).fetchone()


class TestMaskedTables(AnonymisingContract):
    @pytest.fixture(params=[False, True], ids=["rollback journal", "WAL"])
    def place(self, request, tmp_path):
        database = Masked(tmp_path / "store.db", NUMBER_KEY, wal=request.param)
        with closing(database.con):
            yield database
