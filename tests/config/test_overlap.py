"""Two rules for one item: overlaps by text are found, and what cannot overlap is let through."""

import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from retentiond.config.overlap import meet
from retentiond.core.pattern import PatternError, compile_pattern
from retentiond.core.policy import MailSelection, PathSelection, TableSelection

CATEGORY = "policies.d/support.yaml"


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("a/*", "a/*", True),
        ("a/*", "b/*", False),
        ("a/**", "a/b/c.txt", True),
        ("*.wav", "*.mp3", False),
        ("*.wav", "a*", True),
        ("**/*.wav", "calls/**", True),
        ("**/*.wav", "calls/*.mp3", False),
        ("*/x", "a/b/x", False),
        ("**/x", "a/b/x", True),
        ("**/x", "x", True),
        ("ab/**", "abc/**", False),
        ("{ticket}/log", "7/*", True),
        ("{ticket}/log", "log", False),
        ("{day:%Y-%m-%d}.log", "2026-*.log", True),
        ("{day:%Y-%m-%d}.log", "{name}.txt", False),
        ("{day:%Y-%m}.log", "{day:%Y-%m-%d}.log", False),
        ("{day:%Y/%m/%d}/x", "*/*/*/x", True),
        ("{day:%Y}x", "abcdx", False),
        ("a/**", "a", False),
        ("**", "x/**/y", True),
        ("x/**/y", "x/y", True),
        ("a?[b]", "a?[b]", True),
        ("a?", "ab", False),
    ],
)
def test_patterns_overlap_if_a_path_matches_both(one, other, expected):
    assert expected == meet(PathSelection(one), PathSelection(other)) == meet(PathSelection(other), PathSelection(one))


segments = st.sampled_from(["a", "ab", "*", "*a", "a*", "{n}", "{n}b", "**", "{d:%Y}", "2026"])
patterns = st.lists(segments, min_size=1, max_size=4).map("/".join)
paths = st.lists(st.sampled_from(["a", "b", "ab", "ba", "aab", "2026", "1999"]), min_size=1, max_size=5).map("/".join)


@settings(deadline=None)
@given(patterns, patterns, paths)
def test_no_path_that_matches_both_is_missed(one, other, path):
    try:
        left, right = compile_pattern(one), compile_pattern(other)
    except PatternError:
        assume(False)
    if left.match(path) and right.match(path):
        assert meet(PathSelection(one), PathSelection(other))


@settings(deadline=None)
@given(patterns)
def test_a_pattern_overlaps_itself(one):
    assume(len(set(re.findall(r"\{(\w)", one))) == len(re.findall(r"\{(\w)", one)))
    assert meet(PathSelection(one), PathSelection(one))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (TableSelection("calls"), TableSelection("calls", "x"), True),
        (TableSelection("calls", "x"), TableSelection("Calls", " x "), True),
        (TableSelection("calls", "x"), TableSelection("calls", "y"), False),
        (TableSelection("calls"), TableSelection("agents"), False),
        (TableSelection("calls"), PathSelection("**"), False),
        (MailSelection("INBOX"), MailSelection("Sent"), False),
        (MailSelection("INBOX"), MailSelection("*", senders=("jo@a.example",)), True),
        (MailSelection("INBOX", senders=("*",)), MailSelection("INBOX", senders=("jo@a.example",)), True),
        (MailSelection("INBOX", headers=(("X", "1"),)), MailSelection("INBOX", headers=(("X", "1"),)), True),
        (MailSelection("INBOX", headers=(("X", "1"),)), MailSelection("INBOX", headers=(("X", "2"),)), False),
    ],
)
def test_tables_overlap_without_a_condition_or_with_the_same(one, other, expected):
    assert expected == meet(one, other)


RULE = """\
  more:
    store: uploads
    select: {path: "*/7/{name}"}
    start: modified
    retention_period: 1 day
    action: keep
"""


def test_overlapping_rules_are_a_problem_that_names_both(company):
    company.write(CATEGORY, company.files[CATEGORY] + RULE)
    (problem,) = company.problems()
    assert (problem.file, problem.line, problem.column, problem.what) == (CATEGORY, 40, 13, "the selections of two rules overlap")
    assert f"support-files/uploads ({CATEGORY}:24)" in problem.why


def test_rules_of_two_categories_overlap_too(company):
    head = company.files[CATEGORY].partition("rules:")[0].replace("category: support-files", "category: other")
    company.write("policies.d/zz.yaml", head + "rules:\n" + RULE)
    assert [p.what for p in company.problems()] == ["the selections of two rules overlap"]


TWICE = """\
  again:
    store: helpdesk
    select: {table: attachments, where: "kind = 'upload'"}
    start: {column: closed_at, zone: UTC}
    retention_period: 1 month
    action: ACTION
"""


@pytest.mark.parametrize(
    ("one", "other", "problems"),
    [
        ("delete", "{anonymise: {sender_email: null}}", 0),
        ("{anonymise: {sender_email: null}}", "delete", 0),
        ("{anonymise: {sender_email: null}}", "{anonymise: {ip: null}}", 1),
        ("{anonymise: {sender_email: null}}", "keep", 1),
        ("delete", "delete", 1),
        ("delete", "keep", 1),
    ],
)
def test_one_rule_may_delete_what_another_anonymises(company, one, other, problems):
    company.edit(CATEGORY, "action: delete\n    subject: {email", f"action: {one}\n    subject: {{email")
    company.write(CATEGORY, company.files[CATEGORY] + TWICE.replace("ACTION", other))
    assert ["the selections of two rules overlap"] * problems == [p.what for p in company.problems()]
