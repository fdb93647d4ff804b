"""How things stand: what the last look at each category found, what is broken or late, and what waits for a person.

It is read from a snapshot of the ledger and from nothing else: no store is opened, nothing is
written, no run is waited for or disturbed. So what is overdue is what the newest plan found that
saw the rule, less what was disposed of since: as old as that plan, never too few by our own doing,
and still told when the store cannot be seen any more or is suddenly empty. It may be asked for from any thread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

from retentiond.app.answering import Asked, asked, still_open
from retentiond.app.approving import ApprovalState, approval_of
from retentiond.app.house import House
from retentiond.config.schedule import next_after, schedule
from retentiond.core.policy import Category
from retentiond.ledger.alarms import AlarmRegister
from retentiond.ledger.anchors import AnchorRegister
from retentiond.ledger.clock import micros, moment
from retentiond.ledger.journal import Runs
from retentiond.ledger.ledger import Ledger
from retentiond.ledger.looks import Look, Looks, Result
from retentiond.ledger.memory import Counted, Memory
from retentiond.ledger.plans import PlanRegister
from retentiond.ledger.registers import HoldRegister
from retentiond.ledger.schema import keeping
from retentiond.ledger.snapshot import snapshot

Trouble = Literal["overdue", "violation", "late"]
"""What `status --check` fails for: a promise broken, or nobody who would see it."""

FOUND = ("violations", "undetermined", "held", "locked", "newer")
"""What a plan counted beside the due; `held` and `locked` are items otherwise due, `newer` those of people who were erased."""

_FOR_A_PERSON: frozenset[Result] = frozenset({"refused", "unapproved"})


@dataclass(frozen=True, slots=True)
class CategoryStanding:
    """One category. `overdue` is at most so many now; `found` has what the newest plan that saw each rule counted.

    `seen` is the instant of the oldest of those plans; None where a rule was never seen.
    `next_look` is when its schedule comes next after the last look, in the past where that was missed.
    `breaches` counts what of the requirements the violations break, `forbidden` those that must not exist at all;
    `doubts` counts the reasons why items are undetermined. `oldest_overdue` is the starting point of the oldest overdue
    item. `late_from` is when a category counts as late unless something effective happens before; None where it was never
    heard of. `waits_with` names the plan that a person would have to carry out.
    """

    category: str
    schedule: str
    approval: ApprovalState
    look: Look | None
    next_look: datetime | None
    late_from: datetime | None
    late: bool
    seen: datetime | None = None
    overdue: int = 0
    oldest_overdue: datetime | None = None
    found: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(FOUND, 0))
    breaches: Mapping[str, int] = field(default_factory=dict)
    forbidden: int = 0
    doubts: Mapping[str, int] = field(default_factory=dict)
    waits_with: str | None = None

    @property
    def troubles(self) -> list[Trouble]:
        """What is not as promised."""
        found: list[tuple[Trouble, bool]] = [
            ("violation", self.found["violations"] > 0),
            ("overdue", self.overdue > 0),
            ("late", self.late),
        ]
        return [trouble for trouble, there in found if there]

    @property
    def effective(self) -> datetime | None:
        """The end of the last effective look."""
        return moment(self.look.effective) if self.look and self.look.effective is not None else None

    @property
    def waits(self) -> bool:
        """Whether nothing goes on without a person."""
        return self.waits_with is not None or self.approval in ("never", "revoked", "changed")


@dataclass(frozen=True, slots=True)
class Trail:
    """The audit trail: entries there are, entries published, when the newest checkpoint was, bytes of `audit.jsonl`.

    `anchors` are configured; `anchored_at` is when one of them last took a checkpoint, `anchors_failing` how many do not now.
    """

    entries: int = 0
    published: int = 0
    published_at: datetime | None = None
    bytes: int = 0
    anchors: int = 0
    anchored_at: datetime | None = None
    anchors_failing: int = 0

    @property
    def unpublished(self) -> int:
        """Entries that stand in the ledger only."""
        return max(0, self.entries - self.published)


@dataclass(frozen=True, slots=True)
class Standing:
    """How things stood at `at`. `clock_step` is in microseconds, 0 while the clock is trusted; `state_bytes` of the database.

    `requests` are the erasure requests that are open. `messages_owed` were not taken yet by whom they are for,
    `receivers_failing` is how many refuse or are not reached.
    """

    at: datetime
    categories: Sequence[CategoryStanding]
    daemon: bool = False
    running: bool = False
    stop_file: bool = False
    clock_step: int = 0
    open_intents: int = 0
    holds: int = 0
    holds_to_review: int = 0
    requests: Sequence[Asked] = ()
    messages_owed: int = 0
    receivers_failing: int = 0
    state_bytes: int = 0
    trail: Trail = Trail()

    @property
    def ok(self) -> bool:
        """Whether every promise is kept as far as is known, and is looked after."""
        return not any(each.troubles for each in self.categories) and not any(one.late for one in self.requests)


def standing(house: House) -> Standing:
    """How things stand now; `StateUnavailable` where there is a state that cannot be read, `UsageError` for a stranger's."""
    at = house.clock().now
    book, directory = house.rulebook, house.directory
    directory.refuse_stranger()
    with keeping():
        if not directory.exists():
            return Standing(at, [_never(category) for category in book.categories.values()])
        stop_file = directory.stop_file.exists()
    with keeping(), snapshot(directory.database, house.clock) as ledger:
        looks, memory, plans = Looks(ledger).all(), Memory(ledger), PlanRegister(ledger, directory.plans)
        counted = memory.counted()
        today = at.astimezone(book.zone).date().isoformat()
        holds = HoldRegister(ledger).current().holds
        debtors = AlarmRegister(ledger).debtors().values()
        return Standing(
            at,
            [
                _category(house, category, at, looks.get(name), memory, plans, counted)
                for name, category in book.categories.items()
            ],
            daemon=house.is_locked("daemon", ledger),
            running=house.is_locked("execute", ledger),
            stop_file=stop_file,
            clock_step=ledger.clock_step(),
            open_intents=len(Runs(ledger).open_intents()),
            holds=len(holds),
            holds_to_review=sum(hold.review_on is not None and hold.review_on <= today for hold in holds),
            requests=still_open(asked(ledger, book.zone, at)),
            messages_owed=sum(each.owed for each in debtors),
            receivers_failing=sum(each.failing_since is not None for each in debtors),
            state_bytes=ledger.bytes(),
            trail=_trail(house, ledger),
        )


