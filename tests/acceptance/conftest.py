"""A shop for each test, with one category for its letters and one for its sales."""

import pytest

from tests.acceptance.shop import LETTERS, NEW, SALES, Shop
from tests.acceptance.town import FILES, PEOPLE, people


@pytest.fixture
def bare(tmp_path):
    """A shop without categories."""
    return Shop(tmp_path / "shop")


@pytest.fixture
def shop(bare):
    """A shop with the categories `post` (letters) and `trade` (sales), and nothing in its stores."""
    bare.category("post", LETTERS)
    bare.category("trade", SALES)
    return bare


@pytest.fixture
def busy(shop):
    """The same with ten old and five new letters and sales."""
    shop.letters(10)
    shop.letters(5, first=100, at=NEW)
    shop.sales(10)
    shop.sales(5, first=100, at=NEW)
    return shop


@pytest.fixture
def town(bare):
    """Ada (customer 7) and Bob (8): each has two new sales and two files; nothing of them is due by its rule."""
    bare.settings(text=bare.config.read_text() + PEOPLE)
    bare.category("trade", SALES)
    bare.category("support", FILES)
    bare.sql("CREATE TABLE people(id INTEGER PRIMARY KEY, email TEXT)")
    bare.sql("INSERT INTO people VALUES(7, 'ada@example.org'), (8, 'bob@example.org')")
    people(bare)
    return bare
