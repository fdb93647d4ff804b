"""A rule's store as its requirements see it: with the view that looks into items, where the rule asks for that."""

from __future__ import annotations

from dataclasses import replace

from retentiond.app.elsewhere import MOVED, has_moved, trouble_of
from retentiond.app.house import House
from retentiond.archive.requiring import Look, Requiring
from retentiond.core.item import Page
from retentiond.core.policy import Rule
from retentiond.engine.ports import Scope, View
from retentiond.errors import StoreTrouble

UNSEEN = "the store of its copy cannot be seen"


def seen_by(house: House, category: str, rule: Rule, view: View | None = None) -> View:
    """A view of the rule's store (a given one, or its own) that shows what each item breaks of what the rule requires."""
    view = house.view(rule.store) if view is None else view
    looks = _looks(house, category, rule, view)
    return Requiring(view, looks) if looks else view


def _looks(house: House, category: str, rule: Rule, view: View) -> list[Look]:
    found: list[Look] = []
    if rule.require is not None and rule.require.encrypted is not None:
        from retentiond.archive.inspecting import Forgetful, Inspector  # most rules require nothing

        inspector = Inspector(view, house.patient(rule.store), house.inspections if house.directory.exists() else Forgetful())
        found.append(lambda scope, page: inspector.inspected(scope, page, lined_up=rule.generations is not None))
    if rule.copied_to and house.directory.exists():
        found.append(_copies_of(house, category, rule, view))
    return found


def _copies_of(house: House, category: str, rule: Rule, view: View) -> Look:
    """What tells of each item whether it has a verified copy. In a store that is not the place that it was, none counts."""
    from retentiond.archive.vouching import Voucher

    name = rule.copied_to
    with trouble_of(name):
        there = house.view(name)
    if has_moved(house, house.memory.places(), name, there.place):
        return _without(MOVED)
    voucher = Voucher(rule, category, view.place, there, house.patient(name).digest, house.copies)

    def look(scope: Scope, page: Page) -> Page:
        with trouble_of(name):
            return voucher.looked_at(scope, page)

    return look


def _without(why: str) -> Look:
    """Finds a copy of nothing."""
    return lambda _, page: replace(page, uncopied=dict.fromkeys(range(len(page)), why))


def acted_on(house: House, category: str, rule: Rule, view: View) -> View:
    """The same for a run, with the handle that it acts by: where the second store cannot be seen now, everything stays."""
    try:
        return seen_by(house, category, rule, view)
    except StoreTrouble:
        if not rule.copied_to:
            raise
        return Requiring(view, [_without(UNSEEN)])
