"""Archives and copies in buckets of two real servers: proven there before anything goes; and what a server itself encrypts."""

import json
import os
from contextlib import closing
from datetime import timedelta

import pytest

from retentiond.engine.ports import PIECE
from retentiond.errors import StoreUnavailable
from retentiond.stores.s3.sending import PART
from retentiond.testing.wire import DOWN, UP, Wire
from tests.acceptance.shop import NOW, OLD, Shop
from tests.archive.rules import RULES
from tests.stores.objects import act

CHECK = """\
  away:
    store: away
    select: {{path: "{path}"}}
    start: modified
    retention_period: 9 years
    require: {{encrypted: age}}
    action: delete
"""


SECRET = {"secret_key": {"file": "secret_key"}}
ARCHIVED = "action: {{archive: {{to: away, encrypt: [{recipient}]}}}}"


@pytest.fixture
def shop(tmp_path):
    return Shop(tmp_path / "shop")


def away(shop, bucket, **more):
    """Gives the shop a bucket as a store."""
    options = {**bucket.options, **more}
    for name in ("access_key", "secret_key"):
        (shop.folder / name).write_text(options[name])
        options[name] = {"file": name}
    shop.settings(more=f"  away: {json.dumps({'type': 's3', 'location': 'GB', **options})}")


@pytest.mark.parametrize("versioning", ["unversioned", "enabled"])
def test_archives_and_copies_in_a_bucket_are_verified_there_and_come_back(shop, s3_server, versioning, work, tmp_path):
    bucket = s3_server.bucket(versioning)
    away(shop, bucket, prefix="store/")
    shop.category("post", RULES.format(recipient=work.identity()))
    names, big = shop.letters(3), os.urandom(2 * PART + 12345)
    shop.file("letters/big", OLD, big)
    for days in (2, 3, 4):
        shop.file(f"nights/{NOW - timedelta(days=days):%Y-%m-%d}/crm.dump", OLD, b"a backup")
    first, second = (shop.json("apply", shop.plan("post")) for _ in range(2))
    assert (4, 3) == (first["counts"]["disposed"], first["copies"]["verified"])
    assert (2, 0) == (second["counts"]["disposed"], second["copies"]["verified"])
    assert {"whole"} == {one["condition"] for one in shop.json("archive", "list", "--read")["archives"]}
    mine = [key for key in sorted(bucket.keys()) if "manifest-" not in key and "nights" not in key]
    assert mine == sorted(f"store/post/letters/{name}.age" for name in [*names, "letters/big"])
    assert not bucket.list_multipart_uploads().get("Uploads")
    shop.category("checked", CHECK.format(path="**/*.age"))
    plan = shop.json("plan", "checked")
    assert ([], {"client_authenticated": 8}) == (plan["violations"], plan["rules"][0]["assurance"])
    identity = ("--identity", str(work.folder / "identity.txt"))
    shop.told("archive", "restore", "--all", *identity, "--into", str(tmp_path / "back"))
    found = {path.name: path.read_bytes() for path in (tmp_path / "back").rglob("*") if path.is_file()}
    assert found == {**{name.rpartition("/")[2]: b"text" for name in names}, "big": big}


def test_a_copy_that_others_put_in_its_place_is_seen_in_a_bucket(shop, s3_server, work):
    bucket = s3_server.bucket()
    away(shop, bucket)
    shop.category("post", RULES.format(recipient=work.identity()))
    days = [f"nights/{NOW - timedelta(days=n):%Y-%m-%d}/crm.dump" for n in (2, 3, 4)]
    for name in days:
        shop.file(name, OLD, b"a backup")
    shop.json("apply", shop.plan("post"))
    bucket.put(f"{days[2]}.age", b"another")
    bucket.delete_object(Key=f"{days[1]}.age")
    plan = shop.json("plan", "post")
    assert {"copy-damaged": 1, "copy-missing": 1} == plan["violations"][0]["breaches"]
    assert 0 == sum(rule["due"] for rule in plan["rules"])
    assert "copy damaged" in shop.told("explain", "desk", days[2]).out


@pytest.mark.parametrize(
    "word", ["action: {{archive: {{to: away}}}}", "copy: {{to: away}}\n    action: delete"], ids=["archive", "copy"]
)
def test_a_bucket_by_another_name_of_its_server_is_the_same_place(shop, s3_server, word):
    """Nothing goes, and the copy that has shown it is taken away again."""
    bucket = s3_server.bucket("enabled")
    for n in range(3):
        bucket.put(f"letters/{n}", b"a letter")
    with line_to(bucket) as wire:
        away(shop, bucket, endpoint=f"http://{wire.host}:{wire.port}")
        text = shop.config.read_text()
        mine = json.dumps({"type": "s3", "location": "GB", **bucket.options, "access_key": {"file": "access_key"}} | SECRET)
        shop.settings(text=text.replace("\naudit:", f"\n  same: {mine}\naudit:", 1).replace("\n\n  same", "\n  same"))
        rule = RULES.partition("  nights:")[0].replace("desk", "same").replace(ARCHIVED, word)
        shop.category("post", rule.replace("3 months", "immediately").format())
        done = shop.json("apply", shop.plan(), code=None)
    assert (0, 0) == (done["counts"]["disposed"], done["copies"]["verified"])
    assert [f"letters/{n}" for n in range(3)] == [key for key, _, _ in bucket.everything()]


