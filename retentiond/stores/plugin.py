"""The kinds of store that are installed, found by their entry points.

A plugin is one class (`engine.ports.StoreType`) and one line in its `pyproject.toml`:

    [project.entry-points."retentiond.stores"]
    tape = "retentiond_tape:TapeType"

Guarantee: listing the kinds imports none of them; a kind is imported when it is first asked
for, so that a company without a database never loads a database library. A kind that cannot be
loaded, or that two distributions claim, stops the program and names the distribution: the rules
that need it would otherwise silently not be enforced.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from functools import cache, partial
from importlib.metadata import EntryPoint, entry_points

from retentiond.engine.ports import StoreType
from retentiond.errors import ConfigurationError, Problem

GROUP = "retentiond.stores"
"""The entry-point group of store kinds."""

_PARTS = ("name", "problems", "look", "act")


def store_types() -> Mapping[str, Callable[[], StoreType]]:
    """Every installed kind of store by name, each with what loads it; nothing is imported yet.

    `ConfigurationError` if two distributions register the same name for different classes.
    """
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        other = found.setdefault(point.name, point)
        if other.value != point.value:
            raise _refusal(point, f"{_distribution(other)} registers the same name", "uninstall one of the two")
    return {name: partial(_load, found[name]) for name in sorted(found)}


def store_type(name: str, types: Mapping[str, Callable[[], StoreType]] | None = None) -> StoreType:
    """The kind of store of this name, loaded; `ConfigurationError` if it is unknown or broken.

    `types` are those that were listed before; otherwise the distributions are searched once more.
    """
    types = store_types() if types is None else types
    if name in types:
        return types[name]()
    close = difflib.get_close_matches(name, types, n=1)
    do = f"did you mean {close[0]}?" if close else f"installed are {', '.join(types) or 'none'}"
    raise ConfigurationError([Problem("there is no store of this type", f"{name!r} is not installed", do, code="store-type")])


@cache
def _load(point: EntryPoint) -> StoreType:
    try:
        kind = point.load()()
    except Exception as error:
        raise _refusal(point, f"{type(error).__name__} while loading {point.value}", "repair or uninstall it") from error
    missing = [part for part in _PARTS if not hasattr(kind, part)]
    if missing:
        raise _refusal(point, f"{point.value} lacks {', '.join(missing)}", "see retentiond.engine.ports.StoreType")
    if kind.name != point.name:
        raise _refusal(point, f"it is registered as {point.name} and calls itself {kind.name}", "make the two the same")
    loaded: StoreType = kind
    return loaded


def _refusal(point: EntryPoint, why: str, do: str) -> ConfigurationError:
    what = f"the store type {point.name} of the distribution {_distribution(point)} cannot be used"
    return ConfigurationError([Problem(what, why, do, code="store-type")])


def _distribution(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "(unknown)"
