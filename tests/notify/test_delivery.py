"""An address that fails holds up nobody and fails nothing: what it is owed is kept, and comes later, in its order."""

import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest

from retentiond.app.alarms import tell
from retentiond.app.delivering import standing_of
from retentiond.core.registers import Hold
from tests.acceptance.shop import NOW
from tests.notify.sinks import HANG, WebSink
from tests.notify.test_alarms import effective, looked, run, ticks


def owed(shop):
    with shop.house() as house:
        return [(debtor.owed, debtor.trouble) for _, debtor in standing_of(house)]


def after(minutes):
    return NOW + timedelta(minutes=minutes)


@pytest.fixture
def failed(teller):
    """A shop in which one look has failed and nobody has been told yet."""
    looked(teller, "failed", code="store-unavailable")
    return teller


def test_a_run_is_not_failed_by_an_address_that_fails(teller, nobody):
    teller.notify(f"{{webhook: 'http://127.0.0.1:{nobody}/swordfish'}}")
    teller.letters(3)
    run(teller, code=3)
    teller.told("approve", "post", "--yes")
    told = run(teller)
    assert teller.left() == set()
    assert "disposed            3" in told.out
    assert "swordfish" not in told.err


def test_what_hinders_is_said_once_a_try_and_in_our_words(teller, nobody):
    teller.notify(f"{{webhook: 'http://127.0.0.1:{nobody}/swordfish'}}")
    told = run(teller, code=3)
    said = "retentiond: address 1 (webhook): not told: the address refuses connections; it is tried again later\n"
    assert told.err.startswith(said)
    assert owed(teller) == [(1, "the address refuses connections")]


def test_an_address_that_answers_500_gets_its_message_later(failed, web):
    web.answers = [500]
    first = ticks(failed)
    assert (first.sent, first.owed, first.troubles) == (0, 1, {"address 1 (webhook)": "the address answered 500"})
    second = ticks(failed, after(2))
    assert (second.new, second.sent, second.owed) == (0, 1, 0)
    assert web.told == [("new", "failure", "post")]
    assert owed(failed) == [(0, "")]


def test_many_that_hang_do_not_hold_up_the_daemon_and_whoever_is_left_is_told_later(teller, web, sinks):
    others = [sinks(WebSink) for _ in range(2)]
    teller.notify(*[f"{{webhook: '{each.url}'}}" for each in (web, *others)])
    looked(teller, "failed")
    web.answers, others[0].answers = [HANG], [HANG]
    with teller.house() as house:
        first = tell(house, NOW, timeout=1, altogether=0.5)
        assert (list(first.troubles), others[1].told) == (["address 1 (webhook)"], [])
        tell(house, NOW, timeout=1, altogether=1.5)
    assert others[1].told == [("new", "failure", "post")]


def test_an_address_that_failed_is_left_alone_for_longer_and_longer(failed, web):
    web.answers = [500] * 99
    for minute in range(0, 240, 10):
        ticks(failed, after(minute))
    assert 6 <= len(web.bodies) <= 9
    web.answers = []
    ticks(failed, after(240 + 60))
    assert web.told == [("new", "failure", "post")]


def test_one_that_hangs_is_given_up_soon_and_the_next_is_told(teller, web, sinks):
    other = sinks(WebSink)
    teller.notify(f"{{webhook: '{web.url}'}}", f"{{webhook: '{other.url}'}}")
    looked(teller, "failed")
    web.answers = [HANG]
    with teller.house() as house:
        told = tell(house, NOW, timeout=2)
    assert told.troubles == {"address 1 (webhook)": "the address did not answer in time"}
    assert other.told == [("new", "failure", "post")]


def test_the_other_is_not_told_twice_for_it(teller, web, sinks):
    other = sinks(WebSink)
    teller.notify(f"{{webhook: '{web.url}'}}", f"{{webhook: '{other.url}'}}")
    looked(teller, "failed")
    web.answers = [500, 500]
    for minute in (0, 2, 10):
        ticks(teller, after(minute))
    assert web.told == other.told == [("new", "failure", "post")]


def test_what_came_and_went_meanwhile_is_told_in_its_order(failed, web):
    web.answers = [500]
    ticks(failed)
    effective(failed)
    ticks(failed, after(0.1))
    looked(failed, "failed")
    ticks(failed, after(0.2))
    assert web.told == []
    ticks(failed, after(5))
    assert [change for change, *_ in web.told] == ["new", "over", "new"]
    assert len(web.messages) == 1


