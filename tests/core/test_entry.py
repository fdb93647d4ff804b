"""Entries of the audit log: what each type may hold, and that nothing else gets in."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retentiond.core.entry import EVENT_TYPES, FIELDS, HOLD_TYPES, LARGEST, fault, written

DIGEST, REFERENCE, TOKEN = "0a" * 32, "0b" * 16, "0c" * 8
EXACT = 2**53 - 1
FATES = ["disposed", "inferred", "gone", "changed", "held", "locked", "failed", "unknown", "installed"]

GOOD = {
    "log-started": {"format": 1},
    "key-made": {"kind": "reference", "year": 2026},
    "rulebook-loaded": {"rulebook": DIGEST, "categories": {"calls": DIGEST}},
    "category-approved": {"category": "calls", "rulebook": DIGEST, "by": REFERENCE},
    "approval-revoked": {"category": "calls", "by": REFERENCE},
    "place-accepted": {"store": "pbx", "place": REFERENCE},
    "plan-made": {"plan": DIGEST, "rulebook": DIGEST, "at": 1, "steps": 2, "forecast": 0},
    "limit-tripped": {"plan": DIGEST, "category": "calls", "rule": "old", "limit": "items", "value": 2, "allowed": 1},
    "plan-refused": {"plan": DIGEST, "ground": "limit"},
    "plan-allowed": {"plan": DIGEST, "run": TOKEN, "by": "person", "categories": ["calls"]},
    "bypass-allowed": {"run": TOKEN, "plan": DIGEST, "by": REFERENCE},
    "lifecycle-removed": {"category": "calls", "rule": "old", "store": "pbx", "why": "hold"},
    "lifecycle-inferred": {"category": "calls", "rule": "old", "store": "pbx", "expired": 3, "early": 0, "since": 1},
    "legal-holds-set": {"store": "pbx", "hold": REFERENCE, "count": 3, "theirs": 1},
    "legal-holds-removed": {"store": "pbx", "count": 3, "kept": 0, "gone": 1},
    "intent": {
        "run": TOKEN,
        "plan": DIGEST,
        "category": "calls",
        "rule": "old",
        "store": "pbx",
        "first": 1,
        "refs": 0,
        "count": 2,
        "sha256": DIGEST,
        "holds": -1,
        "events": 7,
    },
    "outcome": {"intent": 5, "disposed": 1, "inferred": [0], "otherwise": {"held": [1]}, "why": {"cut-short": [1]}},
    "spared": {
        "run": TOKEN,
        "plan": DIGEST,
        "category": "calls",
        "rule": "old",
        "store": "pbx",
        "refs": 0,
        "count": 2,
        "sha256": DIGEST,
        "otherwise": {"held": [0]},
        "why": {"event-gone": [1]},
    },
    "certificate": {"run": TOKEN, "plan": DIGEST, "counts": dict.fromkeys(FATES, 1), "looked": 3, "absent": 3, "back": 0},
    "violation-found": {"category": "calls", "rule": "old", "count": 3},
    "violation-cleared": {"category": "calls", "rule": "old"},
    "hold-placed": {"hold": REFERENCE, "scopes": ["category", "path"], "mandate": REFERENCE},
    "hold-released": {"hold": REFERENCE, "reason": REFERENCE},
    "event-recorded": {"event": "contract-ended", "subject": REFERENCE},
    "event-withdrawn": {"event": "contract-ended", "subject": REFERENCE},
    "review-approved": {"category": "calls", "rule": "old", "count": 3, "by": REFERENCE},
    "review-extended": {"category": "calls", "rule": "old", "count": 1, "by": REFERENCE},
    "request-received": {"name": REFERENCE, "kinds": ["email"], "reason": REFERENCE, "by": REFERENCE},
    "request-allowed": {"request": 3, "plan": DIGEST},
    "request-refused": {"request": 3, "category": "calls", "rule": "old", "ground": "art-17-3-d", "count": 2},
    "request-withdrawn": {"request": 3, "reason": REFERENCE},
    "request-carried-out": {"request": 3, "disposed": 4},
    "recipients-told": {"request": 3, "category": "calls", "count": 1},
    "replayed": {"plan": DIGEST, "since": 1, "requests": 2, "steps": 3},
    "copies-verified": {
        "purpose": "archive",
        "category": "calls",
        "rule": "old",
        "store": "pbx",
        "destination": "vault",
        "count": 2,
        "bytes": 9,
        "sha256": DIGEST,
    },
    "clock-stepped": {"seconds": -90},
    "clock-accepted": {"by": REFERENCE},
    "daemon-started": {"categories": 6},
    "daemon-stopped": {},
    "daemon-recovered": {"intents": 1},
    "checkpoint-anchored": {"anchor": REFERENCE, "size": 3, "root": DIGEST},
    "heartbeat": {},
}

HEX32, HEX64, RUN = r"[0-9a-f]{32}", r"[0-9a-f]{64}", r"[0-9a-f]{8,32}"
NAME, CODE = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", r"[a-z][a-z0-9-]{0,31}"
TEXTS = {
    **dict.fromkeys(["rulebook", "plan", "sha256", "root"], HEX64),
    **dict.fromkeys(["by", "place", "hold", "mandate", "reason", "subject", "name", "anchor"], HEX32),
    **dict.fromkeys(["category", "rule", "store", "event", "destination"], NAME),
    **dict.fromkeys(["limit", "ground"], CODE),
    "run": RUN,
    "kind": "signing|reference|anonymise",
    "purpose": "archive|copy|found|manifest",
}
"""Every field that holds a text, with all that it can say."""

each_field = [(type_, field) for type_, fields in GOOD.items() for field in ("type", "time", *fields)]


def entry(type_, **changed):
    return {"type": type_, "time": 1_700_000_000_000_000, **GOOD[type_], **changed}


def test_there_is_a_good_entry_of_every_type():
    assert FIELDS.keys() == GOOD.keys()
    assert HOLD_TYPES | EVENT_TYPES <= FIELDS.keys()


@pytest.mark.parametrize("type_", GOOD)
def test_a_good_entry_passes_and_is_written_in_its_one_spelling(type_):
    good = entry(type_)
    assert fault(good) is None
    body = written(type_, good["time"], GOOD[type_])
    assert good == json.loads(body)
    assert json.dumps(good, sort_keys=True, separators=(",", ":")).encode() == body


WRONG = [
    None,
    True,
    False,
    1.0,
    -2,
    EXACT + 1,
    "",
    "a b",
    "name@example.org",
    "ü",
    "../x",
    DIGEST + "\n",
    [None],
    ["a b"],
    {"a b": 1},
    {"x": None},
]


@pytest.mark.parametrize(("type_", "field"), each_field)
def test_each_field_made_wrong_fails(type_, field):
    """Of the wrong kinds, too: no field takes true for 1, a fraction, a number that JSON readers round, or null."""
    for wrong in WRONG:
        if (field, wrong) == ("seconds", -2):
            continue
        assert fault(entry(type_, **{field: wrong})) is not None, wrong
        with pytest.raises(ValueError, match=r"."):
            written(type_, 1, {**GOOD[type_], field: wrong})


@pytest.mark.parametrize(("type_", "field"), each_field)
def test_a_field_that_is_missing_or_more_than_there_is_fails(type_, field):
    less = entry(type_)
    del less[field]
    assert fault(less) is not None
    assert fault(entry(type_, note="x")) is not None


@pytest.mark.parametrize(
    ("type_", "field", "value", "good"),
    [
        ("intent", "holds", -1, True),
        ("intent", "holds", -2, False),
        ("intent", "first", -1, False),
        ("clock-stepped", "seconds", -EXACT, True),
        ("clock-stepped", "seconds", -EXACT - 1, False),
        ("outcome", "otherwise", {"deleted": []}, False),
        ("outcome", "otherwise", {"held": [True]}, False),
        ("outcome", "otherwise", {"held": [-1]}, False),
        ("outcome", "otherwise", {"held": {}}, False),
        ("outcome", "why", {"Cut short": [0]}, False),
        ("outcome", "inferred", (0,), False),
        ("certificate", "counts", {}, True),
        ("certificate", "counts", {"held": [1]}, False),
        ("plan-allowed", "by", "daemon", False),
        ("plan-allowed", "categories", ["../x"], False),
        ("plan-made", "forecast", 1, True),
        ("plan-made", "forecast", 2, False),
        ("rulebook-loaded", "categories", {"calls": "x"}, False),
        ("rulebook-loaded", "categories", {"the calls": DIGEST}, False),
        ("rulebook-loaded", "categories", {}, True),
        ("category-approved", "category", "a" * 64, True),
        ("category-approved", "category", "a" * 65, False),
        ("category-approved", "category", ".hidden", False),
        ("category-approved", "by", "0B" * 16, False),
        ("heartbeat", "time", -1, False),
        ("heartbeat", "time", 0, True),
        ("heartbeat", "time", EXACT, True),
        ("heartbeat", "time", True, False),
    ],
)
def test_where_the_kinds_end(type_, field, value, good):
    assert good == (fault(entry(type_, **{field: value})) is None)


@pytest.mark.parametrize(
    "thing", [None, [], "heartbeat", 5, {}, {"type": "note", "time": 1}, {"type": ["heartbeat"], "time": 1}, {"time": 1}]
)
def test_what_is_no_entry_at_all_is_told_without_failing(thing):
    assert isinstance(fault(thing), str)


texts = (
    st.text(max_size=70) | st.sampled_from(list(TEXTS.values())).flatmap(lambda p: st.from_regex(p, fullmatch=True)) | st.emails()
)
nested = st.recursive(
    texts | st.integers() | st.booleans() | st.none() | st.floats(),
    lambda v: st.lists(v, max_size=3) | st.dictionaries(texts, v, max_size=3),
)


@settings(max_examples=250)
@given(st.sampled_from([(t, f) for t, f in each_field if f in TEXTS and (t, f) != ("plan-allowed", "by")]), texts)
def test_a_text_gets_in_only_where_it_is_of_the_fields_kind(where, text):
    type_, field = where
    allowed = re.fullmatch(TEXTS[field], text) is not None
    assert allowed == (fault(entry(type_, **{field: text})) is None)


@settings(max_examples=250)
@given(st.sampled_from([(t, f) for t, f in each_field if f not in TEXTS]), texts)
def test_no_text_gets_into_a_field_that_holds_none(where, text):
    type_, field = where
    if not (field == "by" and text in ("person", "approval", "over-limits")) and text not in FIELDS:
        assert fault(entry(type_, **{field: text})) is not None


def strings(value):
    """Every text within a value, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from strings(key)
            yield from strings(inner)


