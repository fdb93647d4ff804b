"""A small checker of JSON Schema (draft 2020-12), written from the specification and knowing nothing of retentiond.

It knows the words that our schemas use, and fails on any other, so that nothing is passed over.
"""

import re

_TYPES = {
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str),
    "boolean": lambda v: isinstance(v, bool),
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "number": lambda v: isinstance(v, int | float) and not isinstance(v, bool),
}
_SAID = {"$schema", "$defs", "title", "description", "examples", "default"}


def faults(schema, value, root=None, at="$"):
    """Everything that is wrong with a value, as `place: word`; empty for one that fits."""
    root = schema if root is None else root
    found = []
    for word, wanted in schema.items():
        if word not in _SAID:
            found += _WORDS[word](wanted, value, schema, root, at)
    return found


def _one(word, holds, at):
    return [] if holds else [f"{at}: {word}"]


def _ref(wanted, value, _schema, root, at):
    found = root
    for step in wanted.removeprefix("#/").split("/"):
        found = found[step]
    return faults(found, value, root, at)


def _type(wanted, value, _schema, _root, at):
    kinds = wanted if isinstance(wanted, list) else [wanted]
    return _one("type", any(_TYPES[kind](value) for kind in kinds), at)


def _properties(wanted, value, _schema, root, at):
    known = wanted.items() if isinstance(value, dict) else ()
    return [fault for key, inner in known if key in value for fault in faults(inner, value[key], root, f"{at}.{key}")]


def _additional(wanted, value, schema, root, at):
    others = [key for key in value if key not in schema.get("properties", {})] if isinstance(value, dict) else []
    if wanted is False:
        return [f"{at}.{key}: unknown" for key in others]
    return [fault for key in others if wanted is not True for fault in faults(wanted, value[key], root, f"{at}.{key}")]


def _names(wanted, value, _schema, root, at):
    return [fault for key in (value if isinstance(value, dict) else ()) for fault in faults(wanted, key, root, f"{at}.{key}")]


def _items(wanted, value, _schema, root, at):
    listed = enumerate(value) if isinstance(value, list) else ()
    return [fault for i, inner in listed for fault in faults(wanted, inner, root, f"{at}[{i}]")]


def _same(a, b):
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def _counted(kind, word, holds):
    return lambda wanted, value, _schema, _root, at: _one(word, not isinstance(value, kind) or holds(value, wanted), at)


_WORDS = {
    "$ref": _ref,
    "type": _type,
    "properties": _properties,
    "additionalProperties": _additional,
    "propertyNames": _names,
    "items": _items,
    "anyOf": lambda wanted, value, _, root, at: _one("anyOf", any(not faults(one, value, root, at) for one in wanted), at),
    "not": lambda wanted, value, _, root, at: _one("not", bool(faults(wanted, value, root, at)), at),
    "enum": lambda wanted, value, _, _root, at: _one("enum", any(_same(one, value) for one in wanted), at),
    "const": lambda wanted, value, _, _root, at: _one("const", _same(wanted, value), at),
    "required": _counted(dict, "required", lambda value, wanted: value.keys() >= set(wanted)),
    "minProperties": _counted(dict, "minProperties", lambda value, wanted: len(value) >= wanted),
    "maxProperties": _counted(dict, "maxProperties", lambda value, wanted: len(value) <= wanted),
    "minItems": _counted(list, "minItems", lambda value, wanted: len(value) >= wanted),
    "maxItems": _counted(list, "maxItems", lambda value, wanted: len(value) <= wanted),
    "uniqueItems": _counted(list, "uniqueItems", lambda value, _: all(value.count(one) == 1 for one in value)),
    "minLength": _counted(str, "minLength", lambda value, wanted: len(value) >= wanted),
    "pattern": _counted(str, "pattern", lambda value, wanted: re.search(wanted, value) is not None),
    "minimum": _counted(int, "minimum", lambda value, wanted: value >= wanted),
    "maximum": _counted(int, "maximum", lambda value, wanted: value <= wanted),
}
