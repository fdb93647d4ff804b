"""Keys: one name for each item, and one item for each name."""

import os

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from retentiond.core.item import Item, Page, key_of, raw_of

names = (
    st.binary(min_size=1, max_size=40)
    | st.text(min_size=1, max_size=40).map(lambda t: t.encode("utf-8", "surrogatepass"))
    | st.binary(max_size=20).map(b"b64:".__add__)
)


@settings(max_examples=400)
@given(names)
@example(b"b64:")
@example(b"b64:AAAA")
@example(b"\xff\xfe")
@example("e\u0301 \u00e9".encode())
@example(b"a\nb/\xffc")
def test_a_name_comes_back_from_its_key_byte_for_byte(name):
    raw = os.fsdecode(name)
    key = key_of(raw)
    key.encode()  # a key is UTF-8, whatever the name is
    assert raw == raw_of(key)
    assert name == os.fsencode(raw_of(key))


@settings(max_examples=500)
@given(names, names)
def test_two_names_never_share_a_key(one, other):
    assert (one == other) == (key_of(os.fsdecode(one)) == key_of(os.fsdecode(other)))


@settings(max_examples=400)
@given(st.text(max_size=30) | st.text("ABCDwx/+=09 \n_-", max_size=12).map("b64:".__add__))
@example("b64:")
@example("b64:YQ==")
@example("b64:/w==")
@example("b64:/x==")
def test_whatever_is_accepted_as_a_key_is_the_only_key_of_what_it_names(key):
    """No second spelling: an item must not be planned, held or recorded under two names."""
    try:
        raw = raw_of(key)
    except ValueError:
        return
    assert key == key_of(raw)


@pytest.mark.parametrize(
    "key",
    [
        "b64:",  # nothing
        "b64:YQ==",  # `a`, which needs no base64
        "b64:w6k=",  # `é`, which needs none
        "b64:/x==",  # another spelling of b64:/w==
        "b64:/w",  # without padding
        "b64:/w==\n",
        "b64: /w==",
        "b64:_w==",  # another alphabet
        "b64:/w=é",
        "\udcff",  # a byte that is no text
    ],
)
def test_another_spelling_is_no_key(key):
    with pytest.raises(ValueError, match=r"."):
        raw_of(key)


@pytest.mark.parametrize(
    ("raw", "key"),
    [
        ("a/b.txt", "a/b.txt"),
        ("é", "é"),
        ("e\u0301", "e\u0301"),
        ("\udcff", "b64:/w=="),
        ("a/\udcff", "b64:YS//"),
        ("b64:a", "b64:YjY0OmE="),
        ("xb64:a", "xb64:a"),
        ("B64:a", "B64:a"),
    ],
)
def test_how_keys_are_written(raw, key):
    assert key == key_of(raw)
    assert raw == raw_of(key)


def test_a_position_of_a_page_is_an_item():
    page = Page(["a", "b"], ["1", None], [None, None], [3, 0], {"who": ["x", None]}, doubts={1: "doubtful"})
    assert 2 == len(page)
    assert Item("a", "1", None, 3, {"who": "x"}, None, None) == page[0]
    assert Item("b", None, None, 0, {"who": None}, None, "doubtful") == page[1]
