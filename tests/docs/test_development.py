"""docs/development.md names files that there are, and forgets no room."""

import re

from tests.docs.test_readme import ROOT

PAGE = (ROOT / "docs" / "development.md").read_text(encoding="utf-8")
TOUR = PAGE.partition("## A tour, file by file")[2].partition("\n## ")[0]
FILES = {path.relative_to(ROOT).as_posix() for top in ("retentiond", "tests") for path in (ROOT / top).rglob("*.py")}


def test_every_file_that_the_page_names_is_there():
    names = set(re.findall(r"`((?:[a-z_]+/)*[a-z_]+\.py)`", PAGE))
    assert len(names) > 60
    assert sorted(name for name in names if not any(f"/{file}".endswith(f"/{name}") for file in FILES)) == []


def test_every_room_and_every_file_on_the_way_is_on_the_tour():
    """Inside a store, a command or the demo the file itself says what it is for."""
    inside = ("stores/", "cli/", "demo/")
    names = {name.removeprefix("retentiond/") for name in FILES if name.startswith("retentiond/")}
    rooms = {f"{name.partition('/')[0]}/" for name in names if "/" in name}
    files = {name.rpartition("/")[2] for name in names if not name.startswith(inside)} - {"__init__.py", "__main__.py"}
    assert sorted(name for name in rooms | files if f"`{name}`" not in TOUR) == []


def test_every_folder_of_tests_is_named():
    folders = {name.split("/")[1] for name in FILES if name.startswith("tests/") and name.count("/") > 1}
    assert sorted(name for name in folders if f"`tests/{name}/`" not in PAGE) == []
