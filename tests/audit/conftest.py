"""What the tests of the audit log share: vectors that nobody here wrote, and a ledger that lives in memory."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from retentiond.audit.note import Signer
from retentiond.audit.publish import Publisher
from retentiond.core import entry
from retentiond.engine import failpoints

VECTORS = Path(os.environ.get("RETENTIOND_VECTORS") or Path(__file__).parents[2].parent / "shared" / "vectors")
RULEBOOK, REFERENCE = "b" * 64, "c" * 32


class Story:
    """A ledger in memory, and a publisher's source. Its entries tell a possible story unless a test makes them not."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.references: list[tuple[int, str, int, bytes]] = []
        self.stored: tuple[int, bytes] | None = None
        self.asked = 0
        self.last = {"hold": -1, "event": -1}
        self.of_run: dict[str, int] = {}

    # As a source.

    def size(self) -> int:
        return len(self.bodies)

    def entries(self, first: int, end: int) -> Iterator[bytes]:
        for body in self.bodies[first:end]:
            self.asked += 1
            yield body

    def refs(self, first: int, end: int) -> Iterator[tuple[str, int, bytes]]:
        for index, run, position, data in self.references:
            if first <= index < end:
                yield run, position, data

    def head(self) -> tuple[int, bytes] | None:
        return self.stored

    def store_head(self, size: int, root: bytes) -> None:
        self.stored = (size, root)

    # As a ledger.

    def write(self, type_: str, time: int | None = None, **fields: Any) -> int:
        self.bodies.append(entry.written(type_, 1_000_000 + len(self.bodies) if time is None else time, fields))
        return len(self.bodies) - 1

    def plan(self, name: str = "a" * 64, steps: int = 1000, forecast: int = 0) -> str:
        self.write("plan-made", plan=name, rulebook=RULEBOOK, at=1_000_000, steps=steps, forecast=forecast)
        return name

    def trip(self, plan: str, limit: str = "items", category: str = "tickets") -> int:
        return self.write("limit-tripped", plan=plan, category=category, rule="r", limit=limit, value=2, allowed=1)

    def allow(self, plan: str, run: str = "d" * 16, by: str = "person", categories: tuple[str, ...] = ("tickets",)) -> str:
        self.write("plan-allowed", plan=plan, run=run, by=by, categories=list(categories))
        return run

    def intent(self, run: str, plan: str, count: int = 4, **other: Any) -> int:
        fields = {"first": 1, "holds": self.last["hold"], "events": self.last["event"], **other}
        return self._with_references("intent", run, plan, count, fields)

    def spared(self, run: str, plan: str, otherwise: dict[str, list[int]], count: int | None = None, **other: Any) -> int:
        named = sum(map(len, otherwise.values()))
        fields = {"otherwise": otherwise, "why": {}, **other}
        return self._with_references("spared", run, plan, named if count is None else count, fields)

    def outcome(self, intent: int, disposed: int, otherwise: dict[str, list[int]] | None = None, **other: Any) -> int:
        fields = {"inferred": [], "otherwise": otherwise or {}, "why": {}, **other}
        return self.write("outcome", intent=intent, disposed=disposed, **fields)

    def certificate(self, run: str, plan: str, **counts: int) -> int:
        return self.write("certificate", run=run, plan=plan, counts=counts, looked=0, absent=0, back=0)

    def hold(self) -> int:
        self.last["hold"] = self.write("hold-placed", hold=REFERENCE, scopes=["category"], mandate=REFERENCE)
        return self.last["hold"]

    def event(self) -> int:
        self.last["event"] = self.write("event-recorded", event="closed", subject=REFERENCE)
        return self.last["event"]

    def beat(self, times: int = 1) -> None:
        for _ in range(times):
            self.write("heartbeat")

    def whole_run(self, run: str = "d" * 16, plan: str = "a" * 64) -> None:
        """A run with disposed, inferred, failed and spared items, and its certificate."""
        self.allow(self.plan(plan), run)
        first = self.intent(run, plan, 4)
        self.spared(run, plan, {"held": [0, 1]}, why={"legal": [0]})
        self.outcome(first, 3, {"failed": [2]}, inferred=[0], why={"denied": [2]})
        self.outcome(self.intent(run, plan, 3), 3)
        self.certificate(run, plan, disposed=6, inferred=1, failed=1, held=2)

    def _with_references(self, type_: str, run: str, plan: str, count: int, fields: dict[str, Any]) -> int:
        position = self.of_run.get(run, 0)
        data = b"".join(hashlib.sha256(f"{run}/{position + i}".encode()).digest()[:16] for i in range(count))
        names = {"run": run, "plan": plan, "category": "tickets", "rule": "r", "store": "s"}
        mine = {"refs": position, "count": count, "sha256": hashlib.sha256(data).hexdigest()}
        index = self.write(type_, **{**names, **mine, **fields})
        self.references.append((index, run, position, data))
        self.of_run[run] = position + count
        return index


def tree_of(directory: Path) -> dict[str, bytes]:
    """Every file of a folder, by its name."""
    return {str(p.relative_to(directory)): p.read_bytes() for p in sorted(directory.rglob("*")) if p.is_file()}


@pytest.fixture
def vectors() -> Path:
    if not VECTORS.is_dir():
        pytest.skip(f"THE VECTORS ARE NOT HERE, so nothing independent was compared: {VECTORS}; set RETENTIOND_VECTORS")
    return VECTORS


@pytest.fixture
def story() -> Story:
    return Story()


@pytest.fixture
def new_story() -> Callable[[], Story]:
    return Story


@pytest.fixture
def files_of() -> Callable[[Path], dict[str, bytes]]:
    return tree_of


@pytest.fixture
def signer() -> Signer:
    return Signer("audit.example.org/retentiond", bytes(range(32)))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def publisher(log: Path, signer: Signer) -> Publisher:
    return Publisher(log, signer)


@pytest.fixture
def published(story: Story, publisher: Publisher, log: Path) -> Path:
    """A small sound log of several publications: two runs, a hold, an event, partial tiles of earlier sizes."""
    story.write("log-started", format=1)
    publisher.publish(story)
    story.whole_run()
    publisher.publish(story)
    story.hold()
    story.event()
    publisher.publish(story)
    story.whole_run("e" * 16, "f" * 64)
    story.intent(story.allow(story.plan("1" * 64), "2" * 16), "1" * 64, 5)
    publisher.publish(story)
    return log


@pytest.fixture
def watch() -> Iterator[Callable[[Callable[[str], None]], None]]:
    """Tells somebody when the way reaches an arrow, for one test."""
    yield failpoints.watch
    failpoints.watch(None)
