"""Events: from a query and from the command line, settled, withdrawn, and asked again at the moment of disposal."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.acceptance.shop import LETTERS, SALES

FILES = """\
  uploads:
    store: desk
    select: {path: "tickets/{ticket}/**"}
    start: {event: resolved, by: ticket}
    retention_period: PERIOD
    action: delete
"""
QUERY = """\
limits: {share: 100%}
events:
  resolved:
    store: till
    query: SELECT id AS subject, at AS at FROM tickets WHERE status = 'resolved'
    settle: 1 hour
    recorded: RECORDED
"""
RECORDED = """\
limits: {share: 100%}
events:
  resolved: {recorded: yes}
"""
NOW = datetime.now(UTC)


def ago(**gone):
    return f"{NOW - timedelta(**gone):%Y-%m-%d %H:%M:%S}"


@pytest.fixture
def desk(bare):
    """Tickets 1 to 4 with a file each: resolved long ago, just now, open, and resolved at no known time."""
    head = QUERY.replace("    recorded: RECORDED\n", "")
    bare.category("support", FILES.replace("PERIOD", "immediately"), head=head)
    bare.sql("CREATE TABLE tickets(id INTEGER PRIMARY KEY, at, status TEXT)")
    rows = [(1, ago(days=3), "resolved"), (2, ago(minutes=10), "resolved"), (3, ago(days=9), "open"), (4, None, "resolved")]
    for row in rows:
        bare.sql("INSERT INTO tickets VALUES(?,?,?)", *row)
        bare.file(f"tickets/{row[0]}/a.txt")
    return bare


@pytest.fixture
def counter(bare):
    """The same, with events that are recorded by hand only."""
    bare.category("support", FILES.replace("PERIOD", "immediately"), head=RECORDED)
    for ticket in (1, 2):
        bare.file(f"tickets/{ticket}/a.txt")
    return bare


def due(shop):
    return sorted(int(key.split("/")[1]) for key in shop.steps(shop.plan()))


def test_what_an_event_started_goes_and_everything_else_stays(desk):
    uploads = desk.rule("uploads")
    assert (uploads["due"], uploads["waiting"], uploads["undetermined"], uploads["scanned"]) == (1, 1, 2, 4)
    assert desk.json("apply", desk.plan())["counts"]["disposed"] == 1
    assert desk.left() == {f"tickets/{i}/a.txt" for i in (2, 3, 4)}


def test_a_ticket_that_was_opened_again_keeps_its_files(desk):
    plan = desk.plan()
    desk.sql("UPDATE tickets SET status = 'open' WHERE id = 1")
    assert desk.json("apply", plan)["counts"]["changed"] == 1
    assert "tickets/1/a.txt" in desk.left()
    desk.told("audit", "verify")


def test_a_ticket_that_was_resolved_anew_settles_anew(desk):
    plan = desk.plan()
    desk.sql("UPDATE tickets SET at = ? WHERE id = 1", ago(minutes=1))
    assert desk.json("apply", plan)["counts"]["changed"] == 1
    assert "tickets/1/a.txt" in desk.left()


def test_an_event_store_that_is_down_at_the_moment_of_disposal_keeps_everything(desk):
    plan = desk.plan()
    (desk.folder / "till.db").rename(desk.folder / "away.db")
    value = desk.json("apply", plan, code=5)
    assert value["counts"]["disposed"] == 0
    assert len(desk.left()) == 4
    assert desk.json("plan", code=5)["rules"] == []


def test_an_event_store_that_is_down_is_named_and_what_needs_no_event_goes_on(desk):
    desk.category("tidy", LETTERS)
    desk.letters(3)
    plan = desk.plan()
    (desk.folder / "till.db").rename(desk.folder / "away.db")
    told = desk.told("apply", plan, code=5)
    assert "Not reached: till: the event resolved cannot be looked up" in told.out
    assert "Not reached: desk" not in told.out
    assert desk.left() == {f"tickets/{i}/a.txt" for i in (1, 2, 3, 4)}, "the letters are gone, and every ticket's file is here"
    (desk.folder / "away.db").rename(desk.folder / "till.db")
    assert desk.json("apply", plan)["counts"]["disposed"] == 1
    desk.told("audit", "verify")


def test_a_query_that_cannot_be_asked_is_pointed_at(desk):
    post = desk.folder / "policies.d" / "support.yaml"
    post.write_text(post.read_text().replace("SELECT id AS subject", "SELECT idd AS subject"))
    (error,) = desk.json("check", code=5)["errors"]
    assert "the event resolved cannot be looked up" in error["what"]
    line = post.read_text().splitlines()[error["line"] - 1]
    assert (error["file"], line[error["column"] - 1 :].startswith("SELECT idd")) == ("policies.d/support.yaml", True)
    (planned,) = desk.json("plan", code=5)["errors"]
    assert planned == error


def test_an_event_that_cannot_be_asked_leaves_the_rows_beside_it_to_their_own_rules(desk):
    desk.category("trade", SALES)
    desk.sales(3)
    plan = desk.plan()
    desk.sql("DROP TABLE tickets")
    (error,) = desk.json("apply", plan, code=5)["errors"]
    assert error["what"] == "the event resolved cannot be looked up"
    assert (desk.ids(), len(desk.left())) == (set(), 4)


def test_a_future_event_starts_nothing(desk):
    desk.sql("UPDATE tickets SET at = '2999-01-01' WHERE id = 1")
    assert due(desk) == []


def test_query_and_records_count_together_and_the_latest_wins(desk):
    desk.category("support", FILES.replace("PERIOD", "2 days"), head=QUERY.replace("RECORDED", "yes"))
    desk.sql("UPDATE tickets SET at = ? WHERE id = 1", ago(days=9))
    assert due(desk) == [1]
    desk.told("event", "record", "resolved", "1", "--at", ago(days=1).replace(" ", "T") + "Z")
    assert due(desk) == []
    desk.told("event", "record", "resolved", "3", "--at", ago(days=8).replace(" ", "T") + "Z")
    assert due(desk) == [3]
    desk.told("event", "withdraw", "resolved", "1")
    assert due(desk) == [1, 3]


def test_a_recorded_event_starts_the_clock_and_a_withdrawn_one_does_not(counter):
    assert due(counter) == []
    counter.told("event", "record", "resolved", "1")
    assert due(counter) == [1]
    plan = counter.plan()
    counter.told("event", "withdraw", "resolved", "1")
    assert counter.json("apply", plan)["counts"]["changed"] == 1
    assert len(counter.left()) == 2
    assert due(counter) == []
    counter.told("audit", "verify")


def test_of_several_records_the_latest_that_is_not_withdrawn_counts(counter):
    counter.category("support", FILES.replace("PERIOD", "5 days"), head=RECORDED)
    counter.told("event", "record", "resolved", "1", "--at", "2020-01-01T10:00:00Z")
    late = ago(days=1).replace(" ", "T") + "Z"
    counter.told("event", "record", "resolved", "1", "--at", late)
    assert due(counter) == []
    assert [e["counts"] for e in counter.json("event", "list")["events"]] == [False, True]
    assert "not the latest" in counter.told("event", "list").out
    assert counter.json("event", "withdraw", "resolved", "1", "--at", late)["withdrawn"] == 1
    assert due(counter) == [1]
    listed = counter.json("event", "list")["events"]
    assert [(e["event"], e["subject"], bool(e["withdrawn"]), e["counts"]) for e in listed] == [
        ("resolved", "1", False, True),
        ("resolved", "1", True, False),
    ]


def test_subjects_compare_as_text(counter):
    counter.told("event", "record", "resolved", "01")
    counter.told("event", "record", "resolved", "1 ")
    assert due(counter) == []


def test_a_recorded_event_of_the_future_starts_nothing_and_says_how_to_take_it_back(counter):
    told = counter.told("event", "record", "resolved", "1", "--at", "2999-01-01T00:00:00Z").out
    uploads = counter.rule("uploads")
    assert (uploads["due"], uploads["undetermined"]) == (0, 2)
    assert "in the future" in counter.told("event", "list").out
    *_, back = told.splitlines()
    assert counter.json(*back.split()[1:])["withdrawn"] == 1


def test_an_event_for_an_unknown_subject_starts_nothing_and_waits_for_it(counter):
    counter.told("event", "record", "resolved", "3", "--at", "2020-02-03")
    assert due(counter) == []
    counter.file("tickets/3/a.txt")
    assert due(counter) == [3]


def test_a_day_is_over_when_it_ends(counter):
    """A start is the end of what it denotes."""
    counter.told("event", "record", "resolved", "1", "--at", f"{NOW + timedelta(days=1):%Y-%m-%d}")
    counter.told("event", "record", "resolved", "2", "--at", "2020-02-03")
    assert due(counter) == [2]
    (rule,) = counter.json("explain", "desk", "tickets/2/a.txt")["rules"]
    assert rule["start"] == "2020-02-03T23:59:59.999999Z"
    assert counter.json("event", "withdraw", "resolved", "2", "--at", "2020-02-03")["withdrawn"] == 1


def test_what_was_not_declared_cannot_be_recorded(counter, desk):
    for shop in (counter, desk):
        shop.told("event", "record", "resloved", "1", code=2)
        shop.told("event", "withdraw", "resolved", "77", code=2)
    assert counter.folder == desk.folder
    desk.category("support", FILES.replace("PERIOD", "immediately"), head=QUERY.replace("    recorded: RECORDED\n", ""))
    desk.told("event", "record", "resolved", "1", code=2)
    desk.told("event", "record", "resolved", "1", "--at", "yesterday", code=2)


def test_an_undeclared_event_in_a_rule_is_an_error_with_its_place(bare):
    bare.category("support", FILES.replace("PERIOD", "immediately"))
    (error,) = bare.json("check", "--offline", code=2)["errors"]
    assert (error["file"], error["line"] > 0) == ("policies.d/support.yaml", True)


def test_a_settled_event_waits_its_hour_even_when_the_period_is_over(desk):
    (rule,) = desk.json("explain", "desk", "tickets/2/a.txt")["rules"]
    started = datetime.fromisoformat(rule["start"])
    assert datetime.fromisoformat(rule["due"]) == started + timedelta(hours=1)
    assert rule["verdict"] == "waiting"


# Events that another program drops as files


def drop(shop, name, *lines):
    folder = shop.folder / "state" / "events"
    (folder / f".{name}").write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    (folder / f".{name}").rename(folder / name)


def told(ticket, at="2026-01-02T10:00:00Z", **more):
    return {"event": "resolved", "subject": str(ticket), "at": at, **more}


def test_dropped_events_start_clocks_late_twice_and_in_any_order(counter):
    counter.plan()
    drop(counter, "b.jsonl", told(1), told(1, "2025-01-01"), told(1))
    drop(counter, "a.jsonl", told(99), told(2, "2999-01-01T00:00:00Z"))
    drop(counter, "half.part", told(2))
    assert due(counter) == [1], "of a future event and an unknown subject nothing comes"
    assert len(counter.json("event", "list")["events"]) == 4
    assert {p.name for p in (counter.folder / "state" / "events").iterdir()} == {"half.part", "taken"}
    drop(counter, "again.jsonl", told(1))
    taken = counter.json("event", "take")
    assert taken == {"files": 1, "recorded": 0, "withdrawn": 0, "known": 1, "broken": 0}
    counter.told("audit", "verify")


def test_a_dropped_withdrawal_keeps_the_files_of_a_plan_that_is_made(counter):
    counter.plan()
    drop(counter, "a.jsonl", told(1), told(2))
    plan = counter.plan()
    drop(counter, "b.jsonl", {"event": "resolved", "subject": "1", "do": "withdraw"})
    counts = counter.json("apply", plan)["counts"]
    assert (counts["disposed"], counts["changed"]) == (1, 1)
    assert counter.left() == {"tickets/1/a.txt"}


BROKEN = [
    "{",
    "[]",
    '"x"',
    told(2, at="soon"),
    told(2, at=7),
    {"event": "resolved", "subject": "2"},
    {"event": "resolved", "subject": 2, "at": "2026-01-01"},
    {"event": "resolved", "subject": "", "at": "2026-01-01"},
    {"event": "unheard-of", "subject": "2", "at": "2026-01-01"},
    told(2, do="forget"),
    told(2, note="ada@example.org"),
    "[" * 100_000,
]


def test_broken_lines_are_set_aside_and_the_good_ones_count(counter):
    counter.plan()
    drop(counter, "a.jsonl", told(1), *BROKEN, "")
    value = counter.json("plan")
    assert value["rules"][0]["due"] == 1
    assert f"{len(BROKEN)} lines of dropped events are broken" in " ".join(value["warnings"])
    rows = [json.loads(line) for line in (counter.folder / "state/events/rejected/a.jsonl").read_text().splitlines()]
    assert [row["line"] for row in rows] == [*range(2, 2 + len(BROKEN))]
    assert rows[0]["what"] == "the line is no JSON"
    assert (counter.folder / "state/events/rejected/a.jsonl").stat().st_mode & 0o077 == 0


def test_a_file_that_a_crash_left_half_way_is_taken_up_once_more(counter):
    counter.plan()
    drop(counter, "a.jsonl", told(1))
    (counter.folder / "state/events/taken").mkdir(exist_ok=True)
    (counter.folder / "state/events/a.jsonl").rename(counter.folder / "state/events/taken/a.jsonl")
    assert counter.json("event", "take")["recorded"] == 1
    (counter.folder / "state/events/taken/a.jsonl").write_text(json.dumps(told(1)))
    assert counter.json("event", "take") == {"files": 1, "recorded": 0, "withdrawn": 0, "known": 1, "broken": 0}


def test_a_link_is_not_followed(counter, tmp_path):
    counter.plan()
    (tmp_path / "secret").write_text(json.dumps(told(1)))
    (counter.folder / "state/events/a.jsonl").symlink_to(tmp_path / "secret")
    assert counter.json("event", "take")["files"] == 0
    assert (tmp_path / "secret").exists()
