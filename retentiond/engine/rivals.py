"""What two rules select, neither of them decides: such an item is in doubt, and stays.

Two patterns are told apart by their text when a rulebook is loaded, but what two conditions on one table, or on
one folder of mail, have in common only the store knows. Where a rule has such rivals (`Bench.rivals`),
what is due by it is looked up under the condition of each; a rule without rivals asks nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from retentiond.core.item import Page
from retentiond.core.ladder import Bench, Judgement, judge
from retentiond.core.policy import Rule, Selection, TableSelection
from retentiond.engine.ports import OUTSIDE, Scope, View
from retentiond.errors import StoreTrouble


def judged_beside(page: Page, bench: Bench, view: View) -> Judgement:
    """The judgement of a page, in which what a rival selects too is in doubt; only what is due is asked about."""
    judged = judge(page, bench)
    if not bench.rivals or not judged.due:
        return judged
    return judge(contested(page, bench, view, judged.due), bench)


def contested(page: Page, bench: Bench, view: View, positions: Iterable[int]) -> Page:
    """The page with a doubt, which names both rules, for each of the positions that a rival selects too."""
    doubts = dict(page.doubts)
    for category, rival in bench.rivals:
        asked = [i for i in positions if i not in doubts and page.revisions[i] is not None]
        if asked:
            doubts |= _claimed(page, asked, bench, view, f"{category}/{rival.name}", rival)
    return replace(page, doubts=doubts)


def _claimed(page: Page, asked: Sequence[int], bench: Bench, view: View, name: str, rival: Rule) -> dict[int, str]:
    mine, rule = f"{bench.category}/{bench.rule.name}", bench.rule
    scope = Scope(_its_condition(rule.selection, rival.selection), rule.start)
    try:
        there = view.probe(scope, [page.keys[i] for i in asked])
    except StoreTrouble:
        return dict.fromkeys(asked, f"{mine} and {name} may both select it: the store cannot say what {name} selects")
    both = f"{mine} and {name} both select it, and only one rule can decide"
    selected = (at for at, revision in enumerate(there.revisions) if revision is not None and there.doubts.get(at) != OUTSIDE)
    return {asked[at]: both for at in selected}


def _its_condition(mine: Selection, other: Selection) -> Selection:
    """What the other rule selects, where items have the keys that this rule gives them."""
    if isinstance(mine, TableSelection) and isinstance(other, TableSelection):
        return replace(mine, table=other.table, where=other.where)
    return other
