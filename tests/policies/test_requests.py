"""What people ask for, on the worked categories: a single call, a person, and the same person brought back by an import."""

from tests.policies.company import day, time
from tests.policies.stories import STORIES

WHY = ("--reason", "asked by mail", "--yes")


def test_a_single_call_goes_on_request_unless_a_claim_needs_it(company):
    """Promises 2 and 15."""
    company.rows(
        "desk", "calls", [{"id": n, "direction": "in", "telephone": "0", "ended_at": time(5), "seconds": 9} for n in (1, 2)]
    )
    sound = [company.put("recordings", f"calls/{day(5)}/{n}.wav") for n in (1, 2)]
    company.told("hold", "place", "CASE", "--reason", "claim", "--mandate", "m", "--subject", "call=2")
    first = company.json("erase", "call=1", "--request", "T-1", *WHY)
    assert (first["state"], first["applied"]["counts"]["disposed"]) == ("carried out", 2)
    second = company.json("erase", "call=2", "--request", "T-2", *WHY)
    assert {(s["rule"], s["ground"]) for s in second["stays"]} == {("sound", "hold"), ("entries", "hold")}
    assert company.keys("recordings") == {sound[1]}
    assert company.keys("desk", "calls", "id") == {"calls/2"}
    answer = company.json("audit", "certificate", "T-2")
    assert [s["lawful"] for s in answer["stays"]] == [True, True]
    company.told("audit", "verify")


def test_a_telephone_number_takes_the_sound_of_its_calls_which_names_nobody(company):
    """Promise 2: the list of calls leads to the sound."""
    calls = [(1, "0148"), (2, "0149"), (3, "0148")]
    rows = [{"id": n, "direction": "in", "telephone": who, "ended_at": time(5), "seconds": 9} for n, who in calls]
    company.rows("desk", "calls", rows)
    sound = {n: company.put("recordings", f"calls/{day(5)}/{n}.wav") for n, _ in calls}
    value = company.json("erase", "telephone=0148", "--request", "T-4", *WHY)
    assert (value["state"], value["applied"]["counts"]["disposed"]) == ("carried out", 4)
    assert company.keys("recordings") == {sound[2]}
    assert company.keys("desk", "calls", "id") == {"calls/2"}
    company.told("audit", "verify")


def test_a_person_goes_everywhere_and_stays_away(company):
    """Promises 12 and 17: the list of those who left stays, on its ground; an import brings the reader back, and is found."""
    reader = {"id": 1, "list": "news", "email": "jo@example.org", "joined_at": time(100)}
    other = {"id": 2, "list": "news", "email": "al@example.org", "joined_at": time(100)}
    company.rows("desk", "readers", [reader, other])
    company.rows("desk", "leavers", [{"id": 1, "email": "jo@example.org", "left_at": time(200)}])
    value = company.json("erase", "email=jo@example.org", "--request", "T-3", *WHY)
    assert [(s["rule"], s["ground"]) for s in value["stays"]] == [("leavers", "art-17-3-b")]
    assert company.keys("desk", "readers", "id") == {"readers/2"}
    company.rows("desk", "readers", [reader])
    rules = {r["rule"]: r for r in company.json("plan", "newsletter")["rules"]}
    assert (rules["readers"]["newer"], rules["readers"]["due"]) == (1, 0)
    back = company.json("replay", "--since", f"{day(1)}", "--yes")
    assert back["applied"]["counts"]["disposed"] == 1
    assert company.keys("desk", "readers", "id") == {"readers/2"}
    company.told("audit", "verify")


def test_a_person_is_taken_out_of_the_mailbox_and_of_the_encrypted_archive(company):
    """Promise 8: in the mailbox by the headers, in the archive, where nothing can be read, by the customer."""
    STORIES["mail-archive"](company)
    company.customers(range(60_000, 60_009))
    plan = company.json("plan", "mail-archive")
    assert [{"plain": 1}] == [one["breaches"] for one in plan["violations"]]
    assert 42 == company.json("apply", plan["plan"])["counts"]["disposed"]
    archived, mailbox = company.keys("vault"), company.keys("mail")
    letters = {key for key in archived if "manifest-" not in key}
    assert len([key for key in letters if ".archived" not in key and "by-hand" not in key]) == 40
    value = company.json("erase", "email=C60001@example.net", "--request", "T-8", *WHY)
    assert {one["rule"] for one in value["stays"]} == {"customers"}, "tax law keeps the customer, and no letter"
    assert {key for key in archived if key.startswith("letters/60001/")} == archived - company.keys("vault")
    assert len(mailbox - company.keys("mail")) == len([n for n in range(40, 200) if n % 9 == 1])
    assert not [path for path in (company.srv / "mail").rglob("cur/*") if b"c60001@" in path.read_bytes()]
    assert value["state"] == "open", "the customer is left, on a ground of the law"
    company.told("audit", "verify")
