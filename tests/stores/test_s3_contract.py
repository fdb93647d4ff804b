"""The contract on buckets of two servers, which keep no versions, or keep them."""

import pytest

from retentiond.testing.contract import StoreContract
from tests.stores.objects import BucketPlace


class TestUnversioned(StoreContract):
    @pytest.fixture
    def place(self, s3_server):
        return BucketPlace(s3_server.bucket())


class TestVersioned(StoreContract):
    """Of a bucket that keeps versions the current ones: one key, one item, as the contract has it."""

    @pytest.fixture
    def place(self, s3_server):
        return BucketPlace(s3_server.bucket("enabled"), "current")
