"""From a document to its shape, piece by piece, so that one mistake hides no other.

Every field of a shape is judged by itself; what is wrong becomes a problem with its place, and
what is right stays usable for further judging. Fields marked `Piece` have shapes of their own
and are read by whoever knows which. pydantic judges the fields; the sentences are ours, because
its own may quote what was written, and that may be a secret.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Generic, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainValidator,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, PydanticCustomError
from pydantic_core.core_schema import any_schema, definitions_schema

from retentiond.config.not_yet import DO, NOT_YET, WHY
from retentiond.config.strict_yaml import Document, Path, Place
from retentiond.config.suggest import did_you_mean, listed, meant, one_line, quoted
from retentiond.config.words import Unreadable
from retentiond.core.entry import name as entry_name
from retentiond.errors import Problem

Text = Annotated[str, StringConstraints(min_length=1, pattern=r"\S")]
Texts = Annotated[list[Text], Field(min_length=1)]


class Shape(BaseModel):
    """What a mapping may hold. `called` names its kind of thing in messages and in `NOT_YET`."""

    model_config = ConfigDict(strict=True, extra="forbid", defer_build=True)  # most files need few of the shapes
    called: ClassVar[str] = "mapping"


class Piece:
    """Marks a field whose value is read by itself, by its own shape: pydantic only describes it, for editors."""

    def __get_pydantic_core_schema__(self, kind: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return any_schema(metadata={"kind": kind})

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return handler(definitions_schema(TypeAdapter(schema["metadata"]["kind"]).core_schema, []))  # by reference, not whole


@dataclass(frozen=True, slots=True)
class Part:
    """A value somewhere in a document."""

    document: Document
    path: Path
    data: Any

    def at(self, step: str | int) -> Part:
        """The value one step further in, which must exist."""
        return Part(self.document, (*self.path, step), self.data[step])

    def each(self) -> Iterator[tuple[str, Part]]:
        """The values of a mapping by their keys; none for anything else."""
        for key in self.data if isinstance(self.data, dict) else ():
            yield key, self.at(key)

    def problem(self, what: str, why: str = "", do: str = "") -> Problem:
        """A problem with this value."""
        return self._problem(what, why, do, self.document.place_of_value(self.path))

    def problem_with_key(self, what: str, why: str = "", do: str = "") -> Problem:
        """A problem with what this value stands for, or with what is missing in it: it points at its key."""
        return self._problem(what, why, do, self.document.place_of_key(self.path))

    def _problem(self, what: str, why: str, do: str, place: Place) -> Problem:
        return Problem(one_line(what), one_line(why), one_line(do), self.document.file, *place)

    def unreadable(self, error: Unreadable) -> Problem:
        """What a reader of words says about this value."""
        return self.problem(error.what, error.why, error.do)


S = TypeVar("S", bound=Shape)


@dataclass(frozen=True, slots=True)
class Reading(Generic[S]):
    """What could be read: `fields` has an attribute for every good or defaulted field, and for no other."""

    fields: S
    part: Part
    good: frozenset[str]
    meant: frozenset[str] = frozenset()

    def lacks(self, name: str) -> bool:
        """Whether a field is not written, nor misspelt (which is said already)."""
        data = self.part.data
        return isinstance(data, dict) and name not in data and name not in self.meant

    def has(self, *names: str) -> bool:
        """Whether these are written, and well."""
        return self.good.issuperset(names)

    def get(self, name: str) -> Any:
        """A good field, its default where it is not written, None where it is wrong or required and missing."""
        return getattr(self.fields, name, None)

    def piece(self, name: str) -> Part | None:
        """A written field with a shape of its own, or any other as it was written."""
        data = self.part.data
        return self.part.at(name) if isinstance(data, dict) and name in data else None

    def where(self, name: str) -> Part:
        """The part of a field for pointing at; the whole where it is not written."""
        return self.piece(name) or self.part


def read(shape: type[S], part: Part, found: list[Problem]) -> Reading[S]:
    """Reads a mapping by its shape; every problem goes into `found`."""
    fields = shape.model_construct()
    if not isinstance(part.data, dict):
        found.append(
            part.problem(
                f"{_name(part.path)} is no mapping", f"it is {kind_of(part.data)}", f"it has the keys {listed(keys_of(shape))}"
            )
        )
        return Reading(fields, part, frozenset())
    good = set()
    for key, value in part.data.items():
        if key not in shape.model_fields:
            found.append(_unknown(shape, part.at(key), key))
        elif value is None:
            fields.__dict__.pop(key, None)
            found.append(part.at(key).problem_with_key(f"{quoted(key)} is empty", "it must say something, or not be there"))
        elif _is_piece(shape, key):
            good.add(key)
        else:
            problems = list(_judged(fields, part.at(key), key, value))
            found += problems
            if problems:
                fields.__dict__.pop(key, None)
            else:
                good.add(key)
    known = keys_of(shape)
    misspelt = frozenset(meant(key, known) for key in part.data if key not in known and key not in NOT_YET.get(shape.called, ()))
    reading = Reading(fields, part, frozenset(good), misspelt)
    found += _missing(shape, reading)
    return reading


def _judged(fields: Shape, part: Part, key: str, value: Any) -> Iterator[Problem]:
    try:
        fields.__pydantic_validator__.validate_assignment(fields, key, value)
    except ValidationError as error:
        for one in error.errors(include_url=False):
            yield _sentence(one, _within(part, one["loc"][1:]))


def _within(part: Part, steps: Iterable[Any]) -> Part:
    """The part that pydantic's `loc` means; what the data does not know (names of alternatives) is passed over."""
    for step in steps:
        data = part.data
        if (isinstance(data, dict) and step in data) or (isinstance(data, list) and isinstance(step, int) and step < len(data)):
            part = part.at(step)
    return part


