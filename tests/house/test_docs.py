"""The documentation keeps up with the program: what a person can meet is described."""

import importlib
import re

import pytest

from retentiond import errors


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
    click = pytest.importorskip("click")
    cli = importlib.import_module("retentiond.cli")
    groups = [value for value in vars(cli).values() if isinstance(value, click.Group)]
    if not groups:
        pytest.skip("retentiond.cli has no commands yet")
    names = {name for group in groups for name in group.list_commands(click.Context(group))}
    text = text_of(root)
    assert {name for name in names if f"`{name}" not in text and f"retentiond {name}" not in text} == set()


def test_links_between_pages_lead_somewhere(root):
    broken = []
    for page in [*root.glob("*.md"), *sorted((root / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if not (page.parent / target).exists():
                broken.append(f"{page.name}: {target}")
    assert broken == []
