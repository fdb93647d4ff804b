"""Mail is plain text, says that a program wrote it, and goes through a server that is really the one."""

from dataclasses import replace
from email.utils import parsedate_to_datetime

import pytest

from retentiond.errors import NotDelivered
from retentiond.notify.smtp import Mail
from tests.notify.sinks import HANG, MailSink
from tests.notify.test_webhook import MESSAGE, PATIENT

NAMES = {"sender": "retentiond@example.org", "to": "dpo@example.org"}


def way(sink, timeout=PATIENT, **options):
    return Mail("127.0.0.1", timeout=timeout, port=sink.port, **{"security": "none", **NAMES, **options})


def refusal(mail):
    with pytest.raises(NotDelivered) as caught:
        mail.send(MESSAGE)
    return caught.value.what


def test_a_mail_arrives_whole(mail):
    way(mail).send(MESSAGE)
    (found,) = mail.mails
    assert found.get_content().splitlines() == MESSAGE.text.splitlines()
    assert (found["From"], found["To"], found["Subject"]) == ("retentiond@example.org", "dpo@example.org", MESSAGE.subject)
    assert found["Auto-Submitted"] == "auto-generated"
    assert found.get_content_type() == "text/plain"
    assert parsedate_to_datetime(found["Date"]) == MESSAGE.at.replace(microsecond=0)


def test_any_name_of_an_organisation_arrives(mail):
    way(mail).send(replace(MESSAGE, subject="retentiond: overdue (Zoë & Søn)", text="Zoë & Søn\n.\n" + "ü" * 2000 + "\n"))
    (found,) = mail.mails
    assert found["Subject"] == "retentiond: overdue (Zoë & Søn)"
    assert found.get_content().splitlines() == ["Zoë & Søn", ".", "ü" * 2000]


def test_the_same_news_has_the_same_id(mail):
    way(mail).send(MESSAGE)
    way(mail).send(MESSAGE)
    assert {found["Message-ID"] for found in mail.mails} == {f"<{MESSAGE.id}@example.org>"}


def test_the_machine_is_not_named(mail):
    way(mail).send(MESSAGE)
    assert mail.talk[0] == "ehlo example.org"


def test_starttls_comes_first_and_then_the_password(sinks, trusted):
    sink = sinks(MailSink, starttls=trusted, login="me:pass")
    way(sink, security="starttls", user="me", password="pass").send(MESSAGE)
    assert [words.split(" ")[0].lower() for words in sink.talk[:4]] == ["ehlo", "starttls", "ehlo", "auth"]
    assert len(sink.mails) == 1


def test_tls_from_the_first_byte(sinks, trusted):
    sink = sinks(MailSink, tls=trusted)
    way(sink, security="tls").send(MESSAGE)
    assert len(sink.mails) == 1


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_a_certificate_that_nobody_vouches_for_is_refused(sinks, stranger, security):
    sink = sinks(MailSink, **{security: stranger})
    assert refusal(way(sink, security=security)) == "the certificate of the mail server is not trusted"
    assert sink.mails == []


def test_a_server_without_starttls_gets_nothing(mail):
    assert refusal(way(mail, security="starttls", user="me", password="pass")) == "the mail server lacks what is asked of it"
    assert not [words for words in mail.talk if words.upper().startswith(("AUTH", "MAIL"))]


def test_a_wrong_password_is_told_without_the_servers_words(sinks, trusted):
    sink = sinks(MailSink, tls=trusted, login="me:other")
    assert refusal(way(sink, security="tls", user="me", password="pass")) == "the mail server refuses the user or the password"


@pytest.mark.parametrize(
    ("command", "answer", "expected"),
    [
        ("CONNECT", "554 canary", "the mail server answered 554"),
        ("MAIL", "550 canary", "the mail server refuses the sender"),
        ("RCPT", "550 canary", "the mail server refuses the recipient"),
        ("DATA", "451 canary", "the mail server answered 451"),
        ("BODY", "552 canary", "the mail server answered 552"),
        ("BODY", "garbage", "the mail server does not speak SMTP"),
    ],
)
def test_a_server_that_refuses_is_told_by_its_number(mail, command, answer, expected):
    mail.answers = {command: answer}
    assert refusal(way(mail)) == expected
    assert mail.mails == []


@pytest.mark.parametrize("command", ["CONNECT", "EHLO", "MAIL", "RCPT", "BODY"])
def test_a_server_that_hangs_holds_nobody_up(mail, command):
    mail.answers = {command: HANG}
    assert refusal(way(mail, timeout=0.3)).endswith("did not answer in time")


def test_what_was_taken_stays_taken_however_the_server_leaves(mail):
    mail.answers = {"QUIT": "500 canary"}
    way(mail).send(MESSAGE)
    assert len(mail.mails) == 1


def test_a_server_that_is_not_there_is_told_as_such(nobody):
    assert refusal(Mail("127.0.0.1", timeout=PATIENT, port=nobody, security="none", **NAMES)) == (
        "the mail server refuses connections"
    )
