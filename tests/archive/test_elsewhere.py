"""Where archives and copies go is looked at like the store that they come from: a disk that is not mounted destroys nothing."""

import os
import shutil

import pytest

from tests.acceptance.shop import NEW, OLD, Shop
from tests.archive.rules import RULES
from tests.stores.test_files import mounted

STORES = "  away: {{type: files, path: {path}, location: GB}}"
NIGHTS = [f"nights/2020-01-0{n}/a" for n in (1, 2, 3)]
MOVED = "the store away is not the place that it was"


@pytest.fixture
def shop(tmp_path, work):
    """Its store `away` lies behind a link, by which it can be moved."""
    shop = Shop(tmp_path / "shop")
    for name in ("one", "two"):
        (tmp_path / name / "away").mkdir(parents=True)
    (tmp_path / "way").symlink_to("one")
    shop.settings(more=STORES.format(path=tmp_path / "way/away"))
    rule(shop, work, "letters")
    return shop


def rule(shop, work, name):
    """One of the two rules, in a category that may be enforced."""
    letters, nights = RULES.format(recipient=work.identity()).split("  nights:")
    shop.category(name, letters if name == "letters" else "  nights:" + nights)
    if name != "letters":
        (shop.folder / "policies.d/letters.yaml").unlink()
    shop.told("approve", name, "--yes")


def move(shop, name):
    """Lets the same path lead to another directory: `one`, `two`, or none."""
    (shop.folder.parent / "way").unlink()
    (shop.folder.parent / "way").symlink_to(name)


def there(shop, name):
    """What lies in `one` or `two`, manifests apart."""
    return {path for path in shop.left(f"../{name}/away") if "manifest-" not in path}


def nights(shop, work):
    """Three backups that all got a copy in `one`, of which two have rotated."""
    rule(shop, work, "nights")
    for name in NIGHTS:
        shop.file(name)
    assert 3 == shop.json("apply", "--category", "nights")["copies"]["verified"]
    assert {NIGHTS[2]} == shop.left()


# --- archives


def test_an_archive_that_is_not_the_place_that_it_was_takes_nothing_in(shop):
    shop.letters(2)
    shop.json("apply", "--category", "letters")
    assert 2 == len(there(shop, "one"))
    shop.letters(3, first=10)
    move(shop, "two")
    plan = shop.json("plan")
    assert [("letters", "place", "away")] == [(r["category"], r["limit"], r["store"]) for r in plan["refused"]]
    told = shop.told("apply", "--category", "letters", code=3)
    assert MOVED in told.err
    shop.told("apply", plan["plan"], "--over-limits", plan["plan"], code=3)
    assert (3, set()) == (len(shop.left()), there(shop, "two"))
    shop.told("approve", "letters", "--yes")
    assert 3 == shop.json("apply", "--category", "letters")["counts"]["disposed"]
    assert 3 == len(there(shop, "two"))


def test_a_disk_that_is_not_mounted_is_no_archive(shop, tmp_path):
    (tmp_path / "disk").mkdir()
    shop.settings(more=STORES.format(path=tmp_path / "disk"))
    shop.told("approve", "letters", "--yes")
    with mounted(tmp_path / "disk", "-t", "tmpfs", "tmpfs"):
        shop.told("approve", "letters", "--yes")
        shop.letters(2)
        assert 2 == shop.json("apply", "--category", "letters")["counts"]["disposed"]
    shop.letters(2)
    assert MOVED in shop.told("apply", "--category", "letters", code=3).err
    assert (2, []) == (len(shop.left()), os.listdir(tmp_path / "disk"))


def test_a_plan_is_for_the_place_of_its_archive(shop):
    shop.letters(2)
    plan = shop.plan()
    assert {"away", "desk"} == shop.json("plan", "show", plan)["places"].keys()
    move(shop, "two")
    assert "the store away is not where it was" in shop.told("apply", plan, code=4).err
    move(shop, "one")
    assert 2 == shop.json("apply", plan)["counts"]["disposed"]


def test_an_archive_that_moved_is_a_note_where_nothing_is_due(shop):
    shop.letters(2, at=NEW)
    shop.plan()
    move(shop, "two")
    plan = shop.json("plan")
    assert ([], True) == (plan["refused"], MOVED in " ".join(plan["warnings"]))


# --- copies


