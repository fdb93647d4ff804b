"""An item is archived: encrypted, verified where it comes to, noted, and only then let go; and it comes back."""

import json
import os
import subprocess
import sys
from datetime import timedelta

import pytest

from tests.acceptance.shop import LETTERS, NEW, OLD, Shop
from tests.archive.rules import SALES
from tests.world import CHILD

STORES = "  vault: {type: files, path: vault, location: GB}"
RULE = """\
  letters:
    store: desk
    select: {{path: "letters/**"}}
    start: modified
    retention_period: 3 months
    action: {{archive: {{to: vault{more}}}}}
"""


@pytest.fixture
def recipient(work):
    return work.identity()


@pytest.fixture
def shop(tmp_path, recipient):
    shop = Shop(tmp_path / "shop")
    shop.settings(more=STORES)
    (shop.folder / "vault").mkdir()
    archive(shop, f", encrypt: [{recipient}]")
    return shop


def archive(shop, more):
    shop.category("post", RULE.format(more=more))


def counts(applied):
    return {what: n for what, n in applied["counts"].items() if n}


def opened(shop, work, name):
    return work.run("age", "-d", "-i", "identity.txt", str(shop.folder / "vault" / name))


def copies(shop):
    """The copies in the archive, without manifests."""
    return {name for name in shop.left("vault") if "manifest-" not in name}


def test_what_is_due_is_archived_and_the_rest_stays(shop, work):
    old = shop.letters(3)
    shop.letters(2, first=10, at=NEW)
    shop.file("letters/ä b.txt", OLD, b"with a strange name")
    plan = shop.json("plan")
    assert [("archive", 4)] == [(rule["action"], rule["due"]) for rule in plan["rules"]]
    assert {"disposed": 4} == counts(shop.json("apply", plan["plan"]))
    assert {"letters/00010.txt", "letters/00011.txt"} == shop.left()
    assert {*(f"post/letters/{name}.age" for name in old), "post/letters/letters/ä b.txt.age"} == copies(shop)
    assert b"text" == opened(shop, work, f"post/letters/{old[0]}.age")
    assert b"with a strange name" == opened(shop, work, "post/letters/letters/ä b.txt.age")
    assert {0o600} == {(shop.folder / "vault" / name).stat().st_mode & 0o777 for name in shop.left("vault")}
    (listed,) = shop.left("vault") - copies(shop)
    head, *lines = map(json.loads, opened(shop, work, listed).splitlines())
    assert ("post", "letters", "desk", 4) == (head["category"], head["rule"], head["store"], head["items"])
    assert {*old, "letters/ä b.txt"} == {line["key"] for line in lines}
    assert [("archive", 4), ("manifest", 1)] == [(e["purpose"], e["count"]) for e in shop.entries("copies-verified")]
    assert "The audit trail verifies" in shop.told("audit", "verify").out
    assert 0 == shop.json("plan")["rules"][0]["due"]


def test_without_recipients_the_copy_is_the_item(shop):
    archive(shop, ', path: "{date:%Y}/{name}"')
    shop.letters(2)
    shop.json("apply", shop.plan())
    assert {f"{OLD:%Y}/00000.txt", f"{OLD:%Y}/00001.txt"} == copies(shop)
    assert b"text" == (shop.folder / "vault" / f"{OLD:%Y}" / "00000.txt").read_bytes()


def test_nothing_is_written_over_and_the_copy_takes_another_name(shop, work):
    (name,) = shop.letters(1)
    there = shop.folder / "vault" / "post" / "letters" / f"{name}.age"
    there.parent.mkdir(parents=True)
    there.write_bytes(b"somebody else's")
    assert {"disposed": 1} == counts(shop.json("apply", shop.plan()))
    assert b"somebody else's" == there.read_bytes()
    assert b"text" == opened(shop, work, "post/letters/letters/00000.txt-2.age")


