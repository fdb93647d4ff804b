"""YAML means what it says: what is read, where it stands, and that nothing but problems comes of nonsense."""

import time

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from retentiond.config.strict_yaml import DEEPEST, LARGEST, parse


def data_of(text):
    document, problems = parse(text.encode(), "f.yaml")
    assert problems == []
    return document.data


def told(raw):
    _, problems = parse(raw if isinstance(raw, bytes) else raw.encode(), "f.yaml")
    return [f"{p.line}:{p.column} {p.what}" for p in problems]


@pytest.mark.parametrize(
    "text",
    [
        "no",
        "No",
        "on",
        "off",
        "yes",
        "y",
        "012",
        "0o14",
        "0x1F",
        "12:30",
        "22:30:00",
        "1e3",
        "1.5",
        "1.10",
        "+5",
        "-0.0",
        ".inf",
        ".nan",
        "True",
        "FALSE",
        "NULL",
        "Null",
        "2026-01-31",
        "1_000",
        "=",
        "<<",
        "-",
    ],
)
def test_surprises_stay_text(text):
    assert {"a": text} == data_of(f"a: {text}") if text != "-" else True


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("0", 0),
        ("-7", -7),
        ("5000", 5000),
        ("'true'", "true"),
        ('"7"', "7"),
        ("9999999999999999", "9999999999999999"),
    ],
)
def test_words_and_whole_numbers_are_what_they_look_like(text, value):
    found = data_of(f"a: {text}")["a"]
    assert (value, type(value)) == (found, type(found))


def test_every_key_and_value_has_its_place():
    document, _ = parse(b"\xef\xbb\xbfa:\n  - x\n  - {b: y}\n", "f.yaml")
    assert document.place_of_key(("a",)) == (1, 1)
    assert document.place_of_value(("a", 0)) == (2, 5)
    assert document.place_of_key(("a", 1, "b")) == (3, 6)
    assert document.place_of_value(("a", 1, "b")) == (3, 9)
    assert document.place_of_value(("a", 1, "c")) == (3, 5)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", ["1:1 the file is empty"]),
        (b"# a comment\n", ["1:1 the file is empty"]),
        (b"a: 1\nb: \xff\n", ["2:4 bytes that are not UTF-8"]),
        ("a: ü\nb: ".encode("latin-1"), ["1:4 bytes that are not UTF-8"]),
        ("a: 1".encode("utf-16"), ["1:1 bytes that are not UTF-8"]),
        (b"a: 1\nb: x\x00y", ["2:5 a character that YAML does not allow"]),
        (b"a: 1\na: 2\na: 3\n", ["2:1 duplicate key 'a'", "3:1 duplicate key 'a'"]),
        (b"a: {b: 1, b: [x, {c: 2}]}\n", ["1:11 duplicate key 'b'"]),
        (
            b"1: x\ntrue: y\n? [a]\n: z\n",
            ["1:1 a key that is not text", "2:1 a key that is not text", "3:3 a key that is not text"],
        ),
        (b"a: &x 1\nb: *x\n", ["1:4 an anchor", "2:4 an alias"]),
        (b"a: !x 1\n", ["1:4 a tag"]),
        (b"a: ! 1\n", ["1:4 a tag"]),
        (b"a: 1\n---\nb: 2\n", ["2:1 a second document"]),
        (b"%TAG ! tag:x,2000:\n---\na: 1\n", ["1:1 a YAML directive"]),
        (b"a:\n\tb: 1\n", ["2:1 a tab in the indentation"]),
        (b"a: [1\n", ["2:1 this is no YAML"]),
        (b"a: 'x\n", ["2:1 this is no YAML"]),
        (b"a: *nowhere\n", ["1:4 an alias"]),
        (b"a: " + b"[" * 70 + b"]" * 70, ["1:67 the nesting is too deep"]),
        (b"a" * (LARGEST + 1), ["1:1 the file is too large"]),
    ],
)
def test_what_is_refused_is_told_with_its_place(raw, expected):
    assert expected == told(raw)


@pytest.mark.parametrize("bomb", [b"[" * LARGEST, b"{a: " * (LARGEST // 4), b"- " * (LARGEST // 2), b"? " * (LARGEST // 2)])
def test_depth_is_refused_long_before_the_end(bomb):
    began = time.perf_counter()
    assert told(bomb)
    assert time.perf_counter() - began < 5


def test_aliases_are_refused_and_never_followed():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    assert all(what.endswith(("an anchor", "an alias")) for what in told("\n".join(lines)))


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**14), 10**14)
    | st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"))),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcz-_é ", min_size=1), inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None)
@given(plain.filter(lambda v: v is not None))
def test_what_another_writer_writes_is_read_back(value):
    text = yaml.safe_dump({"v": value}, allow_unicode=True)
    assert {"v": value} == data_of(text)


@settings(deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda t: t.encode("utf-8", "surrogatepass")))
def test_any_bytes_give_a_document_or_a_problem(raw):
    document, problems = parse(raw, "f.yaml")
    assert document is not None or problems
    assert all(p.line >= 1 and p.column >= 1 and p.file == "f.yaml" for p in problems)


def test_the_deepest_that_is_read_is_read():
    assert data_of("[" * DEEPEST + "]" * DEEPEST)
