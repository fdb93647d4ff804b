"""What happens to what is due: a word, `anonymise` with a strategy for each column, or `archive`.

Guarantee: an action that compiles can be carried out on the kind of store that it is for, and
anonymising takes neither the key, nor the start, nor the version from a row. What the schema of
the database forbids is told by `check`, with the database at hand.
"""

from __future__ import annotations

from typing import Literal, cast

from retentiond.config.copies import Here, archive_of
from retentiond.config.reading import Part, kind_of, not_among, read
from retentiond.config.shapes import ActionShape, StrategyShape
from retentiond.config.suggest import listed, quoted
from retentiond.core.anonymise import Constant, Hash, Mask, Null, Strategy, Truncate
from retentiond.core.policy import Action, Selection, Start, TableSelection
from retentiond.errors import Problem

_KNOWN = ["delete", "review", "keep", "{anonymise: …}", "{archive: …}"]
_STRATEGIES = ("hash", "truncate", "mask")
_EXAMPLE = "{anonymise: {email: null, ip: {truncate: 24}}}"


def action_of(part: Part | None, kind: str, here: Here, *, demanded: bool = False) -> Action | None:
    """The action of a rule on a store whose items are rows (`table`), files (`path`), or a plugin's own (`unknown`).

    `demanded`: the rule requires that its items are encrypted.
    """
    found = here.found
    if part is None or part.data is None:
        return None
    if isinstance(part.data, dict) and "archive" in part.data:
        return _archive(part, here, demanded=demanded)
    if isinstance(part.data, dict):
        return _of_mapping(part, kind, found)
    if part.data in ("delete", "review", "keep"):
        return Action(cast("Literal['delete', 'review', 'keep']", part.data))
    if part.data == "archive":
        do = "write for example {archive: {to: STORE, encrypt: [age1…]}}"
        found.append(part.problem("'archive' needs its store", "it says where the copies go", do))
    elif part.data == "anonymise":
        found.append(
            part.problem(
                "'anonymise' needs its columns", "each column becomes something of its own", f"write for example {_EXAMPLE}"
            )
        )
    else:
        written = part.data if isinstance(part.data, str) else kind_of(part.data)
        found.append(part.problem(*not_among("'action'", written, _KNOWN)))
    return None


def refuse_needed(action: Action, part: Part, selection: Selection, start: Start, found: list[Problem]) -> None:
    """That no column is anonymised by which the row is named, timed or compared."""
    if not isinstance(selection, TableSelection):
        return
    needed = {name.lower(): "it is part of the key, which names the row" for name in selection.key}
    if start.kind == "column":
        needed[start.name.lower()] = "it is the start, and the row would be judged by another date"
    if selection.version is not None:
        needed[selection.version.lower()] = "it is the version of the row"
    for name, _ in action.columns:
        if name.lower() in needed:
            where = part.at("anonymise").at(name)
            found.append(where.problem_with_key(f"{quoted(name)} cannot be anonymised", needed[name.lower()], "leave it out"))


def _archive(part: Part, here: Here, *, demanded: bool) -> Action | None:
    shape = read(ActionShape, part, here.found)
    if len(part.data) > 1:
        here.found.append(part.problem("a rule has one action", f"this has {listed(part.data)}", "write two rules"))
    piece = shape.piece("archive")
    if piece is None or piece.data is None:
        return None
    found = archive_of(piece, here, demanded=demanded)
    return Action("archive", archive=found) if found is not None and len(part.data) == 1 else None


def _of_mapping(part: Part, kind: str, found: list[Problem]) -> Action | None:
    before = len(found)
    shape = read(ActionShape, part, found)
    if not part.data:
        found.append(part.problem("'action' is empty", f"it is one of {listed(_KNOWN)}"))
    columns = shape.piece("anonymise")
    if columns is None or columns.data is None:
        return None
    if kind != "table":
        what = "files" if kind == "path" else "items of this store"
        why = "only the rows of an sql store have columns that can be written one by one"
        found.append(columns.problem_with_key(f"{what} cannot be anonymised", why, "write action: delete"))
    if not isinstance(columns.data, dict):
        found.append(
            columns.problem("'anonymise' is no mapping", f"it is {kind_of(columns.data)}", f"write for example {_EXAMPLE}")
        )
        return None
    if not columns.data:
        found.append(
            columns.problem("'anonymise' has no columns", "nothing would be anonymised", f"write for example {_EXAMPLE}")
        )
    strategies = [(name, _strategy(each, found)) for name, each in columns.each()]
    if len(found) > before:
        return None
    return Action("anonymise", tuple((name, strategy) for name, strategy in strategies if strategy is not None))


def _strategy(part: Part, found: list[Problem]) -> Strategy | None:
    """What one column becomes."""
    value = part.data
    if value is None:
        return Null()
    if isinstance(value, str | int) and not isinstance(value, bool):
        return Constant(value)
    if not isinstance(value, dict):
        why = "a column becomes a text, a number, null, or what {hash: N}, {truncate: N} or {mask: N} makes of it"
        found.append(
            part.problem(f"{quoted(part.path[-1])} cannot become {kind_of(value)}", why, f"write for example {_EXAMPLE}")
        )
        return None
    shape = read(StrategyShape, part, found)
    written = [name for name in _STRATEGIES if name in value]
    if len(written) != 1 and value.keys() <= set(_STRATEGIES):
        why, do = f"it has {listed(written)}", "write one of {hash: N}, {truncate: N}, {mask: N}"
        found.append(part.problem("a column has not exactly one strategy", why, do))
    if len(written) != 1 or not shape.has(written[0]):
        return None
    chosen = shape.get(written[0])
    return Hash(chosen) if "hash" in value else Truncate(chosen) if "truncate" in value else Mask(chosen)
