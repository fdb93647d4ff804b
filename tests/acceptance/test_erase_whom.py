"""Whom an erasure means: identifiers that contradict each other or are shared, and the same request given again."""

import os
import signal

import pytest

from tests.acceptance.shop import NEW, SALES
from tests.acceptance.town import ASKED, FILES, WHO, erase

DIRECTORY = """\
identities:
  customer-by-email: {store: till, query: "SELECT id AS customer FROM people WHERE lower(email) = lower(:email)"}
  email-by-customer: {store: till, query: "SELECT email FROM people WHERE id = :customer"}
"""
PEOPLE_RULE = """\
  people:
    store: till
    select: {table: people, everything: "yes, every item in people"}
    start: {event: left, by: id}
    retention_period: 1 month
    action: delete
    subject: {customer: id, email: email}
"""


@pytest.fixture
def city(town):
    """The same two people, whose directory leads from either identifier to the other, and goes with them."""
    text = town.config.read_text()
    town.settings(text=text[: text.index("identities:")] + DIRECTORY)
    town.category("directory", PEOPLE_RULE, head="events:\n  left: {recorded: yes}\nlimits: {share: 100%}")
    return town


def known(city):
    return {row[0] for row in city.sql("SELECT id FROM people")}


def refused(city, *who):
    """What is said of a request that is refused, with nothing gone and nothing received."""
    people, sales, files = known(city), city.ids(), city.left()
    told = city.told("erase", *who, *ASKED, "--yes", code=2)
    assert (known(city), city.ids(), city.left()) == (people, sales, files)
    assert not (city.folder / "state").exists()
    assert "ada@" not in told.err
    return told.err


@pytest.mark.parametrize("who", [(WHO, "customer=8"), ("customer=8", WHO), (WHO, "email=bob@example.org")])
def test_identifiers_that_lead_to_two_people_are_refused(city, who):
    said = refused(city, *who)
    assert "customer" in said
    assert "several people" in said


def test_what_the_words_of_a_refusal_say_works(city):
    said = refused(city, WHO, "customer=8")
    assert "name that customer as well" in said
    assert "else leave the email out" in said
    assert len(erase(city, "--plan", who=(WHO, "customer=8", "customer=7", "email=bob@example.org"))["identifiers"]) == 4
    city.json("request", "withdraw", "R-1", "--reason", "a trial")
    value = city.json("erase", "customer=8", "--request", "R-2", "--reason", "asked", "--yes")
    assert value["state"] == "carried out"
    assert (known(city), city.ids()) == ({7}, {1, 2})


def test_identifiers_that_agree_are_one_person_however_an_address_is_spelled(city):
    city.sql("UPDATE people SET email = 'Ada@Example.org' WHERE id = 7")
    assert erase(city, "--yes", who=("email=ADA@example.org", "customer=7"))["state"] == "carried out"
    assert (known(city), city.ids()) == ({8}, {3})


def test_a_look_up_that_leads_to_several_contradicts_nothing(city):
    city.settings(text=city.config.read_text().replace("{store: till, query", "{several: yes, store: till, query"))
    assert len(erase(city, "--plan", who=(WHO, "customer=8"))["identifiers"]) == 4


def test_of_two_people_with_one_address_each_can_be_erased_and_what_only_the_address_names_stays(city):
    city.sql("INSERT INTO people VALUES(9, 'ada@example.org')")
    at = f"{NEW:%Y-%m-%d %H:%M:%S}"
    city.sale((20, at, "9", "ada@example.org"), (21, at, None, "ada@example.org"))
    assert "name the customer that is meant and leave the email out" in refused(city, WHO)
    assert "leave the email out" in refused(city, WHO, "customer=9")
    told = city.told("erase", "customer=9", *ASKED, "--plan").out
    assert "left out: email=ada@example.org" in told
    value = erase(city, "--yes", who=("customer=9",))
    assert (value["state"], value["identifiers"]) == ("carried out", [{"kind": "customer", "value": "9"}])
    assert value["left_out"] == [{"kind": "email", "value": "ada@example.org", "look_up": "customer-by-email"}]
    assert (known(city), city.ids()) == ({7, 8}, {1, 2, 3, 21})


