"""What the page of the demo says of a person: an address leads to letters that nobody can read any more."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime

from retentiond.demo import build
from tests.acceptance.shop import Shop

TICKETS = "SELECT c.email, t.id FROM tickets t JOIN customers c ON c.id = t.customer_id ORDER BY t.id"


class Demo(Shop):
    """The demo's company, as `retentiond demo` builds it."""

    def __init__(self, folder):
        self.folder = folder
        build(folder, datetime.now(UTC))


def test_an_address_leads_to_letters_in_the_mailbox_and_in_the_encrypted_archive(tmp_path):
    demo = Demo(tmp_path / "demo")
    assert 40 == demo.json("apply", demo.plan("letters"))["counts"]["disposed"]
    with closing(sqlite3.connect(demo.folder / "helpdesk.db")) as db:
        tickets = db.execute(TICKETS).fetchall()
    archive = demo.folder / "vault" / "letters"
    there = {path.name for path in archive.iterdir()}
    whose = next(email for email, ticket in tickets if str(ticket) in there)
    mine = {str(ticket) for email, ticket in tickets if email == whose}
    erased = demo.json("erase", f"email={whose.upper()}", "--request", "R-1", "--reason", "asked", "--yes")
    assert {one["rule"] for one in erased["stays"]} <= {"customers"}
    assert not [path for ticket in mine for path in archive.glob(f"{ticket}/*.desk.age")]
    assert not [path for path in (demo.folder / "mail").rglob("cur/*") if whose.encode() in path.read_bytes().lower()]
    left = [path for path in archive.glob("*/*.desk.age") if path.parent.name not in mine]
    assert len(left) == 40 - len([ticket for ticket in mine if ticket in there])
    demo.told("audit", "verify")
