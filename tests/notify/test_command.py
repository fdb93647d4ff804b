"""`notify test` says of each address whether it can be told; and nothing personal is told, whatever there is to tell."""

from datetime import timedelta

from retentiond.app.alarms import tell
from tests.acceptance.shop import NOW, SALES
from tests.acceptance.test_privacy import EVERYBODY, canaries, leaked
from tests.notify.test_alarms import FORBIDDEN


def test_each_address_gets_a_test(teller, web, mail):
    smtp = f"{{smtp: 127.0.0.1, port: {mail.port}, security: none, from: a@b.example, to: [c@b.example]}}"
    teller.notify(f"{{webhook: '{web.url}', on: [overdue]}}", smtp)
    told = teller.told("notify", "test")
    assert told.out == "address 1 (webhook): delivered\naddress 2 (smtp): delivered\n"
    assert [change for change, *_ in web.told] == ["test"]
    assert len(mail.mails) == 1


def test_one_that_fails_is_told_and_ends_with_1(teller, web, nobody):
    teller.notify(f"{{webhook: '{web.url}'}}", f"{{webhook: 'http://127.0.0.1:{nobody}/swordfish'}}")
    told = teller.told("notify", "test", code=1)
    assert told.out.splitlines() == [
        "address 1 (webhook): delivered",
        "address 2 (webhook): not delivered: the address refuses connections",
    ]
    second = {"address": "address 2 (webhook)", "delivered": False, "trouble": "the address refuses connections"}
    assert teller.json("notify", "test", code=1)["addresses"][1] == second


def test_without_an_address_it_is_a_mistake(teller):
    teller.notify()
    assert "nobody is to be told" in teller.told("notify", "test", code=2).err


def test_a_test_changes_nothing(teller):
    teller.told("notify", "test")
    assert not (teller.folder / "state").exists()


def test_nothing_personal_is_told(teller, web, mail):
    """Every kind of alarm, about stores full of people and holds that name them; nor is it kept to be told."""
    smtp = f"{{smtp: 127.0.0.1, port: {mail.port}, security: none, from: a@b.example, to: [c@b.example]}}"
    teller.notify(f"{{webhook: '{web.url}'}}", smtp)
    for i, name in enumerate(canaries("file")):
        teller.file(f"letters/{name.replace('/', '_')}/{i}.txt")
    teller.sale(*[(i, "2020-01-01", c, k) for i, (c, k) in enumerate(zip(canaries("column"), canaries("key"), strict=True), 1)])
    teller.sql("CREATE TABLE notes(id TEXT PRIMARY KEY)")
    teller.sql("INSERT INTO notes VALUES (?)", canaries("subject")[0])
    teller.category("trade", SALES)
    teller.category("calls", FORBIDDEN, head="events:\n  agreed: {recorded: yes}")
    for i in range(4):
        ground = ("--reason", canaries("reason")[i], "--mandate", canaries("mandate")[i])
        scope = ("--subject", f"customer={canaries('column')[i]}", "--category", "trade")
        teller.told("hold", "place", canaries("hold")[i], *ground, *scope, "--review-on", "2020-01-01")
    teller.told("plan")
    for name in ("post", "trade", "calls"):
        teller.told("apply", "--category", name, code=3)
        teller.told("approve", name, "--by", canaries("approver")[0], "--yes")
    teller.sql(f"CREATE TRIGGER guard BEFORE DELETE ON sales BEGIN SELECT RAISE(ABORT, '{canaries('key')[1]}'); END")
    teller.told("hold", "release", canaries("hold")[1], "--reason", canaries("release")[1])
    teller.told("apply", "--category", "trade", code=1)
    (teller.folder / "desk").rename(teller.folder / canaries("file")[0].replace("/", "_"))
    teller.told("apply", "--category", "post", code=5)
    with teller.house() as house:
        tell(house, NOW + timedelta(days=30))
        kept = repr([house.alarms.standing(), house.alarms.debtors()]).encode()
    kinds = {kind for _, kind, _ in web.told}
    assert kinds >= {"approval", "overdue", "violation", "hold-review", "failure", "silence"}
    told = b"".join(body for body, _ in web.bodies) + "".join(m.as_string() + m.get_content() for m in mail.mails).encode()
    assert leaked(told + kept, EVERYBODY) == set()
