"""What was archived or copied of a person: erased where nobody else is in it, and else beyond use until a day."""

import json
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
    assert beyond(value) == {}
    value = erase(vaulted, "--yes")
    assert value["state"] == "carried out"
    assert vault(vaulted) == {"support/tickets/8/old.txt"}
    made = vaulted.json("audit", "certificate", "R-1")
    assert ("vault", 2) in {(one["store"], one["items"]) for one in made["disposed"]}, "the archive, and the manifest of it"
    vaulted.told("audit", "verify")


def test_a_list_that_names_others_too_stays_beyond_use_until_its_rule_lets_it_go(vaulted):
    vaulted.category("archives", EXPIRY)
    vaulted.category("support", FILES.replace("action: delete", "action: {archive: {to: vault, path: '{category}/{name}'}}"))
    for customer in ("7", "8"):
        vaulted.file(f"tickets/{customer}/of-{customer}.txt", OLD - timedelta(days=800))
    vaulted.told("apply", vaulted.plan("support"))
    value = erase(vaulted, "--yes")
    ((where, (items, until)),) = beyond(value).items()
    assert where == ("vault", "archives and copies that hold this person among others")
    assert items == 1, "the manifest names both, for their copies lie in one folder"
    assert until.startswith(str(NOW.year + 6))
    assert vault(vaulted) == {"support/tickets/8/old.txt", "support/of-8.txt"}
    made = vaulted.json("audit", "certificate", "R-1")
    assert ("vault", 1, until) in [(one["store"], one["items"], one["until"]) for one in made["beyond_use"]]


BY_CUSTOMER = "action: {archive: {to: vault, path: 'letters/{customer}/{name}'}}"


def test_the_list_of_what_was_archived_goes_with_the_person_and_others_keep_theirs(vaulted):
    """Where the path of a copy says whose it is, a manifest names nobody else's."""
    vaulted.category("support", FILES.replace("action: delete", BY_CUSTOMER))
    expiry = EXPIRY.replace("support/**", "letters/{customer}/**")
    vaulted.category("letters", expiry.replace("action: delete", "action: delete\n    subject: {customer: customer}"))
    for customer in ("7", "8"):
        for name in ("one.txt", "two.txt"):
            vaulted.file(f"tickets/{customer}/{name}", OLD - timedelta(days=800))
    vaulted.told("apply", vaulted.plan("support"))
    lists = {customer: manifests(vaulted, customer) for customer in ("7", "8")}
    assert [{"tickets/7/one.txt", "tickets/7/two.txt"}] == lists["7"]
    assert [{"tickets/8/one.txt", "tickets/8/two.txt"}] == lists["8"]
    value = erase(vaulted, "--yes")
    assert ([], lists["8"]) == (manifests(vaulted, "7"), manifests(vaulted, "8"))
    assert not [name for name in vault(vaulted) if name.startswith("letters/7/")]
    assert not [one for one in value["beyond_use"] if "among others" in one["words"]]


def manifests(town, customer):
    """The keys that each manifest in a customer's folder lists."""
    found = (town.folder / "vault" / "letters" / customer).glob("manifest-*.jsonl")
    return [{json.loads(line)["key"] for line in path.read_text().splitlines()[1:]} for path in found]


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
    assert found["vault", "archives and copies of this person's"] == (2, None), "the archive, and the manifest of it"
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
    assert went["archived"] == 2, "the archived file, and the manifest of it"
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
