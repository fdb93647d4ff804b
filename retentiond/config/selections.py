"""The shapes of `select`: items by a pattern of their paths, rows of a table, messages."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from retentiond.config.reading import Shape, Text, words
from retentiond.config.words import Unreadable


def _condition(value: Any) -> Any:
    """`1` and `true` are conditions too, and always true ones; judged as such, not by their type."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else value


def _tags(value: Any) -> dict[str, str]:
    if isinstance(value, dict) and value and all(isinstance(v, str) for v in value.values()):
        return value
    raise Unreadable("these are no tags", "each has a name, and a text as its value", "write for example {kind: call}")


class PathShape(Shape):
    """Items of a file-like store, by a pattern of their paths."""

    called: ClassVar[str] = "path selection"
    path: Text = Field("**", description="A pattern, relative to the store's root.", examples=["tickets/{ticket}/**"])
    empty_directories: Literal["keep", "remove"] = Field(
        "keep", description="What becomes of directories left empty.", examples=["keep"]
    )
    versions: Literal["all", "current", "noncurrent"] = Field(
        "all", description="Which versions of an object, where its bucket keeps them.", examples=["all"]
    )
    tags: Annotated[dict[str, Text], words(_tags, "kind", "object")[0]] = Field(
        default={}, description="Tags that an object bears.", examples=[{"kind": "call"}]
    )
    uploads: Literal["incomplete"] | None = Field(
        None, description="Uploads that never came to their end, instead of objects.", examples=["incomplete"]
    )
    everything: Text = Field("", description="Says that all of it is meant.", examples=["yes, every item in uploads"])


def _children(value: Any) -> Any:
    if value in ("forbid", "reflect"):
        return value
    return tuple(_column_list(value, "'children' is forbid, reflect, or a list of tables"))


def _columns(value: Any) -> tuple[str, ...]:
    return tuple(_column_list([value] if isinstance(value, str) else value, "a key is a column, or a list of columns"))


def _column_list(value: Any, why: str) -> list[str]:
    if not isinstance(value, list) or not value or not all(isinstance(v, str) and v.strip() for v in value):
        raise Unreadable("this is no list of names", why, "write for example [name, other]")
    if len(set(value)) < len(value):
        raise Unreadable("a name stands twice", why, "remove one of them")
    return value


_NAMES = WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]})


class TableShape(Shape):
    """Rows of a table, by a condition in the database's own dialect."""

    called: ClassVar[str] = "table selection"
    table: Text = Field(description="The table, with its schema where needed.", examples=["attachments"])
    where: Annotated[Text, BeforeValidator(_condition)] | None = Field(
        None, description="A condition.", examples=["kind = 'upload'"]
    )
    key: Annotated[tuple[str, ...], words(_columns, "id")[0], _NAMES] = Field(
        (), description="Columns that name a row; default: the primary key.", examples=["id"]
    )
    version: Text | None = Field(None, description="A column that changes with the row.", examples=["updated_at"])
    children: Annotated[Any, words(_children, "forbid")[0], _NAMES] = Field(
        "forbid", description="Rows that refer to a due row: forbid, reflect, or tables.", examples=["forbid"]
    )
    everything: Text = Field("", description="Says that all of it is meant.", examples=["yes, every item in attachments"])


def _patterns(value: Any) -> tuple[str, ...]:
    return tuple(_column_list([value] if isinstance(value, str) else value, "it is a pattern, or a list of patterns"))


class MessageShape(Shape):
    """Messages of a store of mail, by their folder and their headers; all that is said has to fit."""

    called: ClassVar[str] = "mail selection"
    folder: Text = Field("**", description="A pattern of folders.", examples=["support/{year}"])
    __annotations__["from"] = Annotated[tuple[str, ...], words(_patterns, "*@example.net")[0], _NAMES]
    vars()["from"] = Field((), description="Patterns of addresses; one fits one in From.", examples=["*@example.net"])
    to: Annotated[tuple[str, ...], words(_patterns, "support@*")[0], _NAMES] = Field(
        (), description="Patterns of addresses; one fits one in To.", examples=[["support@example.org", "help@example.org"]]
    )
    header: dict[str, Text] = Field(
        default={}, description="Patterns of what further headers say, by their names.", examples=[{"Subject": "*[#{ticket}]*"}]
    )
    everything: Text = Field("", description="Says that all of it is meant.", examples=["yes, every item in archive"])
