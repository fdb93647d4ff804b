"""A house: the configuration, the state and the stores that one command works with."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from retentiond.config.load import Loaded, load
from retentiond.config.secrets import Secret
from retentiond.core.canonical import digest
from retentiond.core.policy import Category, Rulebook
from retentiond.core.reference import References, of_word
from retentiond.core.registers import Registers
from retentiond.engine.ports import Answering, Store, StoreType, View
from retentiond.errors import StateUnavailable, StoreDenied, UsageError
from retentiond.ledger.clock import Reading
from retentiond.stores.plugin import store_type, store_types

if TYPE_CHECKING:
    from retentiond.audit.note import Signer, Verifier
    from retentiond.ledger.journal import Runs
    from retentiond.ledger.ledger import Ledger
    from retentiond.ledger.memory import Memory
    from retentiond.ledger.plans import PlanRegister
    from retentiond.ledger.registers import EventRegister, HoldRegister
    from retentiond.ledger.reviews import ReviewRegister
    from retentiond.ledger.state import ReferenceKeys, StateDirectory


def read_clock() -> Reading:
    """The clock, the uptime by the boot clock, and which boot it is."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return Reading(
        wall=time.time_ns() // 1000,
        uptime=time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000,
        boot=boot.read_text("ascii").strip() if boot.exists() else "",
    )


class Installed(Mapping[str, StoreType]):
    """The installed kinds of store, each loaded when it is asked for."""

    def __getitem__(self, name: str) -> StoreType:
        return store_types()[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(store_types())

    def __len__(self) -> int:
        return len(store_types())


class House:
    """Everything one command needs, opened on first use and closed at its end.

    `now` is read once: the whole command judges by it. Stores are opened for looking unless
    `acting` is asked for by name, and then for the one run that holds the execute lock.
    """

    def __init__(self, config: str, clock: Callable[[], Reading] = read_clock) -> None:
        self.loaded: Loaded = load(config, Installed())
        self.settings = self.loaded.settings
        self.rulebook: Rulebook = self.loaded.rulebook
        self.clock = clock
        self.now: datetime = clock().now
        self._open = ExitStack()
        self._anonymise_master: bytes | None = None
        self._views: dict[str, View] = {}
        self._stores: dict[str, Store] = {}

    def __enter__(self) -> House:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._open.close()

    # The state

    @cached_property
    def directory(self) -> StateDirectory:
        from retentiond.ledger.state import StateDirectory

        state = self.settings.state
        database = Path(state.database.partition(":///")[2])
        return StateDirectory(Path(state.directory), database, Path(self.settings.audit.reference_keys))

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger, made on first need by a command that writes."""
        from retentiond.ledger.ledger import Ledger

        self.directory.prepare()
        ledger = Ledger(self.directory.database, self.clock)
        self._open.callback(ledger.close)
        ledger.begin_log()
        return ledger

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
    def holds(self) -> HoldRegister:
        from retentiond.ledger.registers import HoldRegister

        return HoldRegister(self.ledger)

    @cached_property
    def recorded(self) -> EventRegister:
        from retentiond.ledger.registers import EventRegister

        return EventRegister(self.ledger)

    @cached_property
    def reviews(self) -> ReviewRegister:
        from retentiond.ledger.reviews import ReviewRegister

        return ReviewRegister(self.ledger)

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
            self._views[name] = view = self._type(name).look(self.rulebook.stores[name].options)
            self._open.callback(view.close)
        return self._views[name]

    def store(self, name: str) -> Store:
        """A store opened for disposal."""
        if name not in self._stores:
            self._stores[name] = store = self._type(name).act(self.rulebook.stores[name].options)
            self._open.callback(store.close)
        return self._stores[name]

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
        return store_type(self.rulebook.stores[name].type)

    # The rulebook

    def categories(self, names: Sequence[str]) -> list[Category]:
        """The categories of these names, all when none is given; `UsageError` for one that there is not."""
        from retentiond.config.suggest import did_you_mean

        for name in names:
            if name not in self.rulebook.categories:
                raise UsageError(f"there is no category '{name}'", do=did_you_mean(name, self.rulebook.categories))
        return [self.rulebook.categories[name] for name in (dict.fromkeys(names) if names else self.rulebook.categories)]
