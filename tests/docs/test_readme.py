"""Every command that README shows is run, and answers as README says."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.docs.terminal import Terminal, blocks

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = blocks(README)


@pytest.fixture(scope="module")
def company(tmp_path_factory):
    from retentiond.demo import build

    folder = tmp_path_factory.mktemp("readme") / "demo"
    build(folder, datetime.now(UTC))
    return folder


def test_the_demo_that_readme_shows_is_what_it_does(company):
    """The first block, in the demo's folder; what it shows does not depend on the day."""
    Terminal(company).play(BLOCKS[0])


def test_the_walk_through_that_readme_shows_works(tmp_path):
    """All further blocks, one after the other, in an empty folder."""
    terminal = Terminal(tmp_path)
    for block in BLOCKS[1:]:
        terminal.play(block)


def test_every_make_target_that_readme_shows_is_there():
    """`make demo` and `make test` are targets of the Makefile."""
    shown = set(re.findall(r"^make (\w+)", README, re.MULTILINE))
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"demo", "test"} <= shown <= targets
