"""How a copy is called: a template in which words in braces stand for what is known of the item.

`{key}` is the key of the item, `{name}` the last part of it, `{category}` and `{rule}` are whose it is, `{date:%Y/%m}`
is the day of its start. Rows go in batches: `{table}` and `{batch}`, a digest of the rows in it. Any other word is a
field of the item. Everything is rendered into a relative path that leaves nothing: what would be `..` or empty stays
where it is, as an error of that item.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from retentiond.core.item import key_of, raw_of

_WORD = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(?::([^{}]*))?\}")
_DIRECTIVE = re.compile(r"%(.)", re.DOTALL)
OF_ITEMS = ("key", "name", "category", "rule", "date")
OF_ROWS = ("table", "batch", "category", "rule")
TELLING = frozenset({"key", "name", "batch"})
"""One of these must be there, or two copies would have one name."""
_NUMBERED = re.compile(r"(\.[^./]*)?$")


class NamingError(ValueError):
    """A template that cannot be used, or an item that it gives no name; the text says why, without data."""


def words_of(template: str) -> list[tuple[str, str | None]]:
    """The words in braces, each with its form of date; `NamingError` for a template that cannot name anything."""
    rest = _WORD.sub("x", template)
    if "{" in rest or "}" in rest:
        raise NamingError("a brace opens a word, such as {key}, and this one does not")
    if any(part in ("", ".", "..") for part in rest.split("/")):
        raise NamingError("it is a path below the store's root: no slash at either end, no '.' and no '..'")
    if not rest.isprintable():
        raise NamingError("it has a character that nobody can see")
    words = [(name, form) for name, form in _WORD.findall(template)]
    for name, form in words:
        if form and name != "date":
            raise NamingError(f"{{{name}}} has no form; only {{date:%Y-%m-%d}} has one")
        if name == "date" and not set(_DIRECTIVE.findall(form)) & {*"Ymdj"}:
            raise NamingError("{date} needs its form, such as {date:%Y-%m-%d}")
        if name == "date" and not set(_DIRECTIVE.findall(form)) <= {*"YymdjHMS%"}:
            raise NamingError("of a date there are %Y %m %d %j %H %M %S")
    return [(name, form or None) for name, form in words]


def fields_of(template: str) -> list[str]:
    """The fields of an item that a template needs."""
    return [name for name, _ in _WORD.findall(template) if name not in {*OF_ITEMS, *OF_ROWS}]


def placed(home: str, name: str) -> str:
    """The key of a new item of this name (both are written as keys are) in a store whose keys all begin with `home`."""
    return key_of(home + raw_of(name)) if home else name


def rendered(template: str, known: Mapping[str, str | None], date: datetime | None) -> str:
    """The path of a copy; `NamingError` where something that it needs is not known, or leads out."""

    def of(found: re.Match[str]) -> str:
        name, form = found.groups()
        if name == "date":
            if date is None:
                raise NamingError("it has no date to be named by")
            return date.strftime(form)
        value = known.get(name)
        if not value:
            raise NamingError("a field that names it is empty")
        return value

    path = _WORD.sub(of, template)
    if any(part in ("", ".", "..") for part in path.split("/")) or "\0" in path:
        raise NamingError("its name would lead out of the store")
    return path


def numbered(path: str, number: int) -> str:
    """Another name for the same: the number before the last suffix."""
    return path if number < 2 else _NUMBERED.sub(lambda found: f"-{number}{found[1] or ''}", path, count=1)
