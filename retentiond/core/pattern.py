"""Path patterns: which keys of a file-like store a rule or a hold names.

`*` matches any characters but `/`; `**/` any number of segments; a trailing `**` everything
below; `{name}` one or more characters but `/`; `{name:%Y-%m-%d}` a date in that form. Every
other character is itself, `?` and `[` included; a leading dot is nothing special; case counts.

A form of date names its parts from the year down without a gap, so that what it denotes is one
stretch of time: of `%Y %H` nobody knows the day. Its digits are 0 to 9.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Literal

_TOKEN = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(?::([^{}]*))?\}|\*\*/|\*\*|\*|[^*{]+|\{")
_NAMED_DATE = re.compile(r"\{[A-Za-z_][A-Za-z0-9_]*:([^{}]*)\}")
_DIRECTIVE = re.compile(r"%(.)|([^%]+)", re.DOTALL)
_WIDTHS = {"Y": 4, "y": 2, "m": 2, "d": 2, "j": 3, "H": 2, "M": 2, "S": 2}
_ORDER = "YymdjHMS"
_FORMS = {whole[:n] for whole in ("YmdHMS", "ymdHMS", "YjHMS", "yjHMS") for n in range(1, 7)}
"""The parts that a form of date may name, in `_ORDER`."""
_ANY_DEPTH, _BELOW, _STAR, _NAME = "(?:[^/]+/)*", ".+", "[^/]*", "[^/]+"

Precision = Literal["year", "month", "day", "hour", "minute", "second"]
_PRECISIONS: Mapping[str, Precision] = {"S": "second", "M": "minute", "H": "hour", "j": "day", "d": "day", "m": "month"}


class PatternError(ValueError):
    """A pattern that cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class PathPattern:
    """A compiled pattern. `dates` maps a captured name to the form of its date."""

    text: str
    regex: re.Pattern[str]
    names: tuple[str, ...]
    dates: Mapping[str, str]
    _levels: tuple[re.Pattern[str], ...] = field(repr=False)
    _deep: bool = field(repr=False)
    _all_below: bool = field(repr=False)

    def match(self, raw: str) -> re.Match[str] | None:
        """The match for a whole path, with what `{name}` captured; None if it does not match."""
        return self.regex.fullmatch(raw)

    def below(self, directory: str) -> Literal["none", "some", "all"]:
        """How many of the paths below a directory (no trailing slash; "" is the root) can match.

        "none" and "all" are certain; "some" is every other case, and "all" is never said where
        a match captures something.
        """
        depth = directory.count("/") + 1 if directory else 0
        if self._deep and depth >= len(self._levels):
            prefix = "/".join(directory.split("/")[: len(self._levels)]) if directory else ""
            if self._levels and not self._levels[-1].fullmatch(prefix):
                return "none"
            return "all" if self._all_below and not self.names else "some"
        if depth > len(self._levels):
            return "none"
        if depth and not self._levels[depth - 1].fullmatch(directory):
            return "none"
        return "some"


@lru_cache(maxsize=4096)
def compile_pattern(text: str) -> PathPattern:
    """Compiles a pattern; `PatternError` for one that is empty, absolute, or leaves the root."""
    if not text:
        raise PatternError("an empty pattern names nothing")
    if text.startswith("/") or text.endswith("/"):
        raise PatternError("a pattern is relative to the store's root and names items: no slash at either end")
    dates: dict[str, str] = {}
    pieces = list(_pieces(text, dates))
    segments = _NAMED_DATE.sub(r"\1", text).split("/")
    if any(s in ("", ".", "..") for s in segments):
        raise PatternError("empty, '.' and '..' segments are not allowed")
    if any("**" in s and s != "**" for s in segments):
        raise PatternError("'**' stands alone between slashes, as in a/**/b or a/**")
    names = tuple(piece[4:-1] for piece in pieces if _opens(piece))
    deep = [n for n, piece in enumerate(pieces) if piece in (_ANY_DEPTH, _BELOW)]
    levels = _levels(pieces[: deep[0]] if deep else pieces)
    all_below = len(deep) == 1 and pieces[-1] == _BELOW
    return PathPattern(text, _compiled(pieces), names, dates, levels, bool(deep), all_below)


def _compiled(pieces: Sequence[str]) -> re.Pattern[str]:
    return re.compile("".join(pieces), re.DOTALL)


def _levels(pieces: Sequence[str]) -> tuple[re.Pattern[str], ...]:
    """What the first directory of a path must look like, the first two, and so on."""
    plain = [piece for piece in pieces if piece != ")" and not _opens(piece)]
    return tuple(_compiled(plain[:n]) for n, piece in enumerate(plain) if piece == "/")


