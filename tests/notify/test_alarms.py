"""What is wrong is told once per state, not once per run, and once more when it is over; met through runs and restarts."""

from datetime import timedelta

import pytest

from retentiond.app.alarms import broken_rulebook, tell
from retentiond.errors import ConfigurationError
from retentiond.ledger.clock import Reading
from retentiond.ledger.looks import Look
from tests.acceptance.shop import LETTERS, NEW, NOW, OPEN_LIMITS

FORBIDDEN = """\
  notes:
    store: till
    select: {table: notes, where: "id > 0"}
    forbid: {unless: {event: agreed, by: id}}
    action: delete
"""


def run(shop, code=0):
    """One run, as a timer would make it."""
    return shop.told("apply", "--category", "post", code=code)


def ticks(shop, now=NOW, also=()):
    """One tick of a daemon that has just been started."""
    with shop.house() as house:
        return tell(house, now, also=also, timeout=30)


def looked(shop, result, at=NOW, category="post", **known):
    """A look, as a run records it."""
    with shop.house() as house:
        instant = int(at.timestamp()) * 1_000_000
        house.looks.record(Look(category, instant, instant, result, **known))


def effective(shop, at=NOW):
    looked(shop, "nothing", at)


# Once per state


def test_a_state_is_told_once_however_often_it_is_met(teller, web):
    for _ in range(5):
        run(teller, code=3)
    assert web.told == [("new", "approval", "post")]


def test_a_restart_repeats_nothing(teller, web):
    run(teller, code=3)
    teller.apart("apply", "--category", "post", code=3)
    teller.apart("apply", "--category", "post", code=3)
    assert web.told == [("new", "approval", "post")]


def test_what_is_over_is_told_once_too(teller, web):
    run(teller, code=3)
    teller.told("approve", "post", "--yes")
    for _ in range(3):
        run(teller)
    assert web.told == [("new", "approval", "post"), ("over", "approval", "post")]


def test_what_comes_back_is_news_again(teller, web):
    run(teller, code=3)
    teller.told("approve", "post", "--yes")
    run(teller)
    teller.told("approve", "post", "--revoke")
    run(teller, code=3)
    assert [change for change, *_ in web.told] == ["new", "over", "new"]


def test_where_all_is_well_nobody_hears_anything(teller, web):
    teller.told("approve", "post", "--yes")
    for _ in range(3):
        run(teller)
    assert web.bodies == []


# Each kind


def test_a_store_that_is_not_there_is_a_failure_until_it_is_back(teller, web):
    teller.letters(3, at=NEW)
    teller.told("approve", "post", "--yes")
    (teller.folder / "desk").rename(teller.folder / "elsewhere")
    run(teller, code=5)
    run(teller, code=5)
    (teller.folder / "elsewhere").rename(teller.folder / "desk")
    run(teller)
    assert web.told == [("new", "failure", "post"), ("over", "failure", "post")]
    assert web.messages[0]["alarms"][0]["do"] == "retentiond check"


def test_a_limit_names_the_line_that_passes_it(teller, web):
    teller.category("post", LETTERS, head="limits: {items: 5, share: 100%}")
    teller.letters(10, at=NOW - timedelta(days=100))
    teller.told("approve", "post", "--yes")
    run(teller, code=3)
    (alarm,) = [a for a in web.messages[0]["alarms"] if a["kind"] == "limit"]
    assert alarm["facts"] == {"limit": "items", "due": 10}
    words = alarm["do"].partition("; if it is meant: retentiond ")[2].split(" ")
    teller.told(*words)
    assert teller.left() == set()
    run(teller)
    assert ("over", "limit", "post") in web.told


def test_a_plan_that_waits_for_a_person_is_named(teller, web):
    teller.category("post", LETTERS, head="approval: always")
    teller.letters(3)
    run(teller, code=3)
    (do,) = [a["do"] for a in web.messages[0]["alarms"] if a["kind"] == "approval"]
    teller.told(*do.removeprefix("retentiond ").split(" "))
    assert teller.left() == set()
    assert ("over", "approval", "post") in web.told


def test_what_is_overdue_is_told_with_its_number_and_not_again_unless_it_is_ten_times_as_much(teller, web):
    for first, count in ((0, 3), (3, 20), (23, 10)):
        teller.letters(count, first=first)
        teller.told("plan")
        ticks(teller)
        ticks(teller)
    told = [a for message in web.messages for a in message["alarms"] if a["kind"] == "overdue"]
    assert [(a["change"], a["size"]) for a in told] == [("new", 3), ("grown", 33)]
    assert told[0]["since"] == told[1]["since"]
    teller.told("approve", "post", "--yes")
    run(teller)
    assert web.told.count(("over", "overdue", "post")) == 1


