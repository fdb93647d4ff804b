"""The fates of the rows of a batch that may not go, and why, in fixed words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from retentiond.core.outcome import Outcome, Settled
from retentiond.engine.ports import Batch
from retentiond.stores.sql.reading import Found, Layout

Fate = tuple[Outcome, str]
GONE: Fate = (Outcome.GONE, "")
CHANGED: Fate = (Outcome.CHANGED, "")
OUTSIDE: Fate = (Outcome.CHANGED, "outside")
REFERRED: Fate = (Outcome.CHANGED, "children")
HELD: Fate = (Outcome.HELD, "predicate")
DONE: Fate = (Outcome.CHANGED, "done-already")
UNMASKABLE: Fate = (Outcome.FAILED, "unmaskable")
CONTENDED: Fate = (Outcome.FAILED, "contended")
TWICE: Fate = (Outcome.FAILED, "named-twice")


def differing(found: Found, order: Sequence[int | None], revisions: Sequence[str]) -> dict[int, Fate]:
    """The positions whose row is not there as the plan has it."""
    now = [None if n is None else found.revisions[n] for n in order]
    if now == list(revisions):
        return {}
    missing = CHANGED if len(now) - now.count(None) < len(found.rows) else GONE
    pairs = enumerate(zip(now, revisions, strict=True))
    return {i: missing if there is None else CHANGED for i, (there, then) in pairs if there != then}


def spared(layout: Layout, found: Found, order: Sequence[int | None]) -> dict[int, Fate]:
    """The positions whose row may not go any more, whatever its revision."""
    stay: dict[int, Fate] = {}
    if found.held_at == layout.width and not found.predicates and not found.broken:
        return stay
    position = {n: i for i, n in enumerate(order) if n is not None}
    told = layout.told_at
    if told is not None:
        stay |= {i: OUTSIDE for n, i in position.items() if not found.rows[n][told]}
    stay |= {position[n]: REFERRED for n in found.referred(layout) if n in position}
    for predicate in found.broken:
        covered = range(len(order)) if predicate.positions is None else predicate.positions
        stay |= dict.fromkeys(covered, HELD)
    for at, predicate in enumerate(found.predicates, found.held_at):
        inside = predicate.positions
        stay |= {i: HELD for n, i in position.items() if found.rows[n][at] and (inside is None or i in inside)}
    return stay


def repeated(keys: Sequence[str]) -> dict[int, Fate]:
    """The positions whose key stands earlier in the batch: the row goes once."""
    if len(set(keys)) == len(keys):
        return {}
    first: dict[str, int] = {}
    return {i: TWICE for i, key in enumerate(keys) if first.setdefault(key, i) != i}


def of_all(batch: Batch) -> list[str]:
    """The predicates that cover the whole batch, so that deleting may ask them once more."""
    return [p.sql for p in batch.predicates if p.positions is None]


def settled_of(size: int, fates: dict[int, Fate]) -> Iterator[Settled]:
    """The fates of a batch of this size; whatever has none was disposed of."""
    disposed = [i for i in range(size) if i not in fates] if fates else range(size)
    if disposed:
        yield Settled(disposed, Outcome.DISPOSED)
    groups: dict[Fate, list[int]] = {}
    for i, fate in sorted(fates.items()):
        groups.setdefault(fate, []).append(i)
    for (outcome, code), positions in groups.items():
        yield Settled(positions, outcome, code)