def test_an_archive_that_cannot_be_reached_lets_nothing_go_and_other_rules_go_on(shop):
    shop.category("other", LETTERS.replace("letters", "notes"))
    shop.letters(3)
    shop.file("notes/1")
    plan = shop.plan()
    os.rename(shop.folder / "vault", shop.folder / "away")
    assert {"disposed": 1, "failed": 3} == counts(shop.json("apply", plan, code=1))
    assert 3 == len(shop.left())
    os.rename(shop.folder / "away", shop.folder / "vault")
    assert {"disposed": 3} == counts(shop.json("apply", plan))


def test_a_hold_keeps_an_item_out_of_the_archive(shop):
    shop.letters(2)
    plan = shop.plan()
    shop.told("hold", "place", "H", "--reason", "r", "--mandate", "m", "--store", "desk", "--path", "letters/00000.txt")
    assert {"disposed": 1, "held": 1} == counts(shop.json("apply", plan))
    assert {"post/letters/letters/00001.txt.age"} == copies(shop)


def test_what_changed_since_the_plan_is_left_alone(shop):
    shop.letters(2)
    plan = shop.plan()
    shop.file("letters/00000.txt", OLD + timedelta(days=1), b"other")
    assert {"disposed": 1, "changed": 1} == counts(shop.json("apply", plan))
    assert {"post/letters/letters/00001.txt.age"} == copies(shop)


def test_archives_expire_by_a_rule_of_their_own_and_their_names_are_forgotten(shop):
    shop.letters(2)
    shop.json("apply", shop.plan())
    shop.category("archives", LETTERS.replace("letters/", "post/").replace("letters", "old").replace("desk", "vault"))
    for name in shop.left("vault"):
        os.utime(shop.folder / "vault" / name, (OLD.timestamp(), OLD.timestamp()))
    assert 3 == shop.rule("old")["due"]
    assert {"disposed": 3} == counts(shop.json("apply", shop.plan("archives")))
    assert set() == shop.left("vault")
    assert [] == shop.json("archive", "list")["archives"]


# --- listing and bringing back


def test_archives_are_listed_and_come_back(shop, work):
    shop.letters(2)
    shop.json("apply", shop.plan())
    listed = shop.json("archive", "list")["archives"]
    keys = sorted(one["key"] for one in listed if one["purpose"] == "archive")
    assert ["post/letters/letters/00000.txt.age", "post/letters/letters/00001.txt.age"] == keys
    assert {"there"} == {one["condition"] for one in listed}
    assert {"whole"} == {one["condition"] for one in shop.json("archive", "list", "--read")["archives"]}
    out = shop.folder / "back"
    back = shop.json("archive", "restore", keys[0], "--identity", str(work.folder / "identity.txt"), "--into", str(out))
    assert [str(out / "post/letters/letters/00000.txt")] == [one["file"] for one in back["restored"]]
    assert b"text" == (out / "post/letters/letters/00000.txt").read_bytes()
    assert 0o600 == (out / "post/letters/letters/00000.txt").stat().st_mode & 0o777
    again = shop.told("archive", "restore", keys[0], "--identity", str(work.folder / "identity.txt"), "--into", str(out))
    assert "there already" in again.out
    (out / "post/letters/letters/00000.txt").write_bytes(b"another")
    other = shop.told("archive", "restore", keys[0], "--identity", str(work.folder / "identity.txt"), "--into", str(out), code=1)
    assert "there already" in other.err
    assert b"another" == (out / "post/letters/letters/00000.txt").read_bytes()
    shop.told("archive", "restore", "--all", "--identity", str(work.folder / "identity.txt"), "--into", str(shop.folder / "all"))
    assert {"post/letters/letters/00000.txt", "post/letters/letters/00001.txt"} == shop.left("all")


