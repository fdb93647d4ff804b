"""Mail, met through the command line: planned, held, carried out, proved; whatever it is kept in."""

import json

import pytest

from tests.acceptance.shop import LETTERS, NEW, OLD
from tests.stores.letters import Maildir, Mbox, letter, mbox_key

CORRESPONDENCE = """\
  letters:
    store: mail
    select: {folder: in, to: support@example.org, header: {Subject: "*[#{ticket}]*"}}
    start: START
    retention_period: 3 months
    action: delete
    subject: {email: correspondents, message: message-id, ticket: ticket}
"""
EVENT = """\
limits: {share: 100%}
events:
  answered:
    store: till
    query: SELECT id AS subject, at AS at FROM tickets WHERE status = 'answered'
"""


@pytest.fixture
def mailbox(bare):
    bare.settings(more="  mail: {type: mail, path: mail, format: maildir, location: GB}")
    bare.sql("CREATE TABLE tickets(id INTEGER PRIMARY KEY, at, status TEXT)")
    return Maildir(bare.folder / "mail")


def mails(mailbox, count, at=OLD, first=0):
    """Letters about tickets, each with a number of its own."""
    return [mailbox.put(f"{n}.x", letter(n, Subject=f"Re: [#{n}] it hums"), at) for n in range(first, first + count)]


def verdicts(shop):
    return {key: (line["verdict"], "; ".join(line["reasons"])) for key, line in shop.stays().items()}


def test_old_mail_goes_and_its_going_is_proved(bare, mailbox):
    bare.category("post", CORRESPONDENCE.replace("START", "created"))
    old, new = mails(mailbox, 10), mails(mailbox, 3, NEW, 100)
    other = mailbox.put("other", letter(7, To="sales@example.org"))
    assert bare.json("check")["ok"]
    plan = bare.plan()
    assert old == sorted(bare.steps(plan))
    mailbox.at(old[0]).rename(mailbox.path / "in" / "cur" / "0.x:2,FRS")
    mailbox.change(old[1])
    counts = bare.json("apply", plan)["counts"]
    assert (9, 1) == (counts["disposed"], counts["changed"])
    assert {old[1], *new, other} == {key for key in [*old, *new, other] if mailbox.at(key)}
    assert 0 == bare.told("audit", "lookup", "mail", old[0]).code
    assert 1 == bare.told("audit", "lookup", "mail", new[0], code=None).code
    assert "The audit trail verifies" in bare.told("audit", "verify").out


def test_the_same_in_mbox_files_one_of_them_by_itself(bare):
    bare.settings(more="  mail: {type: mail, path: mail/in, format: mbox, location: GB}")
    bare.category("post", CORRESPONDENCE.replace("START", "created"))
    mailbox = Mbox(bare.folder / "mail")
    for n in range(6):
        dated = f"From mda@test {NEW if n > 3 else OLD:%a %b %e %H:%M:%S %Y}".encode()
        mailbox.append(letter(n, Subject=f"[#{n}]"), line=dated)
    mailbox.append(letter(9, Subject="[#9]", body="hello\n\nFrom here on\n"))
    assert bare.json("check")["ok"]
    rule = bare.rule("letters")
    assert (4, 2, 1) == (rule["due"], rule["waiting"], rule["undetermined"])
    counts = bare.json("apply", bare.plan())["counts"]
    assert 4 == counts["disposed"]
    assert [b"<4@", b"<5@", b"<9@"] == [part[:3] for part in (mailbox.path / "in").read_bytes().split(b"Message-ID: ")[1:]]
    gone = mbox_key("1@example.net", line=f"From mda@test {OLD:%a %b %e %H:%M:%S %Y}".encode())
    assert 0 == bare.told("audit", "lookup", "mail", gone).code
    assert "The audit trail verifies" in bare.told("audit", "verify").out
    assert ["in"] == [path.name for path in mailbox.path.iterdir()]


