"""Erasure of one person: every store, as far as the law lets, and again when nothing keeps it any more."""

import contextlib
import json
import sqlite3
from contextlib import closing

import pytest

from retentiond.app.alarms import alarms
from retentiond.app.house import House
from retentiond.audit.certificate import is_sealed
from retentiond.audit.note import Verifier
from tests.acceptance.shop import CATEGORY, NEW, OLD, OPEN_LIMITS, SALES
from tests.acceptance.town import ASKED, FILES, WHO, erase, people
from tests.notify.sinks import WebSink


def stays(value):
    return {(one["rule"], one["ground"]): one["items"] for one in value["stays"]}


def test_one_person_goes_from_every_store_and_nobody_else(town):
    value = erase(town, "--yes")
    assert town.ids() == {3}
    assert town.left() == {"tickets/8/a.txt", "tickets/8/deep/b.txt"}
    assert value["state"] == "carried out"
    assert value["applied"]["counts"]["disposed"] == 4
    assert {(r["rule"], r["due"], r["erased"], r["scanned"]) for r in value["rules"]} == {
        ("sales", 2, 2, 3),
        ("tickets", 2, 2, 4),
    }
    (look_up,) = value["look_ups"]
    assert look_up == {
        "name": "customer-by-email",
        "took": {"email": "ada@example.org"},
        "gave": [{"kind": "customer", "value": "7"}],
    }
    types = [e["type"] for e in town.entries()]
    order = ["request-received", "plan-made", "request-allowed", "plan-allowed", "intent", "outcome", "certificate"]
    assert [t for t in dict.fromkeys(types) if t in order] == order
    assert types[-1] == "request-carried-out"
    assert town.entries("request-carried-out")[0]["disposed"] == 4
    town.told("audit", "verify")


def test_the_ledger_and_the_log_know_the_person_by_references_only(town):
    erase(town, "--yes")
    town.plan()
    for path in (town.folder / "state").rglob("*"):
        if path.is_file() and "plans" not in path.parts:
            body = path.read_bytes()
            assert b"ada@example.org" not in body, path
            assert b"R-1" not in body or path.name.startswith("state.db"), path


def test_it_is_a_plan_like_any_other(town):
    value = erase(town, "--plan")
    assert (value["state"], len(town.ids())) == ("received", 3)
    header, *lines = map(json.loads, town.lines(value["plan"]))
    steps = [line for line in lines if "action" in line]
    assert header["requests"] == [value["request"]]
    assert {s["request"] for s in steps} == {value["request"]}
    assert {s["key"] for s in steps} == {"sales/1", "sales/2", "tickets/7/a.txt", "tickets/7/deep/b.txt"}
    assert {tuple(s["reasons"]) for s in steps} == {("erasure request",)}
    assert town.rule("sales")["due"] == 0, "a request that nobody has allowed does nothing by itself"
    assert town.json("apply", value["plan"])["counts"]["disposed"] == 4
    assert town.entries("request-carried-out")
    assert town.json("apply", value["plan"])["run"] is None
    town.told("audit", "verify")


def test_what_changed_since_the_plan_or_is_nobodys_any_more_is_left_alone(town):
    plan = erase(town, "--plan")["plan"]
    town.sql("UPDATE sales SET customer = '8', email = 'bob@example.org' WHERE id = 1")
    town.file("tickets/7/a.txt", OLD, b"another text")
    counts = town.json("apply", plan)["counts"]
    assert (counts["disposed"], counts["changed"]) == (2, 2)
    assert town.ids() == {1, 3}
    assert town.json("erase", WHO, *ASKED, "--yes")["applied"]["counts"]["disposed"] == 1
    assert town.ids() == {1, 3}


