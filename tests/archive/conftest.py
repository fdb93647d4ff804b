"""A workshop for the whole run, in which real files of every format are made."""

import pytest

from tests.archive.samples import Workshop


@pytest.fixture(scope="session")
def work(tmp_path_factory):
    made = Workshop(tmp_path_factory.mktemp("workshop"))
    yield made
    made.close()
