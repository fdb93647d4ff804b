"""One look at categories, from the plan to the certificate: what `apply --category` and the daemon both call.

Planned, allowed by the approval, and carried out under the execute lock; and whatever comes of it,
a look is recorded for each category. Recorded it is on every way out: done, nothing due, refused,
unapproved, a store not seen, failed, stopped. Two ways leave no look: somebody else is at work on
the state (`Locked`), who records one, and a state that cannot be written.

A look that finds nothing begins no run: its plan is its evidence. What was written is published by
the caller, who may put that off where nothing was destroyed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from retentiond.app import planning
from retentiond.app.applying import Applied, Progress, apply_plan, silent
from retentiond.app.approving import approval_of, plan_approved, require_approved, waiting_plan, wants
from retentiond.app.copying import Copies, make_copies
from retentiond.app.erasing import look_again
from retentiond.app.house import House
from retentiond.app.lifecycles import take_away
from retentiond.app.projecting import project
from retentiond.app.recovery import recover
from retentiond.archive.copying import Made
from retentiond.archive.writing import Pulse
from retentiond.core.ladder import VERDICTS
from retentiond.core.limits import refuse
from retentiond.core.plan import Header
from retentiond.engine.ports import Stop
from retentiond.errors import (
    ClockStepped,
    Locked,
    NotApproved,
    PlanRefused,
    RetentiondError,
    StateUnavailable,
    StoreTrouble,
    StoreUnavailable,
    UsageError,
)
from retentiond.ledger.clock import micros
from retentiond.ledger.looks import Look, Result
from retentiond.ledger.plans import PlanFile

Patience = Callable[[], bool]
"""Asked when somebody else is at work on the state: whether to try again. It waits as long as it sees fit."""

_FOUND = (*VERDICTS, "overdue", "violations")
_UNAPPROVED = frozenset({"never", "revoked", "changed", "each"})


class Stopped(RetentiondError):
    """Told to stop before anything was begun; `why` says by what."""

    code = "stopped"


@dataclass(slots=True)
class Enforced:
    """What came of it: the run, with what was not seen among what is down, and the look at each category."""

    applied: Applied
    looks: Mapping[str, Look]


def impatient() -> bool:
    """Does not wait for anybody."""
    return False


def enforce(
    house: House,
    names: Sequence[str],
    *,
    over_limits: str | None = None,
    stop: Stop,
    watch: planning.Progress = planning.silent,
    progress: Progress = silent,
    patience: Patience = impatient,
) -> Enforced:
    """Looks at approved categories and does what is due; errors are those of `errors.py`, with the look recorded.

    A person who passes the limits names a plan, so it is that plan and not a new one. `watch` is
    told how far planning has come, and may raise `Stopped`; `progress` how far disposal has.
    """
    attempt = _Attempt(house, [category.name for category in house.categories(names)])
    try:
        plan = attempt.named_plan(over_limits) if over_limits else attempt.new_plan(watch, stop)
        idle = not plan.header.total and not plan.header.blocked() and not house.runs.open_intents()
        applied = (
            attempt.nothing(plan, stop, partial(watch, "copying", 0))
            if idle
            else attempt.carry_out(plan, over_limits=over_limits, stop=stop, progress=progress, patience=patience)
        )
    except Locked:
        raise
    except Exception as error:
        with suppress(StateUnavailable):  # the error that is on its way says more
            attempt.note(error)
        raise
    looks = attempt.note()
    applied.down |= attempt.unseen
    applied.copies.add(attempt.copies)
    return Enforced(applied, looks)


def apply_named(
    house: House, plan: PlanFile, *, over_limits: str | None, bypass: str = "", stop: Stop, progress: Progress
) -> Enforced:
    """A person carries out a plan; a look of the instant at which it was made is recorded for each of its categories."""
    attempt = _Attempt(house, list(plan.header.categories))
    attempt.header, attempt.began = plan.header, plan.header.at
    applied = attempt.carry_out(plan, over_limits=over_limits, allowed_by="person", bypass=bypass, stop=stop, progress=progress)
    if plan.header.requests is not None:  # it was about some people, so it says nothing of how its categories stand
        return Enforced(applied, {})
    return Enforced(applied, attempt.note() if applied.run else {})


class _Attempt:
    """One call: what is known of it so far."""

    def __init__(self, house: House, names: Sequence[str]) -> None:
        self.house, self.names, self.began = house, names, house.now
        self.header: Header | None = None
        self.plan: str | None = None
        self.applied: Applied | None = None
        self.unseen: dict[str, RetentiondError] = {}
        self.earlier: Header | None = None
        self.copies = Made()

    def named_plan(self, over_limits: str) -> PlanFile:
        """The plan that a person names to pass its limits."""
        require_approved(self.house, self.names)
        plan = self.house.plans.find(over_limits)
        if sorted(self.names) != list(plan.header.categories):
            raise UsageError("--over-limits names a plan of other categories", do=f"retentiond plan {' '.join(self.names)}")
        self.header = plan.header
        return plan

    def mend(self) -> None:
        """Recovers first what was cut short, so that the plan is judged by what we know; not while somebody is at work."""
        if self.house.runs.cut_short():
            with suppress(Locked), self.house.locked("execute", "recovering what was cut short"):
                recover(self.house)

    def copy(self, stop: Stop, pulse: Pulse, *, repair: bool) -> Copies:
        """The copies that approved categories want, made as long as nobody else is at work."""
        approved = [c for c in self.house.categories(self.names) if not wants(self.house, c)]
        if any(rule.copied_to for category in approved for rule in category.rules):
            with suppress(Locked), self.house.locked("execute", "copying"):
                return make_copies(self.house, approved, repair=repair, stop=stop, pulse=pulse)
        return Copies()

    def new_plan(self, watch: planning.Progress, stop: Stop) -> PlanFile:
        """A plan made now, or the one that waits for a person already; `NotApproved` where it needs one.

        What has no copy yet where its rule wants one gets it first; what has lost it is a violation of this plan.
        """
        self.mend()
        failed = take_away(self.house, changed=True) | project(self.house).failed
        self.copies = self.copy(stop, partial(watch, "copying", 0), repair=False).made
        earlier = waiting_plan(self.house, self.names)
        self.earlier = earlier if earlier is not None and earlier.blocked() else None
        planned, refusal = plan_approved(self.house, self.names, watch)
        self.header, self.unseen = planned.header, planned.unseen | failed
        if refusal is not None:
            raise refusal
        return self.house.plans.find(planned.name)

    def nothing(self, plan: PlanFile, stop: Stop, pulse: Pulse) -> Applied:
        """Nothing is due; by a clock that is not trusted, that is not known. Copies are repaired all the same."""
        self.house.ledger.refuse_stepped_clock()
        copies = self.copy(stop, pulse, repair=True)
        self.applied = Applied(plan.name, copies=copies.made, down=copies.down)
        return self.applied

    def carry_out(
        self,
        plan: PlanFile,
        *,
        over_limits: str | None,
        allowed_by: str = "approval",
        bypass: str = "",
        stop: Stop,
        progress: Progress,
        patience: Patience = impatient,
    ) -> Applied:
        """Carries out the plan as soon as nobody else is at work, and as long as the approval is there that lets it."""
        stop = self._while_approved(stop) if allowed_by == "approval" else stop
        while True:
            if allowed_by == "approval":
                require_approved(self.house, self.names)
            try:
                self.applied = apply_plan(
                    self.house,
                    plan,
                    over_limits=over_limits,
                    allowed_by=allowed_by,
                    bypass=bypass,
                    stop=stop,
                    progress=progress,
                )
            except Locked:
                if not patience():
                    raise
            except PlanRefused:
                if over_limits is None and self.earlier is not None:
                    raise self._refused_as_before(plan) from None
                raise
            else:
                asked = plan.header.requests
                look_again(self.house, asked if asked is not None else self.house.runs.requests_of(self.applied.run or ""))
                return self.applied

    def _refused_as_before(self, plan: PlanFile) -> PlanRefused:
        """The refusal of the earlier plan that waits for a person already; this one is dropped.

        A look every quarter of an hour would else leave a hundred plans a day, of all that is due each.
        """
        assert self.earlier is not None
        if plan.name != self.earlier.name:
            self.house.plans.drop(plan.name)
        self.plan = self.earlier.name
        return refuse(self.earlier.name, [r for r in self.earlier.refused if r.blocks])

    def _while_approved(self, stop: Stop) -> Stop:
        """Stops for what the caller says, and when a person has taken an approval back, whatever was begun on its ground."""

        def reason() -> str | None:
            states = (approval_of(self.house, self.house.memory, category) for category in self.house.categories(self.names))
            return stop() or ("an approval was revoked" if "revoked" in states else None)

        return reason

    def note(self, error: Exception | None = None) -> dict[str, Look]:
        """Records what came of it for each category that it came to something for."""
        looks = {name: look for name in self.names if (look := self._look(name, error)) is not None}
        for look in looks.values():
            self.house.looks.record(look)
        return looks

    def _look(self, name: str, error: Exception | None) -> Look | None:
        counts = [c for c in self.header.counts if c["category"] == name] if self.header is not None else []
        found = {kind: sum(c.get(kind, 0) for c in counts) for kind in _FOUND} if counts else {}
        result, code = self._failure(name, error, found) if error is not None else self._success(name, found)
        if result is None:
            return None
        starts = [c[name] for c in counts for name in ("oldest", "oldest_staying") if c["overdue"] and c.get(name)]
        applied = self.applied or Applied("")
        return Look(
            category=name,
            began=micros(self.began),
            ended=self.house.clock().wall,
            result=result,
            plan=self.plan or (self.header.name if self.header is not None else None),
            run=applied.run,
            code=code,
            oldest_overdue=micros(datetime.fromisoformat(min(starts))) if starts else None,
            found=found,
            outcomes={kind: n for kind, n in applied.by_category.get(name, Counter[str]()).items() if n},
        )

    def _seen(self, name: str) -> set[str]:
        """The rules of a category that the plan saw: somebody may carry out one that could not see them all."""
        return {c["rule"] for c in self.header.counts if c["category"] == name} if self.header is not None else set()

    def _success(self, name: str, found: Mapping[str, int]) -> tuple[Result, str | None]:
        """What came of a category when the call came to its end."""
        applied = self.applied or Applied("")
        category = self.house.rulebook.categories[name]
        down = self.unseen | applied.down
        mine = sorted(down.keys() & self.house.rulebook.stores_of(category))
        troubles = [*(down[store] for store in mine), *_of_category(name, self.unseen)]
        if troubles:
            return "unseen", _code(troubles[0])
        if self.header is not None and not {rule.name for rule in category.rules} <= self._seen(name):
            return "unseen", StoreUnavailable.code
        if self.header is not None and name in self.header.blocked() and applied.refused is not None:
            return "refused", _limit(self.header, name)
        if applied.stopped:
            return "stopped", None
        outcomes = applied.by_category.get(name, Counter[str]())
        if outcomes["failed"] or outcomes["unknown"]:
            return "failed", "failed" if outcomes["failed"] else "unknown"
        return ("done" if found.get("due") or outcomes else "nothing"), None

    def _failure(self, name: str, error: Exception, found: Mapping[str, int]) -> tuple[Result | None, str | None]:
        """What came of a category when an error ended the call; no result for one that the error is not about."""
        code = _code(error)
        match error:
            case NotApproved():
                state = approval_of(self.house, self.house.memory, self.house.rulebook.categories[name])
                if state not in _UNAPPROVED:
                    return None, None
                if self.header is None or self.header.total:
                    return "unapproved", code
                if unseen := _of_category(name, self.unseen):
                    return "unseen", _code(unseen[0])
                return ("unapproved", code) if state in ("never", "revoked") else ("nothing", None)
            case PlanRefused():
                limit = _limit(self.header, name) if self.header is not None else None
                return "refused", limit or code
            case ClockStepped():
                return "refused", code
            case StoreTrouble():
                return "unseen", code
            case Stopped():
                return "stopped", None
        return "failed", code


def _of_category(name: str, unseen: Mapping[str, RetentiondError]) -> list[RetentiondError]:
    return [error for rule, error in unseen.items() if rule.partition("/")[0] == name]


def _limit(header: Header, name: str) -> str | None:
    """The limit that stopped a category."""
    return next((r.limit for r in header.refused if r.category == name and r.blocks), None)


def _code(error: Exception) -> str:
    return error.code if isinstance(error, RetentiondError) else "internal"
