"""A plan: a sealed list of steps, named by its digest. It is a promise of the most that will happen.

On disk a plan is JSON lines: a header, then one line per step, numbered from 1. The header
holds the SHA-256 of the step lines and a random salt that keeps its name from being guessed;
the name is the SHA-256 of the header without it, in RFC 8785 bytes. So one name means one list
of steps, days and reboots later, and an edited plan is another plan, which nobody registered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from retentiond.core.canonical import canonical, digest
from retentiond.core.ladder import VERDICTS
from retentiond.core.limits import Refusal

FORMAT = 1
SHORTEST_NAME = 12
"""So many characters of a plan's name are enough to mean it."""


_REASONS = 10
"""So many reasons of a verdict are counted by name."""
OTHER_REASONS = "for other reasons"


@dataclass(slots=True)
class RuleCounts:
    """What planning saw of one rule. `held` and `locked` count items otherwise due.

    `overdue_staying` are those of the overdue that stay though no law, lock or hold keeps them: they wait for a person,
    are in doubt, are referred to, or cool off; `oldest_staying` is the start of the oldest.

    `kept_by` counts the kept by each of the rule's own words (an item may count for several);
    `reasons` counts, by verdict, the words why items stay that are not merely waiting for their time;
    `violations` are items that must not exist, or not so, whatever becomes of them; `breaches` counts what of a
    requirement they break, and `assurance` all items by how well they are encrypted. `children` are those of the
    due that go with another: they count in all columns about what is due, and were scanned, too. `erased` are
    those of the due whose ground is an erasure request; `newer` are about somebody whose erasure was carried
    out or asked for, and came after: they are counted among the others, and left to a person. `lifecycle` says of a rule
    that the bucket keeps by itself how it stands there, and what has gone since the last look; `bypass` counts those of the
    due that a lock in governance mode keeps until a person passes it.
    """

    category: str
    rule: str
    store: str
    action: str
    scanned: int = 0
    due: int = 0
    waiting: int = 0
    kept: int = 0
    held: int = 0
    locked: int = 0
    undetermined: int = 0
    overdue: int = 0
    overdue_staying: int = 0
    bytes_due: int = 0
    oldest: datetime | None = None
    oldest_staying: datetime | None = None
    kept_by: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, dict[str, int]] = field(default_factory=dict)
    violations: int = 0
    children: int = 0
    breaches: dict[str, int] = field(default_factory=dict)
    assurance: dict[str, int] = field(default_factory=dict)
    erased: int = 0
    newer: int = 0
    bypass: int = 0
    lifecycle: dict[str, Any] = field(default_factory=dict)

    def count(self, verdict: str, items: int, reason: str = "") -> None:
        """Adds items to the column of a verdict, and to the count of a reason for it: the first few reasons by name."""
        if verdict not in VERDICTS:
            raise ValueError(f"{verdict} is no verdict")
        setattr(self, verdict, getattr(self, verdict) + items)
        if reason:
            by = self.reasons.setdefault(verdict, {})
            name = reason if reason in by or len(by) < _REASONS else OTHER_REASONS
            by[name] = by.get(name, 0) + items

    def as_json(self) -> dict[str, Any]:
        """The shape of `plan --json`, which the header holds too."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        plain["reasons"] = {v: [{"why": why, "items": n} for why, n in by.items()] for v, by in self.reasons.items()}
        plain |= {"oldest_staying": written(self.oldest_staying) if self.oldest_staying else None}
        sparse = ("overdue_staying", "oldest_staying", "kept_by", "reasons", "violations", "children", "breaches", "assurance")
        for name in (*sparse, "erased", "newer", "bypass", "lifecycle"):
            if not plain[name]:
                del plain[name]
        return plain | {"oldest": written(self.oldest) if self.oldest else None}


@dataclass(frozen=True, slots=True)
class Header:
    """What a plan says of itself. Instants are RFC 3339 in UTC.

    `places` names the physical place of each store, and of those that archives and copies go to; `holds` the index of
    the last entry about a hold that was read; `rulebook` covers the plan's categories and stores only. `forecast`
    is true of a plan made with `--at`, which cannot be applied. `requests` are the erasure requests that a plan is
    about, by the indexes of their entries in the audit log: such a plan is about these people's items, and no look at
    its categories; None of any other plan. `sets` counts the sets of each category that has some, by verdict. `whole` is true of
    an erasure, which a limit stops as a whole: who was meant may be mistaken, and then is so in every category.
    """

    salt: str
    at: datetime
    expires: datetime
    categories: Sequence[str]
    rulebook: str
    holds: int
    places: Mapping[str, str]
    counts: Sequence[Mapping[str, Any]]
    refused: Sequence[Refusal]
    steps: str
    total: int
    forecast: bool = False
    requests: Sequence[int] | None = None
    sets: Sequence[Mapping[str, Any]] = ()
    whole: bool = False

    def as_json(self) -> dict[str, Any]:
        """The header line without the plan's name."""
        return {
            "format": FORMAT,
            "salt": self.salt,
            "at": written(self.at),
            "expires": written(self.expires),
            "categories": list(self.categories),
            "rulebook": self.rulebook,
            "holds": self.holds,
            "places": dict(self.places),
            "counts": [dict(c) for c in self.counts],
            "refused": [refusal_json(r) for r in self.refused],
            "steps": self.steps,
            "total": self.total,
            "forecast": self.forecast,
            **({"requests": list(self.requests)} if self.requests is not None else {}),
            **({"sets": [dict(s) for s in self.sets]} if self.sets else {}),
            **({"whole": True} if self.whole else {}),
        }

    @property
    def name(self) -> str:
        """The plan's name: 64 hex digits."""
        return digest(self.as_json())

    @property
    def violations(self) -> list[dict[str, Any]]:
        """What the plan found that must not exist, or not so: category, rule, store and count, and what it breaks."""
        names = ("category", "rule", "store")
        found = [c for c in self.counts if c.get("violations")]
        why = [{"breaches": c["breaches"]} if c.get("breaches") else {} for c in found]
        return [{n: c[n] for n in names} | {"count": c["violations"]} | b for c, b in zip(found, why, strict=True)]

    def blocked(self) -> set[str]:
        """The categories that a limit has refused."""
        return self.blocked_by(self.refused)

    def blocked_by(self, refusals: Iterable[Refusal]) -> set[str]:
        """The categories that these refusals stop: their own, or all of a plan that they stop as a whole."""
        found = {r.category for r in refusals if r.blocks}
        return {*self.categories} if found and self.whole else found


