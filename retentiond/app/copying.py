"""The copies that rules want of their items, made before anything goes: by a run, under its lock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from retentiond.app.house import House
from retentiond.app.letting_go import Vaults
from retentiond.archive.copying import Copying, Made
from retentiond.archive.vouching import Voucher
from retentiond.archive.writing import Pulse
from retentiond.core.policy import Category, Rule
from retentiond.engine.pipeline import bench_for, scope_for
from retentiond.engine.ports import Stop
from retentiond.errors import RetentiondError, StoreDenied, StoreUnavailable


@dataclass(slots=True)
class Copies:
    """What copying came to, and by the store that it goes to why it came no further."""

    made: Made = field(default_factory=Made)
    down: dict[str, RetentiondError] = field(default_factory=dict)


def make_copies(house: House, categories: Iterable[Category], *, repair: bool, stop: Stop, pulse: Pulse) -> Copies:
    """Copies what has no verified copy where its rule wants one; with `repair` also what has lost the one that it had."""
    found = Copies()
    rules = [(category, rule) for category in categories for rule in category.rules if rule.copied_to]
    with Vaults(house, pulse) as vaults:
        for category, rule in rules:
            if rule.copied_to in found.down or stop():
                continue
            try:
                _copying(house, category, rule, vaults).make(found.made, repair=repair, stop=stop)
            except (StoreUnavailable, StoreDenied) as error:
                found.down[rule.copied_to] = error
    return found


def _copying(house: House, category: Category, rule: Rule, vaults: Vaults) -> Copying:
    store = house.store(rule.store)
    vault = vaults.to(rule.copied_to, rule.copy.recipients if rule.copy is not None else ())
    scope = scope_for(bench_for(category, rule, house.rulebook.zone, house.now, ()), everything=True)
    voucher = Voucher(rule, category.name, store.place, vault.store, vault.read, house.copies)
    return Copying(store, scope, vault, voucher, house.copies, makes=rule.copy is not None)
