"""Every command that a page of docs/ shows is run, and answers as the page says."""

from datetime import UTC, datetime

import pytest

from tests.docs.terminal import Terminal, blocks
from tests.docs.test_readme import ROOT

PAGES = {path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md"))}
SHOWING = [name for name, text in PAGES.items() if "```console" in text]


@pytest.mark.parametrize("name", SHOWING)
def test_the_commands_of_a_page_answer_as_it_says(name, tmp_path):
    """One after the other, in an empty folder; where a page goes into `demo`, the company of the demo lies there."""
    if "$ cd demo\n" in PAGES[name]:
        from retentiond.demo import build

        build(tmp_path / "demo", datetime.now(UTC))
    terminal = Terminal(tmp_path, name)
    for block in blocks(PAGES[name]):
        terminal.play(block)


def test_the_pages_that_promise_commands_show_some():
    assert set(SHOWING) >= {"commands.md", "audit-trail.md", "operations.md"}


def test_the_index_names_every_page():
    index = PAGES["README.md"]
    assert [name for name in PAGES if name != "README.md" and f"({name})" not in index] == []
