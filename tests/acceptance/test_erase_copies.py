"""What was archived or copied of a person: erased where nobody else is in it, and else beyond use until a day."""

from datetime import timedelta

import pytest

from tests.acceptance.shop import NEW, NOW, OLD, OPEN_LIMITS, SALES
from tests.acceptance.town import ASKED, FILES, erase

ARCHIVED = "action: {archive: {to: vault, path: '{category}/{key}'}}"
EXPIRY = """\
  archived:
    store: vault
    select: {path: "support/**"}
    start: modified
    retention_period: 6 years
    action: delete
"""


@pytest.fixture
def vaulted(town):
    """What is older than two years is archived; archives stay for six more."""
    (town.folder / "vault").mkdir()
    stores = "  vault: {type: files, path: vault, location: GB}"
    town.settings(text=town.config.read_text().replace("\naudit:", f"\n{stores}\naudit:", 1).replace("\n\n  vault", "\n  vault"))
    town.category("support", FILES.replace("action: delete", ARCHIVED))
    for customer in ("7", "8"):
        town.file(f"tickets/{customer}/old.txt", OLD - timedelta(days=800))
    town.told("apply", town.plan())
    assert vault(town) >= {"support/tickets/7/old.txt", "support/tickets/8/old.txt"}
    return town


def vault(town):
    """The archives, without their manifests."""
    found = (path.relative_to(town.folder / "vault").as_posix() for path in (town.folder / "vault").rglob("*") if path.is_file())
    return {name for name in found if "manifest" not in name}


def beyond(value):
    return {(one["store"], one["words"].partition(",")[0]): (one["items"], one["until"]) for one in value["beyond_use"]}


def test_an_archive_of_one_person_is_erased_with_the_rest(vaulted):
    vaulted.category("archives", EXPIRY)
    value = erase(vaulted, "--plan")
    assert "support/tickets/7/old.txt" in vaulted.steps(value["plan"])
    ((where, (items, until)),) = beyond(value).items()
    assert where == ("vault", "archives and copies that hold this person among others")
    assert items == 1, "the manifest names both"
    assert until.startswith(str(NOW.year + 6))
    value = erase(vaulted, "--yes")
    assert value["state"] == "carried out"
    assert vault(vaulted) == {"support/tickets/8/old.txt"}
    made = vaulted.json("audit", "certificate", "R-1")
    assert ("vault", 1) in {(one["store"], one["items"]) for one in made["disposed"]}
    assert ("vault", 1, until) in [(one["store"], one["items"], one["until"]) for one in made["beyond_use"]]
    vaulted.told("audit", "verify")


def test_a_hold_keeps_an_archive_and_its_release_lets_it_go_by_itself(vaulted):
    vaulted.category("archives", EXPIRY)
    vaulted.told("hold", "place", "H", "--reason", "r", "--mandate", "m", "--store", "vault", "--path", "support/tickets/7/**")
    value = erase(vaulted, "--yes")
    assert [(stay["rule"], stay["ground"]) for stay in value["stays"]] == [("archived", "hold")]
    vaulted.told("hold", "release", "H", "--reason", "r")
    vaulted.told("apply", vaulted.plan())
    assert vault(vaulted) == {"support/tickets/8/old.txt"}


def test_where_no_rule_disposes_of_archives_they_are_named_without_an_end(vaulted):
    value = erase(vaulted, "--yes")
    found = beyond(value)
    assert found["vault", "archives and copies of this person's"] == (1, None)
    assert "support/tickets/7/old.txt" in vault(vaulted)


def test_rows_in_one_file_with_others_are_beyond_use_and_those_of_one_person_alone_are_erased(vaulted):
    rows = "action: {archive: {to: vault, path: '{category}/{table}/{batch}.jsonl'}}"
    vaulted.category("trade", SALES.replace("action: delete", rows), head=f"{OPEN_LIMITS}")
    at = f"{OLD:%Y-%m-%d %H:%M:%S}"
    vaulted.sale((10, at, "7", "ada@example.org"))
    vaulted.told("apply", vaulted.plan())
    vaulted.sale((11, at, "7", "ada@example.org"), (12, at, "8", "bob@example.org"))
    vaulted.told("apply", vaulted.plan())
    vaulted.category("archives", EXPIRY + EXPIRY.replace("archived", "rows").replace("support/", "trade/"))
    value = erase(vaulted, "--yes")
    went = {one["rule"]: one["items"] for one in vaulted.json("audit", "certificate", "R-1")["disposed"]}
    assert went["rows"] == 2, "the file with one row, and the manifest of it"
    assert went["archived"] == 1
    shared = [one for one in value["beyond_use"] if one["rule"] == "sales"]
    assert [(one["items"], one["until"] is not None) for one in shared] == [(2, True)]
    vaulted.told("audit", "verify")


def test_a_copy_of_a_persons_item_goes_too(town):
    (town.folder / "vault").mkdir()
    stores = "  vault: {type: files, path: vault, location: GB}"
    town.settings(text=town.config.read_text().replace("\naudit:", f"\n{stores}\naudit:", 1).replace("\n\n  vault", "\n  vault"))
    town.category("support", FILES.replace("action: delete", "action: delete\n    copy: {to: vault}"))
    town.category("archives", EXPIRY.replace("support/**", "tickets/**"))
    town.told("apply", town.plan())
    assert len(vault(town)) == 4
    erase(town, "--yes")
    assert vault(town) == {"tickets/8/a.txt", "tickets/8/deep/b.txt"}
    town.told("audit", "verify")


def test_copies_that_do_not_say_whose_they_are_are_counted(vaulted):
    vaulted.category("support", FILES.replace("action: delete", ARCHIVED).replace("    subject: {customer: customer}\n", ""))
    vaulted.file("tickets/9/old.txt", OLD - timedelta(days=800))
    vaulted.told("apply", vaulted.plan())
    found = beyond(erase(vaulted, "--plan"))
    assert found["vault", "archives and copies that do not say whose they are"] == (2, None)


def test_a_backup_by_generations_says_how_many_and_until_when(town):
    backups = """\
  nightly:
    store: desk
    select: {path: "backup/{day:%Y-%m-%d}.tar"}
    start: {path: day}
    generations: {daily: 7}
    action: delete
"""
    town.category("backups", backups)
    for days in range(3):
        town.file(f"backup/{NEW - timedelta(days=days):%Y-%m-%d}.tar", NEW)
    town.plan()
    (one,) = town.json("erase", "customer=7", *ASKED, "--plan")["beyond_use"]
    assert (one["rule"], one["items"], one["backup"]) == ("nightly", 3, True)
    assert f"{NOW + timedelta(days=7):%Y-%m-%d}" <= one["until"] <= f"{NOW + timedelta(days=20):%Y-%m-%d}"


def test_the_ledger_names_nobody_of_an_archive(vaulted):
    body = b"".join(path.read_bytes() for path in (vaulted.folder / "state").glob("state.db*"))
    assert b"tickets/7/old.txt" in body, "the name of the copy is kept as long as the copy is"
    assert b"ada@" not in body
