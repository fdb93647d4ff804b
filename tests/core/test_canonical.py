"""Canonical bytes against `rfc8785`, an independent implementation of the standard."""

import hashlib
from types import MappingProxyType

import pytest
import rfc8785
from hypothesis import example, given, settings
from hypothesis import strategies as st

from retentiond.core.canonical import LARGEST_INTEGER, canonical, digest

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
leaves = st.none() | st.booleans() | st.integers(-LARGEST_INTEGER, LARGEST_INTEGER) | text
keys = st.text(st.characters(max_codepoint=127), max_size=6)
values = st.recursive(leaves, lambda v: st.lists(v, max_size=4) | st.dictionaries(keys, v, max_size=4), max_leaves=12)


@settings(max_examples=300)
@given(values)
@example("".join(map(chr, range(0x30))) + "\x7f\u0080\u2028\u2029\ufeff\U0001f600")
@example({"b": 1, "a": 2, "B": 3, "": 4, "a\n": 5, "~": 6})
def test_the_bytes_are_those_of_the_standard(value):
    expected = rfc8785.dumps(value)
    assert expected == canonical(value)
    assert hashlib.sha256(expected).hexdigest() == digest(value)


def test_a_tuple_is_a_list():
    assert canonical([1, [2]]) == canonical((1, (2,)))


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        float("nan"),
        2**53,
        -(2**53),
        {"é": 1},
        {1: 2},
        {None: 1},
        b"bytes",
        {1, 2},
        "\ud800",
        {"a": ["\udcff"]},
        object(),
        MappingProxyType({"a": 1}),
    ],
)
def test_what_has_no_single_spelling_is_refused(value):
    for within in (value, [value], {"a": {"b": value}}):
        with pytest.raises(ValueError, match=r"."):
            canonical(within)