def _never(category: Category) -> CategoryStanding:
    approval: Mapping[str, ApprovalState] = {"none": "unneeded", "always": "each", "first": "never"}
    return CategoryStanding(category.name, category.schedule, approval[category.approval], None, None, None, late=True)


def _category(
    house: House,
    category: Category,
    at: datetime,
    look: Look | None,
    memory: Memory,
    plans: PlanRegister,
    counted: Mapping[tuple[str, str], Counted],
) -> CategoryStanding:
    late_from = _late_from(house, category, look, memory)
    seen = [(rule, counted[category.name, rule.name]) for rule in category.rules if (category.name, rule.name) in counted]
    oldest = [each for _, c in seen for each in _oldest_overdue(c)]
    plan = look.plan if look and look.result in _FOR_A_PERSON else None
    return CategoryStanding(
        category.name,
        category.schedule,
        approval_of(house, memory, category),
        look,
        _next(house, category, moment(look.began)) if look else None,
        late_from,
        late=late_from is None or late_from < at,
        seen=moment(min(c.at for _, c in seen)) if len(seen) == len(category.rules) else None,
        overdue=sum(_due_and_left(c) + c.counts.get("overdue_staying", 0) for _, c in seen),
        oldest_overdue=datetime.fromisoformat(min(oldest)) if oldest else None,
        found={name: sum(c.counts.get(name, 0) for _, c in seen) for name in FOUND},
        breaches=sum((Counter(c.counts.get("breaches", {})) for _, c in seen), Counter[str]()),
        forbidden=sum(c.counts.get("violations", 0) for _, c in seen if not c.counts.get("breaches")),
        doubts=_doubts(c for _, c in seen),
        waits_with=plan if plan and plans.waits(plan, micros(at)) else None,
    )


def _doubts(seen: Iterable[Counted]) -> Counter[str]:
    """How many items are undetermined for each reason, as far as their plans said why."""
    found = Counter[str]()
    for counted in seen:
        for one in counted.counts.get("reasons", {}).get("undetermined", ()):
            found[one["why"]] += one["items"]
    return found


def _next(house: House, category: Category, began: datetime) -> datetime:
    return next_after(schedule(category.schedule), house.rulebook.zone, began, began)


def _late_from(house: House, category: Category, look: Look | None, memory: Memory) -> datetime | None:
    """`silence` periods of the schedule after the last effective look, or after the category was first heard of."""
    since = look.effective if look else None
    if since is None:
        versions = memory.versions(category.name)
        since = versions[-1].seen_at if versions else None
    period = timedelta(minutes=schedule(category.schedule).longest_gap)
    return None if since is None else moment(since) + house.settings.silence * period


def _due_and_left(counted: Counted) -> int:
    """At most so many of the overdue that a plan found due are left."""
    found: int = counted.counts["overdue"] - counted.counts.get("overdue_staying", 0)
    due: int = counted.counts["due"]
    return min(found, max(0, due - counted.disposed))


def _oldest_overdue(counted: Counted) -> list[str]:
    """The starts of the oldest item that is overdue and due, and of the oldest that is overdue and stays."""
    due = counted.counts["oldest"] if _due_and_left(counted) else None
    return [start for start in (due, counted.counts.get("oldest_staying")) if start]


def _trail(house: House, ledger: Ledger) -> Trail:
    """How far the audit log is published, by its newest checkpoint; its signature is for `audit verify`."""
    from retentiond.audit.layout import CHECKPOINT, LINES, read_file
    from retentiond.audit.note import LONGEST, number_of, parse_note

    log, register = house.directory.log, AnchorRegister(ledger)
    anchored = [register.of(one.id) for one in house.settings.audit.anchors]
    last = max((one.at for one in anchored), default=0)
    trail = Trail(
        ledger.size(),
        anchors=len(anchored),
        anchored_at=moment(last) if last else None,
        anchors_failing=sum(bool(one.trouble) for one in anchored),
    )
    with keeping():
        note = read_file(log / CHECKPOINT, LONGEST)
        if note is None:
            return trail
        published = number_of(parse_note(note).text.split("\n")[1]) or 0
        at = moment((log / CHECKPOINT).stat().st_mtime_ns // 1000)
        lines = (log / LINES).stat().st_size if (log / LINES).exists() else 0
    return replace(trail, published=published, published_at=at, bytes=lines)