def test_copies_are_neither_made_nor_counted_in_a_store_that_moved(shop, work):
    nights(shop, work)
    shop.file(NIGHTS[0])
    shop.json("apply", shop.plan())  # it has a copy again, and may go
    shop.file(NIGHTS[1])
    shutil.copytree(shop.folder.parent / "one/away", shop.folder.parent / "two/away", dirs_exist_ok=True)
    before = there(shop, "two")
    move(shop, "two")
    plan = shop.json("plan", "--all")
    assert [("place", "away")] == [(r["limit"], r["store"]) for r in plan["refused"]]
    assert {"the store of its copy is not the place that it was"} <= {w["why"] for w in plan["rules"][0]["reasons"]["kept"]}
    assert MOVED in shop.told("apply", "--category", "nights", code=3).err
    shop.told("apply", plan["plan"], code=3)
    assert ({*NIGHTS}, before) == (shop.left(), there(shop, "two"))
    move(shop, "one")
    assert 2 == shop.json("apply", "--category", "nights")["counts"]["disposed"]


def test_a_plan_is_for_the_place_of_its_copies(shop, work):
    nights(shop, work)
    shop.file(NIGHTS[0])
    shop.json("apply", shop.plan())
    plan = shop.plan()
    assert 1 == shop.json("plan", "show", plan)["total"]
    move(shop, "two")
    shop.told("apply", plan, code=4)
    assert ({NIGHTS[0], NIGHTS[2]}, set()) == (shop.left(), there(shop, "two"))


def test_a_person_accepts_the_new_place_of_copies_and_they_are_made_there(shop, work):
    nights(shop, work)
    move(shop, "two")
    shop.told("approve", "nights", "--yes")
    assert 1 == shop.json("apply", "--category", "nights")["copies"]["verified"]
    assert {f"{NIGHTS[2]}.age"} == there(shop, "two")


# --- what cannot be seen is named


def line_of(shop, store):
    lines = shop.config.read_text().splitlines()
    return next(n for n, line in enumerate(lines, 1) if line.startswith(f"  {store}:"))


@pytest.mark.parametrize("name", ["letters", "nights"])
def test_a_destination_that_is_missing_is_named_with_its_own_line_and_nothing_is_planned(shop, work, name):
    if name == "nights":
        rule(shop, work, name)
    shop.file("letters/1", OLD)
    shop.file(NIGHTS[0])
    (shop.folder.parent / "one/away").rmdir()
    where = f"retentiond.yaml:{line_of(shop, 'away')}:3: the store away, which its copies go to: "
    assert where in shop.told("check", code=5).out.replace(str(shop.folder) + "/", "")
    told = shop.told("plan", code=5).out
    assert f"not seen: {name}/{name}: " in told
    assert "To carry it out" not in told
    plan = shop.json("plan", code=5)
    assert [(f"{name}/{name}", line_of(shop, "away"))] == [(e["rule"], e["line"]) for e in plan["errors"]]
    shop.json("apply", "--category", name, code=5)
    assert 2 == len(shop.left())


# --- why it failed


def words(told):
    """What was said, however its lines were broken."""
    return " ".join(told.out.split())


def test_a_full_archive_is_said_in_words_once_and_without_keys(shop, tmp_path):
    (tmp_path / "disk").mkdir()
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=64k", "tmpfs"):
        shop.settings(more=STORES.format(path=tmp_path / "disk"))
        for n in range(3):
            shop.file(f"letters/somebody{n}", text=os.urandom(200_000))
        plan = shop.plan()
        told = words(shop.told("apply", plan, code=1))
        assert "not-archived: 3: the store of the archive did not take the copy" in told
        assert 1 == told.count("the store away, which copies go to: ") == told.count("no space is left there")
        assert "somebody" not in told
        found = shop.json("apply", plan, code=1)
        assert {"failed": {"not-archived": 3}} == found["why"]
        assert [("away", "no-space")] == [(error["store"], error["why"]) for error in found["errors"]]
    assert 3 == len(shop.left())


def test_an_archive_that_cannot_be_opened_is_said_in_words(shop):
    shop.letters(2)
    plan = shop.plan()
    shutil.rmtree(shop.folder.parent / "one/away")
    told = words(shop.told("apply", plan, code=1))
    assert "no-archive: 2: the store of the archive cannot be opened" in told
    assert "the store away, which copies go to: the root of the store is missing" in told


def test_a_copy_that_is_missing_when_its_original_should_go_is_said_in_words(shop, work):
    rule(shop, work, "nights")
    policy = shop.folder / "policies.d/nights.yaml"
    policy.write_text(policy.read_text().replace("generations: {last: 1}", "retention_period: 3 months"))
    shop.file(NIGHTS[0])
    shop.json("apply", shop.plan())
    plan = shop.plan()
    shutil.rmtree(shop.folder.parent / "one/away")
    told = words(shop.told("apply", plan, code=5))
    assert "failed 1 no-copy: 1: no verified copy lies elsewhere now" in told
    assert 1 == told.count("the root of the store is missing")
    assert {NIGHTS[0]} == shop.left()
