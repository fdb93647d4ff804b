"""The certificate of a run or of an erasure, gathered from the ledger: what its entries say, and nothing else.

It names no item and no person: stores, categories, counts, days and grounds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from retentiond.app.archived import How, Whereabouts, how, of_batches
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
_ARCHIVING = (
    "Archiving: a copy of what was archived was written to the store that is named, and read back and compared there, before the "
    "item was let go where it lay. So it is not destroyed: its copy goes by the rules about that store. Of where it lay, and of "
    "what was not archived:"
)

_ENDS = {"withdrawn": "The request was withdrawn.", "carried out": "A later look found nothing."}


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
    gone = sum(one.body.get("disposed", 0) for one in came)
    disposed, _ = _disposed(house, came)
    return {
        "kind": "erasure",
        "of": f"entry {entry}",
        "state": kept.state,
        "summary": f"{_items(gone, 'was', 'were')} erased. {_end(kept)}",
        "dates": {"received": _day(kept.received), "decided": _day(kept.allowed), "carried out": _day(kept.done)},
        "allowed_by": "a person, as stated, not verified",
        "disposed": disposed,
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
        "recipients": _recipients(house, kept.told),
        "to_be_told": _recipients(house, _untold(house, kept, disposed)),
        "method": _METHOD,
        "entries": sorted({entry, *(one.entry for one in came)}),
    }


def _end(kept: Kept) -> str:
    """What became of a request beside what went. What nobody could look at is not known, and no number."""
    if kept.state in _ENDS:
        return _ENDS[kept.state]
    grounds = [stay for stays in kept.stays.values() for stay in stays.grounds]
    left, unseen = sum(stay.items for stay in grounds), sum(stay.ground == "unseen" for stay in grounds)
    words = [f"{_items(left, 'is', 'are')} left, for the reasons below."] if left else []
    if unseen:
        places = f"{unseen:,} places" if unseen != 1 else "1 place"
        words.append(f"{places} could not be looked at, so what is left there is not known.")
    return " ".join(words) or "Nobody has looked yet for what is left."


def _items(count: int, one: str, several: str) -> str:
    return f"{count:,} item {one}" if count == 1 else f"{count:,} items {several}"


def _untold(house: House, kept: Kept, disposed: Iterable[Mapping[str, Any]]) -> dict[str, Sequence[str]]:
    """The recipients of what went of whom nobody was told: a person has to tell them."""
    went = {row["category"] for row in disposed} - kept.told.keys()
    known = house.rulebook.categories
    return {name: known[name].recipients for name in went if name in known}


def _recipients(house: House, by: Mapping[str, Sequence[str]]) -> list[dict[str, str]]:
    return [{"category": _title(house, name), "recipient": each} for name, these in sorted(by.items()) for each in these]


def _of_run(house: House, word: str) -> dict[str, Any]:
    run = next((one for one in house.runs.all() if one["run"] == word), None)
    if run is None:
        raise UsageError("there is no run and no request of this name", do="see `retentiond runs`; a request has its --request")
    came = house.runs.of_run(word)
    counts, (disposed, evidence) = counted(run["counts"]), _disposed(house, came)
    summary = ", ".join(f"{n:,} {name}" for name, n in counts.items() if n) or "Nothing was disposed of."
    archived = [row["words"].replace(",", f" ({row['items']:,}),", 1) for row in disposed if row["how"] == "archived"]
    return {
        "kind": "run",
        "of": word,
        "plan": run["plan"],
        "state": "ended" if run["ended"] else "cut short",
        "summary": "; ".join([summary, *archived]),
        "counts": counts,
        "dates": {"started": _day(run["started"]), "ended": _day(run["ended"])},
        "allowed_by": run["allowed_by"],
        "disposed": disposed,
        "stays": [],
        "beyond_use": [],
        "recipients": [],
        "to_be_told": [],
        "method": f"{_ARCHIVING} {_METHOD}" if archived else _METHOD,
        "entries": sorted({*evidence, *(one.entry for one in came)}),
    }


def _disposed(house: House, came: Iterable[Settlement]) -> tuple[list[dict[str, Any]], set[int]]:
    """What went, by rule: how many items, how, and on which days; and the entries that say that archives of it were verified."""
    found: dict[tuple[str, str, str, How], dict[str, Any]] = {}
    spans: dict[tuple[str, str, str, How], tuple[int, int]] = {}
    actions: dict[str, Mapping[tuple[str, str], str]] = {}
    for one in came:
        if not one.body.get("disposed", 0):
            continue
        if one.plan not in actions:
            actions[one.plan] = house.plans.actions(one.plan)
        way, day = how(actions[one.plan].get((one.category, one.rule), ""), one.request), _day(one.body["time"])
        names = (one.category, one.rule, one.store, way)
        row = found.setdefault(names, _row(house, *names) | {"items": 0, "inferred": 0, "first": day})
        row["items"] += one.body["disposed"]
        row["inferred"] += len(one.body["inferred"])
        row["last"] = day
        first, last = spans.get(names, (one.intent, one.entry))
        spans[names] = min(first, one.intent), max(last, one.entry)
    evidence = set[int]()
    for names, span in spans.items():
        lies = of_batches(house, names[:3], *span) if names[3] == "archived" else Whereabouts()
        words = f"archived to {lies.store}, {lies.kept}" if lies.store else f"archived, {lies.kept}" if lies.kept else names[3]
        found[names] |= {"to": lies.store or None, "until": lies.until, "words": words}
        evidence |= {*lies.entries}
    return [found[names] for names in sorted(found)], evidence


def _row(house: House, category: str, rule: str, store: str, way: How) -> dict[str, Any]:
    definition = house.rulebook.stores.get(store)
    where = {"type": definition.type, "location": definition.location} if definition else {"type": None, "location": None}
    return {"category": category, "title": _title(house, category), "rule": rule, "store": store, "how": way, **where}


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
            "items": stay.items if stay.ground != "unseen" else None,
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