def test_a_hold_refuses_and_its_release_lets_go_by_itself(town):
    town.told("hold", "place", "H", "--reason", "r", "--mandate", "m", "--subject", "customer=7", "--store", "till")
    value = erase(town, "--yes")
    assert (value["state"], stays(value)) == ("open", {("sales", "hold"): 2})
    assert value["stays"][0]["lawful"]
    assert town.ids() == {1, 2, 3}
    assert [(e["rule"], e["ground"], e["count"]) for e in town.entries("request-refused")] == [("sales", "hold", 2)]
    assert town.rule("sales")["held"] == 2
    town.told("hold", "release", "H", "--reason", "settled")
    sales = town.rule("sales")
    assert (sales["due"], sales["erased"]) == (2, 2)
    town.told("approve", "trade", "--yes")
    assert town.json("apply", "--category", "trade")["counts"]["disposed"] == 2
    assert town.ids() == {3}
    assert town.entries("request-carried-out")[0]["disposed"] == 4
    town.told("audit", "verify")


def test_a_hold_by_another_identifier_of_the_same_person_wins_also_after_the_plan(town):
    """The row with another address is theirs by their number; the hold names the address."""
    plan = erase(town, "--plan")["plan"]
    town.told("hold", "place", "H", "--reason", "r", "--mandate", "m", "--subject", WHO)
    counts = town.json("apply", plan)["counts"]
    assert (counts["held"], counts["disposed"]) == (4, 0)
    assert town.ids() == {1, 2, 3}


def test_a_minimum_refuses_with_its_mandate_and_its_end(town):
    town.category(
        "trade",
        SALES.replace(
            "action: delete",
            "action: delete\n    deletion_period: 7 years\n    minimum: {period: 6 years, mandate: 'Companies Act 2006 s. 388'}",
        ),
    )
    value = erase(town, "--yes")
    assert stays(value) == {("sales", "minimum"): 2}
    (one,) = value["stays"]
    assert "Companies Act" in one["words"]
    assert one["until"].startswith(str(NEW.year + 6))
    assert value["applied"]["counts"]["disposed"] == 2


def test_an_exemption_refuses_on_its_ground(town):
    town.category("trade", SALES + "    exempt: {ground: d, because: statistics for the regulator}\n")
    value = erase(town, "--yes")
    assert stays(value) == {("sales", "art-17-3-d"): 2}
    assert "statistics for the regulator" in value["stays"][0]["words"]
    town.told("audit", "verify")


def test_a_rule_that_keeps_is_not_done_and_that_is_no_ground_of_the_law(town):
    town.category("trade", SALES.replace("action: delete", "action: keep"))
    value = erase(town, "--yes")
    assert stays(value) == {("sales", "keep"): 2}
    assert not value["stays"][0]["lawful"]
    assert value["state"] == "open"


def test_what_waits_for_a_review_or_cools_off_is_erased_all_the_same(town):
    town.category("trade", SALES.replace("action: delete", "action: review\n    cooling_off: 7 days"))
    erase(town, "--yes")
    assert town.ids() == {3}


def test_anonymising_is_how_such_a_rule_erases(town):
    town.category("trade", SALES.replace("action: delete", "action: {anonymise: {customer: null, email: null}}"))
    value = erase(town, "--yes")
    assert value["state"] == "carried out"
    assert town.sql("SELECT customer, email FROM sales ORDER BY id") == [(None, None), (None, None), ("8", "bob@example.org")]


def test_several_identifiers_are_one_person(town):
    value = erase(town, "--plan", who=("email=other@example.org", "customer=7"))
    assert sum(r["due"] for r in value["rules"]) == 4


def test_mail_arrives_whatever_the_case_of_an_address_and_so_does_a_request(town):
    value = erase(town, "--yes", who=("email=Ada@Example.ORG",))
    assert [found["gave"] for found in value["look_ups"]] == [[{"kind": "customer", "value": "7"}]]
    assert value["state"] == "carried out"
    assert town.left() == {"tickets/8/a.txt", "tickets/8/deep/b.txt"}