# --- lines that are lost


def line_to(bucket):
    host, port = bucket.server.endpoint.removeprefix("http://").rsplit(":", 1)
    return Wire(host, int(port))


def pieces(count):
    for n in range(count):
        yield bytes([n]) * PIECE


@pytest.mark.parametrize("versioning", ["unversioned", "enabled"])
@pytest.mark.parametrize("parts", [1, 3], ids=["one-part", "parts"])
def test_a_line_that_is_lost_at_nine_tenths_leaves_nothing_under_a_name(s3_server, versioning, parts):
    bucket, count = s3_server.bucket(versioning), parts * PART // PIECE
    with line_to(bucket) as wire, closing(act(bucket, endpoint=f"http://{wire.host}:{wire.port}")) as store:
        wire.cut_after(UP, count * PIECE * 9 // 10)
        given = pieces(count) if parts == 1 else cut_again(count)
        with pytest.raises(StoreUnavailable):
            store.take("in/a", given)
        wire.mend()
    assert bucket.everything() == []
    assert not bucket.list_multipart_uploads().get("Uploads")


def cut_again(count):
    """A part is sent again where its line was lost; so these end as well."""
    for n, piece in enumerate(pieces(count)):
        if n == count * 9 // 10:
            raise StoreUnavailable("the connection was lost")
        yield piece


def test_a_copy_that_cannot_be_read_back_is_taken_away_again(s3_server):
    bucket, count = s3_server.bucket(), 3
    with line_to(bucket) as wire, closing(act(bucket, endpoint=f"http://{wire.host}:{wire.port}")) as store:
        wire.cut_after(DOWN, 2 * PIECE)  # on the way back, when the object is there
        with pytest.raises(StoreUnavailable):
            store.take("in/a", pieces(count))
        assert bucket.everything() == []
        wire.mend()
        assert store.take("in/a", pieces(count)).size == count * PIECE


@pytest.mark.parametrize("versioning", ["unversioned", "enabled"])
def test_an_answer_that_is_lost_is_looked_for(s3_server, versioning):
    """The object is there, and only nobody has heard so: it is read back like any other."""
    bucket = s3_server.bucket(versioning)
    with line_to(bucket) as wire, closing(act(bucket, endpoint=f"http://{wire.host}:{wire.port}")) as store:
        go_on = 2 * len("HTTP/1.1 100 Continue\r\n\r\n")  # moto says it twice
        events = store._bucket._once.meta.events
        events.register("before-send.s3.PutObject", lambda **_: wire.cut_after(DOWN, go_on + 1))
        assert store.take("in/a", [b"the only piece"]).size == 14
    assert bucket.get("in/a") == b"the only piece"
    assert len(bucket.everything()) == 1


@pytest.mark.parametrize(("size", "outcome"), [(5 * PIECE, "failed"), (20 * PIECE, "disposed")], ids=["one-part", "parts"])
def test_an_item_whose_archiving_loses_its_line_at_nine_tenths_is_here_or_whole_there(shop, s3_server, work, size, outcome):
    """A part is sent again; what goes in one piece is not, and another run archives it."""
    bucket, content = s3_server.bucket(), os.urandom(size)
    shop.file("letters/big", OLD, content)
    shop.category("post", RULES.format(recipient=work.identity()).partition("  nights:")[0])
    with line_to(bucket) as wire:
        away(shop, bucket, endpoint=f"http://{wire.host}:{wire.port}")
        plan = shop.plan()
        wire.cut_after(UP, size * 9 // 10)
        assert 1 == shop.json("apply", plan, code=None)["counts"][outcome]
        assert (outcome == "failed") == (shop.left() == {"letters/big"}) == (bucket.keys() == [])
        shop.json("apply", shop.plan())
    (key,) = (key for key in sorted(bucket.keys()) if "manifest-" not in key)
    (work.folder / "brought.age").write_bytes(bucket.get(key))
    assert content == work.run("age", "-d", "-i", "identity.txt", "brought.age")
    assert set() == shop.left()


# --- what a server encrypts


def test_what_a_server_encrypts_is_server_side_and_never_what_was_promised(shop, moto_server, work):
    bucket = moto_server.bucket()
    away(shop, bucket)
    for name, content, told in [
        ("in/plain", b"name,telephone\n" * 50, {}),
        ("in/by-the-server", b"name,telephone\n" * 50, {"ServerSideEncryption": "AES256"}),
        ("in/nobody-knows", os.urandom(3000), {"ServerSideEncryption": "aws:kms"}),
        ("in/good.age", work.age(), {"ServerSideEncryption": "AES256"}),
    ]:
        bucket.put(name, content, **told)
    expected = 1 if bucket.head_object(Key="in/plain").get("ServerSideEncryption") else 0
    shop.category("checked", CHECK.format(path="in/**"))
    plan = shop.json("plan", "checked")
    assert plan["rules"][0]["assurance"] == {
        "client_authenticated": 1,
        "server_side": 2 + expected,
        **({} if expected else {"plain": 1}),
    }
    assert plan["violations"][0]["breaches"] == {"server-side": 2 + expected, **({} if expected else {"plain": 1})}
    assert "server side" in shop.told("explain", "away", "in/by-the-server").out
    assert "2 server_side" in shop.told("plan", "checked").out
