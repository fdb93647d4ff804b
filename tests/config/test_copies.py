"""Archives, copies and requirements are judged when they are read: where copies go, who can read them, by which name."""

import pytest

from retentiond.core.policy import Archive, Copies, Copying, Requirement
from tests.config.conftest import CATEGORY, PaperType

C, S = "policies.d/support.yaml", "retentiond.yaml"
GOOD = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
ACTION = "    action: delete\n    subject: {ticket: ticket}\n"
PLACE = CATEGORY.splitlines().index("    action: delete") + 1
"""The line of that action."""


def mistakes(company, rule, stores=""):
    vault = "  vault:   {type: files, path: srv/vault, location: GB}\n  abroad:  {type: files, path: srv/abroad, location: US}\n"
    company.edit(S, "  pbx: ", f"{vault}{stores}  pbx: ")
    company.edit(C, ACTION, rule)
    return [f"{p.line - PLACE}:{p.column}: {p.what}" for p in company.problems()]


def rule_of(company, rule):
    assert [] == mistakes(company, rule)
    return company.load().rulebook.categories["support-files"].rules[0]


def archive(words):
    return f"    action: {{archive: {{{words}}}}}\n"


def test_an_archive(company):
    found = rule_of(company, archive(f'to: vault, path: "{{ticket}}/{{name}}.age", encrypt: [{GOOD}]'))
    assert Archive("vault", "{ticket}/{name}.age", (GOOD,)) == found.action.archive
    assert found.action.destroys
    assert {"uploads", "vault"} <= set(company.load().rulebook.stores_of(company.load().rulebook.categories["support-files"]))
    assert ("ticket",) == found.fields


@pytest.mark.parametrize(
    ("words", "path"),
    [(f"to: vault, encrypt: [{GOOD}]", "{category}/{rule}/{key}.age"), ("to: vault", "{category}/{rule}/{key}")],
)
def test_an_archive_has_a_path_of_its_own_accord(company, words, path):
    assert path == rule_of(company, archive(words)).action.archive.path


def test_copies_and_what_is_required(company):
    found = rule_of(
        company,
        f"    copy: {{to: vault, encrypt: [{GOOD}]}}\n"
        "    require: {encrypted: any, copies: {store: vault, at_least: 1}}\n    action: delete\n",
    )
    assert Copying("vault", (GOOD,)) == found.copy
    assert Requirement("any", Copies("vault", 1)) == found.require
    assert found.inspects


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("to: nowhere", ["0:28: the store 'nowhere' is not declared"]),
        ("to: uploads", ["0:28: the store 'uploads' is the same place"]),
        ("to: abroad", ["0:28: the store 'abroad' is where the category may not be"]),
        ("to: pbx", ["0:28: the store 'pbx' takes no copies"]),
        ("encrypt: []", ["0:14: 'to' is missing", "0:33: 'encrypt' is empty"]),
        ("to: vault, encrypt: [age1zzz]", ["0:45: item 1 of 'encrypt': this is no recipient of age"]),
        (f"to: vault, encrypt: [{GOOD[:-1]}3]", ["0:45: item 1 of 'encrypt': this is no recipient of age"]),
        (f"to: vault, encrypt: [{GOOD}, AGE-SECRET-KEY-1X]",
         [f"0:{47 + len(GOOD)}: item 2 of 'encrypt': this is no recipient of age"]),
        ('to: vault, path: "a/{ticket}"', []),
        ('to: vault, path: "a"', ["0:41: the path is the same for every copy"]),
        ('to: vault, path: "/{key}"', ["0:41: the path cannot be used"]),
        ('to: vault, path: "../{key}"', ["0:41: the path cannot be used"]),
        ('to: vault, path: "{key"', ["0:41: the path cannot be used"]),
        ('to: vault, path: "{tocket}/{key}"', ["0:41: the path has an unknown word 'tocket'"]),
        ('to: vault, path: "{date}/{key}"', ["0:41: the path cannot be used"]),
        ('to: vault, path: "{date:%Y}/{key}"', ["0:41: the path has a date"]),
    ],
)  # fmt: skip
def test_mistakes_in_an_archive(company, words, told):
    assert told == mistakes(company, archive(words))


