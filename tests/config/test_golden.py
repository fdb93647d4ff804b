"""The golden table: what people get wrong, and exactly what they are told, with file, line and column.

Each mistake stands in the place of one spelling of the sample in `conftest.py`; what is said
about it is in `golden.txt`, without the reasons. Not a word of the configuration is executed.
"""

import re
from pathlib import Path

import pytest

S, C = "retentiond.yaml", "policies.d/support.yaml"
F = "    forbid: {unless: {event: contract-ended, by: ticket}}\n"
E, P = "    start: {event: ticket-resolved, by: ticket}\n", "    retention_period: immediately\n"
A = "action: delete\n    subject: {email"

MISTAKES: dict[str, tuple[str, str, str]] = {
    # YAML
    "unknown key": (C, "retention_period: 3 months", "retention_perod: 3 months"),
    "unknown key of all": (C, "approval: first", "aproval: first"),
    "duplicate key": (C, "retention_period: immediately", "retention_period: immediately\n    retention_period: 9 years"),
    "duplicate store": (S, "  pbx: ", "  uploads: {type: files}\n  pbx: "),
    "anchor": (C, "purpose: [", "purpose: &a ["),
    "alias": (C, "recipients: []", "recipients: [*a]"),
    "tag": (C, "title: Files", "title: !!str Files"),
    "python tag": (C, "title: Files obtained for support", "title: !!python/object/apply:os.system [id]"),
    "two documents": (C, "rules:", "---\nrules:"),
    "directive": (C, "category: support-files\n", "%YAML 1.1\n---\ncategory: support-files\n"),
    "number as key": (C, "  contract-ended:", "  12:"),
    "list as key": (C, "recipients: []", "[a, b]: []"),
    "tab": (C, "    settle: 1 hour", "\tsettle: 1 hour"),
    "open bracket": (C, "subjects: [customers]", "subjects: [customers"),
    "colon in text": (C, "title: Files obtained", "title: Files: obtained"),
    "control character": (C, "title: Files", "title: \x07Files"),
    "escaped control character": (C, "title: Files obtained for support", 'title: "a\\0b"'),
    # surprises of YAML 1.1
    "no is text": (C, "recorded: yes", "recorded: on"),
    "octal is text": (C, "items: 5000", "items: 012"),
    "base sixty is text": (C, "items: 5000", "items: 12:30"),
    "exponent is text": (C, "items: 5000", "items: 1e3"),
    "number where text belongs": (C, "title: Files obtained for support", "title: 2024"),
    "boolean where text belongs": (C, "title: Files obtained for support", "title: true"),
    "nothing where text belongs": (C, "title: Files obtained for support", "title:"),
    "blank text": (C, "title: Files obtained for support", 'title: "  "'),
    # a category
    "missing key": (C, "owner: dpo@example.org\n", ""),
    "bad name": (C, "category: support-files", "category: support files"),
    "text where a list belongs": (C, "subjects: [customers]", "subjects: customers"),
    "empty list": (C, "subjects: [customers]", "subjects: []"),
    "number in a list": (C, "subjects: [customers]", "subjects: [customers, 7]"),
    "unlawful basis": (C, "lawful_basis: contract", "lawful_basis: contrat"),
    "approval": (C, "approval: first", "approval: firts"),
    "share of nothing": (C, "share: 25%", "share: 0%"),
    "share without percent": (C, "share: 25%", "share: 25"),
    "size": (C, "bytes: 50 GiB", "bytes: 50 GiBi"),
    "no items": (C, "items: 5000", "items: 0"),
    "no promise text": (C, "promise: {text: deleted as soon as the issue has been resolved, ", "promise: {"),
    "cooling off": (C, "approval: first", "cooling_off: 0 days"),
    "cooling off without an end": (C, "approval: first", "cooling_off: forever"),
    "no rules": (C, "rules:\n" + "  uploads:", "rules: {}\nevents_2:\n  uploads:"),
    # schedules
    "schedule": (C, "every 15 minutes", "evry 15 minutes"),
    "schedule of zero": (C, "every 15 minutes", "every 0 minutes"),
    "time of day": (C, "every 15 minutes", "daily at 25:00"),
    "day of the week": (C, "every 15 minutes", "weekly on sunnday at 03:00"),
    "cron by number": (C, "every 15 minutes", '{cron: "0 2 * * 0"}'),
    "cron that is a number": (C, "every 15 minutes", "{cron: 5}"),
    "cron that is a list": (C, "every 15 minutes", "{cron: [0, 2]}"),
    "cron of six": (C, "every 15 minutes", '{cron: "0 0 2 * * mon"}'),
    "cron that never comes": (C, "every 15 minutes", '{cron: "0 2 30 feb *"}'),
    # periods
    "zero": (C, "retention_period: 3 months", "retention_period: 0 days"),
    "negative": (C, "retention_period: 3 months", "retention_period: -3 months"),
    "negative ISO": (C, "retention_period: 3 months", "retention_period: -P3M"),
    "fraction": (C, "retention_period: 3 months", "retention_period: 1.5 months"),
    "dangling T": (C, "retention_period: 3 months", "retention_period: P3MT"),
    "period in a list": (C, "retention_period: 3 months", "retention_period: [3 months]"),
    "no unit": (C, "retention_period: 3 months", "retention_period: 3"),
    "unknown unit": (C, "retention_period: 3 months", "retention_period: 3 monts"),
    "beyond sense": (C, "retention_period: 3 months", "retention_period: 9999 years"),
    "misspelt word": (C, "retention_period: immediately", "retention_period: imediately"),
    "deletion below retention": (C, "deletion_period: 4 months", "deletion_period: 2 months"),
    "deletion below minimum": (C, "minimum: {period: 1 month,", "minimum: {period: 6 years,"),
    "default deletion below minimum": (
        C, "retention_period: immediately", "retention_period: 1 day\n    minimum: {period: 1 year, mandate: the Act}",
    ),
    "minimum without mandate": (C, ", mandate: the Act", ""),
    "settle": (C, "settle: 1 hour", "settle: forever"),
    # stores, events and fields
    "undeclared store": (C, "    store: uploads", "    store: upload"),
    "store of an event": (C, "    store: helpdesk\n    query", "    store: helpdsk\n    query"),
    "files asked a query": (C, "    store: helpdesk\n    query", "    store: uploads\n    query"),
    "event without a source": (C, "{recorded: yes}", "{}"),
    "query without a store": (C, "    store: helpdesk\n    query", "    query"),
    "place not allowed": (C, "locations: [GB, IE]", "locations: [GB]"),
    "undeclared event": (C, "{event: ticket-resolved, by: ticket}", "{event: ticket-resolvd, by: ticket}"),
    "event by nothing": (C, "{event: ticket-resolved, by: ticket}", "{event: ticket-resolved}"),
    "event by a stranger": (C, "{event: ticket-resolved, by: ticket}", "{event: ticket-resolved, by: tiket}"),
    "subject that is not captured": (C, "subject: {ticket: ticket}", "subject: {ticket: number}"),
    "kind of subject": (C, "subject: {email: sender_email}", "subject: {é-mail: sender_email}"),
    # selections
    "everything by pattern": (C, '{path: "tickets/{ticket}/**"}', '{path: "**"}'),
    "everything by nothing": (C, '{path: "tickets/{ticket}/**"}', "{}"),
    "everything by condition": (C, "where: \"kind = 'upload'\"", 'where: "( 1 = 1 )"'),
    "everything by one": (C, "where: \"kind = 'upload'\"", "where: 1"),
    "whole table": (C, ", where: \"kind = 'upload'\"", ""),
    "everything in other words": (C, ", where: \"kind = 'upload'\"}", '}\n    everything: "yes"'),
    "everything of something": (C, "where: \"kind = 'upload'\"}", "where: x}\n    everything: yes, every item in attachments"),
    "absolute pattern": (C, "tickets/{ticket}/**", "/tickets/{ticket}/**"),
    "escaping pattern": (C, "tickets/{ticket}/**", "../{ticket}/**"),
    "no table": (C, "{table: attachments, where", "{where"),
    "table in files": (C, '{path: "tickets/{ticket}/**"}', "{table: tickets}"),
    "tags": (C, '{path: "tickets/{ticket}/**"}', '{path: "tickets/{ticket}/**", tags: {a: b}}'),
    "children": (C, "{table: attachments, ", "{table: attachments, children: reflekt, "),
    # starts and actions
    "created": (C, "{event: ticket-resolved, by: ticket}", "created"),
    "column of files": (C, "{event: ticket-resolved, by: ticket}", "{column: closed_at}"),
    "date that is none": (C, "{event: ticket-resolved, by: ticket}", "{path: ticket}"),
    "date not captured": (C, "{event: ticket-resolved, by: ticket}", "{path: day}"),
    "modified rows": (C, "{column: closed_at, zone: UTC}", "modified"),
    "two starts": (C, "{column: closed_at, zone: UTC}", "{column: closed_at, event: contract-ended}"),
    "start misspelt": (C, "{event: ticket-resolved, by: ticket}", "modifed"),
    "start by tag": (C, "{event: ticket-resolved, by: ticket}", "{tag: day}"),
    "zone of a start": (C, "zone: UTC}", "zone: Europe/Londn}"),
    "unit": (C, "zone: UTC}", "unit: us}"),
    "no start": (C, "    start: {column: closed_at, zone: UTC}\n", ""),
    "no period": (C, "    retention_period: immediately\n", ""),
    "generations and a period": (C, P, P + "    generations: {last: 3}\n"),
    "generations that keep nothing": (C, P, "    generations: {group_by: ticket}\n"),
    "generations of nothing": (C, P, "    generations:\n"),
    "generations as a number": (C, P, "    generations: 3\n"),
    "zero generations": (C, P, "    generations: {last: 0, daily: 7}\n"),
    "negative generations": (C, P, "    generations: {last: -1, daily: many, weekly: yes}\n"),
    "unknown generations": (C, P, "    generations: {dayly: 7}\n"),
    "within no time": (C, P, "    generations: {within: immediately}\n"),
    "within no period": (C, P, "    generations: {last: 1, within: 14}\n"),
    "group of a stranger": (C, P, "    generations: {last: 3, group_by: tickt, set_by: day}\n"),
    "groups that are sets": (C, P, "    generations: {last: 3, group_by: ticket, set_by: ticket}\n"),
    "generations without a start": (C, E + P, "    generations: {last: 3}\n"),
    "generations that are forbidden": (C, P, "    generations: {last: 3}\n" + F),
    "forbid nothing": (C, E + P, "    forbid: {}\n"),
    "forbid unless nothing": (C, E + P, "    forbid: {unless: {event: contract-ended}}\n"),
    "forbid by a stranger": (C, E + P, "    forbid: {unless: {event: contract-endet, by: tickt}}\n"),
    "forbid and a period": (C, P, P + F),
    "anonymise files": (C, "action: delete\n    subject: {ticket", "action: {anonymise: {who: x}}\n    subject: {ticket"),
    "anonymise nothing": (C, A, A.replace("delete", "{anonymise: {}}")),
    "anonymise by name": (C, A, A.replace("delete", "anonymise")),
    "anonymise a list": (C, A, A.replace("delete", "{anonymise: [sender_name]}")),
    "unknown strategy": (C, A, A.replace("delete", "{anonymise: {sender_name: {hush: 16}}}")),
    "two strategies": (C, A, A.replace("delete", "{anonymise: {sender_name: {hash: 16, mask: 2}}}")),
    "no strategy": (C, A, A.replace("delete", "{anonymise: {sender_name: {}}}")),
    "column as a list": (C, A, A.replace("delete", "{anonymise: {sender_name: [1], sender_email: true}}")),
    "hash lengths": (C, A, A.replace("delete", "{anonymise: {a: {hash: 3}, b: {hash: 65}, c: {hash: long}}}")),
    "masks": (C, A, A.replace("delete", "{anonymise: {a: {mask: -1}, b: {mask: all}}}")),
    "truncations": (C, A, A.replace("delete", "{anonymise: {a: {truncate: 0}, c: {truncate: day}, d: {truncate: 32}}}")),
    "anonymise the start": (C, A, A.replace("delete", "{anonymise: {Closed_At: null, sender_name: x}}")),
    "archive": (C, A, A.replace("delete", "{archive: {to: pbx}}")),
    "action of nothing": (C, A, A.replace("delete", "{}")),
    "action": (C, "action: delete\n    subject: {email", "action: delet\n    subject: {email"),
    # the settings
    "time zone": (S, "Europe/London", "Europe/Londn"),
    "time zone is a folder": (S, "Europe/London", "Europe"),
    "policies folder": (S, "policies: policies.d", "policies: policy.d"),
    "no organisation": (S, "organisation: Example Telephony Ltd\n", ""),
    "no origin": (S, "{origin: audit.example.org/retentiond, anchors: []}", "{anchors: []}"),
    "origin": (S, "audit.example.org/retentiond", "our audit log"),
    "anchors": (S, "anchors: []", "anchors: [s3, {stroe: uploads}, {store: uploads, command: [a]}, 5]"),
    "anchors is a list": (S, "anchors: []", "anchors: journal"),
    "anchor misspelt": (S, "anchors: []", "anchors: [jurnal]"),
    "anchor twice": (S, "anchors: []", "anchors: [{store: uploads}, journal, {store: uploads, folder: checkpoints}]"),
    "anchor in a table": (S, "anchors: []", "anchors: [{store: pbx}, {store: uplods}, {store: uploads, folder: ../x}]"),
    "anchor without a program": (S, "anchors: []", "anchors: [{command: []}, {command: [5]}]"),
    "notify": (S, "notify: []", "notify: [mail]"),
    "notify is a list": (S, "notify: []", "notify: {webhook: {env: HOOK}}"),
    "notify misspelt": (S, "notify: []", "notify: [{webhok: https://example.org/}]"),
    "notify of two kinds": (S, "notify: []", "notify: [{webhook: {env: HOOK}, apprise: {env: HOOK}}]"),
    "notify twice": (S, "notify: []", "notify: [{webhook: {env: HOOK}}, {webhook: {env: HOOK}}]"),
    "notify on what": (S, "notify: []", "notify: [{webhook: {env: HOOK}, on: [overdu, failure]}]"),
    "notify on nothing": (S, "notify: []", "notify: [{webhook: {env: HOOK}, on: []}]"),
    "webhook without encryption": (S, "notify: []", "notify: [{webhook: http://example.org/swordfish}]"),
    "webhook elsewhere": (S, "notify: []", "notify: [{webhook: ftp://example.org/swordfish}]"),
    "webhook with a password": (S, "notify: []", "notify: [{webhook: https://me:swordfish@example.org/}]"),
    "webhook secrets": (S, "notify: []", "notify: [{webhook: {env: H}, headers: {Authorization: swordfish}, secret: swordfish}]"),
    "webhook headers": (S, "notify: []", "notify: [{webhook: {env: H}, headers: {Host: a, a b: c, X-A: 7}}]"),
    "mail missing": (S, "notify: []", "notify: [{smtp: mail.example.org}]"),
    "mail addresses": (S, "notify: []", "notify: [{smtp: mail.example.org, from: dpo, to: [A <a@b.example>, c@d.example]}]"),
    "mail server": (S, "notify: []", "notify: [{smtp: smtp://mail, from: a@b.example, to: [a@b.example], port: 70000}]"),
    "mail user": (S, "notify: []", "notify: [{smtp: mail, from: a@b.example, to: [a@b.example], user: me, security: ssl}]"),
    "mail password": (S, "notify: []", "notify: [{smtp: mail, from: a@b.example, to: [a@b.example], password: swordfish}]"),
    "mail in the clear": (
        S,
        "notify: []",
        "notify: [{smtp: mail, from: a@b.example, to: [a@b.example], user: me, password: {env: P}, security: none}]",
    ),
    "apprise in the clear": (S, "notify: []", "notify: [{apprise: slack://swordfish}]"),
    "silence": (S, "notify: []", "silence: 0"),
    "dask": (S, "engine: local", "engine: {dask: tls://scheduler:8786}"),
    "engine": (S, "engine: local", "engine: locale"),
    "state database": (S, "state: state", "state: {directory: state, database: mysql+pymysql://db/r, password: swordfish}"),
    "store type": (S, "type: files", "type: file"),
    "no location": (S, ", location: IE", ""),
    "no type": (S, "type: files, ", ""),
    "store option": (S, "path: srv/uploads", "path: srv/uploads, paht: x"),
    "missing option": (S, "path: srv/uploads, ", ""),
    "store zone": (S, "zone: UTC", "zone: UTCC"),
    "literal secret": (S, "{credential: pbx}", "swordfish"),
    "two secrets": (S, "{credential: pbx}", "{credential: pbx, env: PBX}"),
    "password in a URL": (S, "sqlite:///pbx.db", "postgresql://me:swordfish@db/pbx"),
    "store holds the policies": (S, "path: srv/uploads", "path: policies.d"),
    "store holds the state": (S, "path: srv/uploads", "path: ."),
    "store inside the state": (S, "path: srv/uploads", "path: state/plans"),
    "look-up in files": (S, "{store: pbx, query", "{store: uploads, query"),
    "look-up without an identifier": (S, "email = :email", "email > ''"),
}  # fmt: skip