def test_an_ambiguous_identity_is_refused_until_all_are_named(town):
    town.sql("INSERT INTO people VALUES(9, 'ada@example.org')")
    told = town.told("erase", WHO, *ASKED, "--yes", code=2)
    assert "2 of the kind customer" in told.err
    assert len(town.ids()) == 3
    assert not (town.folder / "state").exists(), "nothing was received"
    value = erase(town, "--plan", who=(WHO, "customer=7", "customer=9"))
    assert sum(r["due"] for r in value["rules"]) == 4
    town.settings(
        text=town.config.read_text()
        .replace("WHERE email = :email", "WHERE email = :email")
        .replace('query: "SELECT id', 'several: yes, query: "SELECT id')
    )
    assert erase(town, "--yes")["state"] == "carried out"


def test_an_identifier_of_half_the_database_trips_a_limit_and_a_person_may_pass_it(town):
    town.category("trade", SALES, head="")
    at = f"{NEW:%Y-%m-%d %H:%M:%S}"
    town.sale(*[(i, at, "7" if i % 2 else "8", "x") for i in range(100, 400)])
    told = town.told("erase", "customer=7", *ASKED, "--yes", code=3)
    assert "--over-limits" in told.err + told.out
    assert len(town.ids()) == 303
    plan = erase(town, "--plan", who=("customer=7",))
    assert [r["limit"] for r in plan["refused"]] == ["share"]
    town.told("apply", plan["plan"], "--over-limits", plan["plan"])
    assert len(town.ids()) == 151


def test_a_name_means_one_person_for_ever(town):
    erase(town, "--plan")
    town.told("erase", "customer=8", *ASKED, "--yes", code=2)
    assert len(town.ids()) == 3


@pytest.mark.parametrize("who", ["ada", "=x", "email="])
def test_a_word_that_names_nobody_is_refused(town, who):
    town.told("erase", who, *ASKED, code=2)


def test_an_identifier_that_no_rule_maps_is_refused(town):
    told = town.told("erase", "passport=7", *ASKED, code=2)
    assert "email" in told.err


def test_nobody_was_there(town):
    value = erase(town, "--yes", who=("customer=99",))
    assert (value["state"], value["applied"]["counts"]["disposed"]) == ("carried out", 0)
    town.told("audit", "verify")


def test_a_store_that_is_down_stays_open_and_is_searched_when_it_is_back(town):
    (town.folder / "desk").rename(town.folder / "away")
    value = erase(town, "--yes", code=5)
    assert (value["state"], stays(value)) == ("open", {("tickets", "unseen"): 0})
    assert town.ids() == {3}
    (town.folder / "away").rename(town.folder / "desk")
    again = erase(town, "--yes")
    assert (again["state"], again["applied"]["counts"]["disposed"]) == ("carried out", 2)
    assert again["request"] == value["request"]


def test_an_import_that_brings_the_person_back_is_found_by_every_look_and_newcomers_are_left_alone(town):
    erase(town, "--yes")
    people(town)
    after = "2999-01-01 00:00:00"
    town.sale((50, after, "7", "ada@example.org"))
    sales = town.rule("sales")
    assert (sales["erased"], sales["due"], sales["newer"]) == (2, 2, 1)
    assert "1 are about somebody who was erased, and newer" in " ".join(town.told("plan").out.split())
    assert "1 about somebody who was erased" in " ".join(town.told("status").out.split())
    with House(str(town.config)) as house:
        assert [(a.about, a.size) for a in alarms(house, house.now)[0] if a.kind == "returned"] == [("trade", 1)]
    town.told("apply", town.plan())
    assert town.ids() == {3, 50}
    assert town.left() == {"tickets/8/a.txt", "tickets/8/deep/b.txt"}
    town.told("audit", "verify")


