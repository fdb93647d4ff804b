"""Rules that a bucket keeps by itself: planned, watched, and taken away where a hold or a changed policy says so.

Taking one away destroys nothing, so it needs no plan: it happens as soon as a hold is placed, and before each run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from retentiond.app.house import House
from retentiond.core.canonical import digest
from retentiond.core.ladder import Bench, Judgement
from retentiond.core.lifecycle import ABSENT, Expiry, by_day, expiry_of, gone_since
from retentiond.core.plan import RuleCounts
from retentiond.core.policy import Rule
from retentiond.core.selector import HoldIndex
from retentiond.engine.codec import StayLine, StepLine
from retentiond.engine.expiring import Expiring, Withdrawing
from retentiond.engine.pipeline import Draft, Surveyed, draft, scope_of_steps
from retentiond.engine.ports import View
from retentiond.errors import RetentiondError, StoreDenied, StoreTrouble
from retentiond.ledger.clock import moment
from retentiond.ledger.lifecycles import Installed

_ACTION = "lifecycle"
_TO_DO = ("absent", "different")


@dataclass(slots=True)
class _Counted:
    """A draft that takes no steps of items: these go by the bucket's hand. It counts on which days items started."""

    plan: Draft
    days: Counter[str]
    total: int = 0

    def add(self, rows: list[StepLine]) -> None:
        """Nothing: the bucket does it."""

    def add_stays(self, rows: list[StayLine]) -> None:
        self.plan.add_stays(rows)

    def watch(self, judgements: Iterable[Judgement]) -> Iterator[Judgement]:
        for judged in judgements:
            self.days += by_day(judged.page.starts)
            yield judged


def survey_bucket(
    house: House, view: View, bench: Bench, judgements: Iterable[Judgement], plan: Draft, *, stays: bool, forecast: bool
) -> Surveyed:
    """What is due by a rule that the bucket keeps by itself, and one step where its own rule is not as it should be.

    A `forecast` infers nothing: what will have gone nobody has counted.
    """
    rule, expiry = bench.rule, _expiry(bench)
    if not isinstance(view, Expiring):
        raise StoreDenied("a store of this type cannot delete by itself", do="leave `by` out")
    state = view.expires(scope_of_steps(bench, rule.step_action))
    counted = _Counted(plan, Counter())
    surveyed = draft(counted.watch(judgements), bench, counted, stays=stays)
    counts = surveyed.counts
    known = house.lifecycles.of(bench.category, rule.name, rule.store)
    counts.action = _ACTION
    counts.lifecycle = {"days": dict(sorted(counted.days.items())), "expires_after": expiry.days, "state": _word(state)}
    if bench.holds:
        counts.lifecycle["state"] = "held"
    elif counts.undetermined:
        counts.lifecycle["state"] = "in-doubt"
    elif state:
        plan.add([_step(bench, expiry, state, plan.total + 1)])
    if known is not None and known.since and not (bench.holds or forecast):
        _watch_over(house, counts, known, state, bench)
    return surveyed


def _expiry(bench: Bench) -> Expiry:
    return expiry_of(bench.category, bench.rule.name, bench.rule.retention, bench.zone)


def _word(state: str) -> str:
    return "installed" if not state else "absent" if state == ABSENT else "different"


def _step(bench: Bench, expiry: Expiry, state: str, n: int) -> StepLine:
    rule = bench.rule
    why = f"the bucket is to let go by itself of what is {expiry.days} days old, at the next midnight UTC"
    return StepLine(n, bench.category, rule.name, rule.store, expiry.key, state, None, None, _ACTION, (why,), 0)


def _watch_over(house: House, counts: RuleCounts, known: Installed, state: str, bench: Bench) -> None:
    """That the bucket's rule is as it was installed, and what has gone since the last look; a changed policy breaks nothing."""
    rule, expiry = bench.rule, _expiry(bench)
    if not _is_as_noted(known, rule, expiry):
        return
    if state:
        counts.violations += 1
        counts.breaches["bucket-rule-missing" if state == ABSENT else "bucket-rule-altered"] = 1
    last = house.memory.counted().get((known.category, known.rule))
    told: dict[str, Any] = last.counts.get("lifecycle", {}) if last is not None else {}
    if last is None or last.at < known.since or "days" not in told:
        return
    expired, early = gone_since(told["days"], counts.lifecycle["days"], expiry.days, bench.now)
    if expired or early:
        since = moment(last.at).isoformat().replace("+00:00", "Z")
        counts.lifecycle |= {"inferred": {"expired": expired, "early": early, "since": since}}


def is_kept_by_bucket(counts: RuleCounts) -> bool:
    """Whether nothing is to be done for a rule but by the bucket, so that there is nothing that a limit could stop."""
    return bool(counts.lifecycle) and counts.lifecycle["state"] not in _TO_DO


def note_inferred(house: House, counts: Iterable[RuleCounts]) -> None:
    """Writes down what a plan has inferred."""
    for one in counts:
        found = one.lifecycle.get("inferred")
        known = house.lifecycles.of(one.category, one.rule, one.store) if found else None
        if found and known is not None:
            gone = {"expired": found["expired"], "early": found["early"]}
            house.lifecycles.inferred(known, gone, datetime.fromisoformat(found["since"]))


def expect(house: House, bench: Bench) -> None:
    """Notes that the bucket may have a rule of ours from now on."""
    rule, expiry = bench.rule, _expiry(bench)
    place = house.store(rule.store).place
    house.lifecycles.expect(Installed(bench.category, rule.name, rule.store, place, _items(rule), expiry.days))


def take_away(house: House, *, changed: bool = False) -> dict[str, RetentiondError]:
    """Takes the buckets' rules away that a hold stands against, or that no policy wants; what could not be, by rule.

    With `changed` also those that may let go of what the policy of today keeps: it gets a new one by a plan.
    """
    failed: dict[str, RetentiondError] = {}
    for one in house.lifecycles.all():
        why = _against(house, one, changed=changed)
        if why is None:
            continue
        try:
            _withdraw(house, one)
        except StoreTrouble as error:
            failed[f"{one.category}/{one.rule}"] = error
        else:
            house.lifecycles.removed(one, why)
    return failed


def _against(house: House, one: Installed, *, changed: bool) -> Literal["hold", "policy"] | None:
    category = house.rulebook.categories.get(one.category)
    rules = category.rules if category is not None else ()
    rule = next((r for r in rules if (r.name, r.store, r.by) == (one.rule, one.store, _ACTION)), None)
    if rule is None:
        return "policy"
    if HoldIndex(house.registers().holds, one.category, rule):
        return "hold"
    expiry = expiry_of(one.category, one.rule, rule.retention, house.rulebook.zone)
    return "policy" if changed and (one.items != _items(rule) or one.days < expiry.days) else None


def _withdraw(house: House, one: Installed) -> None:
    by_hand = f"take the lifecycle rule retentiond/{one.category}/{one.rule} of that bucket away by hand"
    if one.store not in house.rulebook.stores:
        raise StoreDenied(f"the store {one.store} is not declared any more, and its bucket still has a rule of ours", do=by_hand)
    store = house.store(one.store)
    if store.place != one.place:
        raise StoreDenied(f"the store {one.store} is elsewhere now, and its former bucket may have a rule of ours", do=by_hand)
    if isinstance(store, Withdrawing):
        store.withdraw(f"retentiond/{one.category}/{one.rule}")


def _is_as_noted(known: Installed, rule: Rule, expiry: Expiry) -> bool:
    return (known.items, known.days) == (_items(rule), expiry.days)


def _items(rule: Rule) -> str:
    return digest({"selection": repr(rule.selection)})
