"""What the rules of the house are checked on: every source file, read once and parsed."""

import ast
import io
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Source:
    """One Python file; `name` is its path from the top, as in `retentiond/core/plan.py`."""

    name: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.name)

    def within(self, *rooms: str) -> bool:
        """Whether it is one of these files, or below one of these folders (without a slash at the end)."""
        return any(self.name == room or self.name.startswith(room + "/") for room in rooms)

    def comments(self) -> Iterator[tuple[int, str]]:
        for token in tokenize.generate_tokens(io.StringIO(self.text).readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string

    def imports(self) -> Iterator[tuple[int, str]]:
        """Every module that it imports, in full: `from a import b` counts as `a` and as `a.b`."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield node.lineno, node.module or ""
                yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def sources() -> list[Source]:
    """Every Python file of the program, its tests and its benchmarks."""
    paths = [path for folder in ("retentiond", "tests", "benchmarks") for path in sorted((ROOT / folder).rglob("*.py"))]
    return [Source(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")) for path in paths]


@pytest.fixture(scope="session")
def program(sources: list[Source]) -> list[Source]:
    return [source for source in sources if source.within("retentiond")]


@pytest.fixture(scope="session")
def trials(sources: list[Source]) -> list[Source]:
    """The tests, those that are shipped for authors of stores included."""
    return [source for source in sources if source.within("tests", "retentiond/testing")]