def _opens(piece: str) -> bool:
    return piece.startswith("(?P<")


def _pieces(text: str, dates: dict[str, str]) -> Iterator[str]:
    """The regular expression of a pattern, piece by piece; a slash and the ends of a group stand alone."""
    names: set[str] = set()
    for token in _TOKEN.finditer(text):
        word, (name, form) = token.group(0), token.groups()
        if name:
            if name in names:
                raise PatternError(f"{{{name}}} stands twice")
            names.add(name)
            yield f"(?P<{name}>"
            yield from [_NAME] if form is None else _dated(name, form, dates)
            yield ")"
        elif word == "**/":
            yield _ANY_DEPTH
        elif word == "**":
            yield _BELOW if token.end() == len(text) else _STAR
        elif word == "*":
            yield _STAR
        elif word == "{":
            raise PatternError("'{' opens a name, such as {ticket} or {day:%Y-%m-%d}, and this one does not close")
        else:
            yield from _literal(word)


def _literal(text: str) -> Iterator[str]:
    return (re.escape(part) for part in re.split("(/)", text) if part)


def _dated(name: str, form: str, dates: dict[str, str]) -> Iterator[str]:
    _check_form(f"{{{name}:{form}}}", form)
    dates[name] = form
    for letter, text in _parts(form):
        yield from [f"[0-9]{{{_WIDTHS[letter]}}}"] if letter else _literal(text)


def _check_form(word: str, form: str) -> None:
    if form.replace("%%", "").endswith("%"):
        raise PatternError(f"{word} ends with a single '%'")
    letters = [letter for letter, _ in _parts(form) if letter]
    for letter in letters:
        if letter not in _WIDTHS:
            raise PatternError(f"%{letter} is not a form of date that can be read; use %Y %m %d %H %M %S")
    if not {"Y", "y"} & set(letters):
        raise PatternError(f"{word} names no year")
    if "*" in form:
        raise PatternError(f"{word} has a '*' in it, which no date has")
    if "".join(sorted(letters, key=_ORDER.index)) not in _FORMS:
        raise PatternError(f"{word} names no stretch of time; use %Y %m %d %H %M %S, each once and without a gap")


def date_of(text: str, form: str) -> tuple[datetime, Precision] | None:
    """The naive civil time that a captured date denotes, with its precision; None if there is no such date.

    `form` is one that `compile_pattern` has accepted. Of two digits of a year, 69 to 99 are of
    the last century (POSIX).
    """
    regex, letters = _reading(form)
    found = regex.fullmatch(text)
    if found is None:
        return None
    parts = dict(zip(letters, map(int, found.groups()), strict=True))
    year = parts["Y"] if "Y" in parts else parts["y"] + (1900 if parts["y"] >= 69 else 2000)
    try:
        civil = datetime(year, parts.get("m", 1), parts.get("d", 1), parts.get("H", 0), parts.get("M", 0), parts.get("S", 0))  # noqa: DTZ001 a civil time, until a zone is known
        civil += timedelta(days=parts.get("j", 1) - 1)
    except (ValueError, OverflowError):
        return None
    precision: Precision = next((precision for letter, precision in _PRECISIONS.items() if letter in parts), "year")
    return (civil, precision) if civil.year == year else None


@lru_cache(maxsize=256)
def _reading(form: str) -> tuple[re.Pattern[str], tuple[str, ...]]:
    """How a date of this form is read: each of its parts is a group."""
    parts = _parts(form)
    pieces = [f"([0-9]{{{_WIDTHS[letter]}}})" if letter else re.escape(text) for letter, text in parts]
    return _compiled(pieces), tuple(letter for letter, _ in parts if letter)


def _parts(form: str) -> list[tuple[str, str]]:
    """A form of date as (letter, "") for a part of the date and ("", text) for what stands between."""
    return [("", "%") if letter == "%" else (letter, text) for letter, text in _DIRECTIVE.findall(form)]


def glob_covers(pattern: str, raw: str) -> bool:
    """Whether a hold's path names this path or a directory above it: a path covers what is below it.

    Slashes at the ends mean nothing, and the path of the root (`/`) covers everything.
    """
    covering = _covering(pattern)
    return covering.fullmatch(raw) is not None or (raw.startswith("/") and covering.fullmatch(raw.lstrip("/")) is not None)


@lru_cache(maxsize=65536)
def _covering(pattern: str) -> re.Pattern[str]:
    text = pattern.strip("/")
    return _compiled([*_pieces(text, {}), "(?:/.*)?"] if text else [".*"])


def is_plain(pattern: str) -> bool:
    """Whether a pattern has no wildcard, so that it names one path and what is below it."""
    return not any(c in pattern for c in "*{")
