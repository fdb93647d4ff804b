"""docs/promises.md and policies.d/ say the same: what is called kept has its category, and each category its promise."""

import re

import pytest

from tests.policies.company import EXAMPLE, POLICIES, ROOT, SETTINGS

PAGE = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
FILES = {path.stem: path.read_text(encoding="utf-8") for path in sorted(POLICIES.glob("*.yaml"))}
ROWS = {int(n): row for n, row in re.findall(r"^\| (\d+) \|(.*)\|$", PAGE, re.MULTILINE)}
KEPT = {n: found[1] for n, row in ROWS.items() if (found := re.search(r"\[([a-z-]+)\]\(\.\./policies\.d/\1\.yaml\)", row))}
CLAIMED = {int(re.match(r"# Promise (\d+): ", text)[1]): name for name, text in FILES.items()}


def test_every_promise_is_on_the_page_once():
    assert [*range(1, 23)] == sorted(int(n) for n in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE))


def test_every_promise_that_is_kept_has_its_category_and_every_category_its_promise():
    assert KEPT == CLAIMED


def test_what_is_under_kept_has_a_category_and_nothing_else_has():
    section = PAGE.partition("## Kept, with a category")[2].partition("\n## ")[0]
    assert KEPT.keys() == {int(n) for n in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_named_as_its_category_and_explains_itself(name):
    lines = FILES[name].splitlines()
    assert f"category: {name}" in FILES[name]
    comments = [line for line in lines if "#" in line]
    assert len(comments) >= len(lines) / 5
    assert max(map(len, lines)) <= 130


def test_every_store_of_the_example_is_used():
    settings = (EXAMPLE / SETTINGS).read_text(encoding="utf-8")
    declared = set(re.findall(r"^  ([a-z]+): \{type:", settings, re.MULTILINE))
    assert declared == set(re.findall(r"^    store: ([a-z]+)$", "\n".join(FILES.values()), re.MULTILINE))
