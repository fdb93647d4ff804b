"""Mail: addresses, facts of several lines, and patterns of headers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retentiond.core.mail import address_of, as_fact, compile_text, field_of, identifiers, is_header
from retentiond.core.pattern import PatternError
from retentiond.core.period import FOREVER
from retentiond.core.policy import Action, MailSelection, PathSelection, Rule, Start
from retentiond.core.registers import Hold
from retentiond.core.selector import HoldIndex

MAIL = MailSelection()


@pytest.mark.parametrize(
    ("written", "spelled"),
    [
        ("Jo@Example.NET", "jo@example.net"),
        (" jo@example.net ", "jo@example.net"),
        ('"Jo Miller"@example.net', '"jo miller"@example.net'),
        ("jo@bücher.example", "jo@xn--bcher-kva.example"),
        ("josé@example.net", "josé@example.net"),
        ("jose\u0301@example.net", "josé@example.net"),
        ("jo@[192.0.2.1]", "jo@[192.0.2.1]"),
        ("jo", None),
        ("jo@", None),
        ("jo@a@b", None),
        ("Jo <jo@example.net>", None),
        ("jo@example.net\n", "jo@example.net"),
        ("j\0o@example.net", None),
    ],
)
def test_an_address_has_one_spelling(written, spelled):
    assert spelled == address_of(written)


def test_a_fact_of_a_message_names_everybody_in_it_and_one_of_a_file_is_whole():
    assert ["jo@a.example", "kim@b.example"] == list(identifiers(MAIL, "jo@a.example\nkim@b.example"))
    assert ["jo@a.example\nkim"] == list(identifiers(PathSelection("**"), "jo@a.example\nkim"))
    assert () == identifiers(MAIL, None)


def test_an_identifier_is_spelled_as_the_field_spells_it():
    assert "jo@a.example" == as_fact(MAIL, "From", " Jo@A.example")
    assert "jo@a.example" == as_fact(MAIL, "correspondents", "JO@a.example")
    assert "X1@a.example" == as_fact(MAIL, "message_id", "<X1@a.example>")
    assert "Jo@A.example" == as_fact(MAIL, "X-Customer", "Jo@A.example")
    assert "Jo@A.example" == as_fact(PathSelection("**"), "from", "Jo@A.example")


def test_a_hold_on_a_person_covers_every_message_that_one_of_its_addresses_is_in():
    rule = Rule("r", "mail", MAIL, Start("created"), FOREVER, FOREVER, Action("delete"), subject={"email": "correspondents"})
    hold = Hold("H", "", "", subjects=(("email", "Jo@Example.net"),))
    facts = {"correspondents": ["kim@b.example", "kim@b.example\njo@example.net", None, "jo@example.network"]}
    covered = HoldIndex([hold], "c", rule).covered(["INBOX/1", "INBOX/2", "INBOX/3", "INBOX/4"], facts, range(4))
    assert {1: "H"} == covered


@pytest.mark.parametrize(
    ("pattern", "line", "captured"),
    [
        ("*", "", {}),
        ("*", "anything", {}),
        ("invoice*", "Invoice 7", {}),
        ("invoice*", "An invoice", None),
        ("*invoice", "An INVOICE", {}),
        ("*a*b*", "b then a", None),
        ("*a*b*", "a then b", {}),
        ("*ab*b", "xab", None),
        ("*ab*b", "xabb", {}),
        ("exact", "exact", {}),
        ("exact", "exactly", None),
        ("*[#{ticket}]*", "Re: [List] [#AB-12] it hums", {"ticket": "AB-12"}),
        ("*[#{ticket}]*", "Re: [#] it hums", None),
        ("{ticket}", "4711", {"ticket": "4711"}),
        ("{ticket}", "", None),
        ("#{a}-{b}", "#1-2-3", {"a": "1", "b": "2-3"}),
        ("*@example.net", "jo@example.net", {}),
        ("*ẞ{x}", "straẞe", {"x": "e"}),
        ("İ{x}", "İx", {"x": "x"}),
        ("[a]?", "[A]?", {}),
    ],
)
def test_a_pattern_of_text(pattern, line, captured):
    assert captured == compile_text(pattern).match(line)


@pytest.mark.parametrize("pattern", ["", "{a}{b}", "*{a}", "{a}*", "{a} {a}", "{a", "{day:%Y}", "{}"])
def test_a_pattern_that_cannot_be_used(pattern):
    with pytest.raises(PatternError):
        compile_text(pattern)


@given(st.lists(st.sampled_from(["a", "b", "ab", "*"]), min_size=1, max_size=6), st.text("ab", max_size=8))
def test_stars_match_as_in_a_regular_expression(pieces, line):
    import re

    pattern = re.sub(r"\*+", "*", "".join(pieces))
    expected = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), line, re.DOTALL)
    assert (expected is not None) is (compile_text(pattern).match(line) is not None)


def test_names_of_headers():
    assert field_of("Message_ID") == field_of("message-id") == "message-id"
    assert is_header("X-Ticket")
    assert not is_header("X Ticket")
    assert not is_header("X:")
    assert not is_header("")