def golden() -> dict[str, list[str]]:
    """The expected problems of each mistake by its name."""
    text = (Path(__file__).parent / "golden.txt").read_text(encoding="utf-8")
    blocks = re.findall(r"^\[(.+)\]\n((?:.+\n)*)", text, re.MULTILINE)
    return {name: lines.splitlines() for name, lines in blocks}


GOLDEN = golden()


def test_every_mistake_has_its_answer():
    assert list(MISTAKES) == list(GOLDEN)


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_with_its_place(company, name):
    file, old, new = MISTAKES[name]
    company.edit(file, old, new)
    assert GOLDEN[name] == [f"{p.file}:{p.line}:{p.column}: {p.what}" for p in company.problems()]


@pytest.mark.parametrize("name", MISTAKES)
def test_every_problem_says_why_and_none_tells_a_secret(company, name):
    file, old, new = MISTAKES[name]
    company.edit(file, old, new)
    problems = company.problems()
    assert all(p.why for p in problems)
    assert not any("swordfish" in str(p) for p in problems)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("unknown key", "retention_period"),
        ("unlawful basis", "contract"),
        ("approval", "first"),
        ("unknown unit", "months"),
        ("misspelt word", "immediately"),
        ("undeclared store", "uploads"),
        ("undeclared event", "ticket-resolved"),
        ("event by a stranger", "ticket"),
        ("day of the week", "sunday"),
        ("store type", "files"),
        ("action", "delete"),
        ("start misspelt", "modified"),
        ("time zone", "Europe/London"),
        ("anchor misspelt", "journal"),
        ("notify misspelt", "webhook"),
        ("notify on what", "overdue"),
    ],
)
def test_a_misspelling_is_answered_with_what_may_be_meant(company, name, meant):
    file, old, new = MISTAKES[name]
    company.edit(file, old, new)
    assert [f"did you mean '{meant}'?"] == [p.do for p in company.problems()]
