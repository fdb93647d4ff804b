"""Files over SFTP: the contract on a real OpenSSH."""

import pytest

from retentiond.testing.contract import StoreContract


class TestOverSsh(StoreContract):
    @pytest.fixture
    def place(self, served_files):
        return served_files