def test_the_clock_of_mail_starts_when_its_ticket_is_answered(bare, mailbox):
    bare.category("post", CORRESPONDENCE.replace("START", "{event: answered, by: ticket}"), head=EVENT)
    mails(mailbox, 4)
    rows = [(0, f"{OLD:%F %T}", "answered"), (1, f"{NEW:%F %T}", "answered"), (2, f"{OLD:%F %T}", "open")]
    for row in [*rows, (3, f"{OLD:%F %T}", "answered")]:
        bare.sql("INSERT INTO tickets VALUES(?,?,?)", *row)
    plan = bare.plan()
    assert ["in/0.x", "in/3.x"] == sorted(bare.steps(plan))
    told = verdicts(bare)
    assert ("waiting", "undetermined") == (told["in/1.x"][0], told["in/2.x"][0])
    bare.sql("UPDATE tickets SET status = 'open' WHERE id = 3")
    counts = bare.json("apply", plan)["counts"]
    assert (1, 1) == (counts["disposed"], counts["changed"])
    assert mailbox.at("in/3.x")


def test_a_hold_on_a_person_or_a_message_keeps_what_they_wrote_and_were_written(bare, mailbox):
    bare.category("post", CORRESPONDENCE.replace("START", "{header: Date}"))
    mails(mailbox, 4)
    mailbox.put("5.x", letter(5, Subject="[#5]", Cc='"Jo Two" <Jo2@Example.NET>'))
    claim = ("--reason", "a claim", "--mandate", "Art. 17(3)(e) GDPR")
    bare.told("hold", "place", "PERSON", *claim, "--subject", "email=JO2@example.net")
    bare.told("hold", "place", "MESSAGE", *claim, "--subject", "message=<3@example.net>")
    bare.told("hold", "place", "FOLDER", *claim, "--path", "elsewhere/**")
    plan = bare.plan()
    assert ["in/0.x", "in/1.x"] == sorted(bare.steps(plan))
    assert {"in/2.x", "in/3.x", "in/5.x"} == {key for key, (verdict, _) in verdicts(bare).items() if verdict == "held"}
    bare.told("hold", "place", "LATE", *claim, "--subject", "email=jo1@example.net")
    counts = bare.json("apply", plan)["counts"]
    assert (1, 1) == (counts["disposed"], counts["held"])


def test_mail_that_cannot_be_read_is_told_and_stays(bare, mailbox):
    bare.category("post", CORRESPONDENCE.replace("START", "created"))
    mails(mailbox, 3)
    broken = mailbox.put("broken", b"To: support@example.org\nno header\nSubject: [#9]\n\nbody")
    rule = bare.rule("letters")
    assert (3, 1) == (rule["due"], rule["undetermined"])
    assert "cannot be read" in verdicts(bare)[broken][1]
    bare.json("apply", bare.plan())
    assert mailbox.at(broken)


def test_nobody_is_named_in_what_is_logged(bare, mailbox):
    bare.category("post", CORRESPONDENCE.replace("START", "created"))
    for n in range(3):
        mailbox.put(f"canary-{n}", letter(n, From="canary@example.net", Subject=f"[#{n}] canary"), OLD)
    told = bare.apart("apply", bare.plan())
    log = "".join(path.read_text(errors="replace") for path in (bare.folder / "state" / "log").rglob("*") if path.is_file())
    assert "canary" not in told.err + told.out + log + json.dumps(bare.entries())


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("folder: in", "foldr: in", "unknown key 'foldr'"),
        ("folder: in, to: support@example.org, ", "", ""),
        ('folder: in, to: support@example.org, header: {Subject: "*[#{ticket}]*"}', "", "selection is everything"),
        ('folder: in, to: support@example.org, header: {Subject: "*[#{ticket}]*"}', 'from: "*"', "selection is everything"),
        ("folder: in", "folder: /in", "pattern cannot be used"),
        ("folder: in", 'folder: "{day:%Y}"', "a folder captures text"),
        ("*[#{ticket}]*", "*{ticket}", "something fixed has to stand before it"),
        ("Subject:", "Sub ject:", "no name of a header"),
        ("to: support@example.org", 'to: "{ticket}@example.org"', "stands in two patterns"),
        ("to: support@example.org", "to: [7]", "no list of names"),
        ("email: correspondents", "email: every body", "no name of a header"),
        ("created", "{column: at}", "'column' is no start for mail"),
        ("created", "{path: day}", "'path' is no start for mail"),
        ("created", "{header: Da te}", "no name of a header"),
        ("created", "{header: Date, unit: s}", "'unit' means nothing beside 'header'"),
        ("delete", "{anonymise: {from: x}}", "cannot be anonymised"),
    ],
)
def test_mistakes_are_told_with_their_place(bare, mailbox, old, new, what):
    rules = CORRESPONDENCE.replace("START", "created")
    assert old in rules
    bare.category("post", rules.replace(old, new))
    told = bare.told("check", code=None)
    assert (2 if what else 0) == told.code, told
    assert what in told.err.replace("\n", " ")


