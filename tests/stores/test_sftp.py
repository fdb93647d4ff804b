"""Files over SFTP: the contracts on a real OpenSSH, and what EDGE_CASES says of SFTP."""

import pytest

from retentiond.testing.contract import StoreContract
from retentiond.testing.copying import ReadableContract, WritableContract
from retentiond.testing.sharding import LanesContract, ShardableContract


@pytest.fixture
def place(served_files):
    return served_files


class TestOverSsh(StoreContract, ReadableContract, WritableContract, ShardableContract, LanesContract):
    """All that a store of files can do."""
