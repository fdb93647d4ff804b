"""What is left to a bucket must be what its own lifecycle can express, and locks are passed where there are some."""

import pytest

from retentiond.stores.s3 import S3Type
from tests.config.conftest import CATEGORY

C, S = "policies.d/support.yaml", "retentiond.yaml"
BUCKET = "{type: s3, bucket: acme, endpoint: 'http://127.0.0.1:9000',"
RULE = """\
    store: uploads
    select: {path: "calls/**"}
    start: modified
    retention_period: 90 days
    action: delete
    by: lifecycle
"""
OLD = CATEGORY[CATEGORY.index("    store: uploads") : CATEGORY.index("  senders:")]


@pytest.fixture
def bucket(company):
    company.types = {**company.types, "s3": S3Type()}
    company.edit(S, "{type: files, path: srv/uploads,", BUCKET)
    company.edit(C, OLD, RULE)
    return company


def first(company):
    return company.load().rulebook.categories["support-files"].rules[0]


def test_a_rule_may_be_left_to_the_bucket(bucket):
    assert (first(bucket).by, first(bucket).step_action.kind, first(bucket).action.kind) == ("lifecycle", "lifecycle", "delete")
    bucket.edit(C, '"calls/**"', '"calls/**", tags: {kind: call}')
    bucket.edit(C, "90 days", "2 weeks")
    bucket.edit(C, "start: modified", "start: created")
    assert first(bucket).retention.days == 14


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("start: modified", "start: {tag: recorded}", "needs start: modified"),
        ("start: modified", "start: {metadata: recorded}", "needs start: modified"),
        ("90 days", "3 months", "needs a period in days"),
        ("90 days", "immediately", "needs a period in days"),
        ("90 days", "90 days 6 hours", "needs a period in days"),
        ("90 days", "forever", "needs a period in days"),
        ('"calls/**"', '"calls/*"', "needs a folder"),
        ('"calls/**"', '"calls/{day:%Y-%m-%d}/**"', "needs a folder"),
        ('"calls/**"', '"**/calls/**"', "needs a folder"),
        ('"calls/**"', '"calls/**", versions: noncurrent', "does not go with 'versions'"),
        ('"calls/**"', '"calls/**", uploads: incomplete', "does not go with 'uploads'"),
        ("action: delete\n    by", "action: review\n    by", "goes with action: delete only"),
        ("    by:", "    minimum: {period: 30 days, mandate: the Act}\n    by:", "does not go with 'minimum'"),
        ("    by:", "    cooling_off: 7 days\n    by:", "does not go with 'cooling_off'"),
        ("    by:", '    exempt: {ground: d, because: "statistics"}\n    by:', "does not go with 'exempt'"),
        ("    by:", "    require: {encrypted: any}\n    by:", "does not go with 'require'"),
        ("    by:", "    subject: {ticket: ticket}\n    by:", "does not go with 'subject'"),
        ("    by:", "    link: ticket\n    by:", "does not go with 'link'"),
        ("    retention_period: 90 days\n", "    generations: {last: 3}\n", "does not go with 'generations'"),
    ],
)
def test_what_a_bucket_cannot_know_is_refused(bucket, old, new, what):
    bucket.edit(C, old, new)
    told = [problem for problem in bucket.problems() if what in problem.what]
    assert told, [str(problem) for problem in bucket.problems()]
    (problem,) = told
    place = bucket.files[C].splitlines()[problem.line - 1]
    assert place.strip() == "by: lifecycle"
    assert problem.why
    assert problem.do


def test_a_cooling_off_of_the_whole_category_is_refused_too(bucket):
    bucket.edit(C, "approval: first\n", "approval: first\ncooling_off: 7 days\n")
    assert any("does not go with 'cooling_off'" in problem.what for problem in bucket.problems())


def test_each_plan_wants_a_person_and_a_bucket_asks_nobody(bucket):
    bucket.edit(C, "approval: first\n", "approval: always\n")
    assert any("does not go with 'approval: always'" in problem.what for problem in bucket.problems())


@pytest.mark.parametrize("words", ["by: lifecycle", "bypass_governance: yes"])
def test_only_a_bucket_has_rules_and_locks_of_its_own(company, words):
    company.edit(C, OLD, RULE.replace("by: lifecycle", words))
    (problem,) = company.problems()
    assert "means nothing in this store" in problem.what


def test_a_lock_is_passed_by_us_or_not_at_all(bucket):
    bucket.edit(C, "    by: lifecycle\n", "    bypass_governance: yes\n")
    assert first(bucket).bypass_governance is True
    bucket.edit(C, "    bypass_governance: yes\n", "    bypass_governance: yes\n    by: lifecycle\n")
    (problem,) = bucket.problems()
    assert "does not go with 'by'" in problem.what


def test_what_is_said_of_by_is_one_word(bucket):
    bucket.edit(C, "by: lifecycle", "by: bucket")
    (problem,) = bucket.problems()
    assert "lifecycle" in problem.why + problem.do + problem.what