def test_the_same_request_goes_on_when_the_row_of_its_directory_has_gone(city):
    city.told("hold", "place", "H", "--reason", "r", "--mandate", "m", "--subject", "customer=7", "--store", "desk")
    first = erase(city, "--yes", who=("email=ada@example.org",))
    assert (known(city), city.left()) == ({8}, {f"tickets/{n}/{f}" for n in "78" for f in ("a.txt", "deep/b.txt")})
    city.told("hold", "release", "H", "--reason", "settled")
    told = city.told("erase", "email=ADA@example.org", *ASKED, "--plan").out
    assert "the request knows the person by customer as well" in " ".join(told.split())
    again = erase(city, "--yes", who=("customer=7",))
    assert (again["request"], again["state"], again["applied"]["counts"]["disposed"]) == (first["request"], "carried out", 2)
    assert city.left() == {"tickets/8/a.txt", "tickets/8/deep/b.txt"}
    assert erase(city, "--yes")["state"] == "carried out"
    for other in ("customer=8", "email=bob@example.org"):
        city.told("erase", other, *ASKED, "--yes", code=2)
        city.told("erase", WHO, other, *ASKED, "--yes", code=2)
    city.told("audit", "verify")


def test_the_same_request_does_not_grow_by_what_look_ups_give_later(city):
    erase(city, "--yes")
    city.sql("INSERT INTO people VALUES(8, 'ada@example.org') ON CONFLICT (id) DO UPDATE SET email = 'ada@example.org'")
    value = erase(city, "--plan")
    assert {"kind": "customer", "value": "8"} not in value["identifiers"]
    assert any("are not of this request" in warning for warning in value["warnings"])
    assert {r["rule"]: r["due"] for r in value["rules"]}["tickets"] == 0


def test_an_erasure_that_is_killed_goes_on_by_the_same_command(city):
    command = ("erase", WHO, *ASKED, "--yes")
    process = city.process(*command)
    while process.poll() is None and 7 in known(city):
        pass
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert erase(city, "--yes")["state"] == "carried out"
    assert (known(city), city.ids(), city.left()) == ({8}, {3}, {"tickets/8/a.txt", "tickets/8/deep/b.txt"})


@pytest.mark.parametrize("query", ["SELECT nothing FROM people WHERE email = :email", "DELETE FROM people WHERE email = :email"])
def test_a_look_up_that_cannot_run_is_named_with_its_place(town, query):
    town.settings(text=town.config.read_text().replace("SELECT id AS customer FROM people WHERE email = :email", query))
    lines = town.config.read_text().splitlines()
    line = next(n for n, text in enumerate(lines, 1) if "customer-by-email" in text)
    where = f"retentiond.yaml:{line}:{lines[line - 1].index(query)}:"
    checked = town.told("check", code=5).out
    assert where in checked
    assert "the look-up customer-by-email cannot be made" in checked
    assert town.told("check", "--offline").code == 0
    said = town.told("erase", WHO, *ASKED, code=5).err
    assert where in said
    assert "the look-up customer-by-email cannot be made" in said
    held = town.told("hold", "place", "H", "--reason", "r", "--mandate", "m", "--subject", WHO).out
    assert "warning: the look-up customer-by-email could not be made" in held, "a hold may be urgent"
    assert len(town.sql("SELECT * FROM people")) == 2


def test_check_asks_a_look_up_for_nothing_and_takes_what_stands_in_quotes_for_no_identifier(town):
    query = "SELECT id AS customer FROM people WHERE email = :email AND email <> 'a:b'"
    town.settings(text=town.config.read_text().replace("SELECT id AS customer FROM people WHERE email = :email", query))
    town.told("check")
    town.settings(text=town.config.read_text().replace("'a:b'", ":name"))
    assert "customer-by-email" in town.told("check", code=5).out


@pytest.mark.parametrize("words", [("--request", " ", "--reason", "asked"), ("--request", "R-1", "--reason", " ")])
def test_a_request_without_a_name_or_a_reason_is_refused(town, words):
    town.told("erase", WHO, *words, "--yes", code=2)
    assert len(town.ids()) == 3
    assert not (town.folder / "state").exists()


@pytest.mark.parametrize("subject", ["", " "])
def test_an_event_of_nobody_is_refused(town, subject):
    town.category("support", FILES, head="events:\n  left: {recorded: yes}")
    assert "nobody" in town.told("event", "record", "left", subject, code=2).err
    assert town.json("event", "list")["events"] == []


def test_what_many_lead_to_is_one_of_each_and_no_contradiction(city):
    more = "  customers-by-firm: {store: till, several: yes, query: \"SELECT id AS customer FROM people WHERE :firm = 'x'\"}\n"
    city.settings(text=city.config.read_text() + more)
    city.category("trade", SALES.replace("{customer: customer", "{firm: note, customer: customer"))
    found = {one["value"] for one in erase(city, "--plan", who=("firm=x",))["identifiers"]}
    assert found == {"x", "7", "8", "ada@example.org", "bob@example.org"}
