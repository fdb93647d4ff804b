"""docs/policies.md has every key of the files, with the defaults and the examples that the program would take."""

import re

import pytest

from retentiond.config import schema as schemas
from retentiond.config.load import load
from retentiond.config.not_yet import NOT_YET
from retentiond.config.reading import Shape, keys_of
from retentiond.stores.plugin import store_type, store_types
from tests.config.json_schema import faults
from tests.config.test_schema import read, shapes
from tests.docs.test_readme import ROOT

PAGE = (ROOT / "docs" / "policies.md").read_text(encoding="utf-8")
TABLES = {
    called: [tuple(cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]) for row in rows.splitlines()[2:]]
    for called, rows in re.findall(r"^<!-- shape: ([a-z0-9 ]+) -->\n\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
}
SCHEMA = {"$defs": {}}
for whole in (schemas.category(), schemas.settings()):
    SCHEMA["$defs"] |= {node["title"]: node for node in whole["$defs"].values()} | whole["$defs"]
    SCHEMA["$defs"][{"A category of retentiond": "category"}.get(whole["title"], "configuration file")] = whole
OURS = {one.called: one for one in shapes(Shape) if one.__module__.startswith("retentiond.config") and keys_of(one)}
ROWS = [(called, *row) for called, rows in TABLES.items() for row in rows]
NAMES = [f"{row[0]}: {row[1]}" for row in ROWS]


def quoted(cell):
    found = re.fullmatch(r"`(.+)`", cell)
    return found and found[1]


def said(called, key):
    """What the schema says of a key; `start` is written out there, so its alternatives are looked through."""
    node = SCHEMA["$defs"][called]
    places = [node, *node.get("anyOf", ())]
    return next(place["properties"][key] for place in places if key in place.get("properties", {}))


def test_every_key_of_the_shapes_stands_on_the_page_and_no_other():
    shown = {called: [quoted(row[0]) for row in rows] for called, rows in TABLES.items()}
    assert {called: sorted(keys) for called, keys in shown.items()} == {
        called: sorted(keys_of(shape)) for called, shape in OURS.items()
    }


@pytest.mark.parametrize(("called", "key", "_kind", "default", "_says", "_example"), ROWS, ids=NAMES)
def test_each_default_is_that_of_the_program(called, key, _kind, default, _says, _example):
    name = quoted(key)
    required = OURS[called].model_fields[name].is_required()
    assert (default == "required") is required
    if not required:
        assert (quoted(default) or "–") == str(said(called, name).get("default", "–"))


@pytest.mark.parametrize(("called", "key", "_kind", "_default", "_says", "example"), ROWS, ids=NAMES)
def test_each_example_fits(called, key, _kind, _default, _says, example):
    if example != "see below":
        value = {quoted(key): read(quoted(example))} if called != "schedule" else {"cron": quoted(example)}
        assert faults(SCHEMA | said(called, quoted(key)), next(iter(value.values()))) == []


def examples():
    return re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def test_the_whole_example_loads(tmp_path):
    settings, category = examples()[:2]
    (tmp_path / "policies.d").mkdir()
    (tmp_path / "retentiond.yaml").write_text(settings)
    (tmp_path / "policies.d" / "support-files.yaml").write_text(category)
    loaded = load(str(tmp_path / "retentiond.yaml"), {name: store_type(name) for name in store_types()})
    assert list(loaded.rulebook.categories) == ["support-files"]
    assert loaded.warnings == []


def test_every_word_that_is_not_there_yet_is_named():
    listed = set(re.findall(r"`([a-z0-9_.]+)`", PAGE.partition("## What is not there yet")[2]))
    words = {word for where, found in NOT_YET.items() if where != "engine" for word in found}
    assert words <= listed


def test_no_word_is_named_that_is_there():
    listed = {
        where: set(re.findall(r"`([a-z0-9_.]+)`", words))
        for where, words in re.findall(
            r"^\| (rule|`start`) \| (.*?) \|$", PAGE.partition("## What is not there yet")[2], re.MULTILINE
        )
    }
    assert {where.strip("`"): words for where, words in listed.items()} == {
        where: set(NOT_YET[where]) for where in ("rule", "start") if NOT_YET[where]
    }
