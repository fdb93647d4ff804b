"""Editors get a schema that accepts what the program accepts, and marks what it refuses."""

import copy
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from retentiond.config import schema as schemas
from retentiond.config.reading import Shape, keys_of
from retentiond.config.shapes import CategoryShape, SettingsShape
from tests.config.json_schema import faults

ROOT = Path(__file__).parents[2]
COMPANY = ROOT / "retentiond" / "demo" / "company"
CATEGORIES = sorted((COMPANY / "policies.d").glob("*.yaml"))


class Plain(yaml.SafeLoader):
    """YAML as editors read it (1.2): `no` and `12:30` are text."""


Plain.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.endswith((":int", ":float"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read(text):
    return yaml.load(text, Plain)


@pytest.fixture
def category():
    return read((COMPANY / "policies.d" / "support-files.yaml").read_text())


@pytest.fixture
def settings():
    return read((COMPANY / "retentiond.yaml").read_text())


def schema_of(thing):
    return {"category": schemas.category, "settings": schemas.settings}[thing]()


@pytest.mark.parametrize("path", CATEGORIES, ids=lambda path: path.stem)
def test_the_categories_of_the_demo_fit(path):
    assert faults(schemas.category(), read(path.read_text())) == []


def test_the_settings_of_the_demo_fit(settings):
    assert faults(schemas.settings(), settings) == []


def test_what_init_writes_fits_the_schema_that_its_first_line_names(tmp_path):
    command = [sys.executable, "-m", "retentiond", "init", str(tmp_path / "shop")]
    subprocess.run(command, check=True, capture_output=True)
    for path in [tmp_path / "shop" / "retentiond.yaml", *(tmp_path / "shop" / "policies.d").iterdir()]:
        text = path.read_text()
        named = re.match(r"# yaml-language-server: \$schema=(\S+)\n", text)
        assert named, path
        assert faults(json.loads((path.parent / named[1]).read_text()), read(text)) == []


@pytest.mark.parametrize(
    ("keys", "fits"),
    [
        ({"start": "modified", "generations": {"last": 3, "daily": "all"}}, True),
        ({"start": "modified", "generations": {"within": "14 days", "set_by": "ticket"}}, True),
        ({"forbid": {"unless": {"event": "ticket-resolved", "by": "ticket"}}}, True),
        ({"start": "modified", "generations": {"group_by": "ticket"}}, False),
        ({"start": "modified", "generations": {"last": 0}}, False),
        ({"start": "modified", "generations": {"last": 3}, "retention_period": "1 day"}, False),
        ({"generations": {"last": 3}}, False),
        ({"start": "modified", "forbid": {"unless": {"event": "ticket-resolved", "by": "ticket"}}}, False),
        ({"forbid": {}}, False),
        ({"start": "modified"}, False),
    ],
)
def test_what_tells_when_an_item_may_go_is_one_of_three(category, keys, fits):
    rule = category["rules"]["uploads"]
    for key in ("start", "retention_period", "deletion_period"):
        del rule[key]
    rule |= keys
    assert (faults(schemas.category(), category) == []) is fits


@pytest.mark.parametrize(
    ("name", "rule"),
    {
        "a table, all of it": {"select": {"table": "t", "everything": "yes, every item in t"}},
        "all, said beside": {"select": {"table": "t"}, "everything": "yes, every item in t"},
        "a key of two": {"select": {"table": "t", "where": 1, "key": ["a", "b"], "children": ["u"]}},
        "a unit": {"start": {"column": "c", "unit": "ms"}},
        "iso": {"retention_period": "P3M"},
        "a sum": {"retention_period": "1 year 10 days", "deletion_period": "Forever"},
        "a floor": {"minimum": {"period": "6 years", "mandate": "a law"}},
        "anonymise": {
            "action": {"anonymise": {"a": "x", "b": None, "c": {"hash": 16}, "d": {"truncate": "year"}, "e": {"mask": 0}, "f": 0}}
        },
    }.items(),
)
def test_further_spellings_of_a_rule_fit(category, name, rule):
    category["rules"]["uploads"] |= rule
    assert faults(schemas.category(), category) == [], name


@pytest.mark.parametrize(
    ("action", "fits"),
    [
        ({"anonymise": {"name": "removed", "mail": None, "ip": {"truncate": 24}, "ref": {"hash": 16}}}, True),
        ({"anonymise": {"born": {"truncate": "year"}, "phone": {"mask": 2}}}, True),
        ({"anonymise": {}}, False),
        ({"anonymise": {"ip": {"truncate": 24, "mask": 2}}}, False),
        ({"anonymise": {"ip": {"scramble": 24}}}, False),
        ({}, False),
    ],
)  # fmt: skip
def test_anonymising_is_spelled_out(category, action, fits):
    category["rules"]["rows"]["action"] = action
    assert (faults(schemas.category(), category) == []) is fits


@pytest.mark.parametrize("schedule", ["every 15 minutes", "daily at 02:00", "weekly on sunday at 03:00", {"cron": "0 2 * * mon"}])
def test_each_kind_of_schedule_fits(category, schedule):
    category["schedule"] = schedule
    assert faults(schemas.category(), category) == []


def places(value, path=()):
    """The path of every mapping in a document whose keys are the language's own, not names that a person chose."""
    if isinstance(value, dict):
        if path[-1:] not in [("rules",), ("events",), ("stores",), ("subject",), ("identities",)]:
            yield path
        for key, inner in value.items():
            yield from places(inner, (*path, key))


def changed(document, path, change):
    document = copy.deepcopy(document)
    inner = document
    for step in path:
        inner = inner[step]
    change(inner)
    return document


@pytest.mark.parametrize("thing", ["category", "settings"])
def test_an_unknown_key_is_marked_wherever_it_stands(thing, category, settings):
    document = {"category": category, "settings": settings}[thing]
    for path in places(document):
        assert faults(schema_of(thing), changed(document, path, lambda inner: inner.update(retension="x"))), path


@pytest.mark.parametrize(
    ("thing", "path"),
    [("category", (key,)) for key, info in CategoryShape.model_fields.items() if info.is_required()]
    + [("settings", (key,)) for key, info in SettingsShape.model_fields.items() if info.is_required()]
    + [("category", ("rules", "uploads", key)) for key in ("store", "select", "start", "retention_period", "action")]
    + [("category", ("promise", key)) for key in ("text", "source")]
    + [("category", ("rules", "uploads", "start", "by")), ("category", ("events", "ticket-resolved", "query"))]
    + [("settings", ("audit", "origin")), ("settings", ("stores", "pbx", "url")), ("settings", ("stores", "uploads", "path"))],
)  # fmt: skip
def test_a_missing_key_is_marked(thing, path, category, settings):
    document = {"category": category, "settings": settings}[thing]
    assert faults(schema_of(thing), changed(document, path[:-1], lambda inner: inner.pop(path[-1])))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("rules",), {}),
        (("rules", "uploads", "retention_period"), "3 monts"),
        (("rules", "uploads", "retention_period"), 3),
        (("rules", "uploads", "retention_period"), None),
        (("rules", "uploads", "action"), "destroy"),
        (("rules", "uploads", "action"), {"anonymise": {}}),
        (("rules", "uploads", "action"), {"anonymise": {"a": {"hush": 16}}}),
        (("rules", "uploads", "action"), {"anonymise": {"a": {"hash": 2}}}),
        (("rules", "uploads", "action"), {"anonymise": {"a": {"truncate": "day"}}}),
        (("rules", "uploads", "action"), {"anonymise": {"a": ["x"]}}),
        (("rules", "uploads", "start"), "creation"),
        (("rules", "uploads", "start"), {"event": "ticket-resolved", "by": "ticket", "column": "c"}),
        (("rules", "uploads", "everything"), "yes"),
        (("events", "ticket-resolved", "settle"), "soon"),
        (("lawful_basis",), "habit"),
        (("schedule",), "now and then"),
        (("approval",), "maybe"),
        (("purpose",), []),
        (("purpose",), "one"),
        (("limits",), {"share": "250%"}),
        (("limits",), {"items": 0}),
    ],
)
def test_a_wrong_value_is_marked(category, path, value):
    assert faults(schemas.category(), changed(category, path[:-1], lambda inner: inner.update({path[-1]: value})))