def test_explain_shows_the_rung(town):
    town.told("hold", "place", "H", "--reason", "r", "--mandate", "m", "--path", "sales/1")
    erase(town, "--yes")
    (rule,) = town.json("explain", "till", "sales/1")["rules"]
    assert {r["rung"] for r in rule["rungs"] if r["reason"]} >= {"hold", "erasure request"}
    assert rule["verdict"] == "held"


def test_copies_that_nobody_can_search_are_named_with_their_end(town):
    backups = """\
  nightly:
    store: desk
    select: {path: "backup/{day:%Y-%m-%d}.tar"}
    start: {path: day}
    generations: {daily: 7, monthly: 12}
    action: delete
"""
    town.category("backups", backups)
    (town.folder / "policies.d" / "logs.yaml").write_text(
        CATEGORY.format(
            name="logs",
            title="L",
            head=OPEN_LIMITS,
            rules=FILES.replace("tickets/{customer}", "logs").replace("    subject: {customer: customer}\n", ""),
        )
    )
    found = {one["rule"]: one for one in erase(town, "--plan")["beyond_use"]}
    assert found.keys() == {"nightly", "tickets"}
    assert found["nightly"]["backup"]
    assert found["nightly"]["until"] > f"{NEW.year + 1}"
    assert not found["tickets"]["backup"]


def test_the_certificate_names_stores_counts_days_and_grounds_and_nobody(town, tmp_path):
    town.told("hold", "place", "SMITH-v-ADA", "--reason", "r", "--mandate", "m", "--subject", "customer=7", "--store", "till")
    erase(town, "--yes")
    page, file = tmp_path / "answer.html", tmp_path / "answer.json"
    town.told("audit", "certificate", "R-1", "--out", str(page))
    made = town.json("audit", "certificate", "R-1", "--out", str(file))
    assert json.loads(file.read_text()) == made
    assert [(d["store"], d["items"], d["location"]) for d in made["disposed"]] == [("desk", 2, "GB")]
    assert [(s["store"], s["ground"], s["items"]) for s in made["stays"]] == [("till", "hold", 2)]
    assert (made["state"], made["dates"]["received"]) == ("open", town.json("request", "list")["requests"][0]["received"][:10])
    for text in (page.read_text(), file.read_text()):
        assert "Art. 17(3)(e)" in text
        for name in ("ada@", "R-1", "SMITH", "tickets/7", "asked by mail"):
            assert name.lower() not in text.lower(), name
    key = Verifier.from_line((town.folder / "state" / "log" / "public-key").read_text().strip())
    assert is_sealed(made, key)
    assert not is_sealed(made | {"summary": "all is gone"}, key)
    town.told("audit", "certificate", "R-2", code=2)
    town.told("audit", "certificate", "R-1", "--out", "answer.doc", code=2)


def test_each_recipient_is_told_once_and_not_of_whom(town):
    with contextlib.closing(WebSink()) as hook:
        town.settings(text=f'{town.config.read_text()}notify: [{{webhook: "{hook.url}"}}]\n')
        town.category("trade", SALES, head=f"{OPEN_LIMITS}\nrecipients: [Post Ltd, Bank Ltd]")
        erase(town, "--yes")
        people(town)
        town.told("apply", town.plan())
        erase(town, "--yes")
    bodies = hook.messages
    alarms = [a for body in bodies for a in body["alarms"] if a["kind"] == "erasure"]
    assert sorted(a["facts"]["recipient"] for a in alarms) == ["Bank Ltd", "Post Ltd"]
    assert "ada@" not in json.dumps(bodies)
    assert town.entries("recipients-told")[0]["count"] == 2


