"""After a crash: what became of the intents that have no outcome, by looking. It destroys nothing.

An open intent is never acted on. Its items are looked at in their store: still there in their
revision means that nothing happened, absent means disposed (marked as inferred), another
revision means changed; a row that was to be anonymised is judged by what its columns hold. Where
the store cannot be reached, the intent stays open and its items are unknown until a later look.
This happens also when the plan is stale or expired.
"""

from __future__ import annotations

from collections import Counter
from itertools import takewhile

from retentiond.app.house import House
from retentiond.core.ladder import Bench
from retentiond.core.outcome import Outcome, Settled
from retentiond.core.policy import Action
from retentiond.engine.codec import Step
from retentiond.engine.fates import inferred_fates
from retentiond.engine.pipeline import bench_for, scope_of_steps
from retentiond.engine.ports import PAGE, Batch, Closing, OpenIntent
from retentiond.errors import PlanUnusable, RetentiondError, StoreDenied, StoreUnavailable
from retentiond.ledger.plans import PlanFile, path_of


def recover(house: House, down: dict[str, RetentiondError] | None = None) -> Counter[str]:
    """Writes the outcome of every open intent that can be looked at; what they came to. For whoever holds the execute lock.

    `down` is told of each store that could not be looked into, and why: the items of its intents are unknown until then.
    What runs that were cut short had disposed of by then is remembered too, or their stores would
    look as if they had shrunk by themselves.
    """
    for run, plan in house.runs.cut_short():
        disposed = house.runs.counted(run)
        house.memory.disposed(plan, disposed, usual=_usual(house, plan))
        for (category, _), items in disposed.items():
            house.looks.add(category, {Outcome.DISPOSED: items})
    counts: Counter[str] = Counter()
    for intent in house.runs.open_intents():
        settled = _look(house, intent, {} if down is None else down)
        if settled is None:
            counts["unknown"] += len(intent.steps)
            continue
        inferred = [i for s in settled if s.outcome is Outcome.DISPOSED for i in s.positions]
        house.runs.resolve(Closing(intent.index, len(intent.steps), settled, inferred))
        if any(s.outcome is Outcome.INSTALLED for s in settled):
            house.lifecycles.found(intent.category, intent.rule, intent.store)
        usual = _usual(house, intent.plan)
        house.memory.disposed(intent.plan, {(intent.category, intent.rule): len(inferred)}, usual=usual)
        found = Counter({s.outcome.value: 0 for s in settled})
        for s in settled:
            found[s.outcome.value] += len(s.positions)
        house.looks.add(intent.category, found)
        counts += found
        counts["inferred"] += len(inferred)
    return counts


def _usual(house: House, plan: str) -> bool:
    """Whether a plan was one of the rules', and not of an erasure request; in doubt it was."""
    try:
        return PlanFile(path_of(house.directory.plans, plan)).header.requests is None
    except PlanUnusable:
        return True


def _look(house: House, intent: OpenIntent, down: dict[str, RetentiondError]) -> list[Settled] | None:
    """The fates of an intent's steps; None where the plan, the rule or the store is not to be had.

    Nor where the store is at another place: what is absent there, below a disk that is not
    mounted, was not disposed of.
    """
    bench = _bench(house, intent)
    try:
        plan = PlanFile(path_of(house.directory.plans, intent.plan))
        steps = _steps(plan, intent)
    except PlanUnusable:
        return None
    if bench is None or steps is None or (steps[0].action == "lifecycle" and not bench.rule.by):
        return None
    try:
        store = house.store(intent.store)
        if store.place != plan.header.places[intent.store]:
            return None
        keys, revisions = [s.key for s in steps], [s.revision for s in steps]
        action = _planned(steps[0], bench)
        batch = Batch(intent.steps[0], scope_of_steps(bench, action), action, keys, revisions, store=intent.store)
        return inferred_fates(store, batch, range(len(steps)))
    except (StoreUnavailable, StoreDenied) as error:
        down.setdefault(intent.store, error)
        return None


def _planned(step: Step, bench: Bench) -> Action:
    """What the plan meant to do, which the rule of today may not."""
    action = bench.rule.action
    if step.action == "lifecycle":
        return Action("lifecycle")
    return action if action.kind == step.action else Action("anonymise" if step.action == "anonymise" else "delete")


def _bench(house: House, intent: OpenIntent) -> Bench | None:
    category = house.rulebook.categories.get(intent.category)
    rule = next((r for r in category.rules if r.name == intent.rule and r.store == intent.store), None) if category else None
    return bench_for(category, rule, house.rulebook.zone, house.now, ()) if category and rule else None


def _steps(plan: PlanFile, intent: OpenIntent) -> list[Step] | None:
    wanted, last = set(intent.steps), intent.steps[-1]
    blocks = takewhile(lambda block: block[0].n <= last, plan.blocks(PAGE, intent.steps[0]))
    found = [s for block in blocks for s in block if s.n in wanted]
    return found if len(found) == len(wanted) else None
