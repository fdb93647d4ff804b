"""The daemon: one loop that turns once a second, and a process for each run (`lane` says why).

A turn hears the signals, watches the clock and the stop file, asks the timetable what has come, hears
the runs, begins the next one, and gives its sign to the watchdog. It opens no store and destroys
nothing; what a run is belongs to `app.enforcing`, and `apply --category` does the same. Guarantees:

- one run of a category at a time, and one run at work at a time. A run that has made no progress for
  a while is left aside, so that the other categories go on; one that makes none for longer than the
  daemon's patience is killed, and the next one recovers what it left;
- what was missed while no daemon ran comes once, at the start, under the limits: by the last look
  at each category, which the ledger has. A category that was never looked at waits for its first
  schedule; one with `every` begins at once;
- a reload takes the whole new configuration or none of it, and is for the runs that begin after it; a run of
  a category that it changes ends after the batch in hand, and begins anew;
- told to stop, it begins nothing, lets the batch in hand end, and ends with its outcome recorded.

The watchdog gets its sign at the end of each whole turn, so only from a loop that works: one that
waits in vain for a disk, or a lock of the state, gives none.
"""

from __future__ import annotations

import select
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import datetime
from errno import errorcode

from retentiond.app.anchoring import is_wanting
from retentiond.app.approving import waiting_plan
from retentiond.app.dropping import take_events
from retentiond.app.house import House, Installed, read_clock
from retentiond.app.planning import load_rulebook
from retentiond.app.trail import publish
from retentiond.config.load import Loaded, load
from retentiond.config.schedule import next_after, schedule
from retentiond.core.policy import Category
from retentiond.daemon.beside import Beside
from retentiond.daemon.health import OFF
from retentiond.daemon.lane import Ended, Lane
from retentiond.daemon.log import Log
from retentiond.daemon.pulse import Pulse
from retentiond.daemon.scheduler import Timetable
from retentiond.daemon.signals import Signals
from retentiond.daemon.systemd import Systemd
from retentiond.errors import AuditBroken, ConfigurationError, LeaseLost, Locked, Problem, RetentiondError, StateUnavailable
from retentiond.ledger.clock import Reading, micros, moment, step, stored
from retentiond.ledger.looks import Look

TURN = 1.0
"""A turn of the loop takes at most so many seconds, when nothing happens."""

TICK = 60.0
PUBLISHED = 3600.0
"""What idle looks have written is published after so many seconds; what destroys publishes by itself."""

MOST = 4
"""So many runs at most, those that hang and have not been killed yet included."""

PATIENCE = 600.0
"""A run that makes no progress for so many seconds is killed; the timeouts of the stores are far below."""

ASIDE = 1 / 20
"""After this part of the patience a silent run no longer keeps the others waiting."""

GRACE = 30.0
"""At the end, a run that has not begun to dispose of anything has so long to notice."""


