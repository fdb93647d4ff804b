"""Fixtures of the deployment's tests."""

import pytest

from tests.deploy.staged import Staged


@pytest.fixture
def staged(tmp_path):
    return Staged(tmp_path / "root")
