"""Approval: what may be enforced without a person, and what makes it need one again."""

import pytest

from tests.acceptance.shop import LETTERS, OPEN_LIMITS


def test_first_wants_one_approval_of_the_category_as_it_stands(busy):
    (error,) = busy.json("apply", "--category", "post", code=3)["errors"]
    assert error["code"] == "unapproved"
    assert "retentiond approve post" in error["do"]
    assert len(busy.left()) == 15
    shown = busy.told("approve", "post", "--by", "Ada", "--yes")
    assert "post/letters" in shown.out, "it shows what it would destroy"
    value = busy.json("apply", "--category", "post")
    assert value["counts"]["disposed"] == 10
    assert len(busy.ids()) == 15
    assert busy.json("runs")["runs"][0]["allowed_by"] == "approval"


def test_what_nobody_approved_is_looked_at_so_that_what_is_overdue_is_known(busy):
    busy.told("apply", "--category", "post", code=3)
    found = {each["category"]: each for each in busy.json("status")["categories"]}["post"]
    assert (found["overdue"], found["approval"], found["last_look"]["result"]) == (10, "never", "unapproved")
    busy.told("apply", "--category", "post", code=3)
    assert [entry["plan"] for entry in busy.entries("plan-made")] == [found["waits_with"]], "one that is equal waits already"
    assert len(busy.left()) == 15


def test_what_nobody_approved_and_nobody_can_see_is_not_seen(busy):
    (busy.folder / "desk").rename(busy.folder / "away")
    (error,) = busy.json("apply", "--category", "post", code=3)["errors"]
    assert error["code"] == "unapproved"
    look = {each["category"]: each for each in busy.json("status")["categories"]}["post"]["last_look"]
    assert (look["result"], look["code"]) == ("unseen", "store-unavailable")


def test_with_nothing_due_an_approval_is_still_wanted(busy):
    busy.category("post", LETTERS.replace("3 months", "9 years"))
    busy.told("apply", "--category", "post", code=3)
    (post, _) = busy.json("status")["categories"]
    assert (post["last_look"]["result"], post["last_effective"]) == ("unapproved", None)


def test_approving_asks_and_destroys_nothing(busy):
    before = busy.traces()
    (error,) = busy.json("approve", "post", code=2)["errors"]
    assert "--yes" in error["do"]
    busy.told("apply", "--category", "post", code=3)
    busy.told("approve", "post", "--yes")
    assert busy.traces() == before


def test_approving_shows_under_json_what_it_would_destroy(busy):
    value = busy.json("approve", "post", "--yes")
    assert value["category"] == "post"
    assert [r["due"] for r in value["plan"]["rules"]] == [10]


def test_a_change_that_makes_more_items_due_needs_approval_again(busy):
    busy.told("approve", "post", "--yes")
    busy.category("post", LETTERS.replace("3 months", "2 days"))
    busy.told("apply", "--category", "post", code=3)
    assert len(busy.left()) == 15
    busy.told("approve", "post", "--yes")
    busy.told("apply", "--category", "post")
    assert busy.left() == set()


TWO = (
    LETTERS
    + """\
  reports:
    store: desk
    select: {path: "reports/**"}
    start: modified
    retention_period: 3 months
    action: delete
"""
)
EVENTS = """\
  letters:
    store: desk
    select: {path: "letters/{sale}.txt"}
    start: {event: closed, by: sale}
    retention_period: immediately
    action: delete
"""
QUERY = (
    OPEN_LIMITS
    + """
events:
  closed: {store: till, query: "SELECT note AS subject, at FROM sales WHERE id < 3"}
"""
)
MINIMUM = LETTERS + '    minimum: {period: 6 years, mandate: "the law"}\n    deletion_period: 7 years\n'
MORE = {
    "a wider selection": (LETTERS.replace("letters/**", "letters/0000*"), LETTERS, OPEN_LIMITS, OPEN_LIMITS),
    "another rule": (LETTERS, TWO, OPEN_LIMITS, OPEN_LIMITS),
    "an action that destroys": (LETTERS.replace("delete", "keep"), LETTERS, OPEN_LIMITS, OPEN_LIMITS),
    "no minimum any more": (MINIMUM, LETTERS, OPEN_LIMITS, OPEN_LIMITS),
    "another start": (LETTERS.replace("modified", "{event: closed, by: n}").replace("letters/**", "letters/{n}.txt"),
                      LETTERS.replace("letters/**", "letters/{n}.txt"), QUERY, QUERY),
    "another query": (EVENTS, EVENTS, QUERY, QUERY.replace("< 3", "< 9")),
    "no time to settle": (EVENTS, EVENTS, QUERY.replace("3\"}", "9\", settle: 3 years}"), QUERY.replace("3", "9")),
}  # fmt: skip


