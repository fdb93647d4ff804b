"""A company on paper: files that a test may edit before they are loaded, and store types that open nothing."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from retentiond.config.load import Loaded, load
from retentiond.errors import ConfigurationError, Problem

SETTINGS = """\
organisation: Example Telephony Ltd
timezone: Europe/London
state: state
policies: policies.d
stores:
  uploads:  {type: files, path: srv/uploads, location: IE}
  pbx:      {type: sql, url: sqlite:///pbx.db, password: {credential: pbx}, zone: UTC, location: GB}
  helpdesk: {type: sql, url: sqlite:///helpdesk.db, location: GB}
identities:
  customer-by-email: {store: pbx, query: "SELECT id AS customer FROM customers WHERE email = :email"}
audit: {origin: audit.example.org/retentiond, anchors: []}
notify: []
engine: local
"""

CATEGORY = """\
category: support-files
title: Files obtained for support
promise: {text: deleted as soon as the issue has been resolved, source: notices/support.txt}
purpose: [resolving the customer's issue]
lawful_basis: contract
data: [files sent by the customer]
subjects: [customers]
recipients: []
owner: dpo@example.org
locations: [GB, IE]
schedule: every 15 minutes
approval: first
limits: {items: 5000, share: 25%, bytes: 50 GiB}
events:
  ticket-resolved:
    store: helpdesk
    query: SELECT id AS subject, resolved_at AS at FROM tickets WHERE status = 'resolved'
    settle: 1 hour
    zone: UTC
  contract-ended: {recorded: yes}
rules:
  uploads:
    store: uploads
    select: {path: "tickets/{ticket}/**"}
    start: {event: ticket-resolved, by: ticket}
    retention_period: immediately
    action: delete
    subject: {ticket: ticket}
  senders:
    store: helpdesk
    select: {table: attachments, where: "kind = 'upload'"}
    start: {column: closed_at, zone: UTC}
    retention_period: 3 months
    deletion_period: 4 months
    minimum: {period: 1 month, mandate: the Act}
    action: delete
    subject: {email: sender_email}
"""

NOTICE = "Your files are deleted as soon as\n  the issue has been resolved.\n"


@dataclass(frozen=True)
class PaperType:
    """A type of store that exists on paper only: it knows its options and opens nothing."""

    name: str
    options: frozenset[str]
    needs: str

    def problems(self, options):
        for key in options.keys() - self.options:
            yield key, f"a {self.name} store has no such option"
        if self.needs not in options:
            yield self.needs, f"a {self.name} store needs one"

    def look(self, options):
        raise AssertionError("nothing is opened while the configuration is read")

    act = look


PAPER_TYPES = {
    "files": PaperType("files", frozenset({"path", "zone"}), "path"),
    "sql": PaperType("sql", frozenset({"url", "password", "zone"}), "url"),
    "cloud": PaperType("cloud", frozenset({"bucket", "endpoint", "access_key", "secret_key", "headers"}), "bucket"),
}


@dataclass
class Company:
    """A folder with a configuration; `edit` changes one spelling in it, `load` reads it all."""

    folder: Path
    files: dict[str, str] = field(default_factory=dict)
    types: dict[str, PaperType] = field(default_factory=lambda: PAPER_TYPES)

    def write(self, name: str, text: str | bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        if isinstance(text, str):
            self.files[name] = text

    def edit(self, name: str, old: str, new: str) -> None:
        assert self.files[name].count(old) == 1, f"{old!r} must stand once in {name}"
        self.write(name, self.files[name].replace(old, new))

    def load(self) -> Loaded:
        return load(str(self.folder / "retentiond.yaml"), self.types)

    def problems(self) -> list[Problem]:
        try:
            self.load()
        except ConfigurationError as error:
            return list(error.problems)
        return []


@pytest.fixture
def company(tmp_path) -> Company:
    """The sample of the policy language, as far as this version carries it out; nothing is wrong with it."""
    paper = Company(tmp_path)
    paper.write("retentiond.yaml", SETTINGS)
    paper.write("policies.d/support.yaml", CATEGORY)
    paper.write("notices/support.txt", NOTICE)
    return paper
