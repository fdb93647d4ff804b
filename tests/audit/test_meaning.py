"""An intact log may still tell an impossible story: each rule of the story is broken once, and found."""

from __future__ import annotations

import json

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from retentiond.audit.meaning import Meaning
from retentiond.core.canonical import canonical

PLAN, RUN = "a" * 64, "d" * 16


def told(story):
    """What is wrong with a story, each finding without the number of its entry."""
    findings = []
    meaning = Meaning(findings.append)
    for body in story.bodies:
        meaning.take(body)
    return [finding.split(": ", 1)[1] for finding in findings]


@pytest.fixture
def begun(story):
    """A run that was allowed for a plan of a thousand steps."""
    story.allow(story.plan(PLAN), RUN)
    return story


def test_a_whole_run_is_a_possible_story(story):
    story.whole_run()
    assert told(story) == []


def test_an_intent_may_stay_open_and_be_closed_after_its_run_was_certified(begun):
    """A crash leaves it open; the certificate counts it as unknown; a later look at the store tells what became of it."""
    intent = begun.intent(RUN, PLAN, 3)
    begun.certificate(RUN, PLAN, unknown=3)
    begun.outcome(intent, 2, {"unknown": [1]}, inferred=[0])
    assert told(begun) == []


def test_an_intent_of_a_run_without_certificate_may_be_closed_by_a_later_start(begun):
    intent = begun.intent(RUN, PLAN, 3)
    begun.whole_run("e" * 16, "f" * 64)
    begun.outcome(intent, 3, inferred=[0, 1, 2])
    assert told(begun) == []


def test_holds_and_events_that_were_read_are_a_possible_story(begun):
    begun.hold()
    begun.intent(RUN, PLAN)
    begun.event()
    begun.hold()
    begun.intent(RUN, PLAN)
    assert told(begun) == []


def test_limits_passed_by_name_and_refused_children_are_a_possible_story(story):
    story.plan(PLAN)
    story.trip(PLAN, "children")
    story.trip(PLAN, "items", "invoices")
    story.allow(PLAN, RUN, "approval")
    story.allow(PLAN, "e" * 16, "over-limits", ("tickets", "invoices"))
    assert told(story) == []


def test_counts_add_up_over_runs_and_open_positions_are_unknown(story):
    story.whole_run()
    story.allow(story.plan("f" * 64), "e" * 16)
    story.intent("e" * 16, "f" * 64, 9)
    meaning = Meaning(pytest.fail)
    for body in story.bodies:
        meaning.take(body)
    totals = meaning.totals()
    assert (totals.intents, totals.open_intents, totals.references, totals.runs, totals.certificates) == (3, 1, 18, 2, 1)
    assert {n: c for n, c in totals.counts.items() if c} == {"disposed": 6, "inferred": 1, "failed": 1, "held": 2, "unknown": 9}
    assert meaning.references() == {RUN: 9, "e" * 16: 9}


def closed_twice(story):
    intent = story.intent(RUN, PLAN, 1)
    story.outcome(intent, 1)
    story.outcome(intent, 1)