@pytest.mark.parametrize(("before", "after", "head", "then"), MORE.values(), ids=MORE)
def test_every_change_that_makes_more_items_due_is_noticed(busy, before, after, head, then):
    busy.file("reports/a.txt")
    busy.file("letters/long.txt")
    for i in range(1, 11):
        busy.sql("UPDATE sales SET note = ? WHERE id = ?", f"{i - 1:05}", i)
    busy.category("post", before, head=head)
    busy.told("approve", "post", "--yes")
    there = busy.left()
    busy.category("post", after, head=then)
    (error,) = busy.json("apply", "--category", "post", code=3)["errors"]
    assert error["code"] == "unapproved"
    assert busy.left() == there
    busy.told("approve", "post", "--yes")
    busy.told("apply", "--category", "post")
    assert busy.left() < there


def test_a_change_that_waits_for_approval_is_planned_once(busy):
    busy.told("approve", "post", "--yes")
    busy.category("post", LETTERS.replace("3 months", "2 days"))
    before = len(busy.entries("plan-made"))
    (error,) = busy.json("apply", "--category", "post", code=3)["errors"]
    assert "5 more items are due now" in error["why"]
    busy.told("apply", "--category", "post", code=3)
    assert len(busy.entries("plan-made")) == before + 1


def test_another_place_needs_approval_again_whatever_lies_there(busy):
    """The approval was for what lay where the store was then."""
    busy.told("approve", "post", "--yes")
    (busy.folder / "desk").rename(busy.folder / "archive")
    busy.settings(text=busy.config.read_text().replace("path: desk", "path: archive"))
    busy.told("apply", "--category", "post", code=3)
    assert len(busy.left("archive")) == 15


def test_a_change_that_makes_fewer_items_due_needs_no_approval_again(busy):
    busy.told("approve", "post", "--yes")
    busy.category("post", LETTERS.replace("3 months", "2 years"))
    assert busy.json("apply", "--category", "post")["counts"]["disposed"] == 0
    busy.category("post", LETTERS)
    assert busy.json("apply", "--category", "post")["counts"]["disposed"] == 10


def test_a_changed_title_needs_no_approval_again(busy):
    busy.told("approve", "post", "--yes")
    busy.category("post", LETTERS, title="Letters to the editor")
    busy.told("apply", "--category", "post")
    assert len(busy.left()) == 5


def test_a_revoked_approval_is_none(busy):
    busy.told("approve", "post", "--yes")
    busy.told("approve", "post", "--revoke", "--by", "Ada")
    (error,) = busy.json("apply", "--category", "post", code=3)["errors"]
    assert "revoked" in error["why"]
    busy.told("approve", "post", "--revoke")
    assert len(busy.left()) == 15
    busy.told("apply", busy.plan("post"))
    assert len(busy.left()) == 5, "a person who names the plan is an allowance of their own"


def test_none_wants_nobody(busy):
    busy.category("post", LETTERS, head=f"{OPEN_LIMITS}\napproval: none")
    assert busy.json("apply", "--category", "post")["counts"]["disposed"] == 10


def test_where_no_approval_is_wanted_there_is_none_to_take_back(busy):
    busy.category("post", LETTERS, head=f"{OPEN_LIMITS}\napproval: none")
    (error,) = busy.json("approve", "post", "--revoke", code=2)["errors"]
    assert "state/stop" in error["do"]


def test_always_wants_a_person_for_every_plan(busy):
    busy.category("post", LETTERS, head=f"{OPEN_LIMITS}\napproval: always")
    said = " ".join(busy.told("approve", "post", "--yes").out.split())
    assert "post: approved. Each of its plans wants a person all the same (approval: always)" in said
    (error,) = busy.json("apply", "--category", "post", code=3)["errors"]
    assert "retentiond apply " in error["do"]
    assert len(busy.left()) == 15
    busy.told("apply", busy.plan("post"))
    assert len(busy.left()) == 5


def test_one_category_that_is_not_approved_stops_the_command_before_anything_goes(busy):
    busy.told("approve", "post", "--yes")
    busy.told("apply", "--category", "post", "--category", "trade", code=3)
    assert (len(busy.left()), len(busy.ids())) == (15, 15)


@pytest.mark.parametrize("command", [["approve", "pots"], ["apply", "--category", "pots"]])
def test_an_unknown_category_is_a_usage_error(busy, command):
    busy.told(*command, "--json", code=2)


def test_a_store_that_is_down_does_not_stop_the_approved_others(busy):
    busy.told("approve", "post", "--yes")
    busy.told("approve", "trade", "--yes")
    (busy.folder / "till.db").rename(busy.folder / "away.db")
    value = busy.json("apply", "--category", "post", "--category", "trade", code=5)
    assert (value["counts"]["disposed"], value["errors"][0]["code"]) == (10, "store-unavailable")
    busy.told("approve", "trade", "--yes", code=5)