def test_a_listed_key_is_whole_on_a_pipe_and_brings_its_archive_back(shop, work):
    name = f"letters/{'a-long-folder/' * 8}a.txt"
    shop.file(name, OLD)
    shop.json("apply", shop.plan())
    (line,) = [
        line for line in shop.told("archive", "list").out.splitlines() if "a-long-folder" in line and "manifest-" not in line
    ]
    key = next(word for word in line.split() if word.endswith(".age"))
    identity = ("--identity", str(work.folder / "identity.txt"))
    shop.told("archive", "restore", key, *identity, "--into", str(shop.folder / "back"))
    assert b"text" == (shop.folder / "back" / key.removesuffix(".age")).read_bytes()


def test_what_is_damaged_cut_off_or_of_others_leaves_no_file(shop, work, tmp_path):
    shop.letters(3)
    shop.json("apply", shop.plan())
    first, second, third = sorted(copies(shop))
    vault = shop.folder / "vault"
    whole = (vault / first).read_bytes()
    (vault / first).write_bytes(whole[:-10])
    (vault / second).unlink()
    listed = {one["key"]: one["condition"] for one in shop.json("archive", "list", "--read", code=1)["archives"]}
    assert ("damaged", "missing", "whole") == (listed[first], listed[second], listed[third])
    into = ("--into", str(tmp_path / "back"))
    mine, others = ("--identity", str(work.folder / "identity.txt")), tmp_path / "other.txt"
    work.run("age-keygen", "-o", str(others))
    assert "cut off" in shop.told("archive", "restore", first, *mine, *into, code=1).err
    shop.told("archive", "restore", second, *mine, *into, code=2)
    assert "none of the identities fits" in shop.told("archive", "restore", third, "--identity", str(others), *into, code=1).err
    assert "--identity" in shop.told("archive", "restore", third, *into, code=2).err
    lost = shop.folder / "vault" / "found.age"  # known to nobody: only the encryption itself can tell that it is cut off
    lost.write_bytes(whole[:-10])
    shop.told("archive", "restore", "found.age", "--store", "vault", *mine, *into, code=1)
    assert [] == [*(tmp_path / "back").rglob("*")]
    lost.write_bytes(whole)
    shop.told("archive", "restore", "found.age", "--store", "vault", *mine, *into)
    assert b"text" == (tmp_path / "back" / "found").read_bytes()


def spoiled(shop, work):
    """Six archives: one is damaged, one missing, one is for others, and one is another file by now; the rest is whole."""
    shop.letters(5)
    shop.json("apply", shop.plan())
    shop.file("letters/others.txt", OLD)
    archive(shop, f", encrypt: [{work.run('age-keygen', '-y', stdin=work.run('age-keygen')).decode().strip()}]")
    shop.json("apply", shop.plan())
    vault = shop.folder / "vault/post/letters/letters"
    whole = (vault / "00001.txt.age").read_bytes()
    (vault / "00001.txt.age").write_bytes(whole[:-10])
    (vault / "00002.txt.age").unlink()
    return whole


def names(brought):
    return [one["key"].rpartition("/")[2].removesuffix(".age") for one in brought]


def test_all_archives_go_on_after_a_bad_one_name_it_and_are_taken_up_again(shop, work):
    whole = spoiled(shop, work)
    into = shop.folder / "back"
    there = into / "post/letters/letters"
    there.mkdir(parents=True)
    (there / "00003.txt").write_bytes(b"somebody else's")
    (there / "00004.txt").symlink_to("elsewhere")
    command = ("archive", "restore", "--all", "--identity", str(work.folder / "identity.txt"), "--into", str(into))
    found = shop.json(*command, code=1)
    assert (["00000.txt"], []) == (names(found["restored"]), names(found["there"]))
    failed = dict(zip(names(found["failed"]), found["failed"], strict=True))
    assert {
        "00001.txt": ("not-restored", "damaged"),
        "00002.txt": ("usage", "no such archive"),
        "00003.txt": ("occupied", "there already"),
        "00004.txt": ("occupied", "there already"),
        "others.txt": ("not-restored", "none of the identities"),
    } == {
        name: (one["code"], next(w for w in WORDS if w in f"{one['what']} {one['why']}") if one["do"] else "")
        for name, one in failed.items()
    }
    assert b"somebody else's" == (there / "00003.txt").read_bytes()
    assert {"00000.txt", "00003.txt", "00004.txt"} == {path.name for path in there.iterdir()}, "nothing half done is left"
    (shop.folder / "vault/post/letters/letters/00001.txt.age").write_bytes(whole)
    (there / "00003.txt").unlink()
    (there / "00004.txt").unlink()
    again = shop.told(*command, code=1).out.splitlines()
    assert ["00000.txt"] == [line.split()[0].rpartition("/")[2][:-4] for line in again if "(there already)" in line]
    assert "3 brought back, 1 there already, 2 failed." == again[-1]
    assert b"text" == (there / "00001.txt").read_bytes()
    assert any("00002.txt.age: there is no such archive" in line for line in again)


