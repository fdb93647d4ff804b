"""What an operator says of a server: where it is, who we are there, and by which key it is known.

Guarantee: nothing is connected to and no library is loaded; secrets stay references until the connection is made.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

KEY_TYPES: Mapping[str, tuple[str, ...]] = {
    "ssh-ed25519": ("ssh-ed25519",),
    "ecdsa-sha2-nistp256": ("ecdsa-sha2-nistp256",),
    "ecdsa-sha2-nistp384": ("ecdsa-sha2-nistp384",),
    "ecdsa-sha2-nistp521": ("ecdsa-sha2-nistp521",),
    "ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256"),
}
"""The types of host keys, each with the signatures that are accepted from it. SHA-1 (`ssh-rsa`) is none of them."""
TIMEOUT = 60.0
"""So many seconds an answer may take, where the options say nothing."""

_OPTIONS = frozenset(
    "host port user path password key passphrase host_key known_hosts timeout location site zone".split()  # noqa: SIM905 one line of names
)
_TYPES = " or ".join(sorted(KEY_TYPES))
_HOST = re.compile(r"[A-Za-z0-9._:%-]+")
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|seconds?|minutes?)?")
_SECONDS = {"ms": 0.001, "s": 1.0, "second": 1.0, "minute": 60.0}
_HOW = 'write "ssh-ed25519 AAAA…", as `ssh-keyscan` prints it after the name of the host'


@dataclass(frozen=True, slots=True)
class HostKey:
    """A public key that a server may be known by."""

    type: str
    blob: bytes


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a store. Secrets are whatever has `reveal`, or the text itself."""

    host: str
    user: str
    path: str
    port: int = 22
    timeout: float = TIMEOUT
    pinned: tuple[HostKey, ...] = ()
    known_hosts: str = ""
    password: Any = field(default=None, repr=False)
    key: Any = field(default=None, repr=False)
    passphrase: Any = field(default=None, repr=False)

    @property
    def address(self) -> str:
        """The host and the port, as one text."""
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def read(options: Mapping[str, Any]) -> Options:
    """The options as a value; they have no `problems`."""
    written = options.get("host_key", ())
    return Options(
        host=options["host"],
        user=options["user"],
        path=options["path"],
        port=options.get("port", 22),
        timeout=seconds(options.get("timeout", TIMEOUT)) or TIMEOUT,
        pinned=tuple(key for key in map(host_key, [written] if isinstance(written, str) else written) if key),
        known_hosts=options.get("known_hosts", ""),
        password=options.get("password"),
        key=options.get("key"),
        passphrase=options.get("passphrase"),
    )


def problems(options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What is wrong with the options: (option, what). `location`, `site` and `zone` belong to every store."""
    for option in sorted(options.keys() - _OPTIONS):
        near = get_close_matches(option, _OPTIONS, 1)
        yield option, "is unknown to an sftp store" + (f"; did you mean {near[0]!r}?" if near else "")
    host, user, path, port = (options.get(name) for name in ("host", "user", "path", "port"))
    if not isinstance(host, str) or not _HOST.fullmatch(host):
        yield "host", "the name or the address of the server, without a port or a user"
    if not isinstance(user, str) or not user.strip():
        yield "user", "an sftp store needs the user to log in as"
    if not isinstance(path, str) or not path.startswith("/") or "\0" in path:
        yield "path", "the path of the root is absolute, as the server sees it"
    elif any(part in (".", "..") for part in path.split("/")):
        yield "path", "the path of the root has no '.' and no '..' in it"
    if port is not None and (isinstance(port, bool) or not isinstance(port, int) or not 0 < port < 65536):
        yield "port", "a whole number from 1 to 65535"
    if options.get("timeout") is not None and not seconds(options["timeout"]):
        yield "timeout", "is no time: write `60 s`"
    yield from _problems_of_keys(options)


def _problems_of_keys(options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if options.get("password") is None and options.get("key") is None:
        yield "key", "an sftp store logs in with a key or a password, which are secrets; an agent is never asked"
    if options.get("passphrase") is not None and options.get("key") is None:
        yield "passphrase", "is that of a key, and there is none"
    written, known = options.get("host_key"), options.get("known_hosts")
    if written is None and known is None:
        yield "host_key", "the server is known by a key that stands here, or in a file `known_hosts`; it is never learned"
    if written is not None and known is not None:
        yield "known_hosts", "stands beside `host_key`; one of the two says which server it is"
    if known is not None and (not isinstance(known, str) or not known.strip() or "\0" in known):
        yield "known_hosts", "the path of a file"
    keys = written if isinstance(written, list | tuple) and written else [written]
    for key in keys if written is not None else ():
        if not isinstance(key, str) or host_key(key) is None:
            yield "host_key", f"is no public key of the type {_TYPES}; {_HOW}"


def host_key(written: str) -> HostKey | None:
    """A public key as OpenSSH writes it, a comment after it or not; None for what is none."""
    parts = written.split()
    if len(parts) < 2 or parts[0] not in KEY_TYPES:
        return None
    try:
        blob = base64.b64decode(parts[1], validate=True)
    except (binascii.Error, ValueError):
        return None
    kind = parts[0].encode()
    return HostKey(parts[0], blob) if blob[:4] == len(kind).to_bytes(4, "big") and blob[4:].startswith(kind) else None


def seconds(value: Any) -> float | None:
    """A time as a number of seconds, at most an hour; None where it is none."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if 0 < value <= 3600 else None
    found = _SPAN.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        return None
    unit = found[2] or "s"
    return seconds(float(found[1]) * _SECONDS[unit if unit in ("ms", "s") else unit.rstrip("s")])
