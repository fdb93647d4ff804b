"""The certificate of a run or of an erasure, gathered from the ledger: what its entries say, and nothing else.

It names no item and no person: stores, categories, counts, days and grounds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from retentiond.app.beyond_use import beyond
from retentiond.app.house import House
from retentiond.app.trail import Checkpoint
from retentiond.audit.certificate import sealed
from retentiond.core.outcome import counted
from retentiond.core.request import Stays
from retentiond.errors import UsageError
from retentiond.ledger.journal import Settlement
from retentiond.ledger.requests import Kept, Place

_METHOD = (
    "Logical deletion (NIST SP 800-88r2, Clear): the items were deleted or anonymised through their stores, and looked for again "
    "afterwards. Free pages, snapshots, replicas and backups are not covered but where they are named."
)


def certificate(house: House, word: str, checkpoint: Checkpoint) -> dict[str, Any]:
    """The certificate of a run (its name), or of an erasure (the request as you call it, or `entry N`), sealed."""
    kept = _request(house, word)
    value = _of_request(house, kept) if kept is not None else _of_run(house, word)
    origin = house.settings.audit.origin
    value["log"] = {"origin": origin, "size": checkpoint.size, "root": checkpoint.root, "entries": value.pop("entries")}
    value["software"] = f"retentiond {version('retentiond')}"
    return sealed({"organisation": house.settings.organisation, **value}, house.signer)


def _request(house: House, word: str) -> Kept | None:
    number = word.removeprefix("entry ")
    found = (kept for kept in house.requests.all() if kept.name == word or str(kept.request.entry) == number)
    return next(found, None)


def _of_request(house: House, kept: Kept) -> dict[str, Any]:
    came = house.runs.of_request(kept.request.entry)
    entry = kept.request.entry
    left = sum(stay.items for stays in kept.stays.values() for stay in stays.grounds)
    gone = sum(one.body.get("disposed", 0) for one in came)
    ends = {"withdrawn": "The request was withdrawn.", "carried out": "A later look found nothing."}
    end = ends.get(kept.state, f"{left:,} items are left, for the reasons below.")
    told = [{"category": _title(house, name), "recipient": each} for name, these in sorted(kept.told.items()) for each in these]
    return {
        "kind": "erasure",
        "of": f"entry {entry}",
        "state": kept.state,
        "summary": f"{gone:,} items were erased. {end}",
        "dates": {"received": _day(kept.received), "decided": _day(kept.allowed), "carried out": _day(kept.done)},
        "allowed_by": "a person, as stated, not verified",
        "disposed": _disposed(house, came),
        "stays": _stays(house, kept.stays),
        "beyond_use": [
            {
                "category": one.category,
                "title": _title(house, one.category),
                "rule": one.rule,
                "store": one.store,
                "words": one.words,
                "until": one.until.isoformat() if one.until else None,
                "items": one.items,
            }
            for one in beyond(house, kept.request)
        ],
        "recipients": told,
        "method": _METHOD,
        "entries": sorted({entry, *(one.entry for one in came)}),
    }


def _of_run(house: House, word: str) -> dict[str, Any]:
    run = next((one for one in house.runs.all() if one["run"] == word), None)
    if run is None:
        raise UsageError("there is no run and no request of this name", do="see `retentiond runs`; a request has its --request")
    came = house.runs.of_run(word)
    counts = counted(run["counts"])
    return {
        "kind": "run",
        "of": word,
        "plan": run["plan"],
        "state": "ended" if run["ended"] else "cut short",
        "summary": ", ".join(f"{n:,} {name}" for name, n in counts.items() if n) or "Nothing was disposed of.",
        "counts": counts,
        "dates": {"started": _day(run["started"]), "ended": _day(run["ended"])},
        "allowed_by": run["allowed_by"],
        "disposed": _disposed(house, came),
        "stays": [],
        "beyond_use": [],
        "recipients": [],
        "method": _METHOD,
        "entries": sorted({one.entry for one in came}),
    }


def _disposed(house: House, came: Iterable[Settlement]) -> list[dict[str, Any]]:
    """What went, by rule: how many items, how, and on which days."""
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for one in came:
        gone = one.body.get("disposed", 0)
        if not gone:
            continue
        names, day = (one.category, one.rule, one.store), _day(one.body["time"])
        row = found.setdefault(names, _row(house, *names) | {"items": 0, "inferred": 0, "first": day})
        row["items"] += gone
        row["inferred"] += len(one.body["inferred"])
        row["last"] = day
    return [found[names] for names in sorted(found)]


def _row(house: House, category: str, rule: str, store: str) -> dict[str, Any]:
    definition, known = house.rulebook.stores.get(store), house.rulebook.categories.get(category)
    found = next((r for r in known.rules if r.name == rule), None) if known else None
    how = "anonymised" if found is not None and found.action.anonymises else "deleted"
    where = {"type": definition.type, "location": definition.location} if definition else {"type": None, "location": None}
    return {"category": category, "title": _title(house, category), "rule": rule, "store": store, "how": how, **where}


def _stays(house: House, stays: Mapping[Place, Stays]) -> list[dict[str, Any]]:
    return [
        {
            "category": category,
            "title": _title(house, category),
            "rule": rule,
            "store": found.store,
            "ground": stay.code,
            "lawful": stay.lawful,
            "words": stay.words,
            "items": stay.items,
            "until": stay.until,
        }
        for (category, rule), found in sorted(stays.items())
        for stay in found.grounds
    ]


def _title(house: House, category: str) -> str:
    found = house.rulebook.categories.get(category)
    return found.title if found is not None else category


def _day(at: int | None) -> str | None:
    return datetime.fromtimestamp(at // 1_000_000, UTC).date().isoformat() if at is not None else None