WORDS = ("damaged", "no such archive", "there already", "none of the identities")


def test_a_store_that_is_not_there_ends_it_with_5(shop):
    archive(shop, "")
    shop.letters(3)
    shop.json("apply", shop.plan())
    os.rename(shop.folder / "vault", shop.folder / "away")
    found = shop.told("--json", "archive", "restore", "--all", "--into", str(shop.folder / "back"), code=5)
    assert "store-unavailable" in found.out
    assert not (shop.folder / "back" / "post").exists()


def test_without_its_state_all_says_that_keys_are_to_be_named(shop, work):
    shop.letters(1)
    shop.json("apply", shop.plan())
    os.rename(shop.folder / "state", shop.folder / "lost")
    rest = ("--identity", str(work.folder / "identity.txt"), "--into", str(shop.folder / "back"))
    for store in ((), ("--store", "vault")):
        told = shop.told("archive", "restore", "--all", *store, *rest, code=2).err
        assert "the list of them is in the state" in told
        assert "name their keys one by one" in told
    shop.told("archive", "restore", "post/letters/letters/00000.txt.age", "--store", "vault", *rest)
    assert {"post/letters/letters/00000.txt"} == shop.left("back")


def test_nothing_is_brought_back_into_a_store_or_above_one(shop, work):
    shop.letters(1)
    shop.json("apply", shop.plan())
    before = {store: shop.left(store) for store in ("vault", "desk")}
    (shop.folder / "link").symlink_to("vault")
    (shop.folder / "post").mkdir()
    shop.settings(more=f"{STORES}\n  letterbox: {{type: mail, format: maildir, path: post/box, location: GB}}")
    for into in ("vault", "vault/new/er", "desk", "desk/../vault", "link/in", ".", "..", "post", "post/box/cur"):
        rest = ("--identity", str(work.folder / "identity.txt"), "--into", str(shop.folder / into))
        assert "the folder overlaps with a store" in shop.told("archive", "restore", "--all", *rest, code=2).err, into
    assert before == {store: shop.left(store) for store in ("vault", "desk")}
    assert [] == [*(shop.folder / "post").iterdir()]


def test_a_folder_that_cannot_be_written_into_is_told_of_each(shop, work):
    archive(shop, "")
    shop.letters(2)
    shop.json("apply", shop.plan())
    (shop.folder / "back").mkdir()
    (shop.folder / "back" / "post").write_bytes(b"a file where a folder is to be")
    found = shop.json("archive", "restore", "--all", "--into", str(shop.folder / "back"), code=1)
    assert ["not-restored"] * 2 == [one["code"] for one in found["failed"]]
    shop.told("archive", "restore", "--all", "--into", str(shop.folder / "back" / "post"), code=2)


# --- what may go wrong on the way


def killed_at(shop, arrow, nth, *args):
    command = [sys.executable, str(CHILD), arrow, str(nth), "--", "--json", "--config", str(shop.config), *args]
    return subprocess.run(command, capture_output=True, timeout=120, check=False).returncode


