"""Every module says what it is for, and every exception to a rule says why."""

import ast
import re

_MARK = re.compile(r"#\s*(?:noqa|type:\s*ignore|pragma:\s*no cover|nosec)\b", re.IGNORECASE)
_CODED = re.compile(
    r"#\s*(?:noqa:\s*[A-Z]+\d+(?:\s*,\s*[A-Z]+\d+)*|type:\s*ignore\[[\w\-, ]+\]|pragma:\s*no cover|nosec\s+B\d+)",
)


def reason(comment: str) -> str:
    """What a comment says beside its marks."""
    return _CODED.sub("", comment).strip(" #:-")


def test_a_mark_alone_is_not_a_reason():
    assert reason("# noqa: S311 the same each time, no secret") == "the same each time, no secret"
    assert reason("# type: ignore[arg-type]  # noqa: F401,E501") == ""
    assert reason("# noqa") == "noqa"


def test_every_public_module_has_a_docstring(program):
    public = [s for s in program if not s.name.rpartition("/")[2].startswith("_") or s.name.endswith("__init__.py")]
    assert [s.name for s in public if not ast.get_docstring(s.tree)] == []


def test_every_test_module_says_what_it_proves(trials):
    modules = [s for s in trials if s.name.rpartition("/")[2].startswith("test_")]
    assert [s.name for s in modules if not ast.get_docstring(s.tree)] == []


def test_every_ignored_finding_names_its_code_and_its_reason(sources):
    marked = [(s.name, line, text) for s in sources for line, text in s.comments() if _MARK.search(text)]
    bare = [
        f"{name}:{line} {text}" for name, line, text in marked if _MARK.search(_CODED.sub("", text)) or " " not in reason(text)
    ]
    assert bare == []
