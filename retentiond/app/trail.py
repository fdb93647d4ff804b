"""The audit trail: published from the ledger, looked up, verified, exported."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retentiond.app.archived import How, Whereabouts, how, of_item
from retentiond.app.house import House
from retentiond.ledger.schema import keeping

if TYPE_CHECKING:
    from retentiond.audit.verify import Report


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The signed head of the log."""

    size: int
    root: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing that the log says about an item. `index` is that of the entry; `nonce` lets a stranger check the reference.

    `how` is how a disposed item went, and `archive` where it lies now if it was archived; None of any other.
    """

    category: str
    year: int
    reference: str
    nonce: str
    run: str
    plan: str
    intent: int
    index: int
    position: int
    outcome: str
    inferred: bool
    time: int
    how: How | None = None
    archive: Whereabouts | None = None


def publish(house: House) -> Checkpoint:
    """Publishes whatever the ledger holds and the log does not; signs a new head if there is something new."""
    from retentiond.audit.publish import Publisher

    ledger = house.ledger
    with keeping(), house.locked("publish", "publishing the audit log", wait=True):
        head = Publisher(house.directory.log, house.signer).publish(ledger)
    return Checkpoint(head.size, head.root.hex())


def hand_over(house: House, destination: Path) -> Report:
    """Copies the log, as of one moment, into a new folder and verifies the copy."""
    from retentiond.audit.export import export

    publish(house)
    with house.locked("publish", "copying the audit log", wait=True):
        return export(house.directory.log, destination, house.verifier)


def show(house: House) -> Iterator[dict[str, Any]]:
    """Every entry, with its index."""
    for index, body in enumerate(house.ledger.entries(0, house.ledger.size())):
        yield {"index": index, **json.loads(body)}


def lookup(house: House, store: str, key: str) -> tuple[list[Evidence], list[int]]:
    """What the log says about an item, under every key that was ever used; and the years whose key was destroyed."""
    found: list[Evidence] = []
    lost: set[int] = set()
    for year, category in house.memory.reference_scopes() if house.directory.exists() else ():
        if house.reference_keys.existing(year) is None:
            lost.add(year)
            continue
        references = house.references(year)(category, store)
        wanted, nonce = references.of(key), references.nonce(key).hex()
        for batch in house.runs.batches_with(category, wanted):
            outcome, inferred, index, time = _fate(house, batch.entry, batch.outcome, batch.position)
            action = house.plans.actions(batch.plan).get((category, batch.rule), "")
            went = how(action, batch.request) if outcome == "disposed" else None
            lies = of_item(house, store, key, category, batch, inferred=inferred) if went == "archived" else None
            found.append(
                Evidence(
                    category,
                    year,
                    wanted.hex(),
                    nonce,
                    batch.run,
                    batch.plan,
                    batch.entry,
                    index,
                    batch.position,
                    outcome,
                    inferred,
                    time,
                    went,
                    lies,
                )
            )
    return sorted(found, key=lambda e: e.index), sorted(lost)


def _fate(house: House, entry: int, outcome: int | None, position: int) -> tuple[str, bool, int, int]:
    """What an outcome (or a sparing) says about one position: (outcome, inferred, index, time)."""
    if outcome is None:
        body = json.loads(next(house.ledger.entries(entry, entry + 1)))
        return "unknown", False, entry, body["time"]
    body = json.loads(next(house.ledger.entries(outcome, outcome + 1)))
    fate = next((name for name, positions in body["otherwise"].items() if position in positions), "disposed")
    return fate, position in body.get("inferred", ()), outcome, body["time"]
