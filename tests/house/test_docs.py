"""The documentation keeps up with the program: what a person can meet is described."""

import re

from retentiond import errors
from retentiond.cli.front import COMMANDS


def text_of(root) -> str:
    """README and docs/ as one text."""
    return "\n".join(
        path.read_text(encoding="utf-8") for path in [*root.glob("README.md"), *sorted((root / "docs").glob("*.md"))]
    )


def exit_codes() -> set[int]:
    kinds = (kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.RetentiondError))
    return {kind.exit_code for kind in kinds} | {0}


def test_every_exit_code_is_documented(root):
    documented = {int(code) for code in re.findall(r"^\| (\d) \|", (root / "docs" / "commands.md").read_text(), re.MULTILINE)}
    assert exit_codes() <= documented


def test_every_command_is_documented(root):
    """By name; `tests/docs/test_commands.py` compares options and answers as well."""
    text = text_of(root)
    assert [name for name in COMMANDS if f"### `retentiond {name}" not in text] == []


def test_links_between_pages_lead_somewhere(root):
    broken = []
    for page in [*root.glob("*.md"), *sorted((root / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if not (page.parent / target).exists():
                broken.append(f"{page.name}: {target}")
    assert broken == []
