"""Anchors: every checkpoint is handed to somebody else, once; one that fails hinders nothing, is said, and is tried again."""

import json
import socket
import sys
from datetime import UTC, datetime, timedelta

import pytest

from retentiond.app.alarms import alarms
from retentiond.app.anchoring import anchor
from retentiond.app.house import House
from retentiond.app.standing import standing
from retentiond.daemon.metrics import exposition
from tests.acceptance.shop import LETTERS, SETTINGS, Shop


@pytest.fixture
def shop(tmp_path):
    made = Shop(tmp_path / "shop")
    made.category("post", LETTERS)
    made.letters(3)
    (made.folder / "vault").mkdir()
    return made


def anchored(shop, *anchors):
    """The shop, with these anchors."""
    text = SETTINGS.format(more="  vault: {type: files, path: vault, location: GB}", zone="UTC")
    shop.settings(text=text.replace("/shop}", f"/shop, anchors: [{', '.join(anchors)}]}}"))
    return shop


def keeping(folder):
    """An anchor that is a program: it keeps each note in a file of its own."""
    program = (
        "import sys, pathlib; note = sys.stdin.buffer.read(); "
        f"(pathlib.Path({str(folder)!r}) / note.split(bytes([10]))[1].decode()).write_bytes(note)"
    )
    return "{command: " + json.dumps([sys.executable, "-c", program]) + "}"


def test_a_run_hands_its_checkpoint_to_every_anchor_and_the_log_extends_each_that_was_kept(shop, tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir()
    anchored(shop, "{store: vault, folder: a/b}", keeping(kept))
    shop.told("apply", shop.plan())
    (deposit,) = (shop.folder / "vault" / "a" / "b").iterdir()
    (note,) = kept.iterdir()
    assert deposit.read_bytes() == note.read_bytes()
    assert deposit.name.startswith(f"{int(note.name):012}-")
    told = shop.entries("checkpoint-anchored")
    assert [entry["size"] for entry in told] == [int(note.name)] * 2
    assert shop.told("audit", "verify", "--since", str(note)).out.startswith("The audit trail verifies. It extends")


def test_what_anchors_took_calls_for_no_further_checkpoint(shop):
    """Nothing new but entries about anchors: nothing is handed over, however often it is asked for."""
    anchored(shop, "{store: vault}")
    shop.told("apply", shop.plan())
    before = shop.left("vault")
    assert len(before) == 1
    for _ in range(3):
        assert "has the checkpoint of" in shop.told("audit", "anchor").out
    assert shop.left("vault") == before
    shop.told("hold", "place", "H", "--reason", "r", "--mandate", "m", "--store", "desk", "--path", "letters")
    shop.told("audit", "anchor")
    assert len(shop.left("vault")) == 2


def test_one_that_was_cut_short_after_it_took_is_handed_the_same_again(shop):
    """What lies in a store under the name of a checkpoint is that checkpoint."""
    anchored(shop, "{store: vault}")
    shop.told("apply", shop.plan())
    with House(str(shop.config)) as house, house.ledger.transaction() as change:
        (one,) = house.settings.audit.anchors
        change.set_fact(f"anchored-{one.id}", '{"size": 1}')
    shop.told("audit", "anchor")
    assert len(shop.entries("checkpoint-anchored")) == 2


def test_an_anchor_that_fails_fails_nothing_is_said_and_is_tried_again_later(shop):
    anchored(shop, '{command: ["/bin/false"]}', "{store: vault}")
    told = shop.told("apply", shop.plan())
    assert "anchor 1 (command): not told: the program ended with 1; it is tried again later" in told.err
    assert shop.left() == set()
    assert len(shop.left("vault")) == 1, "the other one had it"
    assert "Anchors that fail: 1 of 2" in shop.told("status").out
    audit = shop.json("status")["audit"]
    assert (audit["anchors"], audit["anchors_failing"], audit["anchored_at"] is None) == (2, 1, False)
    with House(str(shop.config)) as house:
        assert [(a.about, a.do) for a in alarms(house, house.now)[0] if a.kind == "anchor"] == [
            ("anchor 1 (command)", "retentiond audit anchor")
        ]
        text = exposition(standing(house))[0].decode()
        assert "retentiond_anchors_failing 1.0" in text
        assert "retentiond_audit_anchored_timestamp_seconds" in text
        assert anchor(house) == {}, "it is left alone for a while"
    assert "it fails now: the program ended with 1" in shop.told("audit", "anchor", code=5).out
    anchored(shop, '{command: ["/bin/true"]}', "{store: vault}")
    shop.told("audit", "anchor")
    with House(str(shop.config)) as house:
        assert [a for a in alarms(house, house.now)[0] if a.kind == "anchor"] == []


@pytest.mark.parametrize(
    ("wrong", "trouble"),
    [
        ('{command: ["/nowhere/at/all"]}', "the program cannot be started"),
        ("{store: gone}", "the root of the store is not there"),
    ],
)
def test_what_cannot_be_reached_is_said_in_our_words(shop, wrong, trouble):
    anchored(shop, wrong.replace("gone", "vault"))
    if "gone" in wrong:
        (shop.folder / "vault").rmdir()
    shop.plan()
    found = shop.json("audit", "anchor", code=5)["anchors"]
    assert [one["size"] for one in found] == [0]
    assert found[0]["trouble"]
    assert str(shop.folder) not in found[0]["trouble"]
    assert trouble == found[0]["trouble"] or "gone" in wrong


def test_a_clock_that_went_back_does_not_make_an_anchor_wait(shop):
    anchored(shop, '{command: ["/bin/false"]}')
    shop.plan()
    with House(str(shop.config)) as house:
        (one,) = house.settings.audit.anchors
        later = int((datetime.now(UTC) + timedelta(days=400)).timestamp() * 1e6)
        house.anchors.failed(one.id, "it was not there", later)
        assert anchor(house) == {"anchor 1 (command)": "the program ended with 1"}


def test_the_journal_has_the_whole_note(shop, tmp_path):
    anchored(shop, "journal")
    shop.plan()
    path = str(tmp_path / "journal")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening, House(str(shop.config)) as house:
        listening.bind(path)
        listening.settimeout(5)
        assert anchor(house, journal=path) == {}
        datagram = listening.recv(65536)
    lines, _, rest = datagram.partition(b"RETENTIOND_CHECKPOINT\n")
    size = int.from_bytes(rest[:8], "little")
    kept = tmp_path / "kept"
    kept.write_bytes(rest[8 : 8 + size])
    assert rest[8 + size :] == b"\n"
    assert b"SYSLOG_IDENTIFIER=retentiond\n" in lines
    shop.told("audit", "verify", "--since", str(kept))
    with House(str(shop.config)) as house:
        assert list(anchor(house, anyway=True, journal=str(tmp_path / "nobody"))) == []


def test_without_an_anchor_it_is_a_mistake(shop):
    shop.plan()
    assert "there is no anchor" in shop.told("audit", "anchor", code=2).err


def test_the_sandbox_opens_the_folder_of_a_local_anchor(shop):
    anchored(shop, "{store: vault}")
    opened = shop.json("unit")["openings"]
    assert [o["writable"] for o in opened if o["path"] == str(shop.folder / "vault")] == [True]