class Service:
    """The daemon of one state."""

    def __init__(
        self, config: str, *, patience: float = PATIENCE, listen: str = OFF, clock: Callable[[], Reading] = read_clock
    ) -> None:
        self.config, self.patience, self.listen, self.clock = config, patience, listen, clock
        self.loaded: Loaded = load(config, Installed())
        self.log, self.systemd = Log(), Systemd()
        self.pulse = Pulse(started=clock().now)
        self.timetable = Timetable(self._wake)
        self.queue: deque[str | None] = deque()
        self.lanes: list[Lane] = []
        self._ending, self._ledger_works, self._filled = False, True, False
        self._ticked, self._published = 0.0, time.monotonic()
        self._status = ""
        self._lost: LeaseLost | None = None

    def run(self) -> None:
        """Runs until it is told to stop; errors at the start are those of `errors.py`, and `Locked` says who runs already."""
        with House(self.loaded, self.clock) as self._keeper:
            self.directory = self._keeper.directory
            self.directory.prepare()
            with _alone(self._keeper), Signals() as self.signals:
                self.beside = Beside(self.log, self.pulse, lambda: self.loaded, self.listen)
                with self.beside:
                    self._begin()
                    while not self._ending:
                        self._turn()
                    self._end()
        if self._lost is not None:
            raise self._lost

    # From the start to the end

    def _begin(self) -> None:
        with House(self.loaded, self.clock) as house:
            open_intents = len(house.runs.open_intents())
            if house.ledger.daemon_started(len(house.rulebook.categories), open_intents):
                self.log.say("daemon-recovered", intents=open_intents)
            load_rulebook(house)
            publish(house)
            if open_intents or house.runs.cut_short():
                self.queue.append(None)
            self._fill(house)
        self._reading = stored(self.clock())
        self._tick()
        self.pulse.ready = True
        self.systemd.ready()
        self.log.say("daemon-started", categories=len(self.loaded.rulebook.categories), listen=self.beside.address)

    def _turn(self) -> None:
        for name in self.signals.taken():
            if name == "SIGHUP":
                self._reload()
            else:
                self._ending = True
        if self._ending:
            return
        self._watch_clock()
        self._watch_stop_file()
        wait = self.timetable.turn()
        self._hear(self.patience, self.patience)
        self._begin_next()
        if time.monotonic() - self._ticked >= TICK:
            self._tick()
        self._sign()
        self._sleep(min(wait, TURN))

    def _end(self) -> None:
        """Lets the batches in hand end; whatever hangs is killed, and recovered by the next daemon."""
        self.pulse.ready = False
        self.systemd.stopping()
        self.log.say("daemon-stopping", running=len(self.lanes))
        for lane in self.lanes:
            lane.stop()
        asked = 0.0
        while any(not lane.fate for lane in self.lanes):
            self.signals.taken()  # it ends already
            if time.monotonic() - asked > GRACE / 3:
                asked = time.monotonic()
                self.systemd.extend(int(GRACE * 2))
                self._keep_lock()
            self._sleep(TURN)
            self._hear(GRACE, self.patience)
            self._sign()
        if self._lost is None:
            self._at_home(_note_end)
        self.log.say("daemon-stopped")

    def _sleep(self, seconds: float) -> None:
        """Until something is said, or for so long."""
        watched: list[Signals | Lane] = [self.signals, *(lane for lane in self.lanes if lane.listening)]
        select.select(watched, [], [], max(0.0, seconds))

    def _sign(self) -> None:
        """Says how it is: to the watchdog, to `systemctl status`, and to whoever reads the pulse."""
        running = {lane.category or "": lane.since for lane in self.lanes}
        self.pulse.running, self.pulse.waiting, self.pulse.next = running, len(self.queue), self.timetable.coming()
        self.pulse.turned = time.monotonic()
        words = f"{len(self.loaded.rulebook.categories)} categories, {len(self.lanes)} running, {len(self.queue)} waiting"
        words += ", paused by the stop file" if self.pulse.paused else ""
        if words != self._status:
            self._status = words
            self.systemd.status(words)
        self.systemd.alive()

    # What is to be done

    def _wake(self, name: str) -> None:
        if name not in self.queue and name in self.loaded.rulebook.categories:
            self.queue.append(name)

    def _fill(self, house: House) -> None:
        """The timetable anew, and at once whatever should have come since the last look."""
        book, looks, now = house.rulebook, house.looks.all(), house.now
        schedules = {name: schedule(category.schedule) for name, category in book.categories.items()}
        anchors = {name: _last(house, category, looks.get(name)) for name, category in book.categories.items()}
        self.timetable.fill(schedules, book.zone, anchors)
        running = {lane.category for lane in self.lanes}
        for name, times in schedules.items():
            look, since = looks.get(name), anchors[name]
            missed = next_after(times, book.zone, since, since) <= now
            if name in running or name in self.queue:
                continue
            if missed or (look.result == "stopped" if look is not None else times.kind == "every"):
                self.queue.append(name)
                if missed:
                    self.log.say("schedule-missed", category=name, since=since.isoformat(timespec="seconds"))
        self._filled = True

    def _begin_next(self) -> None:
        """Begins the next run, unless one is at work that the others wait for."""
        busy = [lane for lane in self.lanes if lane.keeps_others(self.patience, self.patience * ASIDE)]
        if self.pulse.paused or busy or len([lane for lane in self.lanes if not lane.fate]) >= MOST:
            return
        running = {lane.category for lane in self.lanes}
        name = next((name for name in self.queue if name not in running), "")
        if name == "":
            return
        self.queue.remove(name)
        try:
            self.lanes.append(Lane(self.loaded, name, self.clock().now))
        except OSError as error:  # no more processes or descriptors: with its next schedule
            self.log.say("run-died", category=name, code=errorcode.get(error.errno or 0, ""))
            return
        if name is not None:
            self.log.say("run-started", category=name)

    def _hear(self, looking: float, disposing: float) -> None:
        """Hears every run; kills one that has been silent for so long while it looked, or disposed."""
        for lane in list(self.lanes):
            before = lane.doing
            lane.hear()
            ended = lane.over()
            if ended is not None:
                self.lanes.remove(lane)
                self._settle(lane, ended)
            elif lane.doing == "waiting" != before:
                self.log.say("run-waiting", category=lane.category)
            elif not lane.fate and lane.silent_for > (disposing if lane.doing == "disposing" else looking):
                lane.kill("run-killed")
                self.log.say("run-killed", category=lane.category, seconds=int(lane.silent_for))
            elif not lane.fate and not lane.silence_told and lane.silent_for > self.patience * ASIDE:
                lane.silence_told = True
                self.log.say("run-silent", category=lane.category, seconds=int(lane.silent_for))

    def _settle(self, lane: Lane, ended: Ended) -> None:
        """What follows from the end of a run."""
        lost = ended.code in ("run-killed", "run-died")
        if ended.code == "run-died":
            self.log.say("run-died", category=ended.category)
        facts = {name: value for name, value in asdict(ended).items() if value}
        if ended.category is not None or ended.result != "done" or ended.counts:
            seconds = int(time.monotonic() - lane.began)
            self.log.say("recovered" if ended.category is None else "run-ended", **facts, seconds=seconds)
        if ended.result == "stopped" and ended.category is not None:
            self._wake(ended.category)

        def tell(house: House) -> None:
            if lost and ended.category is not None:
                now = house.clock().wall
                house.looks.record(Look(ended.category, micros(lane.since), now, "failed", code=ended.code))
                if None not in self.queue and house.runs.cut_short():
                    self.queue.appendleft(None)
            self._tell(house)

        self._at_home(tell)

    # What may happen

    def _watch_stop_file(self) -> None:
        there = self.directory.stop_file.exists()
        if there != self.pulse.paused:
            self.pulse.paused = there
            self.log.say("paused" if there else "resumed")

    def _watch_clock(self) -> None:
        """Notices a jump within a turn: instants that were worked out by the wrong clock are worked out anew."""
        reading = self.clock()
        if step(self._reading, reading):
            self._filled = False
            self._tick()
        self._reading = stored(reading)

    def _tick(self) -> None:
        """Once a minute: the clock goes to the ledger, a silent log gets its heartbeat, and the others are told."""
        self._ticked = time.monotonic()
        self._keep_lock()

        def tick(house: House) -> None:
            found = house.ledger.watch_clock()
            if bool(found) == self.pulse.clock_trusted:
                self.pulse.clock_trusted = not found
                do = "set the clock right; then `retentiond clock --accept`" if found else None
                self.log.say("clock-stepped" if found else "clock-accepted", seconds=int(found / 1_000_000) or None, do=do)
            taken = take_events(house)
            if taken.files:
                counts = {"recorded": taken.recorded, "withdrawn": taken.withdrawn, "broken": taken.broken}
                self.log.say("events-taken", **counts)
            if not self._filled:
                self._take_up(house)
            if house.ledger.beat() or time.monotonic() - self._published >= PUBLISHED:
                publish(house)
                self._published = time.monotonic()
            self._tell(house)

        self._at_home(tick)

    def _tell(self, house: House) -> None:
        """People are told here; anchors, which may hang, are for a process of their own."""
        self.beside.tell(house)
        if None not in self.queue and all(lane.category is not None for lane in self.lanes) and is_wanting(house):
            self.queue.append(None)

    def _keep_lock(self) -> None:
        """Where machines share the state: another daemon takes over from one that was not heard of, and this one ends."""
        try:
            self._keeper.keep_locks()
        except LeaseLost as error:
            if self._lost is None:
                self.log.say("lease-lost", why=error.why)
            self._lost, self._ending = error, True
        except StateUnavailable:  # the tick says so; whose the lock is shows when the state is back
            pass

    def _reload(self) -> None:
        """The whole new configuration, or the old one."""
        self.systemd.reloading()
        try:
            loaded = self._read_again()
        except Exception as fault:  # noqa: BLE001 whatever it is, the old rulebook stays
            unknown = RetentiondError("a fault inside the program", why=type(fault).__name__)
            error = fault if isinstance(fault, RetentiondError) else unknown
            for problem in error.problems:
                where = {"file": problem.file, "line": problem.line or None, "column": problem.column or None}
                self.log.say("problem", **where, code=problem.code, what=problem.what, do=problem.do)
            self.log.say("reload-refused", problems=len(error.problems))
            self.pulse.reload_failed = True
            self.beside.refused(error)
        else:
            self._tell_removed(loaded)
            self._end_outdated(loaded)
            self.loaded = loaded
            self.pulse.reload_failed = False
            self.queue = deque(name for name in self.queue if name is None or name in loaded.rulebook.categories)
            self.beside.refused(None)
            self._filled = False  # where the state is not to be had now, a later tick takes it up
            self._at_home(self._take_up)
            self.log.say("reloaded", categories=len(loaded.rulebook.categories))
        self._tick()
        self.systemd.ready()

    def _take_up(self, house: House) -> None:
        """Goes by the rulebook, and by the clock, as they are now."""
        load_rulebook(house)
        self._fill(house)
        publish(house)

    def _read_again(self) -> Loaded:
        loaded = load(self.config, Installed())
        if (loaded.settings.state, loaded.settings.audit) != (self.loaded.settings.state, self.loaded.settings.audit):
            why = "a daemon keeps to the state and the audit log that it began with"
            raise ConfigurationError([Problem("another state, or another audit log", why, "restart the daemon")])
        return loaded

    def _tell_removed(self, loaded: Loaded) -> None:
        """Says which categories are gone, and which plans of theirs nobody can carry out any more."""
        gone = self.loaded.rulebook.categories.keys() - loaded.rulebook.categories.keys()

        def tell(house: House) -> None:
            for name in sorted(gone):
                waiting = waiting_plan(house, [name])
                self.log.say("category-removed", category=name, plan=waiting.name if waiting is not None else None)

        self._at_home(tell)

    def _end_outdated(self, loaded: Loaded) -> None:
        """Ends the runs of categories that are gone, or mean something else now; what is still meant begins anew."""
        old, new = self.loaded.rulebook, loaded.rulebook
        for lane in self.lanes:
            name = lane.category
            if name is not None and (name not in new.categories or new.digest([name]) != old.digest([name])):
                lane.stop()

    def _at_home(self, act: Callable[[House], object]) -> None:
        """Does something with the ledger; a state that cannot be used is said once, and tried again the next time."""
        try:
            with House(self.loaded, self.clock) as house:
                act(house)
            self._ledger_works = True
        except (StateUnavailable, AuditBroken, Locked) as error:
            if self._ledger_works:
                self.log.say("state-unavailable", code=error.code, why=error.why, do=error.do)
            self._ledger_works = False


@contextmanager
def _alone(house: House) -> Iterator[None]:
    """Holds the daemon's lock; `Locked` says who runs already."""
    with ExitStack() as held:
        try:
            held.enter_context(house.locked("daemon", "retentiond run"))
        except Locked as error:
            raise Locked("a daemon runs on this state already", why=error.why, do="end that one first") from None
        yield


def _note_end(house: House) -> None:
    house.ledger.daemon_stopped()
    publish(house)


def _last(house: House, category: Category, look: Look | None) -> datetime:
    """The instant from which a category's next run is counted: its last look, or when it was first heard of."""
    if look is not None:
        return moment(look.began)
    seen = house.memory.versions(category.name)
    return moment(seen[-1].seen_at) if seen else house.now
