"""Looking into what lies in a store reads little of it, and once; takes no longer than it may; and says what it has found."""

import json
import os
import zipfile
from contextlib import closing
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from retentiond.archive.inspecting import Forgetful, Inspector
from retentiond.archive.patience import SLOWEST, Patient
from retentiond.archive.sample import HEAD, TAIL
from retentiond.archive.vouching import standing
from retentiond.core.copied import Copied
from retentiond.core.policy import PathSelection, Requirement, Start
from retentiond.engine.ports import PIECE, Scope
from retentiond.errors import StoreUnavailable
from retentiond.testing.wire import DOWN
from tests.acceptance.shop import NEW, OLD, Shop
from tests.archive.rules import SALES
from tests.archive.test_buckets import CHECK, away, line_to
from tests.stores.letters import Maildir, Mbox, letter
from tests.stores.objects import look

LARGE = 2 * PIECE
LISTING = 200_000
"""More bytes than opening a bucket and listing some objects take, twice."""


@pytest.fixture
def shop(tmp_path):
    return Shop(tmp_path / "shop")


def test_of_each_new_item_64_kib_and_its_end_are_read_and_of_one_that_was_seen_nothing(shop, moto_server, work):
    """Counted on the line to the server."""
    bucket, good = moto_server.bucket(), work.age()
    for n in range(10):
        bucket.put(f"in/{n}.age", good + os.urandom(LARGE))
    shop.category("checked", CHECK.format(path="in/**"))
    with line_to(bucket) as wire:
        away(shop, bucket, endpoint=f"http://{wire.host}:{wire.port}")

        def read():
            before = wire.passed[DOWN]
            assert shop.json("plan", "checked")["rules"][0]["assurance"] == {"client_authenticated": len(bucket.keys())}
            return wire.passed[DOWN] - before

        first, again = read(), read()
        assert 10 * (HEAD + TAIL) <= first < 10 * (HEAD + TAIL) + LISTING
        assert again < LISTING
        bucket.put("in/3.age", good + os.urandom(LARGE))
        bucket.put("in/10.age", good + os.urandom(LARGE))
        assert 2 * (HEAD + TAIL) <= read() < 2 * (HEAD + TAIL) + LISTING


def test_of_a_long_directory_at_the_end_so_much_is_read_as_it_is_long(shop, moto_server, tmp_path):
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as made:
        for n in range(3000):
            made.writestr(f"a-rather-long-name-of-an-entry-{n:05}.csv", os.urandom(1000))
    bucket = moto_server.bucket()
    bucket.put("in/many.zip", (tmp_path / "many.zip").read_bytes())
    shop.category("checked", CHECK.format(path="in/**"))
    with line_to(bucket) as wire:
        away(shop, bucket, endpoint=f"http://{wire.host}:{wire.port}")
        found = shop.json("plan", "checked")
        assert 1 == sum(found["violations"][0]["breaches"].values())
        assert 250_000 < wire.passed[DOWN] < HEAD + TAIL + 300_000 + LISTING < 3_000_000


def test_a_store_that_trickles_ends_the_look_in_its_time(s3_server):
    """What the line lets through is too little for one look, however long one waits for the rest."""
    bucket = s3_server.bucket()
    bucket.put("in/a", os.urandom(LARGE))
    scope = Scope(PathSelection("in/**"), Start("modified"), require=Requirement("age", None))
    with line_to(bucket) as wire, closing(look(bucket)) as view:
        page = next(view.scan(scope))
        long, short = (Patient(lambda: look(bucket, endpoint=f"http://{wire.host}:{wire.port}"), limit) for limit in (60.0, 1.0))
        assert Inspector(view, long, Forgetful()).inspected(scope, page, lined_up=False).assurance
        wire.silence_after(DOWN, HEAD // 2)
        inspector = Inspector(view, short, Forgetful())
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match="too slowly"):
                inspector.inspected(scope, page, lined_up=False)
        long.close()
        short.close()


def test_a_store_that_trickles_ends_the_reading_of_a_whole_copy_in_its_time(s3_server, register):
    """A copy that was only touched is read again; how long that may take goes by its size."""
    bucket, content = s3_server.bucket(), os.urandom(LARGE)
    bucket.put("in/a", content)
    noted = Copied(1, "copy", "c", "r", "desk", "away", "in/a", "kept", "touched", sha256(content).hexdigest(), LARGE, 1, 0, 0)
    with line_to(bucket) as wire, closing(look(bucket)) as view:
        long, short = (Patient(lambda: look(bucket, endpoint=f"http://{wire.host}:{wire.port}"), limit) for limit in (60.0, -7.0))
        assert ["verified"] == standing(view, long.digest, [noted], register)
        assert ["copy-damaged"] == standing(view, long.digest, [replace(noted, sha256="0" * 64)], register)
        wire.silence_after(DOWN, LARGE // 2)
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match="too slowly") as told:
                standing(view, short.digest, [noted], register)
        assert told.value.why == f"what was asked of one item did not come within {LARGE / SLOWEST - 7:g} s"
        long.close()
        short.close()


