"""Whom to tell: addresses as they are written, their secrets as references, and ids that outlive a change of the rest."""

import json

import pytest

from retentiond.config import schema as schemas
from retentiond.config.load import secret_findings
from retentiond.config.notify import webhook_problem
from retentiond.config.secrets import Secret
from retentiond.core.alarm import KINDS
from tests.config.json_schema import faults
from tests.config.test_schema import read

FILE = "retentiond.yaml"
GOOD = [
    "{webhook: https://example.org/hook}",
    "{webhook: 'http://127.0.0.1:8080/x?a=b', on: [overdue, hold-review]}",
    "{webhook: {credential: hook}, headers: {Authorization: {env: TOKEN}, X-Place: here}, secret: {file: hook.key}}",
    "{smtp: mail.example.org, from: a@example.org, to: [b@example.org]}",
    "{smtp: '::1', port: 2525, security: none, from: a@example.org, to: [b@example.org, c+d@example.org]}",
    "{smtp: mail, security: tls, user: me, password: {credential: smtp}, from: a@example.org, to: [b@example.org]}",
    "{apprise: {credential: chat}, on: [silence]}",
]


def told(company, *written):
    company.edit(FILE, "notify: []", f"notify: [{', '.join(written)}]")
    return company.load().settings.notify


@pytest.mark.parametrize("written", GOOD)
def test_each_way_is_read_and_fits_the_schema(company, written):
    (address,) = told(company, written)
    assert address.label == f"address 1 ({address.way})"
    assert faults({**schemas.settings(), "required": []}, {"notify": [read(written)]}) == []


def test_several_are_numbered_as_they_stand(company):
    assert [address.number for address in told(company, *GOOD)] == [1, 2, 3, 4, 5, 6, 7]


def test_without_a_word_of_it_every_kind_is_told(company):
    everything, some = told(company, *GOOD[:2])
    assert everything.on == frozenset(KINDS)
    assert some.on == {"overdue", "hold-review"}


def test_secrets_stay_where_they_are(company):
    (address,) = told(company, GOOD[2])
    assert address.options["webhook"] == Secret("credential", "hook")
    assert address.options["headers"] == {"Authorization": Secret("env", "TOKEN"), "X-Place": "here"}
    assert address.options["secret"] == Secret("file", str(company.folder / "hook.key"))


def test_secrets_that_are_not_there_are_found_by_check(company):
    company.edit(FILE, "notify: []", f"notify: [{GOOD[2]}]")
    found = [(p.column, p.what) for p in secret_findings(company.load(), {}) if p.line == 12]
    assert [what for _, what in found] == [
        "the secret {credential: hook} is not there",
        "the secret {env: TOKEN} is not there",
        f"the secret {{file: {company.folder}/hook.key}} is not there",
    ]


def test_an_id_is_of_the_place_and_not_of_what_stands_beside_it(company):
    (first,) = told(company, "{webhook: {credential: hook}}")
    company.edit(FILE, "{webhook: {credential: hook}}", "{webhook: {credential: hook}, on: [failure], headers: {X-A: b}}")
    (second,) = company.load().settings.notify
    company.edit(FILE, "{credential: hook}", "{credential: other}")
    (third,) = company.load().settings.notify
    assert first.ids == second.ids != third.ids


def test_each_recipient_has_an_id_of_their_own(company):
    one, other = told(
        company,
        "{smtp: mail, from: a@example.org, to: [b@example.org, c@example.org], on: [failure]}",
        "{smtp: mail, from: a@example.org, to: [d@example.org], on: [overdue]}",
    )
    assert len({*one.ids, *other.ids}) == 3


@pytest.mark.parametrize(
    "to", ["[b@example.org, b@example.org]", "[b@example.org]}, {smtp: mail, from: a@b.example, to: [b@example.org]"]
)
def test_nobody_is_told_twice(company, to):
    company.edit(FILE, "notify: []", f"notify: [{{smtp: mail, from: a@example.org, to: {to}}}]")
    assert [p.what for p in company.problems()] == ["an address stands twice"]


@pytest.mark.parametrize("url", ["https://h/x", "http://localhost/x", "http://[::1]:8/x", "https://h:8443/x?token=1"])
def test_what_is_encrypted_or_stays_here_may_be_used(url):
    assert webhook_problem(url) is None


@pytest.mark.parametrize(
    "url", ["http://h/x", "https://u@h/", "https://u:p@h/", "https:///x", "h/x", "", "https://h:x/", "https://h/ü", "https://[/"]
)
def test_what_is_not_is_refused_without_quoting_it(url):
    assert webhook_problem(url) is not None
    assert not url or url not in str(webhook_problem(url))


def test_apprise_is_an_extra_whose_absence_is_told(company, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "apprise", None)
    company.edit(FILE, "notify: []", "notify: [{apprise: {credential: chat}}]")
    assert [p.what for p in company.problems()] == ["apprise is not installed"]


def test_the_schema_marks_what_is_wrong():
    whole = {**schemas.settings(), "required": []}
    for wrong in (
        ["mail"],
        [{"webhook": "x"}],
        [{"smtp": "m"}],
        [{"apprise": "slack://x"}],
        [{"webhook": "https://x", "on": ["x"]}],
    ):
        assert faults(whole, {"notify": json.loads(json.dumps(wrong))}), wrong
