"""Tables of a database as a store: rows are items, named `table/primary-key`.

SQLite in this version; what differs by database is in `sqlite` (opening, transactions, errors,
schema) and `spelling` (SQL), and the rest is shared. `keys` names rows, `table` is what the schema
says, `statements` puts SQL together, `reading` makes pages of rows, `view` looks, `store` lets go.

The address of a database is SQLAlchemy's: `sqlite:///relative.db`, `sqlite:////absolute.db`.
Nothing of the database is imported before a store is opened.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from retentiond.errors import StoreDenied

if TYPE_CHECKING:
    from retentiond.stores.sql.sqlite import Sqlite
    from retentiond.stores.sql.store import SqlStore
    from retentiond.stores.sql.view import SqlView

_LOCK_TIMEOUT = 5.0
_SCHEMES = ("sqlite", "sqlite+pysqlite")
_SECONDS = {"ms": 0.001, "s": 1.0, "second": 1.0, "minute": 60.0}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|seconds?|minutes?)?")


_OPTIONS = frozenset({"url", "password", "zone", "lock_timeout", "statement_timeout", "replicas", "location", "site"})


class SqlType:
    """The kind `sql`. Options: `url`; `lock_timeout` and `statement_timeout` (`5`, `5 s`, `500 ms`; 5 s, none).

    `password`, `zone` and `replicas` are for databases on a server, or for whoever reads times.
    """

    name = "sql"

    def problems(self, options: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        for option in sorted(options.keys() - _OPTIONS):
            near = get_close_matches(option, _OPTIONS, 1)
            yield option, "is unknown to an sql store" + (f"; did you mean {near[0]!r}?" if near else "")
        wrong = _url_problem(options.get("url"))
        if wrong:
            yield "url", wrong
        for option in ("lock_timeout", "statement_timeout"):
            if options.get(option) is not None and _seconds(options[option]) is None:
                yield option, "is no time: write `5 s` or `500 ms`"
        if options.get("replicas"):
            yield "replicas", "SQLite has none"
        if options.get("zone") is not None and not _is_zone(options["zone"]):
            yield "zone", "is no time zone: write a name such as Europe/London"

    def look(self, options: Mapping[str, Any]) -> SqlView:
        """Opens `mode=ro`. `StoreUnavailable` for a missing or locked file, `StoreDenied` for one that is no database."""
        from retentiond.stores.sql.view import SqlView

        return SqlView(_opened(options, acting=False))

    def act(self, options: Mapping[str, Any]) -> SqlStore:
        """Opens `mode=rw`, which makes no file either."""
        from retentiond.stores.sql.store import SqlStore

        return SqlStore(_opened(options, acting=True))


def _opened(options: Mapping[str, Any], *, acting: bool) -> Sqlite:
    from retentiond.stores.sql.sqlite import Sqlite

    url = options.get("url")
    wrong = _url_problem(url)
    if wrong:
        raise StoreDenied("the address of a database cannot be used", why=f"`url` {wrong}")
    lock = _seconds(options.get("lock_timeout"))
    return Sqlite(
        _path(str(url)),
        acting=acting,
        lock_timeout=_LOCK_TIMEOUT if lock is None else lock,
        statement_timeout=_seconds(options.get("statement_timeout")),
    )


def _url_problem(url: Any) -> str | None:
    if not isinstance(url, str) or "://" not in url:
        return "is required: write `sqlite:////srv/x.db`" if url is None else "is no address: write `sqlite:////srv/x.db`"
    if url.partition("://")[0] not in _SCHEMES:
        return "names a database that is not in this version: it knows sqlite"
    if not url.partition("://")[2].startswith("/"):
        return "has a host: a file has three slashes before a relative path and four before an absolute one"
    if "?" in url:
        return "has options after `?`: write them as options of the store"
    path = _path(url)
    return "names no file" if not path or path.startswith((":memory:", "file:")) or path.endswith("/") else None


def _path(url: str) -> str:
    return url.partition(":///")[2]


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
