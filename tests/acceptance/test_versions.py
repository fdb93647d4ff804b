"""A rule changes: what that makes due is shown, asked of a person, and waits where it is told to."""

import re
from datetime import timedelta

from tests.acceptance.shop import LETTERS, NOW, OPEN_LIMITS

SIXTY_DAYS_OLD = NOW - timedelta(days=60)
STRICTER = LETTERS.replace("3 months", "1 month")
LAXER = LETTERS.replace("3 months", "4 years")


def test_approving_a_change_shows_what_becomes_due(busy):
    """In counts, bytes and oldest, against the version that was approved."""
    busy.letters(3, first=200, at=SIXTY_DAYS_OLD)
    busy.told("approve", "post", "--yes")
    busy.category("post", STRICTER)
    value = busy.json("approve", "post", "--yes")
    (change,) = value["changes"]
    assert change["newly_due"]["items"] == 3
    assert change["newly_due"]["bytes"] > 0
    assert change["newly_due"]["oldest"].startswith(f"{SIXTY_DAYS_OLD:%Y-%m-%d}")
    assert change["no_longer_due"]["items"] == 0


def test_approving_a_change_shows_what_is_no_longer_due(busy):
    busy.told("approve", "post", "--yes")
    busy.category("post", LAXER)
    (change,) = busy.json("approve", "post", "--yes")["changes"]
    assert change["no_longer_due"]["items"] == 10
    assert change["newly_due"]["items"] == 0


def test_a_change_that_makes_fewer_items_due_needs_nobody(busy):
    """What was approved allowed more than this."""
    busy.told("approve", "post", "--yes")
    busy.category("post", LETTERS.replace("3 months", "6 months"))
    assert busy.json("apply", "--category", "post")["counts"]["disposed"] == 10


def test_a_change_of_what_is_looked_at_needs_a_person(busy):
    """Two selections cannot be compared item by item, so everything due counts as newly due."""
    busy.told("approve", "post", "--yes")
    busy.category("post", LETTERS.replace("letters/**", "letters/*"))
    (error,) = busy.json("apply", "--category", "post", code=3)["errors"]
    assert "10 more items are due now" in error["why"]


def test_always_leaves_a_plan_to_a_person(busy):
    """The plan is written, and the refusal names it."""
    busy.category("post", LETTERS, head=f"{OPEN_LIMITS}\napproval: always")
    (error,) = busy.json("apply", "--category", "post", code=3)["errors"]
    plan = re.search(r"retentiond apply ([0-9a-f]{12,})", error["do"]).group(1)
    assert busy.json("apply", plan)["counts"]["disposed"] == 10


def test_what_a_change_makes_due_cools_off(busy):
    """Items newly due wait; those that were due before the change do not."""
    head = f"{OPEN_LIMITS}\ncooling_off: 7 days"
    busy.category("post", LETTERS, head=head)
    busy.letters(3, first=200, at=SIXTY_DAYS_OLD)
    assert busy.json("plan", "post")["rules"][0]["due"] == 10
    busy.told("approve", "post", "--yes")
    busy.category("post", STRICTER, head=head)
    (rule,) = busy.json("plan", "post")["rules"]
    assert (rule["due"], rule["waiting"]) == (10, 8)
    key = sorted(busy.json("plan", "post", "--at", f"{NOW + timedelta(days=9):%Y-%m-%d}")["rules"][0].items())
    assert ("due", 13) in key, "after the cooling off they are due"
    busy.told("hold", "place", "H", "--reason", "r", "--mandate", "m", "--store", "desk", "--path", "letters/00000.txt")
    told = busy.told("approve", "post", "--yes").out
    assert re.search(r"waiting: post/letters: 8 \(.* cooling off until", told.replace("\n   ", ""))
    assert re.search(r"post/letters +newly due +3 ", told), "what cools off is newly due"
    assert "no longer due" not in told, "a hold is no change of a rule"


def test_plan_diff_says_what_lies_between_two_plans(busy):
    """Rule by rule, with keys."""
    busy.letters(3, first=200, at=SIXTY_DAYS_OLD)
    old = busy.plan("post")
    busy.category("post", STRICTER)
    new = busy.plan("post")
    (rule,) = busy.json("plan", "diff", old, new)["rules"]
    assert rule["newly_due"]["items"] == 3
    assert len(rule["newly_due"]["keys"]) == 3
    assert rule["both"] == 10
    (back,) = busy.json("plan", "diff", new, old)["rules"]
    assert back["no_longer_due"]["items"] == 3
