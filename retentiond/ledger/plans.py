"""Plans on disk and in the register: written once, sealed, named by their digest.

A plan holds the keys of items in clear, so its file is 0600, lies in `plans/`, and goes when it
has been carried out and its day is over, or after 30 days at the latest. Only a plan that was
registered when it was made can be applied, so that an edited or foreign file is refused.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, TypeVar

import sqlalchemy as sa

from retentiond.core.canonical import canonical
from retentiond.core.plan import SHORTEST_NAME, Header, header_from
from retentiond.engine.codec import SealBroken, StayLine, Step, StepLine, lines, step_lines, steps
from retentiond.engine.failpoints import reach
from retentiond.errors import PlanUnusable
from retentiond.ledger import schema
from retentiond.ledger.clock import micros
from retentiond.ledger.ledger import Ledger, Transaction

_Read = TypeVar("_Read", Step, StepLine)
_BUFFER = 1 << 20
_KEPT_FOR = 30 * 86_400 * 1_000_000
_LEFT_FOR = 86_400 * 1_000_000
_UNFINISHED = re.compile(r"\.[0-9a-f]{16}(\.steps|\.stays)?|[0-9a-f]{64}\.(jsonl|[0-9a-f]{8})")
_HEADER_LIMIT = 1 << 24
_BETWEEN_MARKS = 1 << 14


class PlanWriter:
    """Writes step lines as they are drafted; `seal` puts the header before them and gives the plan its name.

    `StateUnavailable` where they cannot be written; what was written until then goes.
    """

    @schema.keeping()
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._partial = directory / f".{secrets.token_hex(8)}"
        self._steps = _new_file(self._partial.with_suffix(".steps"))
        self._stays = _new_file(self._partial.with_suffix(".stays"))
        self._hash = hashlib.sha256()
        self.total = 0

    def __enter__(self) -> PlanWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._partial.unlink(missing_ok=True)
        for file in (self._steps, self._stays):
            Path(file.name).unlink(missing_ok=True)
            with suppress(OSError):  # what could not be written before cannot be written now, and nobody misses it
                file.close()

    @schema.keeping()
    def add(self, rows: list[StepLine]) -> None:
        """Appends steps; their numbers go on where the last ones ended."""
        text = lines(rows)
        self._hash.update(text)
        self._steps.write(text)
        self.total += len(rows)

    @schema.keeping()
    def add_stays(self, rows: list[StayLine]) -> None:
        """Appends lines about items that stay, which stand after the steps and outside the digest."""
        self._stays.write(lines(rows))

    def mark(self) -> tuple[int, int, int, Any]:
        """Where the plan stands now, to come back to."""
        return self._steps.tell(), self._stays.tell(), self.total, self._hash.copy()

    @schema.keeping()
    def back_to(self, mark: tuple[int, int, int, Any]) -> None:
        """Forgets everything that was added since a mark: a partial listing must not look whole."""
        steps, stays, self.total, self._hash = mark
        for file, end in ((self._steps, steps), (self._stays, stays)):
            file.flush()
            file.truncate(end)
            file.seek(end)

    @property
    def digest(self) -> str:
        """The SHA-256 of the step lines so far."""
        return self._hash.hexdigest()

    @schema.keeping()
    def seal(self, header: Header) -> Path:
        """Writes the whole plan under its name, durably; the file is not registered yet."""
        line = canonical(header.as_json() | {"plan": header.name})
        with _new_file(self._partial) as out:
            out.write(line + b"\n")
            out.flush()
            for file in (self._steps, self._stays):
                file.flush()
                with open(file.name, "rb") as body:
                    shutil.copyfileobj(body, out, _BUFFER)
            out.flush()
            os.fsync(out.fileno())
        final = path_of(self._directory, header.name)
        self._partial.rename(final)
        _sync_directory(self._directory)
        reach("plan-written")
        return final


class PlanFile:
    """A plan as it lies on disk. Opening it checks that its name is the digest of what it says."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with open(path, "rb") as file:
                first = file.readline(_HEADER_LIMIT)
            line = json.loads(first)
            self.name: str = line.pop("plan")
            self.header: Header = header_from(line)
            whole = canonical(line | {"plan": self.name}) + b"\n" == first
        except FileNotFoundError:
            raise PlanUnusable("there is no such plan", do="`retentiond plans` lists what there is") from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise PlanUnusable("this file is no plan", why=type(error).__name__) from error
        if not whole or self.header.name != self.name:
            raise _altered()
        self._start = len(first)
        self._marks = [(1, self._start)]

    def check_steps(self) -> None:
        """`PlanUnusable` unless the step lines are those that the header was sealed with."""
        found = hashlib.sha256()
        with open(self.path, "rb", buffering=_BUFFER) as file:
            file.seek(self._start)
            left = self.header.total
            while left and (block := file.read(_BUFFER)):
                ends = min(left, block.count(b"\n"))
                beyond = block.split(b"\n", left)[left] if ends == left else b""
                found.update(memoryview(block)[: len(block) - len(beyond)])
                left -= ends
        if left or found.hexdigest() != self.header.steps:
            raise _altered()

    def blocks(self, size: int, first: int = 1) -> Iterator[list[Step]]:
        """The steps from number `first` on in their order, at most `size` together."""
        yield from self._together(steps, size, first)

    def sets(self) -> Iterator[tuple[int, Step]]:
        """Each step of a set of items, with where its line begins."""
        place = self._start
        for _, text in self._text(1):
            for line in text.splitlines(keepends=True):
                if b'"set":' in line:
                    yield from ((place, step) for step in steps(line))
                place += len(line)

    def at(self, places: Iterable[int]) -> Iterator[Step]:
        """The steps whose lines begin at these places."""
        with open(self.path, "rb") as file:
            for place in places:
                file.seek(place)
                yield from steps(file.readline())

    def full(self, size: int) -> Iterator[list[StepLine]]:
        """The steps with everything they say."""
        yield from self._together(step_lines, size, 1)

    def stays(self) -> Iterator[bytes]:
        """The lines about items that stay, as they were written."""
        with open(self.path, "rb", buffering=_BUFFER) as file:
            file.seek(self._start)
            yield from islice(file, self.header.total, None)

    def _together(self, read: Callable[[bytes], list[_Read]], size: int, first: int) -> Iterator[list[_Read]]:
        """The steps from number `first` on as `read` gives them, `size` together as long as there are so many."""
        waiting: list[_Read] = []
        for number, text in self._text(first):
            try:
                waiting += read(text)[max(0, first - number) :]
            except SealBroken as error:
                raise _altered() from error
            whole = len(waiting) // size * size
            yield from (waiting[low : low + size] for low in range(0, whole, size))
            waiting = waiting[whole:]
        if waiting:
            yield waiting

    def _text(self, first: int) -> Iterator[tuple[int, bytes]]:
        """Whole lines, many at a time, each time with the number of the first; before `first` come some at most.

        Where some of those that were read begin is remembered, to begin there again.
        """
        number, place = next(mark for mark in reversed(self._marks) if mark[0] <= first)
        rest = b""
        with open(self.path, "rb", buffering=0) as file:
            file.seek(place)
            while number <= self.header.total and (block := file.read(_BUFFER)):
                text = rest + block
                end = text.rfind(b"\n") + 1
                text, rest = text[:end], text[end:]
                count, left = text.count(b"\n"), self.header.total + 1 - number
                if count > left:
                    text = b"\n".join([*text.split(b"\n", left)[:left], b""])
                if number >= self._marks[-1][0] + _BETWEEN_MARKS:
                    self._marks.append((number, place))
                yield number, text
                number, place = number + min(count, left), place + len(text)


