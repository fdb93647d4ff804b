"""The shipped contract is a test module like any other: its assertions show their values."""

import pytest

pytest.register_assert_rewrite("retentiond.testing.contract")
