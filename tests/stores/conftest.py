"""A directory to look at, and a view and a store of it."""

from contextlib import closing

import pytest

from tests.stores.places import Directory


@pytest.fixture
def place(tmp_path):
    """A directory, where a module or a class has no place of its own."""
    root = tmp_path / "root"
    (root / "in").mkdir(parents=True)
    return Directory(root)


@pytest.fixture
def view(place):
    with closing(place.look()) as handle:
        yield handle


@pytest.fixture
def store(place):
    with closing(place.act()) as handle:
        yield handle
