"""What every test may ask for by name: a database of its own on a real server."""

import pytest

# The shipped contract is a test module like any other: its assertions show their values.
pytest.register_assert_rewrite("retentiond.testing.contract")

pytest_plugins = ("tests.servers.databases", "tests.servers.mailboxes", "tests.servers.objects", "tests.servers.sftp")