def header_from(line: Mapping[str, Any]) -> Header:
    """The header that a line of JSON says; `KeyError`, `TypeError` or `ValueError` if it is none.

    It says nothing beside, and nothing in another spelling: what is written again is the same.
    """
    if line["format"] != FORMAT:
        raise ValueError("this format of a plan is unknown")
    header = Header(
        salt=line["salt"],
        at=datetime.fromisoformat(line["at"]),
        expires=datetime.fromisoformat(line["expires"]),
        categories=line["categories"],
        rulebook=line["rulebook"],
        holds=line["holds"],
        places=line["places"],
        counts=line["counts"],
        refused=[Refusal(**r) for r in line["refused"]],
        steps=line["steps"],
        total=line["total"],
        forecast=line["forecast"],
        requests=line.get("requests"),
        sets=line.get("sets", ()),
        whole=line.get("whole", False),
    )
    if canonical(header.as_json()) != canonical(dict(line)):
        raise ValueError("the header of a plan has one spelling, and this is another")
    return header


def refusal_json(refusal: Refusal) -> dict[str, Any]:
    """One refusal in the shape of `plan --json`."""
    plain = {name: getattr(refusal, name) for name in ("category", "rule", "limit", "value", "allowed")}
    return plain | ({"store": refusal.store} if refusal.store else {})


def written(moment: datetime) -> str:
    """An instant as plans and `--json` write it: RFC 3339, UTC, `Z`; `ValueError` for one without a zone."""
    if moment.utcoffset() is None:
        raise ValueError("an instant is an aware datetime")
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
