"""Promise 8: a person, or a single message, is taken out of a mail archive on request, in whatever case it is written."""

import pytest

from tests.acceptance.shop import NEW
from tests.stores.letters import Maildir, letter

ARCHIVE = """\
  letters:
    store: mail
    select: {folder: in, to: "*"}
    start: created
    retention_period: 10 years
    action: delete
    subject: {email: correspondents, message: message-id}
"""


@pytest.fixture
def archive(bare):
    bare.settings(more="  mail: {type: mail, path: mail, format: maildir, location: GB}")
    bare.category("post", ARCHIVE)
    mailbox = Maildir(bare.folder / "mail")
    fields = [
        {"From": "Ada <ADA@Example.org>"},
        {"To": "Bob <bob@example.org>, ada@example.ORG"},
        {"From": "bob@example.org"},
        {},
    ]
    bare.mails = [mailbox.put(f"{n}.x", letter(n, **more), NEW) for n, more in enumerate(fields)]
    bare.there = lambda: [n for n, key in enumerate(bare.mails) if mailbox.at(key)]
    return bare


def test_everything_that_went_between_a_person_and_others_goes_and_nothing_else(archive):
    value = archive.json("erase", "email=ada@EXAMPLE.org", "--request", "R", "--reason", "asked", "--yes")
    assert (value["state"], archive.there()) == ("carried out", [2, 3])
    archive.told("audit", "verify")


def test_a_single_message_goes_by_its_id(archive):
    archive.told("hold", "place", "H", "--reason", "r", "--mandate", "m", "--subject", "email=Bob@example.org")
    for n, left in ((3, [0, 1, 2]), (2, [0, 1, 2])):
        value = archive.json("erase", f"message=<{n}@example.net>", "--request", f"R-{n}", "--reason", "asked", "--yes")
        assert archive.there() == left
    assert [s["ground"] for s in value["stays"]] == ["hold"]
