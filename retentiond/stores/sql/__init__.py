"""Tables of a database as a store: rows are items, named `table/primary-key`.

SQLite, PostgreSQL and MariaDB. What differs by database is behind two protocols: `database` (opening,
transactions, errors, schema: `sqlite`, `postgres`, `mysql`) and `spelling` (SQL); the rest is shared.
`keys` names rows, `table` is what the schema says, `layout` how rows are read, `statements` puts SQL
together, `reading` makes pages of rows, `view` looks, `store` lets go.

The address of a database is SQLAlchemy's (`address`). Nothing of a database is imported before a
store is opened.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, Any

from retentiond.errors import StoreDenied
from retentiond.stores.sql.address import engine_of, parsed, path_of, problem

if TYPE_CHECKING:
    from retentiond.stores.sql.database import Database
    from retentiond.stores.sql.pace import Replica
    from retentiond.stores.sql.store import SqlStore
    from retentiond.stores.sql.view import SqlView

_LOCK_TIMEOUT = 5.0
_STATEMENT_TIMEOUT = 300.0
"""Of a database on a server. A count of a hundred million rows may need more."""
_LAG = 5.0
_SECONDS = {"ms": 0.001, "s": 1.0, "second": 1.0, "minute": 60.0}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|seconds?|minutes?)?")
_OPTIONS = frozenset({"url", "password", "zone", "lock_timeout", "statement_timeout", "replicas", "location", "site"})


class SqlType:
    """The kind `sql`. Options: `url`; `password`, by reference; `zone`, for whoever reads times; `lock_timeout` and
    `statement_timeout` (`5`, `5 s`, `500 ms`; 5 s, and 5 minutes on a server); `replicas`, a list of addresses, or
    `{urls: […], lag: 5 s}`, which are waited for before rows go.
    """

    name = "sql"

    def problems(self, options: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        for option in sorted(options.keys() - _OPTIONS):
            near = get_close_matches(option, _OPTIONS, 1)
            yield option, "is unknown to an sql store" + (f"; did you mean {near[0]!r}?" if near else "")
        wrong = problem(options.get("url"))
        if wrong:
            yield "url", wrong
        for option in ("lock_timeout", "statement_timeout"):
            if options.get(option) is not None and _seconds(options[option]) is None:
                yield option, "is no time: write `5 s` or `500 ms`"
        if options.get("replicas") is not None:
            yield from (("replicas", wrong) for wrong in _replica_problems(options))
        if options.get("zone") is not None and not _is_zone(options["zone"]):
            yield "zone", "is no time zone: write a name such as Europe/London"

    def look(self, options: Mapping[str, Any]) -> SqlView:
        """Opens `mode=ro`. `StoreUnavailable` for a missing or locked file, `StoreDenied` for one that is no database."""
        from retentiond.stores.sql.view import SqlView

        replicas, most = _followers(options)
        return SqlView(_opened(options, acting=False), lambda: [each.trouble(most) for each in replicas])

    def act(self, options: Mapping[str, Any]) -> SqlStore:
        """Opens `mode=rw`, which makes no file either."""
        from retentiond.stores.sql.pace import Pace
        from retentiond.stores.sql.store import SqlStore

        return SqlStore(_opened(options, acting=True), Pace(*_followers(options)))


def _followers(options: Mapping[str, Any]) -> tuple[Sequence[Replica], float]:
    """The replicas, none of them opened, and how many seconds one of them may be behind."""
    from retentiond.stores.sql.pace import Replica

    addresses, most = _replicas(options)
    named = [(url, parsed(url)) for url in addresses]
    return [
        Replica(partial(_opened, {**options, "url": url}, acting=False), f"{at.host}:{at.port}/{at.database}")
        for url, at in named
    ], most


def _replicas(options: Mapping[str, Any]) -> tuple[Sequence[Any], float]:
    """The addresses of the replicas, and how many seconds one of them may be behind."""
    said = options.get("replicas") or []
    if not isinstance(said, Mapping):
        return (said if isinstance(said, list) else [said]), _LAG
    urls = said.get("urls", [])
    return (urls if isinstance(urls, list) else [urls]), _seconds(said.get("lag", _LAG)) or 0.0


def _replica_problems(options: Mapping[str, Any]) -> Iterator[str]:
    said, engine = options["replicas"], engine_of(str(options.get("url")))
    if isinstance(said, Mapping) and (strange := sorted(said.keys() - {"urls", "lag"})):
        yield f"has the unknown key {strange[0]!r}: known are urls and lag"
    if isinstance(said, Mapping) and _seconds(said.get("lag", _LAG)) is None:
        yield "has a lag that is no time: write `5 s` or `500 ms`"
    addresses = _replicas(options)[0]
    if not addresses:
        yield "names none: write a list of addresses, or leave it out"
    for address in addresses:
        if (wrong := problem(address)) is not None:
            yield f"has an address that {wrong}"
        elif engine == "sqlite" or engine_of(address) != engine:
            yield "names a database of another kind: a replica is of the kind of its store, which is on a server"


def _opened(options: Mapping[str, Any], *, acting: bool) -> Database:
    wrong = problem(options.get("url"))
    if wrong:
        raise StoreDenied("the address of a database cannot be used", why=f"`url` {wrong}")
    url: str = options["url"]
    password: Any = options.get("password")
    lock, statement = _seconds(options.get("lock_timeout")), _seconds(options.get("statement_timeout"))
    lock = _LOCK_TIMEOUT if lock is None else lock
    if engine_of(url) == "sqlite":
        from retentiond.stores.sql.sqlite import Sqlite

        return Sqlite(path_of(url), acting=acting, lock_timeout=lock, statement_timeout=statement)
    address = parsed(url, password.reveal() if hasattr(password, "reveal") else password)
    limits = {"lock_timeout": lock, "statement_timeout": _STATEMENT_TIMEOUT if statement is None else statement}
    if engine_of(url) == "postgres":
        with _driver("postgres"):
            from retentiond.stores.sql.postgres import Postgres
        return Postgres(address, acting=acting, **limits)
    with _driver("mysql"):
        from retentiond.stores.sql.mysql import Mysql
    return Mysql(address, acting=acting, **limits)


@contextmanager
def _driver(extra: str) -> Iterator[None]:
    try:
        yield
    except ImportError:
        raise StoreDenied("the driver of this database is not installed", do=f"pip install 'retentiond[{extra}]'") from None


def _seconds(value: Any) -> float | None:
    """A time as a number of seconds; None where it is none."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if 0 <= value < 1_000_000 else None
    found = _SPAN.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        return None
    unit = found[2] or "s"
    return float(found[1]) * _SECONDS[unit if unit in ("ms", "s") else unit.rstrip("s")]


def _is_zone(name: Any) -> bool:
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(name)
    except (LookupError, ValueError, TypeError, OSError):
        return False
    return True
