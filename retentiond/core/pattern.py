"""Path patterns: which keys of a file-like store a rule or a hold names.

`*` matches any characters but `/`; `**/` any number of segments; a trailing `**` everything
below; `{name}` one or more characters but `/`; `{name:%Y-%m-%d}` a date in that form. Every
other character is itself, `?` and `[` included; a leading dot is nothing special; case counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Literal

_TOKEN = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(?::([^{}]*))?\}|\{(%[^{}]*)\}|\*\*/|\*\*|\*|[^*{]+|\{")
_NAMED_DATE = re.compile(r"\{[A-Za-z_][A-Za-z0-9_]*:([^{}]*)\}")
_DIRECTIVE = re.compile(r"%(.)|([^%]+)")
_DIGITS = {
    "Y": r"\d{4}",
    "m": r"\d{2}",
    "d": r"\d{2}",
    "H": r"\d{2}",
    "M": r"\d{2}",
    "S": r"\d{2}",
    "y": r"\d{2}",
    "j": r"\d{3}",
    "%": "%",
}


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
        """How many of the paths below a directory (no trailing slash; "" is the root) can match."""
        depth = directory.count("/") + 1 if directory else 0
        if self._deep and depth >= len(self._levels):
            prefix = "/".join(directory.split("/")[: len(self._levels)]) if directory else ""
            if self._levels and not self._levels[-1].fullmatch(prefix):
                return "none"
            return "all" if self._all_below and not self.names else "some"
        if depth >= len(self._levels) + (0 if self._deep else 1):
            return "none"
        if depth and not self._levels[depth - 1].fullmatch(directory):
            return "none"
        return "some"


@lru_cache(maxsize=4096)
def compile_pattern(text: str) -> PathPattern:
    """Compiles a pattern; `PatternError` for one that is empty, absolute, or leaves the root."""
    if not text:
        raise PatternError("an empty pattern names nothing")
    segments = _NAMED_DATE.sub(_unnamed, text).split("/")
    if text.startswith("/") or text.endswith("/"):
        raise PatternError("a pattern is relative to the store's root and names items: no slash at either end")
    if any(s in ("", ".", "..") for s in segments):
        raise PatternError("empty, '.' and '..' segments are not allowed")
    if any("**" in s and s != "**" for s in segments):
        raise PatternError("'**' stands alone between slashes, as in a/**/b or a/**")
    names: list[str] = []
    dates: dict[str, str] = {}
    regex = _regex(text, names, dates)
    fixed = [i for i, s in enumerate(segments) if s == "**"]
    plain = segments[: fixed[0]] if fixed else segments[:-1]
    levels = tuple(re.compile(_regex("/".join(plain[: n + 1]), [], {}), re.DOTALL) for n in range(len(plain)))
    all_below = len(fixed) == 1 and segments[-1] == "**"
    return PathPattern(text, re.compile(regex, re.DOTALL), tuple(names), dates, levels, bool(fixed), all_below)


def _regex(text: str, names: list[str], dates: dict[str, str]) -> str:
    parts = []
    for token in _TOKEN.finditer(text):
        word, (name, form, unnamed) = token.group(0), token.groups()
        if name:
            if name in names:
                raise PatternError(f"{{{name}}} stands twice")
            names.append(name)
            parts.append(f"(?P<{name}>{_date_regex(name, form, dates) if form is not None else '[^/]+'})")
        elif unnamed:
            parts.append(_form_regex(unnamed))
        elif word == "**/":
            parts.append("(?:[^/]+/)*")
        elif word == "**":
            parts.append(".+" if token.end() == len(text) else "[^/]*")
        elif word == "*":
            parts.append("[^/]*")
        elif word == "{":
            raise PatternError("'{' opens a name, such as {ticket} or {day:%Y-%m-%d}, and this one does not close")
        else:
            parts.append(re.escape(word))
    return "".join(parts)


def _date_regex(name: str, form: str, dates: dict[str, str]) -> str:
    if "%Y" not in form and "%y" not in form:
        raise PatternError(f"{{{name}:{form}}} names no year")
    dates[name] = form
    return _form_regex(form)


def _form_regex(form: str) -> str:
    parts = []
    for directive in _DIRECTIVE.finditer(form):
        letter, text = directive.groups()
        if letter and letter not in _DIGITS:
            raise PatternError(f"%{letter} is not a form of date that can be read; use %Y %m %d %H %M %S")
        parts.append(_DIGITS[letter] if letter else re.escape(text))
    return "".join(parts)


def _unnamed(date: re.Match[str]) -> str:
    """A date whose form has slashes spans several segments: one piece for each."""
    return "/".join("{" + piece + "}" if "%" in piece else piece for piece in date.group(1).split("/"))


def date_of(text: str, form: str) -> tuple[datetime, Literal["month", "day", "hour", "minute", "second"]] | None:
    """The naive civil time that a captured date denotes, with its precision; None if there is no such date."""
    try:
        civil = datetime.strptime(text, form)  # noqa: DTZ007 a civil time, until a zone is known
    except ValueError:
        return None
    if "%S" in form:
        return civil, "second"
    if "%M" in form:
        return civil, "minute"
    if "%H" in form:
        return civil, "hour"
    return civil, "day" if "%d" in form or "%j" in form else "month"


def glob_covers(pattern: str, raw: str) -> bool:
    """Whether a hold's path names this path or a directory above it: a path covers what is below it."""
    return _covering(pattern).fullmatch(raw) is not None


@lru_cache(maxsize=65536)
def _covering(pattern: str) -> re.Pattern[str]:
    text = pattern.strip("/")
    return re.compile(_regex(text, [], {}) + "(?:/.*)?", re.DOTALL) if text else re.compile("(?!)")


def is_plain(pattern: str) -> bool:
    """Whether a pattern has no wildcard, so that it names one path and what is below it."""
    return not any(c in pattern for c in "*{")
