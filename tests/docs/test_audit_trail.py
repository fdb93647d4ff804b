"""docs/audit-trail.md tells every type of entry with its fields, and what each field says."""

import re

from retentiond.core.entry import FIELDS
from tests.docs.test_readme import ROOT

PAGE = (ROOT / "docs" / "audit-trail.md").read_text(encoding="utf-8")


def rows(heading):
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in section.splitlines() if line.startswith("| `")]


def names(cell):
    return set(re.findall(r"`([a-z0-9-]+)`", cell))


def test_every_type_of_entry_stands_with_its_fields():
    shown = {names(type_).pop(): names(fields) for type_, _, fields in rows("The entries")}
    assert shown == {type_: set(fields) for type_, fields in FIELDS.items()}


def test_every_field_is_explained_once():
    shown = [name for row in rows("Their fields") for name in sorted(names(row[0]))]
    assert sorted(shown) == sorted({field for fields in FIELDS.values() for field in fields})
