"""What goes with a due item: its family is in the plan before it, or it stays.

A family stays where the store says so (`Reflecting`), where a hold covers one of its items, and where the
rule itself selects one of them that is not due. A hold by subject means an item of the rule, and with
it its family. An item that two families have in common stands once, with the first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from retentiond.core.item import Kin, Page
from retentiond.core.ladder import REFERRED, Bench, Judgement, judge
from retentiond.core.policy import TableSelection
from retentiond.engine.ports import OUTSIDE, Reflecting, Scope, View
from retentiond.engine.rivals import judged_beside

_UNDUE = f"{REFERRED}, and one of them is not due itself"


@dataclass(slots=True)
class Gathering:
    """What is needed to gather the families of one rule, and what stands in the plan already."""

    view: View
    scope: Scope
    bench: Bench
    started: Callable[[Page], Page]
    taken: set[str] = field(default_factory=set)


def gathered(judged: Judgement, of: Gathering) -> Judgement:
    """The judgement with the families of what is due; what cannot go with its family stays, and says why."""
    selection, view = of.scope.selection, of.view
    if not isinstance(selection, TableSelection) or selection.children == "forbid" or not isinstance(view, Reflecting):
        return judged
    page, families, stays, elsewhere = judged.page, dict[int, Sequence[Kin]](), dict[int, str](), set[int]()
    found = view.families(of.scope, [page.keys[i] for i in judged.due], of.taken)
    for i, kin in zip(judged.due, found, strict=True):
        if page.keys[i] in of.taken:
            elsewhere.add(i)
            continue
        family = kin if isinstance(kin, str) else _admitted(page, i, kin, of)
        if isinstance(family, str):
            stays[i] = family
            continue
        of.taken.update((page.keys[i], *(one.key for one in family)))
        if family:
            families[i] = family
    if stays:
        judged = judge(replace(page, doubts={**page.doubts, **stays}), of.bench)
    pairs = [(i, at) for i, at in zip(judged.due, judged.due_at, strict=True) if i not in elsewhere]
    return replace(judged, due=[i for i, _ in pairs], due_at=[at for _, at in pairs], families=families)


def _admitted(page: Page, i: int, kin: Sequence[Kin], of: Gathering) -> Sequence[Kin] | str:
    """The family of a position, or why it stays."""
    if not kin:
        return kin
    keys, everyone = [one.key for one in kin], range(len(kin))
    facts = {name: [column[i]] * len(kin) for name, column in page.facts.items()}
    reported = {n: one.held for n, one in enumerate(kin) if one.held is not None}
    holds = of.bench.holds
    held = [*holds.confirmed(reported, keys, facts, everyone).values(), *holds.covered(keys, facts, everyone).values()]
    if held:
        return f"{REFERRED}, and hold {held[0]} covers one of them"
    own = [n for n in everyone if kin[n].own]
    if not own:
        return kin
    there = of.started(of.view.probe(of.scope, [keys[n] for n in own]))
    selected = {n for at, n in enumerate(own) if there.doubts.get(at) != OUTSIDE}
    due = {own[at] for at in judged_beside(there, of.bench, of.view).due}
    if not selected <= due:
        return _UNDUE
    return [one._replace(own=n in selected) for n, one in enumerate(kin)]