class PlanRegister:
    """Which plans were made here, and which of them have been carried out."""

    def __init__(self, ledger: Ledger, directory: Path) -> None:
        self._ledger, self._directory = ledger, directory

    def register(self, header: Header) -> None:
        """Makes a plan one that can be applied, with its entry and those of its tripped limits."""
        name = header.name
        with self._ledger.transaction() as change:
            change.connection.execute(
                schema.plan.insert().values(
                    name=name,
                    made_at=change.time,
                    at=micros(header.at),
                    expires=micros(header.expires),
                    header=json.dumps(header.as_json()),
                    forecast=int(header.forecast),
                    done=0,
                )
            )
            change.write(
                "plan-made",
                plan=name,
                rulebook=header.rulebook,
                at=micros(header.at),
                steps=header.total,
                forecast=int(header.forecast),
            )
            for r in header.refused:
                change.write(
                    "limit-tripped", plan=name, category=r.category, rule=r.rule, limit=r.limit, value=r.value, allowed=r.allowed
                )
            if not header.forecast and header.requests is None:
                _note_violations(change, header)
        reach("plan-registered")

    def note_refusal(self, name: str, ground: str) -> None:
        """Writes that a plan that was made here was not carried out; nothing about a foreign one."""
        with self._ledger.transaction() as change:
            wanted = sa.select(schema.plan.c.name).where(schema.plan.c.name == name)
            if change.connection.execute(wanted).scalar() is not None:
                change.write("plan-refused", plan=name, ground=ground)

    def find(self, word: str) -> PlanFile:
        """The plan that a file name or at least 12 characters of a digest mean; `PlanUnusable` otherwise."""
        if os.sep in word or word.endswith(".jsonl") or Path(word).is_file():
            return PlanFile(Path(word))
        if len(word) < SHORTEST_NAME or not all(c in "0123456789abcdef" for c in word):
            raise PlanUnusable(
                "this names no plan",
                why=f"a plan is a file, or at least {SHORTEST_NAME} characters of its digest",
                do="see `retentiond plans`",
            )
        found = sorted(self._directory.glob(f"{word}*.jsonl"))
        if len(found) > 1:
            raise PlanUnusable("several plans begin so", do="give more characters")
        if not found:
            raise PlanUnusable("there is no such plan in plans/", do="`retentiond plans` lists what there is")
        return PlanFile(found[0])

    def known(self, name: str) -> bool:
        """Whether a plan of this name was registered here."""
        with self._ledger.transaction() as change:
            wanted = sa.select(schema.plan.c.name).where(schema.plan.c.name == name)
            return change.connection.execute(wanted).scalar() is not None

    def is_done(self, name: str) -> bool:
        """Whether a plan has been carried out to its end."""
        with self._ledger.transaction() as change:
            return bool(change.connection.execute(sa.select(schema.plan.c.done).where(schema.plan.c.name == name)).scalar())

    def waits(self, name: str, now: int) -> bool:
        """Whether a plan may still be carried out: it is registered, neither done nor expired, and its file is there."""
        p = schema.plan.c
        wanted = sa.select(p.name).where(p.name == name, p.done == 0, p.expires > now)
        with self._ledger.transaction() as change:
            found = change.connection.execute(wanted).scalar() is not None
        return found and path_of(self._directory, name).exists()

    def unbegun(self, categories: Sequence[str], rulebook: str, now: int) -> Header | None:
        """The newest plan of these categories and rules that has steps, is good, and was never begun; None where none waits."""
        p, runs = schema.plan.c, sa.select(schema.run.c.plan)
        good = sa.and_(p.done == 0, p.forecast == 0, p.expires > now, p.name.not_in(runs))
        with self._ledger.transaction() as change:
            rows = change.connection.execute(sa.select(p.name, p.header).where(good).order_by(p.made_at.desc())).all()
        headers = ((name, header_from(json.loads(header))) for name, header in rows)
        there = (h for name, h in headers if path_of(self._directory, name).exists() and h.rulebook == rulebook)
        fitting = (h for h in there if h.total and h.requests is None)
        return next((header for header in fitting if list(header.categories) == sorted(categories)), None)

    def headers(self) -> list[tuple[str, Header, bool, bool]]:
        """Every registered plan, newest first: name, header, carried out, file still there."""
        columns = (schema.plan.c.name, schema.plan.c.header, schema.plan.c.done)
        with self._ledger.transaction() as change:
            rows = change.connection.execute(sa.select(*columns).order_by(schema.plan.c.made_at.desc())).all()
        return [(n, header_from(json.loads(h)), bool(d), path_of(self._directory, n).exists()) for n, h, d in rows]

    def actions(self, name: str) -> dict[tuple[str, str], str]:
        """What the steps of a plan that was made here do, by (category, rule): the kind of the rule's action as it was then."""
        with self._ledger.transaction() as change:
            header = change.connection.execute(sa.select(schema.plan.c.header).where(schema.plan.c.name == name)).scalar()
        counts = json.loads(header)["counts"] if header is not None else ()
        return {(one["category"], one["rule"]): one["action"] for one in counts}

    @schema.keeping()
    def keep_copy(self, plan: PlanFile) -> PlanFile:
        """The plan in `plans/`, copied there if it came from elsewhere: recovery must be able to read it."""
        final = path_of(self._directory, plan.name)
        if not final.exists():
            partial = final.with_suffix(f".{secrets.token_hex(4)}")
            with open(plan.path, "rb") as body, _new_file(partial) as out:
                shutil.copyfileobj(body, out, _BUFFER)
                out.flush()
                os.fsync(out.fileno())
            partial.rename(final)
            _sync_directory(self._directory)
        kept = PlanFile(final)
        if not final.samefile(plan.path):
            kept.check_steps()
        return kept

    def drop(self, name: str) -> None:
        """Forgets a plan that nothing was begun of; its entries stay."""
        with self._ledger.transaction() as change:
            change.connection.execute(schema.plan.delete().where(schema.plan.c.name == name))
        path_of(self._directory, name).unlink(missing_ok=True)

    def clear_old(self, now: int) -> int:
        """Removes plan files whose time is over: done or never begun and expired, or older than 30 days.

        So goes what a killed planning left behind a day ago: it holds keys in clear, and nobody can apply it.
        Forgotten, but for their entries, are expired plans that no run is of: those without a step at once.
        """
        open_plans = sa.select(schema.batch.c.plan).where(schema.batch.c.outcome.is_(None))
        idle = sa.and_(schema.plan.c.expires < now, schema.plan.c.name.not_in(open_plans))
        with self._ledger.transaction() as change:
            wanted = sa.select(schema.plan.c.name).where(sa.or_(schema.plan.c.made_at < now - _KEPT_FOR, idle))
            old = set(change.connection.execute(wanted).scalars())
            known = set(change.connection.execute(sa.select(schema.plan.c.name)).scalars())
        gone = 0
        for path in list(self._directory.iterdir()):
            is_plan = path.suffix == ".jsonl" and path.stem in known
            ours = not is_plan and _UNFINISHED.fullmatch(path.name) is not None
            left = ours and path.stat().st_mtime_ns // 1000 < now - _LEFT_FOR
            if left or (is_plan and path.stem in old):
                path.unlink()
                gone += 1
        self._forget(now)
        return gone

    def _forget(self, now: int) -> None:
        p, begun = schema.plan.c, sa.select(schema.run.c.plan)
        over = sa.or_(p.expires < now - _KEPT_FOR, p.header.contains('"total": 0,', autoescape=True))
        with self._ledger.transaction() as change:
            change.connection.execute(schema.plan.delete().where(p.expires < now, over, p.name.not_in(begun)))


def _note_violations(change: Transaction, header: Header) -> None:
    """Writes what a plan found that must not exist, and what an earlier one found and this one does not."""
    for counts in header.counts:
        category, rule, count = counts["category"], counts["rule"], counts.get("violations", 0)
        fact = f"violation {category}/{rule}"
        if count:
            change.write("violation-found", category=category, rule=rule, count=count)
        elif int(change.fact(fact) or 0):
            change.write("violation-cleared", category=category, rule=rule)
        else:
            continue
        change.set_fact(fact, str(count))


def path_of(directory: Path, name: str) -> Path:
    """Where a plan of this name lies."""
    return directory / f"{name}.jsonl"


def _altered() -> PlanUnusable:
    return PlanUnusable(
        "the plan was altered after it was made", why="its name is not the digest of what it says", do="make a new plan"
    )


def _new_file(path: Path) -> BinaryIO:
    """A new file that only its owner can read."""
    return open(path, "x+b", buffering=_BUFFER, opener=lambda name, flags: os.open(name, flags | os.O_CLOEXEC, 0o600))


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
