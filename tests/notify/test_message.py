"""A message says what, since when, how many and what to do, in lines that fit and a shape that programs can rely on."""

import json

import pytest

from retentiond.core.alarm import KINDS, Alarm, News
from retentiond.notify.message import WHAT, compose
from tests.acceptance.shop import NOW
from tests.docs.test_readme import ROOT

AT = int(NOW.timestamp()) * 1_000_000


def message(*changes, organisation="Corner Shop Ltd", **known):
    known = {"since": AT, "size": 5000, "facts": {"overdue": 5000}, "do": "retentiond plan post"} | known
    return compose(organisation, [News(change, AT, Alarm("overdue", "post", **known)) for change in changes], NOW)


def test_it_says_what_since_when_how_many_and_what_to_do():
    text = message("new").text
    assert WHAT["overdue"] in text
    assert f"Since {NOW:%Y-%m-%d %H:%M} UTC." in text
    assert "overdue: 5,000" in text
    assert "What to do: retentiond plan post" in text
    assert text.startswith("Corner Shop Ltd, ")


def test_the_subject_names_the_state_and_the_organisation():
    assert message("new").subject == "retentiond: overdue post (Corner Shop Ltd)"
    assert message("over").subject == "retentiond: over: overdue post (Corner Shop Ltd)"
    assert message("new", "over").subject == "retentiond: 2 alarms: overdue post, over: overdue post (Corner Shop Ltd)"


def test_the_subject_is_one_short_line_whatever_the_organisation_is_called():
    subject = message(*["new", "grown", "over"] * 9, organisation="A\r\nBcc: x@example.org " + "very " * 50).subject
    assert len(subject) < 200
    assert subject.isprintable()


def test_what_is_over_asks_for_nothing():
    over = message("over")
    assert "What to do" not in over.text
    assert over.value["alarms"][0]["do"] == ""
    assert "until" in over.text


def test_a_test_says_that_nothing_is_wrong():
    told = message("test")
    assert told.subject == "retentiond: test (Corner Shop Ltd)"
    assert "Nothing is wrong." in told.text
    assert "overdue" not in told.text.partition("\n  Since")[0]


def test_every_kind_of_alarm_has_its_sentence():
    assert set(WHAT) == set(KINDS)


def test_the_shape_for_programs_is_as_documented():
    """docs/operations.md shows it; keys may be added, none goes or changes its kind."""
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    shown = json.loads(page.partition("### What a webhook gets")[2].partition("```json\n")[2].partition("```")[0])
    value = json.loads(json.dumps(dict(message("new").value)))
    assert shown.keys() == value.keys()
    assert shown["alarms"][0].keys() == value["alarms"][0].keys()
    assert {k: type(v) for k, v in shown.items()} == {k: type(v) for k, v in value.items()}
    assert shown["version"] == value["version"]


@pytest.mark.parametrize("change", ["new", "grown", "over"])
def test_the_same_news_has_the_same_id_and_other_news_another(change):
    assert message(change).id == message(change).id
    assert message(change).id != message(change, since=AT + 1).id
    assert len({message(c).id for c in ("new", "grown", "over")}) == 3