def test_what_must_not_exist_is_told(teller, web):
    teller.sql("CREATE TABLE notes(id INTEGER PRIMARY KEY)")
    teller.sql("INSERT INTO notes VALUES (1), (2)")
    teller.category("post", FORBIDDEN, head=f"{OPEN_LIMITS}\nevents:\n  agreed: {{recorded: yes}}")
    teller.told("plan")
    ticks(teller)
    (alarm,) = web.messages[0]["alarms"]
    assert (alarm["kind"], alarm["about"], alarm["size"]) == ("violation", "post", 2)


def test_a_hold_whose_review_is_due_is_told_by_its_entry_and_no_word_of_it(teller, web):
    effective(teller)
    place = ("--reason", "canary-reason", "--mandate", "canary-mandate", "--path", "canary/**")
    teller.told("hold", "place", "canary-1", *place, "--review-on", f"{NOW:%Y-%m-%d}")
    teller.told("hold", "place", "canary-2", *place, "--review-on", f"{NOW + timedelta(days=9):%Y-%m-%d}")
    ticks(teller)
    ticks(teller)
    entry = teller.entries("hold-placed")[0]["index"]
    assert web.told == [("new", "hold-review", f"entry {entry}")]
    teller.told("hold", "release", "canary-1", "--reason", "canary-release")
    ticks(teller)
    assert web.told[1:] == [("over", "hold-review", f"entry {entry}")]
    assert b"canary" not in b"".join(body for body, _ in web.bodies)


def test_silence_is_told_after_three_periods_without_effect_and_is_over_with_the_next_look(teller, web):
    effective(teller)
    for hours in (1, 71, 73, 80, 500):
        ticks(teller, NOW + timedelta(hours=hours))
    assert web.told == [("new", "silence", "post")]
    assert web.messages[0]["at"].startswith(f"{NOW + timedelta(hours=73):%Y-%m-%dT%H}")
    effective(teller, NOW + timedelta(hours=501))
    ticks(teller, NOW + timedelta(hours=502))
    assert web.told == [("new", "silence", "post"), ("over", "silence", "post")]


def test_looks_without_effect_do_not_break_the_silence(teller, web):
    effective(teller)
    looked(teller, "stopped", NOW + timedelta(hours=80))
    ticks(teller, NOW + timedelta(hours=81))
    assert web.told == [("new", "silence", "post")]


def test_a_category_at_which_nobody_ever_looked_is_missed_too(teller, web):
    ticks(teller, NOW)
    ticks(teller, NOW + timedelta(days=2))
    assert web.told == []
    ticks(teller, NOW + timedelta(days=4))
    assert web.told == [("new", "silence", "post")]


def test_how_long_a_silence_may_last_is_a_setting(teller, web):
    teller.notify(f"{{webhook: '{web.url}'}}", more="silence: 1\n")
    effective(teller)
    ticks(teller, NOW + timedelta(hours=25))
    assert web.told == [("new", "silence", "post")]


def test_a_clock_that_jumped_is_one_alarm_and_decides_nothing_else(teller, web):
    teller.told("clock")
    effective(teller)
    year = timedelta(days=365) // timedelta(microseconds=1)

    def ahead():
        from retentiond.app.house import read_clock

        now = read_clock()
        return Reading(now.wall + year, now.uptime, now.boot)

    with teller.house(clock=ahead) as house:
        tell(house, house.now)
    assert web.told == [("new", "clock", "")]
    ticks(teller)
    assert web.told == [("new", "clock", ""), ("over", "clock", "")]


def test_a_broken_rulebook_is_an_alarm_until_a_reload_succeeds(teller, web):
    effective(teller)
    teller.category("post", "rules: no")
    with pytest.raises(ConfigurationError) as broken:
        teller.house()
    teller.category("post", LETTERS)
    for _ in range(3):
        ticks(teller, also=[broken_rulebook(broken.value, NOW)])
    assert web.told == [("new", "configuration", "")]
    ticks(teller)
    assert web.told == [("new", "configuration", ""), ("over", "configuration", "")]


def test_an_audit_trail_that_does_not_verify_is_an_alarm_of_its_own(teller, web):
    looked(teller, "failed", code="audit")
    ticks(teller)
    assert ("new", "audit", "") in web.told
    assert ("new", "failure", "post") not in web.told


# What nobody could see is not over


@pytest.mark.parametrize("result", ["stopped", "unseen", "failed"])
def test_a_look_that_did_not_come_so_far_leaves_an_alarm_as_it_was(teller, web, result):
    looked(teller, "refused", code="items")
    ticks(teller)
    looked(teller, result)
    ticks(teller)
    assert ("over", "limit", "post") not in web.told
    effective(teller)
    ticks(teller)
    assert ("over", "limit", "post") in web.told


def test_what_a_store_hid_from_a_look_is_still_overdue(teller, web):
    teller.letters(3)
    teller.told("plan")
    teller.told("approve", "post", "--yes")
    (teller.folder / "desk").rename(teller.folder / "elsewhere")
    run(teller, code=5)
    run(teller, code=5)
    assert web.told == [("new", "failure", "post"), ("new", "overdue", "post")]