_KINDS = {
    "string_type": "text",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
}
_EMPTY = ("too_short", "string_too_short", "string_pattern_mismatch")


def _sentence(error: Any, part: Part) -> Problem:
    kind, context = error["type"], error.get("ctx", {})
    name = _name(part.path)
    if kind == "unreadable":
        return part.problem(f"{name}: {context['what']}", context["why"], context["do"])
    if kind in _KINDS:
        do = "put it in quotes" if kind == "string_type" and isinstance(part.data, int) else ""
        return part.problem(f"{name} is not {_KINDS[kind]}", f"it is {kind_of(part.data)}", do)
    if kind in _EMPTY:
        return part.problem(f"{name} is empty", "it must say something")
    if kind == "literal_error":
        return part.problem(*not_among(name, part.data, _words(context["expected"])))
    return part.problem(f"{name} cannot be used", str(kind).replace("_", " "))


def _words(expected: str) -> list[str]:
    return [word.strip(" '") for word in expected.replace(" or ", ", ").split(",")]


def not_among(name: str, written: Any, known: Iterable[str]) -> tuple[str, str, str]:
    """What, why and what to do, for a word that is none of the known ones."""
    known = list(known)
    return f"{name} is {quoted(written)}", f"it is one of {listed(known)}", did_you_mean(str(written), known)


def _unknown(shape: type[Shape], part: Part, key: str) -> Problem:
    if key in NOT_YET.get(shape.called, ()):
        return part.problem_with_key(f"'{key}' is not in this version", WHY, DO)
    known = keys_of(shape)
    why = f"{_plural(shape.called)} know these keys: {listed(known)}"
    return part.problem_with_key(f"unknown key {quoted(key)}", why, did_you_mean(key, known))


def _plural(word: str) -> str:
    return f"{word.removesuffix('y')}ies" if word.endswith("y") else f"{word}s"


def _missing(shape: type[S], reading: Reading[S]) -> Iterator[Problem]:
    for name, info in shape.model_fields.items():
        if info.is_required() and reading.lacks(name):
            example = (info.examples or [""])[0]
            do = f"for example {name}: {example}" if isinstance(example, str) and example else f"add '{name}'"
            why = (info.description or "").rstrip(".")
            yield reading.part.problem_with_key(f"'{name}' is missing", why[:1].lower() + why[1:], do)


def keys_of(shape: type[Shape]) -> list[str]:
    """The keys that a shape knows, in its order."""
    return list(shape.model_fields)


def _is_piece(shape: type[Shape], name: str) -> bool:
    return any(isinstance(mark, Piece) for mark in shape.model_fields[name].metadata)


def _name(path: Path) -> str:
    """The name of the innermost key of a path, and of the item of a list."""
    if not path:
        return "the file"
    if isinstance(path[-1], int):
        return f"item {path[-1] + 1} of {_name(path[:-1])}"
    return quoted(path[-1])


def kind_of(value: Any) -> str:
    """What a value is, in words."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true or false"
    return {str: "a text", int: "a number", list: "a list", dict: "a mapping"}[type(value)]


def words(parse: Callable[[Any], Any], example: str, *types: str) -> tuple[PlainValidator, WithJsonSchema]:
    """The two annotations of a field that is written in words: how it is read, and its JSON Schema."""

    def validate(value: Any) -> Any:
        try:
            return parse(value)
        except Unreadable as error:
            context = {"what": error.what, "why": error.why, "do": error.do}
            raise PydanticCustomError("unreadable", "unreadable", context) from None

    return PlainValidator(validate), WithJsonSchema({"type": list(types) or "string", "examples": [example]})


def entries(part: Part | None, thing: str, found: list[Problem]) -> Iterator[tuple[str, Part]]:
    """The entries of a mapping from names to things; what is no mapping, or has a name that cannot be used, is a problem."""
    if part is None:
        return
    if not isinstance(part.data, dict):
        found.append(
            part.problem(
                f"{_name(part.path)} is no mapping", f"it is {kind_of(part.data)}", f"write the name of each {thing} as a key"
            )
        )
        return
    for name, entry in part.each():
        if entry_name(name):
            yield name, entry
        else:
            why = "names have up to 64 letters, digits, '_', '-' and '.', and begin with a letter, a digit or '_'"
            found.append(entry.problem_with_key(f"{quoted(name)} is no name for a {thing}", why, "choose another name"))


def schema(shape: type[Shape]) -> dict[str, Any]:
    """The JSON Schema of a shape, for editors."""
    return TypeAdapter(shape).json_schema(mode="validation")
