"""References against the `cryptography` library and the standard's own HMAC."""

import hashlib
import hmac
import struct
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, settings
from hypothesis import strategies as st

from retentiond.core.reference import SIZE, References, check, derive, of_word, seconds_of

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
stores = st.from_regex(r"[a-z0-9_.-]{1,30}", fullmatch=True)


@settings(max_examples=300)
@given(st.binary(min_size=1, max_size=80), names)
def test_the_key_of_a_category_is_hkdf_without_salt(master, category):
    expected = HKDF(SHA256(), 32, salt=None, info=b"retentiond/ref/v1/" + category.encode()).derive(master)
    assert expected == derive(master, category)


@settings(max_examples=500)
@given(st.binary(max_size=64), stores, st.lists(names, max_size=5))
def test_a_reference_is_what_the_contract_says(key, store, items):
    references = References(key, store)
    expected = []
    for item in items:
        told = store.encode() + b"\0" + item.encode()
        nonce = hmac.new(key, told, hashlib.sha256).digest()
        assert nonce == references.nonce(item)
        expected.append(hashlib.sha256(nonce + told).digest()[:16])
        assert expected[-1] == references.of(item)
    assert b"".join(expected) == references.each(items)
    assert SIZE * len(items) == len(references.each(items))


def test_a_stranger_with_the_nonce_can_check_that_item_and_no_other():
    references = References(derive(b"m" * 32, "calls"), "pbx")
    nonce = references.nonce("calls/17")
    assert references.of("calls/17") == check(nonce, b"pbx\0", "calls/17")
    assert references.of("calls/18") != check(nonce, b"pbx\0", "calls/18")
    assert references.of("calls/17") != check(nonce, b"desk\0", "calls/17")


@given(st.binary(min_size=32, max_size=32), names, names, names)
def test_categories_stores_and_items_have_references_of_their_own(master, category, one, other):
    """Nothing can be matched across categories, and a zero byte parts the store from the item."""
    mine, theirs = derive(master, category), derive(master, category + "x")
    assert References(mine, "s").of(one) != References(theirs, "s").of(one)
    assert (one == other) == (References(mine, "s").of(one) == References(mine, "s").of(other))
    assert References(mine, "s").of("t" + one) != References(mine, "st").of(one)


def test_what_is_no_item_has_a_reference_of_its_kind():
    words = {of_word(b"m" * 32, kind, word) for kind in ("hold", "person") for word in ("a", "b")}
    assert 4 == len(words)
    assert all(len(word) == 32 and set(word) <= set("0123456789abcdef") for word in words)
    assert of_word(b"m" * 32, "hold", "a") == References(derive(b"m" * 32, "-registers"), "hold").of("a").hex()


@pytest.mark.parametrize(("key", "store"), [(b"k" * 65, "pbx"), (b"k", "p\0bx")])
def test_a_key_or_a_store_that_would_break_the_formula_is_refused(key, store):
    with pytest.raises(ValueError, match="at most 64 bytes"):
        References(key, store)


instants = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))


@given(st.lists(st.none() | instants, max_size=30))
def test_starts_come_back_to_the_second_by_the_key_of_their_category_and_by_no_other(starts):
    mine, others = References(b"k" * 32, "pbx"), [References(b"j" * 32, "pbx"), References(b"k" * 32, "desk")]
    veiled = mine.veiled(starts)
    assert seconds_of(starts) == mine.unveiled(veiled)
    read = struct.unpack(f">{len(starts)}q", mine.unveiled(veiled))
    assert [-(2**63) if s is None else int(s.timestamp()) for s in starts] == [*read]
    if starts:
        assert seconds_of(starts) not in [each.unveiled(veiled) for each in others]
        assert veiled != mine.veiled(starts), "the same starts look the same again"