def test_two_rules_for_one_folder_are_an_error_unless_their_conditions_tell_them_apart(bare, mailbox):
    two = CORRESPONDENCE.replace("START", "created")
    bare.category("post", two + two.replace("letters:", "others:"))
    assert "overlap" in bare.told("check", code=2).err
    bare.category("post", two + two.replace("letters:", "others:").replace("support@", "sales@"))
    assert bare.json("check")["ok"]


@pytest.mark.parametrize("kind", ["maildir", "mbox"])
def test_letters_are_archived_as_they_were_sent_and_none_is_written_into_a_mailbox(bare, kind):
    post = f"  mail: {{type: mail, path: mail, format: {kind}, location: GB}}"
    bare.settings(more=post + "\n  vault: {type: files, path: vault, location: GB}")
    (bare.folder / "vault").mkdir()
    bare.category(
        "post", CORRESPONDENCE.replace("START", "{header: Date}").replace("action: delete", "action: {archive: {to: vault}}")
    )
    place = Maildir(bare.folder / "mail") if kind == "maildir" else Mbox(bare.folder / "mail")
    letters = [letter(n, Subject=f"[#{n}]", body=b"x" * n * 700_000 + b"\n") for n in range(3)]
    for n, one in enumerate(letters):
        place.put(f"{n}", one) if kind == "maildir" else place.append(one)
    assert 3 == bare.json("apply", bare.plan())["counts"]["disposed"]
    copies = [(bare.folder / "vault" / name).read_bytes() for name in bare.left("vault") if "manifest-" not in name]
    assert sorted(letters) == sorted(copies)
    assert not [name for name in bare.left("mail") if (bare.folder / "mail" / name).stat().st_size]
    bare.category("post", LETTERS.replace("action: delete", "action: {archive: {to: mail}}"))
    assert "takes no copies" in bare.told("check", code=2).err


def test_the_same_on_an_imap_server(bare, account, monkeypatch):
    monkeypatch.setenv("POST", "open.sesame")
    at = f"host: 127.0.0.1, port: {account.server.port}, user: {account.user}, ca: {account.server.ca}"
    bare.settings(more=f"  mail: {{type: mail, {at}, password: {{env: POST}}, location: GB}}")
    bare.category("post", CORRESPONDENCE.replace("START", "created").replace("folder: in", "folder: in/support"))
    old = [account.put("in/support", letter(n, Subject=f"[#{n}]"), OLD) for n in range(5)]
    new = account.put("in/support", letter(9, Subject="[#9]"), NEW)
    assert bare.json("check")["ok"]
    claim = ("--reason", "a claim", "--mandate", "Art. 17(3)(e) GDPR")
    bare.told("hold", "place", "PERSON", *claim, "--subject", "email=jo4@example.net")
    plan = bare.plan()
    account.remove_one(old[0])
    counts = bare.json("apply", plan)["counts"]
    assert (3, 1) == (counts["disposed"], counts["gone"])
    assert [old[4], new] == [key for key in [*old, new] if account.content(key)]
    assert 0 == bare.told("audit", "lookup", "mail", old[1]).code
    assert "The audit trail verifies" in bare.told("audit", "verify").out
    monkeypatch.setenv("POST", "wrong")
    told = bare.told("plan", code=5)
    assert account.user not in told.err
