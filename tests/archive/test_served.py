"""Archives and copies go to a real server over SFTP, and rows come from real databases."""

import json
from datetime import timedelta

import pytest

from retentiond.app.archives import restore
from retentiond.app.house import House
from retentiond.engine.ports import Tabular
from retentiond.errors import StoreUnavailable
from retentiond.testing.wire import Wire
from tests.acceptance.shop import NOW, OLD, Shop
from tests.archive.rules import RULES
from tests.stores.served import look
from tests.stores.tables import scope, shown

CHECK = """\
  away:
    store: away
    select: {path: "**", everything: "yes, every item in away"}
    start: modified
    retention_period: 9 years
    require: {encrypted: age}
    action: delete
"""


def test_archives_and_copies_on_a_server_are_verified_there(tmp_path, served_files, work):
    shop = Shop(tmp_path / "shop")
    away = served_files.options(key={"file": str(served_files.server.home / "client")})
    shop.settings(more=f"  away: {json.dumps({'type': 'sftp', 'location': 'GB', **away})}")
    shop.category("post", RULES.format(recipient=work.identity()))
    shop.category("away", CHECK)
    shop.letters(3)
    for days in (2, 3, 4):
        shop.file(f"nights/{NOW - timedelta(days=days):%Y-%m-%d}/crm.dump", OLD, b"a backup")
    first, second = (shop.json("apply", shop.plan("post")) for _ in range(2))
    assert (3, 3) == (first["counts"]["disposed"], first["copies"]["verified"])
    assert (2, 0) == (second["counts"]["disposed"], second["copies"]["verified"])
    assert {"whole"} == {one["condition"] for one in shop.json("archive", "list", "--read")["archives"]}
    plan = shop.json("plan", "away")
    assert ([], {"client_authenticated": 7}) == (plan["violations"], plan["rules"][0]["assurance"])
    identity = ("--identity", str(work.folder / "identity.txt"))
    shop.told("archive", "restore", "--all", *identity, "--into", str(tmp_path / "back"))
    assert {b"text"} == {path.read_bytes() for path in (tmp_path / "back").rglob("*.txt")}


@pytest.mark.parametrize("back_again", [True, False])
def test_archives_are_brought_back_past_a_cut_line_but_not_from_a_server_that_is_lost(tmp_path, served_files, work, back_again):
    shop, sshd = Shop(tmp_path / "shop"), served_files.server
    with Wire(sshd.host, sshd.port) as wire:
        key = {"file": str(sshd.home / "client")}
        away = served_files.options(key=key, host=wire.host, port=wire.port, timeout=2)
        shop.settings(more=f"  away: {json.dumps({'type': 'sftp', 'location': 'GB', **away})}")
        shop.category("post", RULES.format(recipient=work.identity()))
        shop.letters(3)
        assert 3 == shop.json("apply", shop.plan("post"))["counts"]["disposed"]
        with House(str(shop.config)) as house:
            identity, into = str(work.folder / "identity.txt"), tmp_path / "back"
            brought = restore(house, (), store=None, everything=True, identity=identity, into=into)
            assert next(brought).path is not None
            if back_again:
                wire.cut()
            else:
                wire.close()
            second, third = brought
    assert isinstance(second.error, StoreUnavailable)
    if back_again:
        assert third.path is not None
    else:
        assert (StoreUnavailable, "it was not tried") == (type(third.error), third.error.what)


def test_rows_of_any_database_come_out_whole_and_in_their_revision(served):
    binary, day = ("BYTEA", "DATE") if served.kind == "postgres" else ("BLOB", "DATE")
    served.sql(
        f"CREATE TABLE calls (id BIGINT PRIMARY KEY, at TIMESTAMP NULL, fee NUMERIC(10,2), born {day}, note TEXT, raw {binary})"
    )
    served.sql("INSERT INTO calls VALUES (1, '2020-01-01 10:11:12', 1.50, '1980-05-17', 'ä \U0001f600 \"x\"', NULL)")
    served.sql("INSERT INTO calls VALUES (2, NULL, NULL, NULL, NULL, %s)", values=(b"\x00\xff",))
    what = scope("calls", "id > 0")
    with look(served) as view:
        assert isinstance(view, Tabular)
        revisions = {item.key: item.revision for item in shown(view, what)}
        first, second = view.rows(what, list(revisions), list(revisions.values()))
        assert ("1980-05-17", "1.50", 'ä \U0001f600 "x"', None) == (first["born"], first["fee"], first["note"], first["raw"])
        assert "2020-01-01 10:11:12" in str(first["at"]).replace("T", " ")
        assert second["raw"] == ({"base64": "AP8="} if served.kind == "mariadb" else "\\x00ff")
        assert (1, 2) == (int(first["id"]), int(second["id"]))
        assert [None, second] == view.rows(what, list(revisions), ["0" * 32, revisions["calls/2"]])
        definition = view.definition(what)
        assert ("calls", ["id"]) == (definition["table"], definition["key"])
        assert ["id", "at", "fee", "born", "note", "raw"] == [column["name"] for column in definition["columns"]]
