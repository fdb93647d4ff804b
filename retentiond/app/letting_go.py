"""A store as a run lets things go from it: archived first where the action says so, and noted where copies went."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

from retentiond.app.elsewhere import destination
from retentiond.app.house import House
from retentiond.archive.archiving import Archiving
from retentiond.archive.registered import Registered
from retentiond.archive.sealing import Sealing
from retentiond.archive.vouching import Vouched, Voucher
from retentiond.archive.writing import Pulse, Vault
from retentiond.core.policy import Archive, Rule
from retentiond.engine.ports import Store
from retentiond.errors import StoreTrouble


class Vaults:
    """The stores that copies go to in one run, and the processes that encrypt for them; to be closed at its end.

    `pulse` is told that work goes on. `troubles` keeps the first that each of the stores has made.
    """

    def __init__(self, house: House, pulse: Pulse) -> None:
        self._house, self._pulse = house, pulse
        self._open = ExitStack()
        self._known: dict[tuple[str, tuple[str, ...]], Vault] = {}
        self._sealings: dict[tuple[str, ...], Sealing] = {}
        self.troubles: dict[str, StoreTrouble] = {}

    def __enter__(self) -> Vaults:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def to(self, store: str, recipients: tuple[str, ...]) -> Vault:
        """A store that takes copies for these recipients; errors of the store come through."""
        name = (store, recipients)
        if name not in self._known:
            self._known[name] = Vault(
                destination(self._house, store), recipients, self._sealing, self._pulse, self._house.patient(store).digest
            )
        return self._known[name]

    def of(self, archive: Archive) -> Vault:
        """The store of an archive."""
        return self.to(archive.to, archive.recipients)

    def hear(self, store: str, error: StoreTrouble) -> None:
        """One of the stores has failed."""
        self.troubles.setdefault(store, error)

    def _sealing(self, recipients: tuple[str, ...]) -> Sealing:
        if recipients not in self._sealings:
            self._sealings[recipients] = Sealing(recipients)
            self._open.callback(self._sealings[recipients].close)
        return self._sealings[recipients]


def letting_go(house: House, name: str, store: Store, vaults: Vaults) -> Store:
    """The store as the rules want it to be let go from."""
    rules = [(category.name, rule) for category in house.rulebook.categories.values() for rule in category.rules]
    mine = [(category, rule) for category, rule in rules if rule.store == name]
    if name in house.copies.destinations():
        store = Registered(store, name, house.copies)
    if any(rule.action.archive is not None for _, rule in mine):
        store = Archiving(store, name, vaults.of, house.copies, house.rulebook.zone, vaults.hear)
    vouchers = {
        (category, rule.name): (rule.copied_to, partial(_voucher, house, category, rule, store))
        for category, rule in mine
        if rule.copied_to
    }
    return Vouched(store, vouchers, vaults.hear) if vouchers else store


def _voucher(house: House, category: str, rule: Rule, store: Store) -> Voucher:
    there = destination(house, rule.copied_to)
    return Voucher(rule, category, store.place, there, house.patient(rule.copied_to).digest, house.copies)