def test_explain_says_what_an_item_breaks(shop, work):
    shop.settings(more="  vault: {type: files, path: vault, location: GB}")
    (shop.folder / "vault" / "in").mkdir(parents=True)
    shop.category("checked", CHECK.format(path="in/**").replace("store: away", "store: vault"))
    for name, content in (("plain", b"Dear sirs\n"), ("unknown", os.urandom(500)), ("good", work.age())):
        (shop.folder / "vault" / "in" / name).write_bytes(content)
    found = {name: shop.json("explain", "vault", f"in/{name}")["rules"][0]["breaks"] for name in ("plain", "unknown", "good")}
    assert found == {"plain": "plain", "unknown": "unknown", "good": ""}
    assert "breaks what is required: plain" in shop.told("explain", "vault", "in/plain").out
    assert "breaks" not in shop.told("explain", "vault", "in/good").out


MAIL = """\
  letters:
    store: mail
    select: {{folder: in, to: "*"}}
    start: created
    retention_period: 3 months
    require: {require}
    {more}
    action: delete
"""


def mailbox(shop, kind, account, monkeypatch):
    """A mailbox with three letters, the last one younger than the rule's period."""
    letters = [letter(n, body=f"This is letter {n}.\n".encode()) for n in range(3)]
    if kind == "imap":
        monkeypatch.setenv("POST", "open.sesame")
        at = f"host: 127.0.0.1, port: {account.server.port}, user: {account.user}, ca: {account.server.ca}"
        options = f"{at}, password: {{env: POST}}"
        for n, one in enumerate(letters):
            account.put("in", one, NEW if n == 2 else OLD)
    else:
        options = f"path: mail, format: {kind}"
        place = Maildir(shop.folder / "mail") if kind == "maildir" else Mbox(shop.folder / "mail")
        for n, one in enumerate(letters):
            place.put(f"{n}", one, NEW if n == 2 else OLD) if kind == "maildir" else place.append(one)
    (shop.folder / "vault").mkdir()
    shop.settings(more=f"  mail: {{type: mail, {options}, location: GB}}\n  vault: {{type: files, path: vault, location: GB}}")
    return letters


@pytest.mark.parametrize("kind", ["maildir", "mbox", "imap"])
def test_letters_are_plain_where_somebody_requires_them_to_be_encrypted(shop, kind, account, monkeypatch):
    mailbox(shop, kind, account, monkeypatch)
    shop.category("post", MAIL.format(require="{encrypted: any}", more=""))
    for _ in range(2):
        plan = shop.json("plan")
        assert [{"plain": 3}] == [one["breaches"] for one in plan["violations"]]
        assert {"plain": 3} == plan["rules"][0]["assurance"]


@pytest.mark.parametrize("kind", ["maildir", "imap"])
def test_no_letter_goes_before_it_has_the_copy_that_is_required(shop, kind, account, monkeypatch, work):
    letters = mailbox(shop, kind, account, monkeypatch)
    if kind == "imap":  # a server gives letters with the line ends of the wire (RFC 3501 §2.2)
        letters = [one.replace(b"\n", b"\r\n") for one in letters]
    more = f"copy: {{to: vault, encrypt: [{work.identity()}]}}"
    shop.category("post", MAIL.format(require="{copies: {store: vault}}", more=more))
    plan = shop.json("plan")
    assert ([{"not-copied": 3}], 0) == ([one["breaches"] for one in plan["violations"]], plan["rules"][0]["due"])
    assert 3 == shop.json("apply", plan["plan"])["copies"]["verified"]
    copies = sorted(shop.left("vault"))
    contents = [work.run("age", "-d", "-i", "identity.txt", str(shop.folder / "vault" / name)) for name in copies]
    assert sorted(contents) == sorted(letters)
    plan = shop.json("plan")
    assert ([], 2) == (plan["violations"], plan["rules"][0]["due"])
    (shop.folder / "vault" / copies[0]).write_bytes(b"x")
    counts = shop.json("apply", plan["plan"])["counts"]
    assert counts["disposed"] + counts["changed"] == 2
    assert {one["condition"] for one in shop.json("archive", "list", "--read", code=None)["archives"]} >= {"whole"}


def test_rows_come_back_as_they_were(shop, work, tmp_path):
    shop.settings(more="  vault: {type: files, path: vault, location: GB}")
    (shop.folder / "vault").mkdir()
    shop.category("trade", SALES.format(recipient=work.identity()))
    shop.sales(1200)  # more than one batch
    names = ("id", "at", "customer", "email", "note")
    before = [dict(zip(names, row, strict=True)) for row in shop.sql("SELECT * FROM sales ORDER BY id")]
    assert 1200 == shop.json("apply", shop.plan())["counts"]["disposed"]
    assert [] == shop.sql("SELECT * FROM sales")
    identity = ("--identity", str(work.folder / "identity.txt"))
    back = shop.json("archive", "restore", "--all", *identity, "--into", str(tmp_path / "back"))["restored"]
    assert 2 == len(back)
    rows = [json.loads(line) for one in back for line in Path(one["file"]).read_text().splitlines()]
    assert before == sorted(rows, key=lambda row: row["id"])
