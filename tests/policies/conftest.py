"""The company of docs/example/, with empty stores."""

import pytest

from tests.policies.company import Company


@pytest.fixture
def company(tmp_path):
    return Company(tmp_path / "company")