BROKEN = {
    "given a checkpoint of entries that were not there": lambda s: s.write(
        "checkpoint-anchored", anchor="0" * 32, size=9999, root="0" * 64
    ),
    "time is before that of an earlier": lambda s: s.write("heartbeat", time=3),
    "this plan was made before": lambda s: s.plan(PLAN),
    "limit-tripped: no such plan": lambda s: s.trip("9" * 64),
    "plan-allowed: no such plan": lambda s: s.allow("9" * 64, "e" * 16),
    "the run belongs to another plan": lambda s: s.allow(s.plan("9" * 64), RUN),
    "a forecast cannot be allowed": lambda s: s.allow(s.plan("9" * 64, forecast=1), "e" * 16),
    "nobody passed it by name": lambda s: (s.trip(PLAN), s.allow(PLAN, "e" * 16, "approval")),
    "nobody can pass": lambda s: (s.trip(PLAN, "clock"), s.allow(PLAN, "e" * 16, "over-limits")),
    "bypass-allowed: no such run": lambda s: s.write("bypass-allowed", run="e" * 16, plan=PLAN, by="0" * 32),
    "bypass-allowed: its run had begun": lambda s: (
        s.intent(RUN, PLAN),
        s.write("bypass-allowed", run=RUN, plan=PLAN, by="0" * 32),
    ),
    "intent: no such plan": lambda s: s.intent("e" * 16, "9" * 64),
    "intent: it reaches beyond the steps": lambda s: s.intent(RUN, PLAN, 2, first=1000),
    "intent: it admits nothing": lambda s: s.intent(RUN, PLAN, 0),
    "intent: its run was not allowed for this plan and category": lambda s: s.intent(RUN, PLAN, category="invoices"),
    "intent: its run was not allowed": lambda s: s.intent("e" * 16, PLAN),
    "intent: its run was not allowed for this": lambda s: s.intent(RUN, s.plan("9" * 64)),
    "intent: its run was certified": lambda s: (s.certificate(RUN, PLAN), s.intent(RUN, PLAN)),
    "intent: the hold entry that it names is not the newest": lambda s: (s.hold(), s.intent(RUN, PLAN, holds=-1)),
    "intent: the hold entry that it names": lambda s: s.intent(RUN, PLAN, holds=0),
    "intent: the event entry that it names is not the newest": lambda s: (s.event(), s.event(), s.intent(RUN, PLAN, events=2)),
    "intent: its references do not follow": lambda s: (s.intent(RUN, PLAN, 4), s.intent(RUN, PLAN, 4, refs=5)),
    "spared: its references do not follow": lambda s: (s.intent(RUN, PLAN, 4), s.spared(RUN, PLAN, {"held": [0]}, refs=3)),
    "outcome: it names no intent": lambda s: s.outcome(0, 1),
    "outcome: it names no intent that": lambda s: s.outcome(99, 1),
    "outcome: it names no intent that is still open": closed_twice,
    "outcome: its numbers do not add up": lambda s: s.outcome(s.intent(RUN, PLAN, 4), 3),
    "outcome: its numbers do not add": lambda s: s.outcome(s.intent(RUN, PLAN, 4), 4, {"failed": [0]}),
    "outcome: a position is told twice": lambda s: s.outcome(s.intent(RUN, PLAN, 4), 2, {"failed": [0], "gone": [0]}),
    "outcome: a position is told twice, or": lambda s: s.outcome(s.intent(RUN, PLAN, 4), 3, {"failed": [4]}),
    "outcome: the disposed stand among": lambda s: s.outcome(s.intent(RUN, PLAN, 4), 3, {"disposed": [0]}),
    "outcome: what was inferred is not among": lambda s: s.outcome(s.intent(RUN, PLAN), 3, {"gone": [0]}, inferred=[0]),
    "outcome: what was inferred is": lambda s: s.outcome(s.intent(RUN, PLAN, 4), 4, inferred=[4]),
    "outcome: what was inferred": lambda s: s.outcome(s.intent(RUN, PLAN, 4), 4, inferred=[1, 1]),
    "outcome: a reason is given twice": lambda s: s.outcome(s.intent(RUN, PLAN), 3, {"gone": [0]}, why={"a": [0], "b": [0]}),
    "outcome: a reason is given": lambda s: s.outcome(s.intent(RUN, PLAN, 4), 4, why={"denied": [0]}),
    "spared: not each of its positions": lambda s: s.spared(RUN, PLAN, {"held": [0]}, count=2),
    "spared: its run was not allowed": lambda s: s.spared("e" * 16, PLAN, {"held": [0]}),
    "certificate: its run was not allowed": lambda s: s.certificate("e" * 16, PLAN),
    "certificate: its run was not": lambda s: s.certificate(RUN, s.plan("9" * 64)),
    "certificate: its run has one already": lambda s: (s.certificate(RUN, PLAN), s.certificate(RUN, PLAN)),
    "certificate: its counts are not": lambda s: (s.outcome(s.intent(RUN, PLAN, 4), 4), s.certificate(RUN, PLAN, disposed=3)),
    "certificate: its counts": lambda s: (s.intent(RUN, PLAN, 4), s.certificate(RUN, PLAN)),
}