def test_a_place_that_lies_in_the_store_is_the_same_place(company):
    inside = "  inside:  {type: files, path: srv/uploads/archive, location: GB}\n"
    assert ["0:28: the store 'inside' is the same place"] == mistakes(company, archive("to: inside"), inside)


def test_a_place_that_a_link_leads_to_is_the_same_place(company):
    (company.folder / "srv" / "uploads").mkdir(parents=True, exist_ok=True)
    (company.folder / "other").symlink_to(company.folder / "srv")
    linked = "  linked:  {type: files, path: other/uploads/archive, location: GB}\n"
    assert ["0:28: the store 'linked' is the same place"] == mistakes(company, archive("to: linked"), linked)


SERVED = {
    "s3": PaperType("s3", frozenset({"bucket", "prefix", "endpoint", "region", "profile"}), "bucket"),
    "sftp": PaperType("sftp", frozenset({"host", "port", "path", "user"}), "host"),
}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("type: s3, bucket: calls", "type: s3, bucket: calls, prefix: old/", True),
        ("type: s3, bucket: calls, prefix: old/calls/", "type: s3, bucket: calls, prefix: old", True),
        ("type: s3, bucket: calls, profile: jo", "type: s3, bucket: calls, profile: al", True),
        ("type: s3, bucket: calls, prefix: a", "type: s3, bucket: calls, prefix: ab", False),
        ("type: s3, bucket: calls", "type: s3, bucket: calls-2", False),
        ("type: s3, bucket: calls, endpoint: https://here", "type: s3, bucket: calls, endpoint: https://there", False),
        ("type: sftp, host: h, path: /srv, user: jo", "type: sftp, host: h, path: /srv/old, user: al", True),
        ("type: sftp, host: h, path: /srv", "type: sftp, host: h, path: /srv-old", False),
        ("type: sftp, host: h, path: /srv", "type: sftp, host: h2, path: /srv", False),
    ],
)
def test_one_place_on_a_server_is_the_same_whoever_comes_there(company, one, other, same):
    company.types = {**company.types, **SERVED}
    company.edit(S, "type: files, path: srv/uploads, location: IE", f"{one}, location: IE")
    told = mistakes(company, archive("to: far"), f"  far: {{{other}, location: GB}}\n")
    assert told == (["0:28: the store 'far' is the same place"] if same else [])


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("    action: archive\n", ["0:13: 'archive' needs its store"]),
        ("    copy: {to: abroad}\n    action: delete\n", ["0:16: the store 'abroad' is where the category may not be"]),
        ("    require: {}\n    action: delete\n", ["0:14: 'require' is empty"]),
        ("    require: {encrypted: rot13}\n    action: delete\n", ["0:26: 'encrypted' is 'rot13'"]),
        ("    require: {copies: {store: vault, at_least: 2}}\n    action: delete\n",
         ["0:48: 'at_least': this is no number of copies"]),
        ("    copy: {to: vault}\n    require: {copies: {store: abroad}}\n    action: delete\n",
         ["1:31: the store 'abroad' is where the category may not be", "1:31: the copies are required elsewhere"]),
        ("    require: {encrypted: age}\n    action: {archive: {to: vault}}\n", ["1:14: 'archive' has no recipients"]),
    ],
)  # fmt: skip
def test_mistakes_in_a_rule(company, rule, told):
    assert told == mistakes(company, rule)


def test_what_is_promised_to_be_encrypted_is_not_written_in_plain(company):
    company.write(
        "policies.d/vault.yaml",
        "category: vault\ntitle: t\npurpose: [p]\nlawful_basis: contract\ndata: [d]\nsubjects: [s]\nowner: o@example.org\n"
        "locations: [GB]\nschedule: daily at 02:00\nrules:\n  all:\n    store: vault\n    select: {path: 'a/**'}\n"
        "    start: modified\n    retention_period: 1 year\n    require: {encrypted: age}\n    action: delete\n",
    )
    assert ["0:14: the archive would be written in plain into 'vault'"] == mistakes(company, archive("to: vault"))


def test_rows_are_not_required_to_be_encrypted(company):
    company.edit(
        C, "    action: delete\n    subject: {email", "    require: {encrypted: any}\n    action: delete\n    subject: {email"
    )
    assert ["'require' is not for rows"] == [p.what for p in company.problems()]
