"""A house: the configuration, the state and the stores that one command works with."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from retentiond.config.load import Loaded, load, secret_of_state, secrets_of_stores
from retentiond.config.secrets import Secret
from retentiond.core.canonical import digest
from retentiond.core.policy import Category, Rulebook
from retentiond.core.reference import References, of_word
from retentiond.core.registers import Registers
from retentiond.engine.ports import Answering, Store, StoreType, View
from retentiond.errors import ConfigurationError, Problem, StateUnavailable, StoreDenied, UsageError
from retentiond.ledger.clock import Reading
from retentiond.stores.plugin import store_type, store_types

if TYPE_CHECKING:
    from retentiond.archive.patience import Patient
    from retentiond.audit.note import Signer, Verifier
    from retentiond.config.settings import State
    from retentiond.ledger.alarms import AlarmRegister
    from retentiond.ledger.anchors import AnchorRegister
    from retentiond.ledger.copies import CopyRegister
    from retentiond.ledger.database import Database
    from retentiond.ledger.inspections import InspectionRegister
    from retentiond.ledger.journal import Runs
    from retentiond.ledger.ledger import Ledger
    from retentiond.ledger.legal_holds import LegalHoldRegister
    from retentiond.ledger.lifecycles import LifecycleRegister
    from retentiond.ledger.locks import LockName
    from retentiond.ledger.looks import Looks
    from retentiond.ledger.memory import Memory
    from retentiond.ledger.plans import PlanRegister
    from retentiond.ledger.registers import EventRegister, HoldRegister
    from retentiond.ledger.requests import RequestRegister
    from retentiond.ledger.reviews import ReviewRegister
    from retentiond.ledger.state import ReferenceKeys, StateDirectory


_AGREE = timedelta(minutes=1)


def read_clock() -> Reading:
    """The clock, the uptime by the boot clock, and which boot it is.

    A unit with `ProcSubset=pid` cannot see the id of the boot, and says it in $RETENTIOND_BOOT_ID,
    without dashes as systemd spells it. Empty where neither tells.
    """
    boot = Path("/proc/sys/kernel/random/boot_id")
    told = boot.read_text("ascii").strip() if boot.exists() else os.environ.get("RETENTIOND_BOOT_ID", "")
    return Reading(
        wall=time.time_ns() // 1000,
        uptime=time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000,
        boot=told.replace("-", ""),
    )


def _refuse(problems: Sequence[Problem]) -> None:
    """`ConfigurationError` with their places, where there are any."""
    if problems:
        raise ConfigurationError(problems)


class Installed(Mapping[str, StoreType]):
    """The installed kinds of store, looked for once, each loaded when it is asked for."""

    @cached_property
    def found(self) -> Mapping[str, Callable[[], StoreType]]:
        """Each kind by its name, with what loads it."""
        return store_types()

    def __getitem__(self, name: str) -> StoreType:
        return self.found[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)

    def __contains__(self, name: object) -> bool:
        return name in self.found


class House:
    """Everything one command needs, opened on first use and closed at its end.

    `now` is read once: the whole command judges by it. Stores are opened for looking unless
    `acting` is asked for by name, and then for the one run that holds the execute lock. `config`
    is the path of `retentiond.yaml`, or what was loaded from it before.
    """

    def __init__(self, config: str | Loaded, clock: Callable[[], Reading] = read_clock) -> None:
        self._installed = Installed()
        self.loaded: Loaded = load(config, self._installed) if isinstance(config, str) else config
        self.settings = self.loaded.settings
        self.rulebook: Rulebook = self.loaded.rulebook
        self.clock = clock
        self.now: datetime = clock().now
        self._open = ExitStack()
        self._anonymise_master: bytes | None = None
        self._views: dict[str, View] = {}
        self._stores: dict[str, Store] = {}
        self._patients: dict[str, Patient] = {}

    def __enter__(self) -> House:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._open.close()

    # The state

    @cached_property
    def directory(self) -> StateDirectory:
        from retentiond.ledger.state import StateDirectory

        state = self.settings.state
        return StateDirectory(Path(state.directory), self._database(state), Path(self.settings.audit.reference_keys))

    def _database(self, state: State) -> Database:
        if state.file is None:
            from retentiond.ledger.postgres import Postgres

            _refuse(secret_of_state(self.loaded))
            return Postgres(state.database, state.password.reveal if state.password else None)
        from retentiond.ledger.database import Sqlite

        return Sqlite(Path(state.file))

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger, made on first need by a command that writes."""
        from retentiond.ledger.ledger import Ledger

        self.directory.prepare()
        ledger = Ledger(self.directory.database, self.clock)
        self._open.callback(ledger.close)
        ledger.begin_log()
        return ledger

    @contextmanager
    def locked(self, name: LockName, purpose: str, *, wait: bool = False) -> Iterator[None]:
        """Holds a lock of the state for as long as the block runs; `Locked` names the holder if somebody else has it."""
        from retentiond.ledger.leases import lease
        from retentiond.ledger.locks import lock

        file = self.directory.lock(name)
        with ExitStack() as held:
            held.enter_context(lock(file, purpose, wait=wait))
            if self.directory.database.shared:
                held.enter_context(lease(self.ledger, file, name, purpose, wait=wait))
            yield

    def is_locked(self, name: LockName, ledger: Ledger | None = None) -> bool:
        """Whether somebody holds a lock of the state now; `ledger` may be a snapshot."""
        from retentiond.ledger.leases import is_leased
        from retentiond.ledger.locks import is_taken

        file = self.directory.lock(name)
        return is_leased(ledger or self.ledger, file, name) if self.directory.database.shared else is_taken(file)

    def keep_locks(self) -> None:
        """Tells other machines that the holder of a lock lives; `LeaseLost` where it is somebody else's by now."""
        if self.directory.database.shared:
            self.ledger.keep_leases()

    def require_state(self) -> None:
        """`StateUnavailable` for a command that only reads when nothing was ever written."""
        if not self.directory.exists():
            raise StateUnavailable("there is no state yet", why="nothing was planned here", do="retentiond plan")

    def registers(self) -> Registers:
        """The holds as they are now; none where nothing was ever written, and nothing is made to find that out."""
        return self.holds.current() if self.directory.exists() else Registers()

    @cached_property
    def memory(self) -> Memory:
        from retentiond.ledger.memory import Memory

        return Memory(self.ledger)

    @cached_property
    def plans(self) -> PlanRegister:
        from retentiond.ledger.plans import PlanRegister

        return PlanRegister(self.ledger, self.directory.plans)

    @cached_property
    def runs(self) -> Runs:
        from retentiond.ledger.journal import Runs

        return Runs(self.ledger)

    @cached_property
    def looks(self) -> Looks:
        from retentiond.ledger.looks import Looks

        return Looks(self.ledger)

    @cached_property
    def anchors(self) -> AnchorRegister:
        from retentiond.ledger.anchors import AnchorRegister

        return AnchorRegister(self.ledger)

    @cached_property
    def alarms(self) -> AlarmRegister:
        from retentiond.ledger.alarms import AlarmRegister

        return AlarmRegister(self.ledger)

    @cached_property
    def holds(self) -> HoldRegister:
        from retentiond.app.holding import as_meant_now
        from retentiond.ledger.registers import HoldRegister

        return HoldRegister(self.ledger, partial(as_meant_now, self))

    @cached_property
    def recorded(self) -> EventRegister:
        from retentiond.ledger.registers import EventRegister

        return EventRegister(self.ledger)

    @cached_property
    def reviews(self) -> ReviewRegister:
        from retentiond.ledger.reviews import ReviewRegister

        return ReviewRegister(self.ledger)

    @cached_property
    def lifecycles(self) -> LifecycleRegister:
        from retentiond.ledger.lifecycles import LifecycleRegister

        return LifecycleRegister(self.ledger)

    @cached_property
    def legal_holds(self) -> LegalHoldRegister:
        from retentiond.ledger.legal_holds import LegalHoldRegister

        return LegalHoldRegister(self.ledger)

    @cached_property
    def copies(self) -> CopyRegister:
        from retentiond.ledger.copies import CopyRegister

        return CopyRegister(self.ledger)

    @cached_property
    def inspections(self) -> InspectionRegister:
        from retentiond.ledger.inspections import InspectionRegister

        return InspectionRegister(self.ledger)

    @cached_property
    def requests(self) -> RequestRegister:
        from retentiond.ledger.requests import RequestRegister

        return RequestRegister(self.ledger)

    @cached_property
    def reference_keys(self) -> ReferenceKeys:
        from retentiond.ledger.state import ReferenceKeys

        return ReferenceKeys(self.directory.reference_keys, self.ledger)

    @cached_property
    def signer(self) -> Signer:
        """The signing key, made on first need where it is a file in the state."""
        from retentiond.audit.note import Signer

        where = self.settings.audit.signing_key
        try:
            line = where.reveal() if isinstance(where, Secret) else self._signing_line(Path(where))
            return Signer.from_line(line.strip())
        except (OSError, ValueError) as error:
            raise StateUnavailable("the signing key cannot be read", do="look at the keys directory and its owner") from error

    def _signing_line(self, path: Path) -> str:
        from retentiond.audit.note import Signer
        from retentiond.ledger.state import write_secret

        if path.is_dir() or path == self.directory.root / "keys":
            path /= "signing-key"
        if not path.exists():
            if self.ledger.head() is not None:
                raise StateUnavailable(
                    "the signing key is missing",
                    why="the audit log was begun with it, and another key would begin another log",
                    do="restore the keys directory from a backup",
                )
            write_secret(path, (Signer.generate(self.settings.audit.origin).to_line() + "\n").encode())
            with self.ledger.transaction() as change:
                change.write("key-made", kind="signing", year=self.now.year)
        return path.read_text("utf-8")

    @property
    def verifier(self) -> Verifier:
        return self.signer.verifier

    @property
    def word(self) -> Callable[[str, str], str]:
        """Makes the keyed reference of a word that a person gave: a hold's id, a name, a reason."""
        master = self.reference_keys.master(self.now.year)
        return lambda kind, word: of_word(master, kind, word)

    def references(self, year: int) -> Callable[[str, str], References]:
        """Makes the references of a category's items in a store, with the keys of one year."""
        made: dict[tuple[str, str], References] = {}

        def of(category: str, store: str) -> References:
            if (category, store) not in made:
                made[category, store] = References(self.reference_keys.key(year, category), store)
            return made[category, store]

        return of

    def anonymise_key(self, store: str) -> bytes:
        """The key of one store's hashes, made on first need and the same in every year."""
        from retentiond.core.anonymise import derive
        from retentiond.ledger.state import AnonymiseKey

        if self._anonymise_master is None:
            self._anonymise_master = AnonymiseKey(self.directory.reference_keys, self.ledger).master(self.now.year)
        return derive(self._anonymise_master, store)

    # The stores

    def view(self, name: str) -> View:
        """A store opened for looking."""
        if name not in self._views:
            self._views[name] = self.open_view(name)
            self._open.callback(self._views[name].close)
        return self._views[name]

    def store(self, name: str) -> Store:
        """A store opened for disposal."""
        if name not in self._stores:
            self._stores[name] = self.open_store(name)
            self._open.callback(self._stores[name].close)
        return self._stores[name]

    def patient(self, name: str) -> Patient:
        """Looks into the items of a store, with a handle and a time limit of its own."""
        from retentiond.archive.patience import Patient

        if name not in self._patients:
            self._patients[name] = Patient(partial(self.open_view, name))
            self._open.callback(self._patients[name].close)
        return self._patients[name]

    def open_view(self, name: str) -> View:
        """A handle of its own for looking, for the calling thread, which closes it."""
        _refuse(secrets_of_stores(self.loaded, [name]))
        view = self._type(name).look(self.rulebook.stores[name].options)
        self._agree(name, view)
        return view

    def open_store(self, name: str) -> Store:
        """A handle of its own for disposal, for the calling thread, which closes it."""
        _refuse(secrets_of_stores(self.loaded, [name]))
        store = self._type(name).act(self.rulebook.stores[name].options)
        self._agree(name, store)
        return store

    def _agree(self, name: str, view: View) -> None:
        """`StoreDenied` where a store's own clock differs from ours by more than a minute: one of them is wrong."""
        told = view.traits.clock
        if told is not None and abs(told - self.clock().now) > _AGREE:
            view.close()
            raise StoreDenied(
                f"the clock of the store {name} is more than a minute from this machine's",
                why="ages would be counted by a clock that is wrong",
                do="set both by NTP",
            )

    def answering(self, name: str) -> Answering:
        """A store that can run the query of an event."""
        view = self.view(name)
        if not isinstance(view, Answering):
            raise StoreDenied(f"the store {name} cannot answer queries", do="an event's query needs an sql store")
        return view

    def definition(self, name: str) -> str:
        """A digest of how the configuration describes a store."""
        return digest(self.rulebook.stores[name].meaning())

    def _type(self, name: str) -> StoreType:
        return store_type(self.rulebook.stores[name].type, self._installed.found)

    # The rulebook

    def categories(self, names: Sequence[str]) -> list[Category]:
        """The categories of these names, all when none is given; `UsageError` for one that there is not."""
        from retentiond.config.suggest import did_you_mean

        for name in names:
            if name not in self.rulebook.categories:
                near, known = did_you_mean(name, self.rulebook.categories), ", ".join(self.rulebook.categories)
                raise UsageError(f"there is no category '{name}'", do=near or f"the categories are: {known}")
        return [self.rulebook.categories[name] for name in (dict.fromkeys(names) if names else self.rulebook.categories)]
