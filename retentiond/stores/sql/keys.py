"""Keys of rows: `table/part,part`, each naming one row and each row named by one.

A part is the value of a key column: a whole number in decimal, a text as it is, with `%`, `,` and
`/` percent-encoded, and nothing else. Text that is not UTF-8 makes the whole key a `b64:…`
(`core.item`). A value that is neither a whole number nor a text (NULL, a fraction, a blob) makes
no key, so its row is shown in doubt and never acted on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from retentiond.core.item import key_of, raw_of

Kind = Literal["integer", "number", "text"]
"""What a key column holds: whole numbers only; numbers, and texts that look like none; texts only."""

Part = int | str
Parts = tuple[Part, ...]
_ESCAPES = (("%", "%25"), (",", "%2C"), ("/", "%2F"))
_WHOLE = range(-(2**63), 2**63)


class Keys:
    """The keys of one table. `any_bytes`: the database can look up text that is not UTF-8; `whole`: and these numbers."""

    def __init__(self, table: str, kinds: Sequence[Kind], *, any_bytes: bool, whole: range = _WHOLE) -> None:
        self._prefix = _escaped(table) + "/"
        self._kinds, self._any_bytes, self._whole = tuple(kinds), any_bytes, whole
        self._is_plain = self._kinds == ("integer",) and key_of(self._prefix) == self._prefix

    def each(self, rows: Sequence[Sequence[Any]], at: Sequence[int]) -> list[str | None]:
        """The key of each row, whose key columns stand at `at`; None for a row that has none."""
        prefix = self._prefix
        if self._is_plain:
            i = at[0]
            return [f"{prefix}{row[i]}" for row in rows]
        return [self.of([row[i] for i in at]) for row in rows]

    def of(self, values: Sequence[Any]) -> str | None:
        """The key that some values make; None if they make none."""
        parts = []
        for value in values:
            if value.__class__ is int:
                parts.append(str(value))
            elif value.__class__ is str and (self._any_bytes or is_utf8(value)):
                parts.append(_escaped(value))
            else:
                return None
        return key_of(self._prefix + ",".join(parts))

    def unnamed(self, number: int) -> str:
        """A name for a row without a key, for one look only: no row has it, and it cannot be looked up."""
        return f"{self._prefix}%{number}"

    def parts_of(self, keys: Sequence[str]) -> list[Parts | None]:
        """`parts` of each key."""
        if self._is_plain:
            between, joined = "\n" + self._prefix, "\n" + "\n".join(keys)
            try:
                values = list(map(int, joined.split(between)[1:]))
            except ValueError:
                values = []
            if (
                values
                and len(values) == len(keys)
                and between + between.join(map(str, values)) == joined
                and min(values) in self._whole
                and max(values) in self._whole
            ):
                return list(zip(values, strict=True))
        return [self.parts(key) for key in keys]

    def parts(self, key: str) -> Parts | None:
        """The values that a key names, None where it is no key of this table."""
        if self._is_plain and key.startswith(self._prefix):
            value = _number(key[len(self._prefix) :], self._whole)
            return (value,) if isinstance(value, int) else None
        try:
            raw = raw_of(key)
        except ValueError:
            return None
        texts = raw[len(self._prefix) :].split(",")
        if not raw.startswith(self._prefix) or len(texts) != len(self._kinds):
            return None
        parts = tuple(_part(text, kind, self._whole) for text, kind in zip(texts, self._kinds, strict=True))
        return parts if self.of(parts) == key else None


def table_of(key: str) -> str | None:
    """The table that a key names a row of; None where it is no key."""
    try:
        table, slash, _ = raw_of(key).partition("/")
    except ValueError:
        return None
    return _unescaped(table) if slash else None


def is_plain(part: Part) -> bool:
    """Whether a part can be said in JSON: SQLite ends a text there at a NUL, and JSON is UTF-8."""
    return part.__class__ is int or ("\0" not in str(part) and is_utf8(str(part)))


def _escaped(text: str) -> str:
    for character, escape in _ESCAPES:
        if character in text:
            text = text.replace(character, escape)
    return text


def _part(text: str, kind: Kind, whole: range) -> Part:
    return _number(text, whole) if kind != "text" else _unescaped(text)


def _unescaped(text: str) -> str:
    for character, escape in reversed(_ESCAPES):
        text = text.replace(escape, character)
    return text


def _number(text: str, whole: range) -> Part:
    """A whole number in its one spelling; any other text as it is, unescaped."""
    digits = text.removeprefix("-")
    if digits.isascii() and digits.isdigit() and len(digits) < 21 and str(int(text)) == text and int(text) in whole:
        return int(text)
    return _part(text, "text", whole)


def is_utf8(text: str) -> bool:
    """Whether a text has no bytes in it that could not be decoded."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
