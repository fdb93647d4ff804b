"""Where a database is: SQLAlchemy's addresses, read without SQLAlchemy, and what they may say.

    sqlite:///relative.db                          a file
    postgresql+psycopg://user@host:port/database   PostgreSQL; postgresql:// is the same
    mysql+pymysql://user@host:port/database        MariaDB and MySQL; mysql:// and mariadb:// are the same

After `?` stand only the options of the connection itself that are listed here: TLS, and a socket. What is asked of
TLS is never less for being misspelled: a value that is not known is a mistake, and so is a file that is not there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

Engine = Literal["sqlite", "postgres", "mysql"]
_SCHEMES: dict[str, Engine] = {
    "sqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
    "postgresql": "postgres",
    "postgresql+psycopg": "postgres",
    "mysql": "mysql",
    "mysql+pymysql": "mysql",
    "mariadb": "mysql",
    "mariadb+pymysql": "mysql",
}
_OPTIONS: dict[str, frozenset[str]] = {
    "postgres": frozenset(
        {"host", "sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "channel_binding", "target_session_attrs"}
    ),
    "mysql": frozenset({"unix_socket", "ssl_ca", "ssl_cert", "ssl_key", "ssl_verify_cert", "ssl_verify_identity"}),
}
_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl", "ssl_ca", "ssl_cert", "ssl_key")
_SWITCHES = ("ssl_verify_cert", "ssl_verify_identity")
_ON = {**dict.fromkeys(("1", "true", "yes", "on"), True), **dict.fromkeys(("0", "false", "no", "off"), False)}
_VALUES: dict[str, tuple[str, ...]] = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "channel_binding": ("disable", "prefer", "require"),
    "target_session_attrs": ("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
    **dict.fromkeys(_SWITCHES, ("true", "false")),
}
_PORTS = {"postgres": 5432, "mysql": 3306}
_PARAMETER = re.compile(r"""('(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|--[^\n]*|/\*.*?\*/|::)|:([A-Za-z_][A-Za-z0-9_]*)""", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Address:
    """A database on a server, and who asks."""

    host: str
    port: int
    user: str
    database: str
    options: Mapping[str, str] = field(default_factory=dict)
    password: str | None = field(default=None, repr=False)


def engine_of(url: str) -> Engine | None:
    """Which kind of database an address names."""
    return _SCHEMES.get(url.partition("://")[0])


def problem(url: Any) -> str | None:
    """What is wrong with an address."""
    if not isinstance(url, str) or "://" not in url:
        do = "write `sqlite:////srv/x.db` or `postgresql+psycopg://user@host/database`"
        return f"is required: {do}" if url is None else f"is no address: {do}"
    engine = engine_of(url)
    if engine is None:
        return "names a database that is not in this version: it knows sqlite, postgresql, mariadb and mysql"
    return _file_problem(url) if engine == "sqlite" else _server_problem(url, engine)


def _file_problem(url: str) -> str | None:
    if not url.partition("://")[2].startswith("/"):
        return "has a host: a file has three slashes before a relative path and four before an absolute one"
    if "?" in url:
        return "has options after `?`: write them as options of the store"
    path = path_of(url)
    return "names no file" if not path or path.startswith((":memory:", "file:")) or path.endswith("/") else None


def _server_problem(url: str, engine: Engine) -> str | None:
    try:
        address = parsed(url)
    except ValueError:
        return "is no address: write `scheme://user@host:port/database`"
    strange = sorted(address.options.keys() - _OPTIONS[engine])
    if address.password:
        return "has a password in it: write password: {credential: NAME}"
    if strange:
        return f"has the unknown option `{strange[0]}` after `?`: known are {', '.join(sorted(_OPTIONS[engine]))}"
    if (wrong := _option_problem(address.options)) is not None:
        return wrong
    if not address.user:
        return "names no user: write `scheme://user@host/database`"
    return None if address.database and "/" not in address.database else "names no database: write `scheme://user@host/database`"


def _option_problem(options: Mapping[str, str]) -> str | None:
    """What is wrong with a value after `?`."""
    for name, value in options.items():
        known = value.lower() in _ON if name in _SWITCHES else value in _VALUES.get(name, (value,))
        if not known:
            return f"has {name}={value}, which is none of its values: known are {', '.join(_VALUES[name])}"
        if name in _FILES and not os.path.isfile(value) and (name, value) != ("sslrootcert", "system"):
            return f"has {name}={value}, and there is no such file"
    asked = [name for name in ("ssl_ca", "ssl_verify_identity") if name in options and is_on(options, name) is not False]
    if asked and is_on(options, "ssl_verify_cert") is False:
        return f"has {asked[0]}, for which the certificate is verified, and ssl_verify_cert=false: remove one of the two"
    return None


def is_on(options: Mapping[str, str], name: str) -> bool | None:
    """Whether an option is on or off; None where it is not there, or is no switch."""
    return _ON.get(options.get(name, "").lower()) if name in _SWITCHES else None


def path_of(url: str) -> str:
    """The file of an SQLite address."""
    return url.partition(":///")[2]


def parsed(url: str, password: str | None = None) -> Address:
    """The parts of a server's address; `ValueError` if it is none."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    engine = engine_of(url) or "postgres"
    host = options.pop("host", "") if engine == "postgres" else ""
    return Address(
        host=host or parts.hostname or "localhost",
        port=parts.port or _PORTS[engine],
        user=unquote(parts.username or ""),
        database=unquote(parts.path.removeprefix("/")),
        options=options,
        password=password or (unquote(parts.password) if parts.password else None),
    )


def named_values(query: str, known: Mapping[str, str | None]) -> tuple[str, Sequence[str | None]]:
    """A query with `:name` parameters as drivers want it that format: `%s` for each, `%%` for `%`, and the values in order.

    What stands in quotes or comments is no parameter, nor is `::`. An unknown name stays, for the database to refuse.
    """
    values: list[str | None] = []

    def change(found: re.Match[str]) -> str:
        name = found[2]
        if name is None or name not in known:
            return found[0]
        values.append(known[name])
        return "\0"

    text = _PARAMETER.sub(change, query.replace("\0", ""))
    return text.replace("%", "%%").replace("\0", "%s"), values
