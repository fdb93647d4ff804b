"""The certificate of a run or of an erasure says what happened: what was archived, where it lies, and whom nobody has told."""

import contextlib
import os
import pty
import re
import subprocess
import sys

import pytest

from tests.acceptance.shop import LETTERS, NOW, OLD, OPEN_LIMITS, SALES
from tests.acceptance.town import ASKED, FILES, WHO, erase
from tests.notify.sinks import WebSink

VAULT = "  vault: {type: files, path: vault, location: GB}"
ARCHIVE = "action: {archive: {to: vault, path: '{category}/{key}'}}"
EXPIRY = """\
  old:
    store: vault
    select: {path: "post/**"}
    start: modified
    retention_period: 6 years
    action: delete
"""


@pytest.fixture
def vault(bare):
    """A shop whose letters and sales are archived."""
    (bare.folder / "vault").mkdir()
    bare.settings(more=VAULT)
    bare.category("post", LETTERS.replace("action: delete", ARCHIVE))
    bare.category("trade", SALES.replace("action: delete", "action: {archive: {to: vault}}"))
    return bare


def at_a_terminal(shop, *args):
    """What a command writes to a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen([sys.executable, "-m", "retentiond", "--config", str(shop.config), *args], stdout=theirs) as running:
        os.close(theirs)
        text = b""
        with contextlib.suppress(OSError):
            while more := os.read(ours, 4096):
                text += more
        running.wait(60)
    os.close(ours)
    return text.decode().replace("\r\n", "\n")


def flat(text):
    return " ".join(text.split())


def test_what_was_archived_is_not_called_deleted_and_its_store_and_its_end_are_named(vault, tmp_path):
    vault.letters(2)
    run = vault.json("apply", vault.plan())["run"]
    made = vault.json("audit", "certificate", run)
    (row,) = made["disposed"]
    assert (row["how"], row["to"], row["until"]) == ("archived", "vault", None)
    assert row["words"] == "archived to vault, no rule lets it go"
    assert made["summary"] == "2 disposed; archived to vault (2), no rule lets it go"
    assert made["method"].startswith("Archiving: ")
    verified = [e["index"] for e in vault.entries("copies-verified") if e["purpose"] == "archive"]
    assert {*verified} <= {*made["log"]["entries"]}
    vault.category("archives", EXPIRY)
    (row,) = vault.json("audit", "certificate", run)["disposed"]
    assert row["until"].startswith(str(NOW.year + 6))
    assert f"2 archived to vault, kept until {row['until']}: post/letters in desk" in flat(
        vault.told("audit", "certificate", run).out
    )
    page = tmp_path / "run.html"
    vault.told("audit", "certificate", run, "--out", str(page))
    assert f"archived to vault, kept until {row['until']}" in page.read_text()
    vault.category("post", LETTERS)
    (row,) = vault.json("audit", "certificate", run)["disposed"]
    assert row["how"] == "archived", "by what the plan of the run said, not by today's rule"


def test_check_names_the_store_that_is_archived_to(vault):
    assert "post/letters: archive from desk to vault after 3 months" in vault.told("check").out.splitlines()


def test_an_archive_that_is_gone_since_is_not_said_to_be_there(vault):
    vault.letters(2)
    run = vault.json("apply", vault.plan())["run"]
    vault.category("archives", EXPIRY.replace("6 years", "3 months"))
    for name in vault.left("vault"):
        os.utime(vault.folder / "vault" / name, (OLD.timestamp(), OLD.timestamp()))
    vault.json("apply", vault.plan("archives"))
    (row,) = vault.json("audit", "certificate", run)["disposed"]
    assert (row["how"], row["to"], row["words"]) == ("archived", "vault", "archived to vault, gone from there since")
    (found,) = vault.json("audit", "lookup", "desk", "letters/00000.txt")["evidence"]
    assert found["archive"] == {"store": "vault", "until": None}


@pytest.mark.parametrize(("store", "key"), [("desk", "letters/00000.txt"), ("till", "sales/1")])
def test_of_an_archived_item_it_is_said_where_it_went(vault, store, key):
    vault.letters(2)
    vault.sales(3)
    vault.json("apply", vault.plan())
    (found,) = vault.json("audit", "lookup", store, key)["evidence"]
    assert (found["how"], found["archive"]) == ("archived", {"store": "vault", "until": None})
    for words in (("audit", "lookup"), ("explain",)):
        said = flat(vault.told(*words, store, key).out)
        assert "archived to vault: no rule lets it go" in said
        assert ".age" not in said
        assert "post/letters" not in said.replace("among the items of post/letters", "")
    keys = {one["key"] for one in vault.json("archive", "list")["archives"] if one["purpose"] == "archive"}
    (mine,) = re.findall(r"^    as (\S+)$", at_a_terminal(vault, "audit", "lookup", store, key), re.MULTILINE)
    assert mine in keys


def test_what_was_deleted_or_anonymised_is_still_called_so(town):
    town.category("trade", SALES.replace("action: delete", "action: {anonymise: {customer: null, email: null}}"))
    erase(town, "--yes")
    rows = {row["rule"]: (row["how"], row["to"], row["words"]) for row in town.json("audit", "certificate", "R-1")["disposed"]}
    assert rows == {"sales": ("anonymised", None, "anonymised"), "tickets": ("deleted", None, "deleted")}


def test_what_lies_beyond_use_stands_in_the_words_too(town):
    town.category("logs", FILES.replace("tickets/{customer}", "logs").replace("    subject: {customer: customer}\n", ""))
    erase(town, "--yes")
    (one,) = town.json("audit", "certificate", "R-1")["beyond_use"]
    said = flat(town.told("audit", "certificate", "R-1").out)
    assert f"beyond use: logs/tickets in desk: {one['words']}" in said


RECIPIENTS = f"{OPEN_LIMITS}\nrecipients: [Post Ltd]"


@pytest.mark.parametrize("on", [None, "overdue, failure"])
def test_nobody_is_certified_as_told_who_was_not(town, on):
    with contextlib.closing(WebSink()) as hook:
        more = f'notify: [{{webhook: "{hook.url}", on: [{on}]}}]\n' if on else ""
        town.settings(text=f"{town.config.read_text()}{more}")
        town.category("trade", SALES, head=RECIPIENTS)
        assert "nobody would be told" in flat(town.told("check").out)
        erase(town, "--yes")
        made = town.json("audit", "certificate", "R-1")
        assert (made["recipients"], made["to_be_told"]) == ([], [{"category": "A category", "recipient": "Post Ltd"}])
        assert "still to be told, by a person: Post Ltd" in flat(town.told("audit", "certificate", "R-1").out)
        assert not town.entries("recipients-told")
        town.settings(text=town.config.read_text().partition("notify:")[0] + f'notify: [{{webhook: "{hook.url}"}}]\n')
        assert "nobody would be told" not in flat(town.told("check").out)
        erase(town, "--yes")
    made = town.json("audit", "certificate", "R-1")
    assert (made["recipients"], made["to_be_told"]) == ([{"category": "A category", "recipient": "Post Ltd"}], [])
    assert len(town.entries("recipients-told")) == 1


def test_a_store_that_nobody_could_look_at_has_no_number(town, tmp_path):
    (town.folder / "desk").rename(town.folder / "away")
    town.told("erase", WHO, *ASKED, "--yes", code=5)
    made = town.json("audit", "certificate", "R-1")
    assert [(one["ground"], one["items"]) for one in made["stays"]] == [("unseen", None)]
    assert made["summary"] == "2 items were erased. 1 place could not be looked at, so what is left there is not known."
    page = tmp_path / "answer.html"
    assert "? not done: support/tickets" in flat(town.told("audit", "certificate", "R-1", "--out", str(page)).out)
    assert "<td>not known</td>" in page.read_text()


def test_one_item_is_one_and_a_minimum_names_its_ground_of_the_law(town, tmp_path):
    minimum = "action: delete\n    deletion_period: 7 years\n    minimum: {period: 6 years, mandate: Companies Act}"
    town.category("trade", SALES.replace("action: delete", minimum))
    town.sql("DELETE FROM sales WHERE id > 1")
    town.told("erase", WHO, *ASKED, "--yes")
    made = town.json("audit", "certificate", "R-1")
    assert made["summary"].endswith("1 item is left, for the reasons below.")
    assert made["stays"][0]["words"] == "a minimum of 6 years (Companies Act): a legal obligation, Art. 17(3)(b)"


def test_the_page_tells_the_rules_of_one_store_apart(town, tmp_path):
    town.category("trade", SALES.replace("id > 0", "id = 1") + SALES.replace("id > 0", "id > 1").replace("  sales:", "  later:"))
    erase(town, "--yes")
    page = tmp_path / "answer.html"
    town.told("audit", "certificate", "R-1", "--out", str(page))
    assert {"<td>sales</td>", "<td>later</td>"} <= {*re.findall("<td>[a-z]+</td>", page.read_text())}