@pytest.mark.parametrize(
    "store",
    [
        {"type": "s3", "bucket": "b", "location": "GB"},
        {"type": "sql", "url": "sqlite:///x.db", "location": "GB", "lock_timeot": "5 s"},
        {"type": "files", "path": "x"},
        {"location": "GB"},
    ],
)
def test_a_wrong_store_is_marked_and_that_of_a_plugin_is_not(settings, store):
    settings["stores"]["other"] = {"type": "memory", "location": "GB", "of its": "own"}
    assert faults(schemas.settings(), settings) == []
    settings["stores"]["other"] = store
    assert faults(schemas.settings(), settings)


def described(node):
    """Every key of a schema with what is said of it."""
    if isinstance(node, dict):
        if isinstance(node.get("properties"), dict):
            yield from node["properties"].items()
        for value in node.values():
            yield from described(value)
    elif isinstance(node, list):
        for value in node:
            yield from described(value)


@pytest.mark.parametrize("thing", ["category", "settings"])
def test_every_key_has_a_description_and_an_example_that_fits(thing):
    schema = schema_of(thing)
    for key, said in described(schema):
        assert said.get("description"), key
        assert said.get("examples"), key
        whole = {name: value for name, value in schema.items() if name == "$defs"} | said
        if not any(isinstance(value, dict) for value in said["examples"]):
            assert [faults(whole, example) for example in said["examples"]] == [[]] * len(said["examples"]), key


def shapes(shape=Shape):
    for one in shape.__subclasses__():
        yield one
        yield from shapes(one)


@pytest.mark.parametrize("thing", ["category", "settings"])
def test_no_key_of_a_shape_is_forgotten(thing):
    raw = json.dumps(schema_of(thing))
    own = [one for one in shapes() if one.__module__ == "retentiond.config.shapes" and f'"title": "{one.called}"' in raw]
    assert len(own) > 2
    assert [f"{one.called}: {key}" for one in own for key in keys_of(one) if f'"{key}"' not in raw] == []


@pytest.mark.parametrize("words", [[], ["category"], ["settings"]])
def test_the_command_prints_a_schema_without_any_configuration(tmp_path, words):
    command = [sys.executable, "-m", "retentiond", "schema", *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == schema_of(words[0] if words else "category")
    assert json.loads(done.stdout)["$schema"] == "https://json-schema.org/draft/2020-12/schema"
