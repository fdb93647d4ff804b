"""`init`: a first configuration, a first category, and the keys. Never overwrites anything.

The first line of each file points editors at its schema in `schema/`, so that they complete keys
and mark those that there are not. `retentiond schema` writes the same anew for a newer version.
"""

from __future__ import annotations

import os
from pathlib import Path

import click

from retentiond.cli.desk import answer, options, relative, say
from retentiond.cli.front import common
from retentiond.cli.schema import KINDS, text_of

SETTINGS = """\
# yaml-language-server: $schema=schema/settings.json
# Where things are. What happens to them stands in policies.d/, one file for each category.
# Relative paths start from the folder of this file.

organisation: Example Ltd          # who promises
timezone: Europe/London            # days, months and years are counted in this zone's calendar
state: ./retentiond-state          # plans, the ledger, the keys and the audit log
policies: policies.d               # only *.yaml in it

stores:
  # A folder of files. For a database: {type: sql, url: "sqlite:///shop.db", zone: UTC, location: GB}
  documents: {type: files, path: documents, location: GB}

audit: {origin: audit.example.org/retentiond}   # the name under which the audit log is signed
"""
CATEGORY = """\
# yaml-language-server: $schema=../schema/category.json
# One category of personal data: why it is held, and when it goes.

category: documents
title: Documents that customers sent
purpose: [answering what was asked]
lawful_basis: contract
data: [what the customer sent]
subjects: [customers]
owner: privacy@example.org
locations: [GB]
schedule: daily at 02:00

rules:
  letters:
    store: documents
    select: {path: "letters/**"}   # everything below letters/
    start: modified                # the clock starts when a file was changed last
    retention_period: 3 months     # kept at least so long
    deletion_period: 3 months 2 days   # gone by then
    action: delete
"""


@click.command()
@click.argument("directory", metavar="[DIR]", default=".")
@common
def init(directory: str) -> None:
    """Write a first retentiond.yaml, policies.d/ and keys into DIR. Nothing is overwritten."""
    from retentiond.app.house import House
    from retentiond.app.trail import publish

    folder = Path(directory)
    (folder / "policies.d").mkdir(parents=True, exist_ok=True)
    (folder / "documents" / "letters").mkdir(parents=True, exist_ok=True)
    (folder / "schema").mkdir(exist_ok=True)
    files = {"retentiond.yaml": SETTINGS}
    if not any((folder / "policies.d").glob("*.yaml")):
        files["policies.d/documents.yaml"] = CATEGORY
    files |= {f"schema/{kind}.json": text_of(kind) + "\n" for kind in KINDS}
    written = [name for name, text in files.items() if _write(folder / name, text)]
    with House(str(folder / "retentiond.yaml")) as house:
        publish(house)
        key = house.verifier.line
    if options().json:
        answer({"folder": str(folder.resolve()), "written": written, "key": key})
        return
    for name in files:
        say(f"{'written' if name in written else 'was there'}: {relative((folder / name).resolve())}")
    say(f"The public key of the audit log, to hand to whoever will check it:\n  {key}")
    say("Next: retentiond check, then retentiond plan")


def _write(path: Path, text: str) -> bool:
    """Writes a new file; False where there is one already."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return True
