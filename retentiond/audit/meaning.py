"""What the entries must say of each other: an intact tree may still tell an impossible story.

The rules, one after the other, for every entry in its order:

- it is one of the allowed types with its allowed fields, in RFC 8785 bytes, and time never goes back;
- a plan that is allowed was made before and is no forecast; where a limit had tripped for one of its
  categories, a person passed it by name (`over-limits`), and what nobody can pass was not passed;
- an intent belongs to a run that was allowed for its plan and category, stays within the plan's
  steps, and quotes the newest entry about a hold and about an event: none lies between;
- an outcome names one intent that has none yet, speaks of its positions only and of each once, and
  its numbers add up; what was inferred is among the disposed; what was spared has a fate each;
- the references of a run follow each other without gap or overlap, from the first;
- an anchor was given a checkpoint of entries before it;
- what is said of an erasure request names one that was received and not withdrawn; it is carried out only after it was allowed;
- a daemon starts after the one before it has ended or was found killed, and nothing ends that did not start;
- a certificate is the only one of its run, and its counts are those of the run's entries. A
  position of an intent without outcome counts as `unknown`; its outcome may follow later, after a crash.

Guarantee: pure; entries go through one by one, and what is kept are open intents, plans and runs.
What the references are worth (their digest) is for `verify`, which can read them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from retentiond.core import entry as entries
from retentiond.core.canonical import canonical
from retentiond.core.limits import UNPASSABLE
from retentiond.core.outcome import counted

Entry = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Range:
    """Where an entry's references stand: `count` of them from number `first` of the run's file, with their SHA-256."""

    run: str
    first: int
    count: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Totals:
    """What the entries add up to. `counts` has the fates of core.outcome.counted; open positions are `unknown`."""

    entries: int
    intents: int
    open_intents: int
    references: int
    runs: int
    certificates: int
    counts: Mapping[str, int]


@dataclass(slots=True)
class _Plan:
    steps: int
    forecast: bool
    tripped: dict[str, set[str]] = field(default_factory=dict)


@dataclass(slots=True)
class _Run:
    plan: str
    categories: set[str]
    references: int = 0
    open: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    certified: bool = False

    def told(self) -> dict[str, int]:
        """The counts as a certificate must have them, zeros left out."""
        return _without_zeros({**self.counts, "unknown": self.counts["unknown"] + self.open})


class Meaning:
    """Reads the entries in their order; tells `found` what is wrong, in words without their data."""

    def __init__(self, found: Callable[[str], None]) -> None:
        self._found = found
        self._index = -1
        self._time = 0
        self._last_hold = self._last_event = -1
        self._plans: dict[str, _Plan] = {}
        self._runs: dict[str, _Run] = {}
        self._open: dict[int, tuple[_Run, int]] = {}
        self._intents = self._certificates = 0
        self._daemon = False
        self.anchored: list[tuple[int, int, str]] = []
        self._requests: dict[int, bool] = {}
        self._withdrawn: set[int] = set()
        self._readers: Mapping[str, Callable[[Entry], Range | None]] = {
            "plan-made": self._plan_made,
            "limit-tripped": self._limit_tripped,
            "plan-allowed": self._plan_allowed,
            "bypass-allowed": self._bypass_allowed,
            "intent": self._intent,
            "outcome": self._outcome,
            "spared": self._spared,
            "certificate": self._certificate,
            "checkpoint-anchored": self._anchored,
            "request-received": self._request_received,
            "request-allowed": self._request_allowed,
            "request-refused": self._of_request,
            "request-withdrawn": self._request_withdrawn,
            "request-carried-out": self._carried_out,
            "recipients-told": self._recipients_told,
            "replayed": self._replayed,
            "daemon-started": self._daemon_started,
            "daemon-stopped": self._daemon_ended,
            "daemon-recovered": self._daemon_ended,
        }

    def take(self, body: bytes) -> Range | None:
        """Reads the next entry; returns where its references stand, if it has any."""
        self._index += 1
        entry = self._parsed(body)
        if entry is None:
            return None
        if entry["time"] < self._time:
            self._wrong("its time is before that of an earlier entry")
        self._time = max(self._time, entry["time"])
        type_ = entry["type"]
        read = self._readers.get(type_)
        answer = read(entry) if read else None
        if type_ in entries.HOLD_TYPES:
            self._last_hold = self._index
        elif type_ in entries.EVENT_TYPES:
            self._last_event = self._index
        return answer

    def totals(self) -> Totals:
        """The sums so far."""
        told = [run.told() for run in self._runs.values()]
        return Totals(
            entries=self._index + 1,
            intents=self._intents,
            open_intents=len(self._open),
            references=sum(run.references for run in self._runs.values()),
            runs=len(self._runs),
            certificates=self._certificates,
            counts=counted(sum(map(Counter, told), Counter[str]())),
        )

    def references(self) -> Mapping[str, int]:
        """How many references each run has; runs without any are left out."""
        return {name: run.references for name, run in self._runs.items() if run.references}

    def _wrong(self, what: str) -> None:
        self._found(f"entry {self._index}: {what}")

    def _parsed(self, body: bytes) -> Entry | None:
        try:
            entry = json.loads(body)
            if canonical(entry) != body:
                self._wrong("its bytes are not the canonical ones (RFC 8785)")
        except (ValueError, RecursionError):
            self._wrong("it is no canonical JSON (RFC 8785)")
            return None
        fault = entries.fault(entry)
        if fault:
            self._wrong(fault)
            return None
        parsed: Entry = entry
        return parsed

    def _plan_made(self, entry: Entry) -> None:
        if entry["plan"] in self._plans:
            self._wrong("plan-made: this plan was made before")
            return
        self._plans[entry["plan"]] = _Plan(entry["steps"], entry["forecast"] != 0)

    def _limit_tripped(self, entry: Entry) -> None:
        plan = self._plans.get(entry["plan"])
        if plan is None:
            self._wrong("limit-tripped: no such plan was made before")
        elif entry["limit"] != "children":  # refused children stop only themselves (core.limits.Refusal.blocks)
            plan.tripped.setdefault(entry["category"], set()).add(entry["limit"])

    def _plan_allowed(self, entry: Entry) -> None:
        plan = self._plans.get(entry["plan"])
        if plan is None:
            self._wrong("plan-allowed: no such plan was made before")
        else:
            self._judge_allowance(plan, entry)
        run = self._runs.setdefault(entry["run"], _Run(entry["plan"], set()))
        if run.plan != entry["plan"]:
            self._wrong("plan-allowed: the run belongs to another plan")
        run.categories.update(entry["categories"])

    def _judge_allowance(self, plan: _Plan, entry: Entry) -> None:
        if plan.forecast:
            self._wrong("plan-allowed: a forecast cannot be allowed")
        limits = {limit for category in entry["categories"] for limit in plan.tripped.get(category, ())}
        if limits and entry["by"] != "over-limits":
            self._wrong("plan-allowed: a limit had tripped for one of its categories, and nobody passed it by name")
        if limits & UNPASSABLE:
            self._wrong("plan-allowed: a limit had tripped that nobody can pass")

    def _bypass_allowed(self, entry: Entry) -> None:
        run = self._runs.get(entry["run"])
        if run is None or run.plan != entry["plan"]:
            self._wrong("bypass-allowed: no such run was allowed for this plan")
        elif run.references:
            self._wrong("bypass-allowed: its run had begun before")

    def _intent(self, entry: Entry) -> Range:
        self._intents += 1
        plan = self._plans.get(entry["plan"])
        if plan is None:
            self._wrong("intent: no such plan was made before")
        elif entry["first"] + entry["count"] > plan.steps + 1:
            self._wrong("intent: it reaches beyond the steps of its plan")
        if entry["holds"] != self._last_hold:
            self._wrong("intent: the hold entry that it names is not the newest one before it")
        if entry["events"] != self._last_event:
            self._wrong("intent: the event entry that it names is not the newest one before it")
        if not entry["count"]:
            self._wrong("intent: it admits nothing")
        run = self._run_at_work(entry)
        run.open += entry["count"]
        self._open[self._index] = (run, entry["count"])
        return self._range(run, entry)

    def _outcome(self, entry: Entry) -> None:
        run, count = self._open.pop(entry["intent"], (None, 0))
        if run is None:
            self._wrong("outcome: it names no intent that is still open")
            return
        others = self._fates(run, entry, count)
        if entry["disposed"] != count - len(others):
            self._wrong("outcome: its numbers do not add up to those of its intent")
        inferred = entry["inferred"]
        if not _once(inferred, count) or not others.isdisjoint(inferred):
            self._wrong("outcome: what was inferred is not among the disposed")
        run.open -= count
        run.counts.update(disposed=entry["disposed"], inferred=len(inferred))

    def _spared(self, entry: Entry) -> Range:
        run = self._run_at_work(entry)
        if len(self._fates(run, entry, entry["count"])) != entry["count"]:
            self._wrong("spared: not each of its positions has a fate")
        return self._range(run, entry)

    def _fates(self, run: _Run, entry: Entry, count: int) -> set[int]:
        """Counts the positions that were not disposed of, and returns them; each must be one, and told once."""
        otherwise: Mapping[str, list[int]] = entry["otherwise"]
        told = [position for positions in otherwise.values() for position in positions]
        if not _once(told, count):
            self._wrong(f"{entry['type']}: a position is told twice, or is none of its intent's")
        if not otherwise.keys().isdisjoint(("disposed", "inferred")):
            self._wrong(f"{entry['type']}: the disposed stand among the others")
        reasons = [position for positions in entry["why"].values() for position in positions]
        if not _once(reasons, count) or not set(told).issuperset(reasons):
            self._wrong(f"{entry['type']}: a reason is given twice, or for a position that needs none")
        run.counts.update({fate: len(positions) for fate, positions in otherwise.items()})
        return set(told)

    def _run_at_work(self, entry: Entry) -> _Run:
        """The run that an entry belongs to, which must have been allowed and not be certified yet."""
        run = self._runs.setdefault(entry["run"], _Run(entry["plan"], set()))
        if run.plan != entry["plan"] or entry["category"] not in run.categories:
            self._wrong(f"{entry['type']}: its run was not allowed for this plan and category")
        if run.certified:
            self._wrong(f"{entry['type']}: its run was certified before")
        return run

    def _range(self, run: _Run, entry: Entry) -> Range:
        if entry["refs"] != run.references:
            self._wrong(f"{entry['type']}: its references do not follow those before them")
        run.references += entry["count"]
        return Range(entry["run"], entry["refs"], entry["count"], entry["sha256"])

    def _certificate(self, entry: Entry) -> None:
        self._certificates += 1
        run = self._runs.get(entry["run"])
        if run is None or run.plan != entry["plan"]:
            self._wrong("certificate: its run was not allowed for this plan")
            return
        if run.certified:
            self._wrong("certificate: its run has one already")
        if _without_zeros(entry["counts"]) != run.told():
            self._wrong("certificate: its counts are not those of the run's entries")
        run.certified = True

    def _anchored(self, entry: Entry) -> None:
        if entry["size"] > self._index:
            self._wrong("an anchor was given a checkpoint of entries that were not there yet")
        self.anchored.append((self._index, entry["size"], entry["root"]))

    def _request_received(self, _entry: Entry) -> None:
        self._requests[self._index] = False

    def _request_withdrawn(self, entry: Entry) -> None:
        self._of_request(entry)
        self._withdrawn.add(entry["request"])

    def _request_allowed(self, entry: Entry) -> None:
        self._of_request(entry)
        self._requests[entry["request"]] = True
        if entry["plan"] not in self._plans:
            self._wrong("request-allowed: no such plan was made before")

    def _carried_out(self, entry: Entry) -> None:
        self._of_request(entry)
        if not self._requests.get(entry["request"], True):
            self._wrong("request-carried-out: nobody had allowed it")

    def _recipients_told(self, entry: Entry) -> None:
        """They have to be told of what went before a request was withdrawn, too."""
        if entry["request"] not in self._requests:
            self._wrong("recipients-told: no such request was received before")

    def _of_request(self, entry: Entry) -> None:
        if entry["request"] not in self._requests:
            self._wrong(f"{entry['type']}: no such request was received before")
        if entry["request"] in self._withdrawn:
            self._wrong(f"{entry['type']}: the request was withdrawn before")

    def _replayed(self, entry: Entry) -> None:
        if entry["plan"] not in self._plans:
            self._wrong("replayed: no such plan was made before")

    def _daemon_started(self, _entry: Entry) -> None:
        if self._daemon:
            self._wrong("daemon-started: the one before has not ended")
        self._daemon = True

    def _daemon_ended(self, entry: Entry) -> None:
        if not self._daemon:
            self._wrong(f"{entry['type']}: no daemon had started")
        self._daemon = False


def _once(positions: Iterable[int], count: int) -> bool:
    """Whether each of these is a position, and none stands twice."""
    listed = list(positions)
    return not listed or (max(listed) < count and len(set(listed)) == len(listed))


def _without_zeros(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: n for name, n in counts.items() if n}
