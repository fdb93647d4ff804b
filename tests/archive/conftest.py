"""A workshop for the whole run, in which real files of every format are made; and a register of copies."""

from contextlib import closing

import pytest

from retentiond.ledger.clock import Reading
from retentiond.ledger.copies import CopyRegister
from retentiond.ledger.database import Sqlite
from retentiond.ledger.ledger import Ledger
from tests.archive.samples import Workshop


@pytest.fixture(scope="session")
def work(tmp_path_factory):
    made = Workshop(tmp_path_factory.mktemp("workshop"))
    yield made
    made.close()


@pytest.fixture
def register(tmp_path):
    with closing(Ledger(Sqlite(tmp_path / "state.db"), lambda: Reading(1_795_000_000_000_000, 1, "boot"))) as ledger:
        ledger.begin_log()
        yield CopyRegister(ledger)
