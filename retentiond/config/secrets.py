"""Secrets by reference: `{credential: NAME}`, `{env: NAME}`, `{file: PATH}`. None is ever written down.

Guarantee: a `Secret` holds where the value is found, not the value; printing it, comparing it,
or putting it into a digest shows the reference only. The value exists from `reveal` on, in the
hands of whoever opens the store. Source of `credential`: systemd.exec(5), LoadCredential=.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from retentiond.config.suggest import quoted
from retentiond.config.words import Unreadable
from retentiond.errors import ConfigurationError, Problem

Kind = Literal["credential", "env", "file"]
KINDS: tuple[str, ...] = get_args(Kind)
_LARGEST = 2**16
_NAMES = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_WAYS = "write {credential: NAME}, {env: NAME} or {file: PATH}"
_PASSWORD_IN_URL = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]*://[^:/@]*:[^@]*@|[A-Za-z][A-Za-z0-9+.-]*://.*[?&;](?:password|passwd|pwd)=",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """Where a secret is found. A file's path is absolute."""

    kind: Kind
    name: str

    def __repr__(self) -> str:
        return f"{{{self.kind}: {self.name}}}"

    def reveal(self, environ: Mapping[str, str] = os.environ) -> str:
        """The value, without a trailing line end; `ConfigurationError` where it is unset, empty or unreadable."""
        value = environ.get(self.name) if self.kind == "env" else self._read(environ)
        if not value:
            raise self._unset("it is not set, or empty")
        return value

    def _read(self, environ: Mapping[str, str]) -> str:
        path = self.name
        if self.kind == "credential":
            directory = environ.get("CREDENTIALS_DIRECTORY")
            if not directory:
                raise self._unset("$CREDENTIALS_DIRECTORY is not set: systemd sets it for units with LoadCredential=")
            path = os.path.join(directory, self.name)
        try:
            with open(path, "rb") as file:
                raw = file.read(_LARGEST + 1)
            text = raw.decode()
        except OSError as error:
            raise self._unset(error.strerror or "it cannot be read") from None
        except ValueError:
            raise self._unset("it is not UTF-8") from None
        if len(raw) > _LARGEST:
            raise self._unset("it is too large to be a secret")
        return text.removesuffix("\n").removesuffix("\r")

    def _unset(self, why: str) -> ConfigurationError:
        return ConfigurationError([Problem(f"the secret {self!r} is not there", why, "set it, or correct its name")])


def is_reference(value: Any) -> bool:
    """Whether a value of the configuration is meant as a reference to a secret."""
    return isinstance(value, dict) and bool(value.keys() & set(KINDS))


def reference(value: Any, folder: str) -> Secret:
    """The secret that a value refers to; `Unreadable`, which never quotes it, for a literal or a malformed one."""
    if not isinstance(value, dict):
        raise Unreadable("a secret is written down", "files are read by more people than secrets are meant for", _WAYS)
    if len(value) != 1 or not is_reference(value):
        raise Unreadable("a reference to a secret has one key", f"the keys are {', '.join(KINDS)}", _WAYS)
    ((kind, name),) = value.items()
    if not isinstance(name, str) or not name.strip():
        raise Unreadable("a reference to a secret without its name", "the name is a text", _WAYS)
    if kind != "file" and not _NAMES.fullmatch(name):
        raise Unreadable(f"{quoted(name)} is no name of a secret", "names have letters, digits, '_', '-' and '.'", _WAYS)
    return Secret(cast("Kind", kind), os.path.normpath(os.path.join(folder, name)) if kind == "file" else name)


def refuse_inline_password(value: Any) -> None:
    """`Unreadable`, which never quotes it, for a URL that carries a password."""
    if isinstance(value, str) and _PASSWORD_IN_URL.match(value):
        why = "files are read by more people than passwords are meant for"
        raise Unreadable("a password in a URL", why, "take it out, and add password: {credential: NAME}")
