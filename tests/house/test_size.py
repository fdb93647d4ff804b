"""Nothing is longer than a reader can hold in mind."""

import ast

LINES_OF_A_FILE = 500
LINES_OF_A_FUNCTION = 50


def test_no_file_is_over_500_lines(sources):
    lengths = {source.name: len(source.text.splitlines()) for source in sources}
    assert {name: length for name, length in lengths.items() if length > LINES_OF_A_FILE} == {}


def test_no_function_is_over_50_lines(sources):
    lengths = {
        f"{source.name}:{node.lineno} {node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for source in sources
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: length for name, length in lengths.items() if length > LINES_OF_A_FUNCTION} == {}
