"""What only the objects of a bucket have: versions, tags, uploads that never came to their end.

Guarantee: a word that means nothing in a store is refused there, and so are words that contradict each other.
"""

from __future__ import annotations

from retentiond.config.reading import Part, Reading
from retentiond.config.selections import PathShape
from retentiond.config.shapes import StartShape
from retentiond.config.stores import Declared
from retentiond.core.policy import ObjectSelection, PathSelection, Selection
from retentiond.errors import Problem

_WORDS = ("versions", "tags", "uploads")
CONDITIONS = ("tags", "uploads")
"""Words that make a selection less than everything, whatever its pattern."""


def path_selection(shape: Reading[PathShape], pattern: str, store: Declared | None, found: list[Problem]) -> PathSelection:
    """The selection of a pattern, in a bucket with what only objects have."""
    written = [word for word in _WORDS if word in shape.part.data]
    if store is None or store.type != "s3":
        for word in written if store is not None else ():
            why = f"the store is of the type {store.type if store else ''}, and only the objects of an s3 store have them"
            found.append(_word(shape, word).problem_with_key(f"'{word}' means nothing in this store", why, "remove it"))
        return PathSelection(pattern, shape.get("empty_directories") or "keep")
    if "empty_directories" in shape.part.data:
        do = "remove it"
        found.append(
            _word(shape, "empty_directories").problem_with_key("'empty_directories' means nothing in a bucket", "it has none", do)
        )
    for word in ("versions", "tags") if shape.has("uploads") else ():
        if word in written:
            why = "an upload that never came to its end has neither versions nor tags"
            found.append(_word(shape, word).problem_with_key(f"'{word}' means nothing beside 'uploads'", why, "write two rules"))
    tags = tuple(sorted((shape.get("tags") or {}).items()))
    return ObjectSelection(pattern, "keep", shape.get("versions") or "all", tags, shape.get("uploads") or "")


def refuse_undescribed(
    shape: Reading[StartShape], chosen: str, store: Declared | None, selection: Selection | None, found: list[Problem]
) -> None:
    """That a start is in the metadata or the tags of what can have some."""
    where = shape.where(chosen)
    if store is not None and store.type != "s3":
        why, do = f"items of a store of the type {store.type} have none", "write another start"
        found.append(where.problem_with_key(f"'{chosen}' is a start of objects only", why, do))
    elif isinstance(selection, ObjectSelection) and selection.uploads:
        why, do = "an upload that never came to its end has none", "write created"
        found.append(where.problem_with_key(f"'{chosen}' is no start beside 'uploads'", why, do))


def _word(shape: Reading[PathShape], word: str) -> Part:
    return shape.part.at(word)