@pytest.mark.parametrize("finding", BROKEN)
def test_a_broken_rule_is_found(begun, finding):
    BROKEN[finding](begun)
    assert any(finding in what for what in told(begun)), told(begun)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 60_000,
        b'{"time":1,"type":[]}',
        b'{"time":1,"type":{}}',
        b'{"time":1,"type":"unheard-of"}',
        b'{"time":1,"type":"heartbeat","words":"of a person"}',
        b'{"time":"1","type":"heartbeat"}',
        b'{"time":1.0,"type":"heartbeat"}',
        b'{"time":9007199254740993,"type":"heartbeat"}',
        b'{"time":true,"type":"heartbeat"}',
        b'{"type":"heartbeat","time":1}',
        b'{"time":1, "type":"heartbeat"}',
        b'{"time":1,"time":1,"type":"heartbeat"}',
        b'{"time":1,"type":"heartbeat"}\n',
        b'\xef\xbb\xbf{"time":1,"type":"heartbeat"}',
        '{"time":1,"type":"heartbeat"}'.encode("utf-16"),
        b'{"time":1,"type":"\\u0068eartbeat"}',
        b'{"time":1,"type":"key-made","kind":"\\ud800","year":1}',
        b'{"time":1,"type":"key-made","kind":"signing","year":' + b"9" * 5000 + b"}",
    ],
)
def test_what_is_not_one_entry_in_canonical_bytes_is_found(story, body):
    story.bodies = [body]
    assert told(story)


def test_one_bad_entry_is_told_once_and_the_next_is_read_as_the_next(begun):
    begun.bodies.append(b"no json")
    begun.hold()
    begun.intent(RUN, PLAN)
    assert told(begun) == ["it is no canonical JSON (RFC 8785)"]


def test_findings_say_nothing_of_what_stands_in_an_entry(story):
    story.bodies = [b'{"time":1,"type":"heartbeat","mail":"jane@example.org"}', b'{"time":2,"type":"jane@example.org"}']
    assert "jane" not in repr(told(story))


def test_entries_have_the_bytes_that_rfc8785_gives_them(begun):
    """An independent library writes every kind of entry to the same bytes."""
    begun.whole_run("e" * 16, "f" * 64)
    begun.hold()
    begun.event()
    for body in begun.bodies:
        assert rfc8785.dumps(json.loads(body)) == body


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(max_codepoint=127)), inner),
    max_leaves=20,
)


@given(json_values)
def test_any_value_without_floats_has_the_bytes_that_rfc8785_gives_it(value):
    assert rfc8785.dumps(value) == canonical(value)


@pytest.mark.parametrize(
    ("types", "wrong"),
    [
        (["daemon-started", "daemon-stopped", "daemon-started", "daemon-recovered", "daemon-started"], []),
        (["daemon-started", "daemon-started"], ["daemon-started: the one before has not ended"]),
        (["daemon-stopped"], ["daemon-stopped: no daemon had started"]),
        (["daemon-started", "daemon-recovered", "daemon-stopped"], ["daemon-stopped: no daemon had started"]),
    ],
)
def test_daemons_follow_one_another(story, types, wrong):
    fields = {"daemon-started": {"categories": 1}, "daemon-recovered": {"intents": 0}}
    for type_ in types:
        story.write(type_, **fields.get(type_, {}))
    assert told(story) == wrong