def test_a_message_carries_only_so_much_and_the_rest_follows_at_once(teller, web):
    effective(teller)
    with teller.house() as house:
        for i in range(60):
            house.holds.place(Hold(f"H{i}", "reason", "mandate", everything=True, review_on="2020-01-01"), house.word)
    ticks(teller)
    assert [len(message["alarms"]) for message in web.messages] == [50, 10]
    assert "And 30 more." in web.messages[0]["text"]


def test_two_at_once_do_not_both_tell(failed, web):
    """While one process has the address, another leaves it alone; when the first is gone for good, it takes over."""
    with failed.house() as first, failed.house() as second:
        web.answers = [500]
        tell(first, NOW)
        (address,) = second.alarms.debtors()
        later = int(after(2).timestamp()) * 1_000_000
        assert len(first.alarms.claim(address, later, 50)) == 1
        assert second.alarms.claim(address, later + 1, 50) == []
        assert len(second.alarms.claim(address, later + 130_000_000, 50)) == 1


def test_a_state_from_before_there_were_alarms_gets_them(failed, web):
    with closing(sqlite3.connect(failed.folder / "state/state.db")) as db, db:
        later = ("lease", "counted", "request", "inspected", "copied", "legal_hold", "alembic_version")
        for table in ("alarm", "alarm_address", "alarm_owed", "alarm_watched", *later):
            db.execute(f"DROP TABLE {table}")
        db.executescript(
            "DROP INDEX ix_batch_request; ALTER TABLE batch DROP COLUMN request; ALTER TABLE batch DROP COLUMN starts"
        )
        db.execute("UPDATE meta SET value = '1' WHERE key = 'schema'")
    ticks(failed)
    ticks(failed)
    assert web.told == [("new", "failure", "post")]


def test_a_clock_that_went_back_silences_nobody(failed, web):
    web.answers = [500]
    ticks(failed, NOW + timedelta(days=300))
    ticks(failed)
    assert ("new", "failure", "post") in web.told


def test_an_address_hears_only_what_is_meant_for_it(failed, web):
    failed.notify(f"{{webhook: '{web.url}', on: [overdue, violation]}}")
    ticks(failed)
    assert web.bodies == []


def test_a_new_address_hears_what_stands_already(failed, web, sinks):
    ticks(failed)
    other = sinks(WebSink)
    failed.notify(f"{{webhook: '{web.url}'}}", f"{{webhook: '{other.url}'}}")
    ticks(failed)
    assert web.told == other.told == [("new", "failure", "post")]


def test_an_address_that_was_taken_out_is_owed_nothing(failed, web):
    web.answers = [500]
    ticks(failed)
    failed.notify()
    ticks(failed, after(90))
    failed.notify(f"{{webhook: '{web.url}'}}")
    effective(failed)
    ticks(failed, after(91))
    assert web.told == [("new", "failure", "post"), ("over", "failure", "post")]


def test_each_recipient_of_a_mail_takes_it_by_themselves(failed, mail):
    failed.notify(f"{{smtp: 127.0.0.1, port: {mail.port}, security: none, from: a@b.example, to: [c@b.example, d@b.example]}}")
    ticks(failed)
    assert [found["To"] for found in mail.mails] == ["c@b.example", "d@b.example"]
    mail.answers = {"RCPT": "550 canary"}
    effective(failed)
    told = ticks(failed)
    refused = "the mail server refuses the recipient"
    assert told.troubles == {f"address 1 (smtp), recipient {n}": refused for n in (1, 2)}


def test_secrets_are_read_when_they_are_needed(failed, web, monkeypatch):
    failed.notify("{webhook: {env: HOOK}, headers: {Authorization: {env: TOKEN}}, secret: {env: KEY}}")
    told = ticks(failed)
    assert told.troubles == {"address 1 (webhook)": "the secret {env: HOOK} is not there"}
    monkeypatch.setenv("HOOK", web.url)
    monkeypatch.setenv("TOKEN", "Bearer canary")
    monkeypatch.setenv("KEY", "canary")
    ticks(failed, after(2))
    assert web.headers[0]["Authorization"] == "Bearer canary"
    assert web.headers[0]["Retentiond-Signature"].startswith("sha256=")


def test_a_secret_that_is_no_address_is_told_without_it(failed, monkeypatch):
    failed.notify("{webhook: {env: HOOK}}")
    monkeypatch.setenv("HOOK", "http://swordfish.example.org/")
    assert ticks(failed).troubles == {"address 1 (webhook)": "a webhook without encryption"}
