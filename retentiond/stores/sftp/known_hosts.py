"""Reading a file `known_hosts`: the keys that a host may be known by. Nothing is ever added to it.

Source: sshd(8), SSH_KNOWN_HOSTS FILE FORMAT. Names may be hashed (`|1|salt|hash`) or patterns; a key marked `@revoked` is
no key of any host, and certificate authorities are not followed.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Iterator

from retentiond.errors import StoreDenied
from retentiond.stores.sftp.options import HostKey, host_key


def keys_of(path: str, host: str, port: int) -> tuple[HostKey, ...]:
    """The keys of a host in a file; `StoreDenied` where there is none, or no such file."""
    name = host if port == 22 else f"[{host}]:{port}"
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = [line.strip() for line in file]
    except OSError as error:
        raise StoreDenied(
            "the file `known_hosts` cannot be read", why=error.strerror or "", do="correct `known_hosts`"
        ) from error
    revoked = {key for marker, _, key in _entries(lines) if marker == "@revoked"}
    found = [key for marker, names, key in _entries(lines) if not marker and _covers(names, name.lower()) and key not in revoked]
    if not found:
        raise StoreDenied(
            "no key of the server is known",
            why="the file `known_hosts` has none of this host and port, and none is ever learned from the server itself",
            do="ask who runs it for its public key, and add that",
        )
    return tuple(dict.fromkeys(found))


def _entries(lines: list[str]) -> Iterator[tuple[str, str, HostKey]]:
    """(marker, names, key) of each line that has a key in it."""
    for line in lines:
        parts = line.split(None, 3)
        marker = parts.pop(0) if parts and parts[0].startswith("@") else ""
        key = host_key(" ".join(parts[1:])) if len(parts) > 2 and not parts[0].startswith("#") else None
        if key is not None:
            yield marker, parts[0], key


def _covers(names: str, name: str) -> bool:
    """Whether one of the names is that of the host; one with `!` before it forbids all others."""
    if names.startswith("|1|"):
        return _is_hash_of(names, name)
    patterns = [pattern.lower() for pattern in names.split(",")]
    if any(_fits(pattern[1:], name) for pattern in patterns if pattern.startswith("!")):
        return False
    return any(_fits(pattern, name) for pattern in patterns if not pattern.startswith("!"))


def _fits(pattern: str, name: str) -> bool:
    return re.fullmatch("".join({"*": ".*", "?": "."}.get(c) or re.escape(c) for c in pattern), name) is not None


def _is_hash_of(names: str, name: str) -> bool:
    try:
        salt, told = (base64.b64decode(part, validate=True) for part in names.split("|")[2:4])
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(hmac.digest(salt, name.encode(), "sha1"), told)