def test_a_minimum_that_an_event_has_started_since_the_plan_wins(town):
    head = f"{OPEN_LIMITS}\nevents:\n  contract-ended: {{recorded: yes}}"
    rule = FILES.replace("start: modified", "start: {event: contract-ended, by: customer}").replace(
        "retention_period: 2 years", "retention_period: 20 years\n    minimum: {period: 6 years, mandate: a law}"
    )
    town.category("support", rule, head=head)
    town.told("event", "record", "contract-ended", "7", "--at", "2010-01-01")
    plan = erase(town, "--plan")["plan"]
    town.told("event", "record", "contract-ended", "7", "--at", "2026-01-01")
    counts = town.json("apply", plan)["counts"]
    assert (counts["disposed"], counts["changed"]) == (2, 2)
    assert stays(erase(town, "--plan")) == {("tickets", "minimum"): 2}


def test_a_destroyed_key_makes_a_request_unknown_and_a_plan_says_so(town):
    erase(town, "--yes")
    people(town)
    with closing(sqlite3.connect(town.folder / "state" / "state.db")) as db, db:
        db.execute("UPDATE request SET year = 2020")
    value = town.json("plan")
    assert sum(r["due"] for r in value["rules"]) == 0
    assert "1 erasure requests cannot be obeyed again: the reference key of 2020 is gone" in value["warnings"]


def test_a_request_is_forgotten_when_its_time_is_over(town):
    town.settings(text=f"{town.config.read_text()}suppression: immediately\n")
    assert erase(town, "--yes")["state"] == "carried out"
    people(town)
    assert sum(r["due"] for r in town.json("plan")["rules"]) == 0
    with closing(sqlite3.connect(town.folder / "state" / "state.db")) as db:
        assert db.execute("SELECT subjects, done IS NOT NULL FROM request").fetchall() == [("[]", 1)]


def test_a_plan_that_nobody_carries_out_makes_no_newcomer_anybodys(town):
    erase(town, "--yes")
    town.sale((60, "2999-01-01 00:00:00", "7", "x"))
    assert town.rule("sales")["newer"] == 1
    assert erase(town, "--plan")["rules"], "whoever looks at it is shown the newcomer as well"
    town.json("replay", "--since", "2020-01-01")
    counts = town.rule("sales")
    assert (counts["newer"], counts.get("erased", 0), counts["due"]) == (1, 0, 0)
    town.json("replay", "--since", "2020-01-01", "--yes")
    assert (town.rule("sales")["newer"], town.ids()) == (1, {3, 60})
    value = erase(town, "--yes")
    assert (value["applied"]["counts"]["disposed"], town.ids()) == (1, {3}), "a person who was shown it may let it go"


def test_what_a_plan_saw_that_was_not_the_one_carried_out_is_a_newcomers(town):
    first = erase(town, "--plan")
    town.sale((60, "2999-01-01 00:00:00", "7", "x"))
    erase(town, "--plan")
    town.told("apply", first["plan"])
    counts = town.rule("sales")
    assert (counts["newer"], counts.get("erased", 0), town.ids()) == (1, 0, {3, 60})


def test_what_a_plan_meant_and_a_hold_kept_is_the_persons_whatever_its_start(town):
    town.sale((60, "2999-01-01 00:00:00", "7", "x"))
    value = erase(town, "--plan")
    town.told("hold", "place", "H", "--reason", "r", "--mandate", "m", "--subject", "customer=7", "--store", "till")
    town.told("apply", value["plan"])
    assert stays(town.json("request", "list")["requests"][0])["sales", "hold"] == 3
    town.told("hold", "release", "H", "--reason", "settled")
    assert town.rule("sales")["erased"] == 3


def test_what_went_with_an_ordinary_plan_is_left_in_no_list_and_no_certificate(town):
    town.told("hold", "place", "H", "--reason", "r", "--mandate", "m", "--subject", "customer=7", "--store", "till")
    erase(town, "--yes")
    assert town.json("request", "list")["requests"][0]["state"] == "open"
    town.told("hold", "release", "H", "--reason", "settled")
    town.told("apply", town.plan())
    value = town.json("audit", "certificate", "R-1")
    assert (value["stays"], town.json("request", "list", "--all")["requests"][0]["state"]) == ([], "carried out")
