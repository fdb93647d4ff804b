"""What stands in the place of a period is read to the letter: generations, and what is forbidden."""

import pytest

from retentiond.core.forbid import Forbid
from retentiond.core.generations import Generations
from retentiond.core.period import FOREVER, Period
from retentiond.core.policy import Start

C = "policies.d/support.yaml"
UPLOADS = "    start: {event: ticket-resolved, by: ticket}\n    retention_period: immediately\n"


def rule(company, text: str):
    company.edit(C, UPLOADS, text)
    return company.load().rulebook.categories["support-files"].rules[0]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("{last: 3}", Generations(last=3)),
        ("{last: all}", Generations(last="all")),
        ("{hourly: 24, daily: 7, weekly: 4}", Generations(hourly=24, daily=7, weekly=4)),
        ("{monthly: 12, yearly: all}", Generations(monthly=12, yearly="all")),
        ("{within: P14D}", Generations(within=Period(days=14, words="14 days"))),
        ("{within: forever}", Generations(within=FOREVER)),
        ("{daily: 7, group_by: ticket}", Generations(daily=7, group_by="ticket")),
        ("{daily: 7, set_by: ticket}", Generations(daily=7, set_by="ticket")),
    ],
)
def test_generations(company, written, meant):
    found = rule(company, f"    start: modified\n    generations: {written}\n")
    assert meant == found.generations
    assert (Start("modified", zone="Europe/London"), FOREVER) == (found.start, found.retention)


def test_a_rule_of_generations_asks_to_see_its_groups_and_sets(company):
    company.edit(C, "tickets/{ticket}/**", "{ticket}/{day}/**")
    found = rule(company, "    start: modified\n    generations: {last: 1, group_by: ticket, set_by: day}\n")
    assert {"ticket", "day"} == set(found.fields)


def test_columns_of_a_table_are_known_to_the_database_only(company):
    company.edit(
        C, "    retention_period: 3 months\n    deletion_period: 4 months\n", "    generations: {last: 1, group_by: who}\n"
    )
    rules = company.load().rulebook.categories["support-files"].rules
    assert Generations(last=1, group_by="who") == rules[1].generations


def test_forbid(company):
    found = rule(company, "    forbid: {unless: {event: contract-ended, by: ticket}}\n")
    assert Forbid("contract-ended", "ticket") == found.forbid
    assert Start("event", "contract-ended", "ticket") == found.start
    assert ("ticket",) == found.fields


def test_no_schedule_is_too_seldom_for_what_has_no_period(company):
    company.edit(C, "every 15 minutes", "weekly on sunday at 03:00")
    company.edit(C, UPLOADS, "    start: modified\n    generations: {last: 1}\n")
    company.edit(C, "    deletion_period: 4 months\n", "    deletion_period: 5 months\n")
    assert [] == [w.what for w in company.load().warnings if "schedule" in w.what]


def test_another_count_is_another_rulebook(company):
    digests = set()
    for text in ("{last: 1}", "{last: 2}", "{daily: 1}", "{last: 1, group_by: ticket}", "{last: all}"):
        company.write(C, company.files[C].replace(UPLOADS, "    start: modified\n    generations: {}\n"))
        company.write(C, company.files[C].replace("generations: {}", f"generations: {text}"))
        digests.add(company.load().rulebook.digest(["support-files"]))
        company.write(C, company.files[C].replace(f"generations: {text}", "generations: {}"))
    assert 5 == len(digests)


def test_check_tells_what_stays(company):
    assert (
        "generations: last 1, by ticket"
        == rule(company, "    start: modified\n    generations: {last: 1, group_by: ticket}\n").words
    )
