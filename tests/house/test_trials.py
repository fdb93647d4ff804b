"""The tests keep faith too: no waiting, and never a mock of ourselves."""

import ast

MOCKS = ("unittest.mock", "mock", "pytest_mock")


def calls(source):
    """Every call in a file, with what is called spelled out."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call):
            yield node, ast.unparse(node.func)


def test_no_test_sleeps(trials):
    sleeping = [f"{s.name}:{node.lineno}" for s in trials for node, called in calls(s) if called.split(".")[-1] == "sleep"]
    assert sleeping == []


def test_no_test_uses_a_mock(trials):
    found = [
        f"{s.name}:{line} {module}"
        for s in trials
        for line, module in s.imports()
        if any(module == mock or module.startswith(mock + ".") for mock in MOCKS)
    ]
    assert found == []


def ours(source) -> set[str]:
    """The names under which a test knows parts of the program."""
    names = set()
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "retentiond":
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {a.asname or "retentiond" for a in node.names if a.name.partition(".")[0] == "retentiond"}
    return names


def replaced(node: ast.Call) -> str:
    """The leftmost name of what a `setattr` would replace: `ledger` of `ledger.clock`, or the text of a path."""
    target = node.args[0]
    while isinstance(target, ast.Attribute):
        target = target.value
    if isinstance(target, ast.Constant):
        return str(target.value).partition(".")[0]
    return target.id if isinstance(target, ast.Name) else ""


def test_no_test_replaces_a_part_of_the_program(trials):
    found = [
        f"{s.name}:{node.lineno}"
        for s in trials
        for node, called in calls(s)
        if called.endswith(("patch.setattr", "patch.delattr")) and node.args and replaced(node) in {*ours(s), "retentiond"}
    ]
    assert found == []
