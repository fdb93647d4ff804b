"""YAML that means what it says: plain data, and the line and column of every key and value.

Guarantee: the core schema of YAML 1.2 with its traps taken out. `true`, `false`, `null`, `~`,
an empty value and decimal integers are what they look like; everything else (`no`, `on`,
`012`, `12:30`, `1e3`, `1.5`, a date) is text. Refused, because each has made a tool do what its
file did not say: duplicate keys, keys that are not text, anchors and aliases, tags, directives,
several documents, control characters, bytes that are not UTF-8, absurd depth and size.

libyaml reads the events (its parser, not its constructor), so a file of thousands of lines
costs milliseconds and a bomb costs nothing: aliases are refused before they are followed.
Lines and columns count from 1. Source: YAML 1.2.2, chapter 10.3.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from retentiond.config.suggest import quoted
from retentiond.errors import Problem

LARGEST = 2**20
DEEPEST = 64

BROKEN_VALUES = frozenset({"an alias", "a tag"})
"""Problems after which the value at the same place is not what its writer meant."""

Path = tuple[str | int, ...]
Place = tuple[int, int]

_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,14})")
_WORDS: Mapping[str, Any] = {"": None, "~": None, "null": None, "true": True, "false": False}
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_NO_TEXT = object()


@dataclass(frozen=True, slots=True)
class Document:
    """One file as data, with the place of each key and each value by its path from the root."""

    file: str
    data: Any
    keys: Mapping[Path, Place]
    values: Mapping[Path, Place]

    def place_of_value(self, path: Path) -> Place:
        """Where a value begins; where it is not written, the nearest value around it."""
        while path not in self.values and path:
            path = path[:-1]
        return self.values.get(path, (1, 1))

    def place_of_key(self, path: Path) -> Place:
        """Where a key stands; a list item and the root have none, and begin at their value."""
        return self.keys.get(path) or self.place_of_value(path)


class _Broken(Exception):
    """Reading cannot go on; the problem says why."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem


def parse(raw: bytes, file: str) -> tuple[Document | None, list[Problem]]:
    """The document in some bytes, and everything wrong with it as YAML; no document where nothing can be judged."""
    builder = _Builder(file)
    try:
        text = _decoded(raw, file)
        return builder.document(text), builder.problems
    except _Broken as broken:
        return None, [*builder.problems, broken.problem]


def _decoded(raw: bytes, file: str) -> str:
    if len(raw) > LARGEST:
        why, do = f"{LARGEST:,} bytes are the most that is read", "split it into several categories"
        raise _Broken(Problem("the file is too large", why, do, file, 1, 1))
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = _position(raw[: error.start].decode("utf-8", "replace"))
        why, do = f"byte {error.start + 1} of the file is not UTF-8", "save the file as UTF-8"
        raise _Broken(Problem("bytes that are not UTF-8", why, do, file, line, column)) from None
    odd = _UNPRINTABLE.search(text)
    if odd:
        line, column = _position(text[: odd.start()])
        raise _Broken(
            Problem("a character that YAML does not allow", f"it is U+{ord(odd[0]):04X}", "remove it", file, line, column)
        )
    return text


def _position(before: str) -> Place:
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


