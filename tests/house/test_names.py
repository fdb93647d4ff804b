"""Things are called by the standard's words; words that hide what a thing is are not used."""

import ast
import re

AVOIDED = {
    "manager", "managers", "handler", "handlers", "helper", "helpers", "util", "utils", "utility", "utilities",
    "purge", "purges", "purged", "purger", "wipe", "wipes", "wiped", "wiper", "ttl",
}  # fmt: skip

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def words(name: str) -> set[str]:
    """The words of a name in either spelling: `HTTPHandler`, `wipe_all`."""
    return {word.lower() for word in _WORD.findall(name)}


def names(source):
    """Every name that a reader meets from outside: folders, the file itself, classes and functions."""
    yield 1, source.name.removesuffix(".py")
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.lineno, node.name


def test_words_are_told_apart_in_either_spelling():
    assert words("LogTTLHandler") == {"log", "ttl", "handler"}
    assert words("_wipe_all2") == {"wipe", "all", "2"}
    assert "ttl" not in words("settle")


def test_no_name_uses_an_avoided_word(program):
    found = [f"{s.name}:{line} {name}" for s in program for line, name in names(s) if words(name) & AVOIDED]
    assert found == []