@pytest.mark.parametrize("arrow", ["intent-committed", "copied", "archived", "claimed", "destroyed", "outcome-written"])
def test_killed_anywhere_nothing_is_lost_and_the_next_run_finishes(shop, work, arrow):
    names = shop.letters(3)
    plan = shop.plan()
    assert -9 == killed_at(shop, arrow, 1, "apply", plan)
    there = {name.removeprefix("post/letters/").removesuffix(".age") for name in copies(shop)}
    left = {"/".join(part for part in name.split("/") if not part.startswith(".retentiond~")) for name in shop.left()}
    assert left | there == {*names}, "each is here or there"
    assert all(b"text" == opened(shop, work, name) for name in copies(shop))
    shop.json("apply", shop.plan())
    assert set() == shop.left()
    kept = {one["key"] for one in shop.json("archive", "list")["archives"] if one["condition"] == "there"}
    assert {*names} <= {name.removeprefix("post/letters/").removesuffix(".age").replace("-2", "") for name in kept}
    assert "The audit trail verifies" in shop.told("audit", "verify").out


def test_a_copy_that_a_run_cut_short_had_made_is_named_by_the_certificate_of_the_next(shop):
    shop.letters(3)
    plan = shop.plan()
    assert -9 == killed_at(shop, "archived", 1, "apply", plan)
    made = shop.json("audit", "certificate", shop.json("apply", plan)["run"])
    assert [("archived", "vault", 3)] == [(row["how"], row["to"], row["items"]) for row in made["disposed"]]
    (found,) = [one for one in shop.json("audit", "lookup", "desk", "letters/00001.txt")["evidence"] if one["how"]]
    assert {"store": "vault", "until": None} == found["archive"]


def test_a_destination_that_is_full_lets_nothing_go(shop, work):
    shop.file("letters/big", OLD, os.urandom(3_000_000))
    shop.file("letters/small", OLD, b"small")
    full = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    full += "resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000))\n"
    code = full + "from retentiond.cli import main; main()"
    command = [sys.executable, "-c", code, "--json", "--config", str(shop.config), "apply", shop.plan()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert 1 == done.returncode, done.stderr
    assert json.loads(done.stdout)["counts"]["failed"] >= 1
    assert "letters/big" in shop.left()
    assert "post/letters/letters/big.age" not in copies(shop)
    assert [] == [name for name in shop.left("vault") if ".retentiond~" in name]
    shop.json("apply", shop.plan())
    assert set() == shop.left()
    assert 3_000_000 == len(opened(shop, work, "post/letters/letters/big.age"))


# --- rows


def test_rows_are_archived_as_lines_of_json_with_the_definition_of_their_table(shop, work, recipient):
    shop.category("trade", SALES.format(recipient=recipient))
    shop.sales(5)
    shop.sales(2, first=50, at=NEW)
    shop.sql("UPDATE sales SET note = ? WHERE id = 2", b"\x00\xff")
    before = shop.sql("SELECT * FROM sales WHERE id < 50 ORDER BY id")
    plan = shop.plan("trade")
    shop.sql("UPDATE sales SET note = 'other' WHERE id = 3")
    assert {"disposed": 4, "changed": 1} == counts(shop.json("apply", plan))
    assert {3, 50, 51} == shop.ids()
    (rows,) = copies(shop)
    (listed,) = shop.left("vault") - {rows}
    assert rows.startswith("trade/sales/sales-")
    lines = [json.loads(line) for line in opened(shop, work, rows).splitlines()]
    assert [(row[0], row[1], row[2], row[3]) for row in before if row[0] != 3] == [
        (line["id"], line["at"], line["customer"], line["email"]) for line in lines
    ]
    assert {"base64": "AP8="} == lines[1]["note"]
    head, one = map(json.loads, opened(shop, work, listed).splitlines())
    assert ("sales", ["id"], 4) == (head["definition"]["table"], head["definition"]["key"], head["items"])
    assert {"name": "customer", "type": "TEXT", "null": True} in head["definition"]["columns"]
    assert ["sales/1", "sales/2", "sales/4", "sales/5"] == one["keys"]
