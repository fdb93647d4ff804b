"""Mail: the fields of a message, how addresses are spelled, and patterns of headers.

A field of a message is the name of a header, in any case; `correspondents`, everybody it went between;
or `folder`. Its fact is what all headers of that name say, a line for each value: of the headers that hold
addresses (RFC 5322 §3.4) each address by itself, without names and comments. Addresses are spelled in small
letters, the domain as it is looked up (`xn--…`), because mail to them arrives whatever the case. A fact
names a person where one of its lines does.

A pattern of a header or an address: `*` matches any characters, `{name}` one or more, everything else is
itself, in small letters or capitals.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from unicodedata import normalize

from retentiond.core.pattern import PatternError
from retentiond.core.policy import MailSelection, Selection

CORRESPONDENTS = "correspondents"
"""The field with every address that a message went between."""
FOLDER = "folder"
"""The field with the folder that a message lies in."""
MESSAGE_ID = "message-id"
ADDRESSED = frozenset({"from", "sender", "reply-to", "to", "cc", "bcc", "resent-from", "resent-sender", "resent-to", "resent-cc"})
"""The headers that hold addresses."""

_ADDRESS = re.compile(
    r'("(?:[^"\\\x00-\x1f]|\\[ -~])*"|[^\s"(),:;<>@\[\]\\\x00-\x1f\x7f]+)@(\[[^\s\[\]\\]+\]|[^\s"(),:;<>@\[\]\\]+)'
)
_HEADER = re.compile(r"[!-9;-~]+")
_TOKEN = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}|(\*+)|[^*{]+|(\{)")


def field_of(name: str) -> str:
    """The spelling of a field by which facts are looked up: names of headers do not depend on case; `message_id` will do, too."""
    small = name.lower()
    hyphened = small.replace("_", "-")
    return hyphened if hyphened in ADDRESSED or hyphened == MESSAGE_ID else small


def is_header(name: str) -> bool:
    """Whether a header may be named so (RFC 5322 §3.6.8: printable ASCII without a colon)."""
    return _HEADER.fullmatch(name) is not None


def address_of(text: str) -> str | None:
    """An address in the spelling of facts; None for what is none."""
    found = _ADDRESS.fullmatch(text.strip())
    if found is None:
        return None
    local, domain = found.groups()
    try:
        domain = domain if domain.isascii() else domain.encode("idna").decode("ascii")
    except UnicodeError:
        return None
    return f"{normalize('NFC', local)}@{domain}".lower()


def identifiers(selection: Selection, fact: str | None) -> Sequence[str]:
    """The identifiers that a fact holds: one, or of a message each line of it."""
    if fact is None:
        return ()
    return fact.split("\n") if isinstance(selection, MailSelection) else (fact,)


def as_fact(selection: Selection, name: str, value: str) -> str:
    """An identifier as a person writes it, in the spelling in which a fact of this field holds it."""
    if not isinstance(selection, MailSelection):
        return value
    known = field_of(name)
    if known in ADDRESSED or known == CORRESPONDENTS:
        return address_of(value) or value.strip().lower()
    return value.strip().removeprefix("<").removesuffix(">") if known == MESSAGE_ID else value


@dataclass(frozen=True, slots=True)
class TextPattern:
    """A compiled pattern of a line of text. `tokens` are literals and, between them, gaps: `*` or the name of a capture."""

    text: str
    names: tuple[str, ...]
    _tokens: tuple[tuple[str, str], ...] = field(repr=False)

    def match(self, line: str) -> Mapping[str, str] | None:
        """What `{name}` captured in a whole line; None where it does not match. Linear in the line's length."""
        folded = _folded(line)
        captured: dict[str, str] = {}
        at, gap = 0, ""
        for n, (kind, word) in enumerate(self._tokens):
            if kind == "gap":
                gap = word
                continue
            last = n == len(self._tokens) - 1
            found = _found(folded, word, at + (gap not in ("", "*")), at, gap, last)
            if found < 0:
                return None
            if gap not in ("", "*"):
                captured[gap] = line[at:found]
            at, gap = found + len(word), ""
        if gap in ("", "*"):
            return captured if gap or at == len(line) else None
        return captured | {gap: line[at:]} if at < len(line) else None


def _found(folded: str, word: str, least: int, at: int, gap: str, last: bool) -> int:
    """Where a literal begins: at once, or after a gap of at least so much, at the end where it is the last; -1 for nowhere."""
    if not gap:
        return at if folded.startswith(word, at) else -1
    if not last:
        return folded.find(word, least)
    end = len(folded) - len(word)
    return end if end >= least and folded.endswith(word) else -1


def _folded(text: str) -> str:
    """A text without its capitals, character by character, so that places in it stay the same."""
    small = text.lower()
    return small if len(small) == len(text) else "".join(c.lower() if len(c.lower()) == 1 else c for c in text)


@lru_cache(maxsize=4096)
def compile_text(text: str) -> TextPattern:
    """Compiles a pattern; `PatternError` for one that is empty, or in which two gaps touch."""
    if not text:
        raise PatternError("an empty pattern names nothing")
    tokens: list[tuple[str, str]] = []
    names: list[str] = []
    for token in _TOKEN.finditer(text):
        name, star, brace = token.groups()
        if brace:
            raise PatternError("'{' opens a name, such as {ticket}, and this one does not close; dates cannot be captured here")
        if (name or star) and tokens and tokens[-1][0] == "gap":
            raise PatternError(f"{token.group(0)} begins nowhere: something fixed has to stand before it")
        if name in names:
            raise PatternError(f"{{{name}}} stands twice")
        names += [name] if name else []
        tokens.append(("gap", name or "*") if name or star else ("literal", _folded(token.group(0))))
    return TextPattern(text, tuple(names), tuple(tokens))
