"""No personal data in any output: canaries in every place where a person may stand, searched for in every form."""

import base64
import json
import unicodedata
from urllib.parse import quote, quote_plus

import pytest

from tests.acceptance.shop import LETTERS, OPEN_LIMITS, SALES, ordinary

PEOPLE = ["Zoë-Canary Ångström", "canary.person@mail.example", "+44 20 7946 0958", "Ünïcåné/79+460"]
"""A name, an address, a number, and one that every encoding changes."""


def forms(canary):
    """Every form in which bytes may leak, with what it is called."""
    texts = {canary, canary.lower(), canary.upper(), canary.casefold()}
    texts |= {unicodedata.normalize(form, text) for form in ("NFC", "NFD", "NFKC", "NFKD") for text in list(texts)}
    for text in texts:
        raw = text.encode()
        yield raw
        yield json.dumps(text)[1:-1].encode()
        yield from (q.encode() for q in (quote(text), quote(text, safe=""), quote_plus(text)))
        yield from (raw.hex().encode(), raw.hex().upper().encode(), repr(raw)[2:-1].encode(), ascii(text)[1:-1].encode())
        for ahead in range(3):
            cut = -(-8 * ahead // 6)
            for encode in (base64.b64encode, base64.urlsafe_b64encode):
                yield encode(b"\0" * ahead + raw)[cut : (len(raw) + ahead) // 3 * 4]


def leaked(data, canaries):
    """The canaries that stand somewhere in some bytes, in any form."""
    return {c for c in canaries if any(form in data for form in forms(c) if len(form) > 5)}


def test_the_search_finds_what_it_is_for():
    for canary in PEOPLE:
        for form in forms(canary):
            assert leaked(b"before " + form + b" after", [canary]) == {canary}
        for ahead in (b"", b"x", b"xy"):
            assert leaked(base64.b64encode(ahead + canary.encode() + b"tail"), [canary]) == {canary}


def canaries(kind):
    return [f"{kind}-{person}" for person in PEOPLE]


@pytest.fixture
def watched(bare):
    """A shop full of people, and everything that it ever says or publishes."""
    for i, name in enumerate(canaries("file")):
        bare.file(f"letters/{name.replace('/', '_')}/{i}.txt")
    bare.sql("CREATE TABLE people(email TEXT PRIMARY KEY, at TEXT, customer TEXT)")
    for key, column in zip(canaries("key"), canaries("column"), strict=True):
        bare.sql("INSERT INTO people VALUES(?, '2020-01-01', ?)", key, column)
    where = canaries("literal")[1]
    table = f"{{table: people, where: \"email <> '{where}'\"}}"
    rules = SALES.replace('{table: sales, where: "id > 0"}', table).replace(
        "customer: customer, email: email", "customer: customer"
    )
    head = OPEN_LIMITS + "\nevents:\n  left: {recorded: yes}"
    bare.category("people", rules, head=head)
    bare.category("post", LETTERS)
    return bare


EVERYBODY = [
    *(c.replace("/", "_") for c in canaries("file")), *canaries("key"), *canaries("column"), *canaries("literal"),
    *canaries("hold"), *canaries("reason"), *canaries("mandate"), *canaries("subject"), *canaries("approver"),
    *canaries("release"),
]  # fmt: skip


def published(shop):
    """Everything in the state that somebody else than its owner may come to see: names and contents."""
    state = shop.folder / "state"
    found = b"".join(str(p.relative_to(state)).encode() + b"\n" for p in state.rglob("*") if "plans/" not in str(p))
    for path in state.rglob("*"):
        inside = path.relative_to(state).parts[0]
        if path.is_file() and inside not in ("plans", "keys") and not inside.startswith("state.db"):
            found += path.read_bytes() + b"\n"
    return found


def test_nothing_personal_is_published_or_said(watched):
    """A whole life with holds, events and approvals: only the ledger, the plans and the answers know whom it was about."""
    said = []
    for i in range(4):
        place = ["hold", "place", canaries("hold")[i], "--reason", canaries("reason")[i], "--mandate", canaries("mandate")[i]]
        said.append(watched.told(*place, "--subject", f"customer={canaries('column')[i]}" if i == 0 else "customer=nobody"))
        said.append(watched.told("event", "record", "left", canaries("subject")[i]))
        said.append(watched.told("approve", "people", "--by", canaries("approver")[i], "--yes"))
    said.append(watched.told("approve", "people", "--by", canaries("approver")[0], "--revoke"))
    said.append(watched.told("event", "withdraw", "left", canaries("subject")[0]))
    where = f"customer = '{canaries('literal')[0]}'"
    said.append(
        watched.told("hold", "place", "W", "--reason", "r", "--mandate", "m", "--store", "till", "--where", where, "--dry-run")
    )
    out = str(watched.folder / "plan.out")
    plan = watched.plan("--out", out)
    said += [watched.told("plan"), watched.told("plan", "--at", "2040-01-01"), watched.told("apply", plan)]
    said.append(watched.told("hold", "release", canaries("hold")[0], "--reason", canaries("release")[0]))
    said += [watched.told("apply", plan), watched.told("apply", watched.plan())]
    talk = [
        watched.told(*words) for words in (["audit", "show", "--limit", "0"], ["audit", "verify"], ["plans"], ["runs"], ["clock"])
    ]
    talk.append(watched.told("--json", "audit", "show", "--limit", "0"))
    assert watched.ids() == set()
    assert watched.sql("SELECT count(*) FROM people") == [(0,)]
    assert leaked("".join(t.err for t in [*said, *talk]).encode(), EVERYBODY) == set()
    assert leaked("".join(t.out for t in talk).encode(), EVERYBODY) == set()
    assert leaked(published(watched), EVERYBODY) == set()
    keys = [c.replace("/", "_") for c in canaries("file")] + [canaries("key")[1]]
    in_plan = watched.plan_file(plan).read_bytes()
    assert set(keys[:3]) <= leaked(in_plan, EVERYBODY), "the search finds them where they may be"
    assert set(keys[:3]) <= leaked((watched.folder / "plan.out").read_bytes(), EVERYBODY)


def errors_of(shop, commands):
    """What commands that fail say on standard error and publish."""
    told = [shop.told(*command, code=None) for command in commands]
    assert all(t.code for t in told), [(c, t.code) for c, t in zip(commands, told, strict=True)]
    assert all(t.err for t in told)
    return "".join(t.err for t in told).encode() + published(shop)


def test_what_fails_says_nothing_personal(watched):
    """Files that cannot be deleted, rows that a trigger defends with words of its own, stores that are damaged."""
    plan = watched.plan()
    words = canaries("trigger")
    watched.sql(f"CREATE TRIGGER guard BEFORE DELETE ON people BEGIN SELECT RAISE(ABORT, '{words[0]}'); END")
    for folder in (watched.folder / "desk/letters").iterdir():
        folder.chmod(0o555)
    told = watched.apart("apply", plan, before=ordinary(), code=None)
    assert told.code == 1
    assert leaked((told.out + told.err).encode() + published(watched), [*EVERYBODY, *words]) == set()
    log = watched.told("audit", "show", "--limit", "0")
    assert leaked((log.out + log.err).encode(), [*EVERYBODY, *words]) == set()
    for folder in (watched.folder / "desk/letters").iterdir():
        folder.chmod(0o000)
    told = watched.apart("plan", before=ordinary(), code=5)
    assert leaked((told.out + told.err).encode(), EVERYBODY) == set()
    told = watched.apart("check", before=ordinary(), code=5)
    assert leaked((told.out + told.err).encode(), EVERYBODY) == set()
    for folder in (watched.folder / "desk/letters").iterdir():
        folder.chmod(0o755)


def test_words_of_a_statement_that_the_database_refuses_are_not_repeated(watched):
    """SQLite quotes what it does not understand; that may be what a person wrote about another."""
    literal = canaries("literal")
    for i, where in enumerate((f"customer = '{literal[1]}", f"customer = {literal[1]}", f'"{literal[0]}" = 1')):
        place = ["hold", "place", f"H{i}", "--reason", "r", "--mandate", "m", "--store", "till", "--where", where]
        told = watched.told(*place, code=None)
        assert leaked(told.err.encode(), EVERYBODY) == set()
        told = watched.told("plan", "people", code=None)
        assert leaked((told.out + told.err).encode() + published(watched), EVERYBODY) == set(), where
    assert watched.rule("sales")["due"] == 0


def test_a_broken_condition_of_a_rule_is_not_repeated(watched):
    literal = canaries("literal")[1]
    path = watched.folder / "policies.d/people.yaml"
    whole = path.read_text()
    for broken in (f"email <> '{literal}", f"email <> {literal}", f"'{literal}' <>> email"):
        path.write_text(whole.replace(f"email <> '{literal}'", broken))
        for command in (["plan", "people"], ["check"], ["explain", "till", "people/x"]):
            told = watched.told(*command, code=5)
            assert leaked((told.out + told.err).encode(), EVERYBODY) == set(), (command, told)


def test_mistakes_on_the_command_line_repeat_no_person(watched):
    person = PEOPLE[1]
    watched.told("plan")
    commands = [
        ["hold", "place", "H", "--reason", "r", "--mandate", "m", "--subject", person],
        ["hold", "place", "H", "--reason", "r", "--mandate", "m", "--path", f"{person}/../x"],
        ["hold", "release", person, "--reason", "r"],
        ["event", "withdraw", "left", person],
        ["event", "record", "left", person, "--at", person],
        ["explain", "nowhere", person],
        ["plan", "show", person],
        ["apply", person],
    ]
    for command in commands:
        assert leaked(errors_of(watched, [command]), [person]) == set(), command


def test_a_second_hold_of_one_id_does_not_repeat_it(watched):
    place = ["hold", "place", PEOPLE[0], "--reason", "r", "--mandate", "m", "--everything"]
    watched.told(*place)
    assert leaked(errors_of(watched, [place]), PEOPLE) == set()


def test_a_fault_inside_the_program_tells_no_data(watched):
    """The ledger loses a table on the way: whatever is said of it holds nothing of what was asked."""
    import sqlite3
    from contextlib import closing

    watched.told("plan")
    with closing(sqlite3.connect(watched.folder / "state/state.db")) as db, db:
        db.execute("DROP TABLE happened")
        db.execute("DROP TABLE hold")
    commands = [
        ["event", "record", "left", PEOPLE[1]],
        ["hold", "place", PEOPLE[0], "--reason", PEOPLE[1], "--mandate", PEOPLE[2], "--subject", f"customer={PEOPLE[1]}"],
    ]
    assert leaked(errors_of(watched, commands), PEOPLE) == set()
