"""Words for messages: what was written, quoted on one line, and what may have been meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_LONGEST = 60


def one_line(text: str) -> str:
    """A text on one line, with nothing in it that a terminal might act on."""
    return "".join(c if c.isprintable() else "·" for c in " ".join(text.split()))


def quoted(text: object) -> str:
    """What was written, in quotes, on one line, cut where it is long."""
    plain = one_line(str(text))
    return f"'{plain}'" if len(plain) <= _LONGEST else f"'{plain[:_LONGEST]}…'"


def meant(word: str, known: Iterable[str]) -> str:
    """The known word that is closest to a written one; empty where none is close."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    close = get_close_matches(word.lower()[:200], by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else ""


def did_you_mean(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """A question as the way out, or another way out where nothing known is close."""
    close = meant(word, known)
    return f"did you mean '{close}'?" if close else otherwise


def listed(words: Iterable[str]) -> str:
    """Words in a row, as a message names them."""
    return ", ".join(words) or "none"