@settings(max_examples=250)
@given(st.sampled_from(each_field), nested)
def test_whatever_passes_says_nothing_but_names_codes_and_digests(where, value):
    """Random shapes in every field: what passes has no blank, no @, no slash and no character beyond ASCII in it."""
    type_, field = where
    found = entry(type_, **{field: value})
    if fault(found) is None:
        assert all(re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", text) for text in strings(found))
        assert written(found["type"], found["time"], {k: v for k, v in found.items() if k not in ("type", "time")})


@settings(max_examples=300)
@given(st.sampled_from(each_field), st.text(max_size=40).map("@".__add__))
def test_what_is_wrong_is_said_without_the_data(where, text):
    type_, field = where
    said = fault(entry(type_, **{field: text}))
    assert said is not None
    assert text not in said


def test_an_entry_has_at_most_as_many_bytes_as_sixteen_bits_count():
    fields = {**GOOD["outcome"], "inferred": [0]}
    room = LARGEST - len(written("outcome", 1, fields))
    fits = [0] * (1 + room // 2 - 1) + [10 if room % 2 else 1]
    assert LARGEST == len(written("outcome", 1, {**fields, "inferred": fits}))
    with pytest.raises(ValueError, match="more than an entry can hold"):
        written("outcome", 1, {**fields, "inferred": [*fits[:-1], 10 * fits[-1]]})