@dataclass(slots=True)
class _Builder:
    """Turns the events of one file into data, and notes what is wrong as it goes."""

    file: str
    problems: list[Problem] = field(default_factory=list)
    keys: dict[Path, Place] = field(default_factory=dict)
    values: dict[Path, Place] = field(default_factory=dict)

    def document(self, text: str) -> Document:
        """The only document of a text."""
        try:
            events = _events(text)
            first = next(events, None)
            if first is None:
                raise _Broken(Problem("the file is empty", "it says nothing", "write it, or remove it", self.file, 1, 1))
            self._directives(first)
            data = self._value(next(events), events, ())
            next(events)
            self._nothing_more(events)
        except yaml.YAMLError as error:
            raise _Broken(self._syntax(error, text)) from None
        return Document(self.file, data, self.keys, self.values)

    def _directives(self, event: yaml.DocumentStartEvent) -> None:
        if event.version or event.tags:
            self._note(event, "a YAML directive", "directives change what the words of a file mean", "remove the line with '%'")

    def _nothing_more(self, events: Iterator[Any]) -> None:
        again = next(events, None)
        if again is not None:
            why, do = "a file holds one document, and the second would be forgotten", "put it into a file of its own"
            raise _Broken(self._at(again, "a second document", why, do))

    def _value(self, event: Any, events: Iterator[Any], path: Path) -> Any:
        self.values[path] = _place(event)
        self._refuse_indirection(event)
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        if isinstance(event, yaml.AliasEvent):
            return None
        if len(path) >= DEEPEST:
            raise self._too_deep(event)
        return self._mapping(events, path) if isinstance(event, yaml.MappingStartEvent) else self._sequence(events, path)

    def _sequence(self, events: Iterator[Any], path: Path) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            items.append(self._value(event, events, (*path, len(items))))
        return items

    def _mapping(self, events: Iterator[Any], path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            key = self._key(event, events)
            if isinstance(key, str) and key not in found:
                self.keys[*path, key] = _place(event)
                found[key] = self._value(next(events), events, (*path, key))
            else:
                if isinstance(key, str):
                    self._duplicate(event, key, path)
                self._skip(events)
        return found

    def _key(self, event: Any, events: Iterator[Any]) -> Any:
        self._refuse_indirection(event)
        value: Any = _NO_TEXT
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._skip(events, depth=1)
        if not isinstance(value, str) and not isinstance(event, yaml.AliasEvent):
            self._note(event, "a key that is not text", "keys are words", "put it in quotes if it is meant as a word")
        return value

    def _duplicate(self, event: Any, key: str, path: Path) -> None:
        line = self.keys[*path, key][0]
        why, do = f"it first stands in line {line}, and only one of the two could count", "remove one of them"
        self._note(event, f"duplicate key {quoted(key)}", why, do)

    def _skip(self, events: Iterator[Any], depth: int = 0) -> None:
        """Passes over one value (or the rest of one), whose place in the data is taken."""
        while True:
            event = next(events)
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if not depth:
                return
            if depth > DEEPEST:
                raise self._too_deep(event)

    def _too_deep(self, event: Any) -> _Broken:
        why = f"{DEEPEST} levels are the most that is read"
        return _Broken(self._at(event, "the nesting is too deep", why, "write it flatter"))

    def _scalar(self, event: yaml.ScalarEvent) -> Any:
        text: str = event.value
        if not event.style:
            if text in _WORDS:
                return _WORDS[text]
            if _WHOLE.fullmatch(text):
                return int(text)
        odd = _CONTROL.search(text)
        if odd:
            self._note(event, "a control character in a text", f"it is U+{ord(odd[0]):04X}", "remove the escape")
            return _CONTROL.sub(" ", text)
        return text

    def _refuse_indirection(self, event: Any) -> None:
        do = "write the value out"
        if isinstance(event, yaml.AliasEvent):
            self._note(event, "an alias", "what stands here would be decided elsewhere", do)
        elif event.anchor is not None:
            self._note(event, "an anchor", "it is of use to aliases only, and those are refused", "remove it")
        if getattr(event, "tag", None) is not None:
            self._note(event, "a tag", "tags change what a value is, and it should be what it looks like", "remove it")

    def _note(self, event: Any, what: str, why: str, do: str) -> None:
        self.problems.append(self._at(event, what, why, do))

    def _at(self, event: Any, what: str, why: str, do: str) -> Problem:
        line, column = _place(event)
        return Problem(what, why, do, self.file, line, column)

    def _syntax(self, error: yaml.YAMLError, text: str) -> Problem:
        """YAML's own complaint, with the place where it was noticed."""
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        lines = text.splitlines()
        here = lines[line - 1] if line <= len(lines) else ""
        if "\t" in here[: len(here) - len(here.lstrip())]:
            return Problem("a tab in the indentation", "YAML indents with spaces only", "use spaces", self.file, line, column)
        why = getattr(error, "problem", None) or "it cannot be parsed"
        do = "look at this line and the one before it: colons, quotes, brackets, indentation"
        return Problem("this is no YAML", str(why), do, self.file, line, column)


def _events(text: str) -> Iterator[Any]:
    """The events between the start and the end of the stream."""
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if not isinstance(event, yaml.StreamStartEvent | yaml.StreamEndEvent):
            yield event


def _place(event: Any) -> Place:
    return event.start_mark.line + 1, event.start_mark.column + 1
