"""A selection of mail: folders, senders, recipients and headers, and the fields that its messages have.

Guarantee: a selection that compiles has patterns that can be used, none of which captures a name twice, and
means every message only where that is said in words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from retentiond.config.reading import Part, Reading, read
from retentiond.config.selections import MessageShape
from retentiond.config.suggest import quoted
from retentiond.core.mail import compile_text, is_header
from retentiond.core.pattern import PatternError, compile_pattern
from retentiond.core.policy import MailSelection
from retentiond.errors import Problem

KEYS = frozenset({"folder", "from", "to", "header"})
"""What a selection of mail may say."""
_EVERY_FOLDER = ("**", "**/*")


@dataclass(frozen=True, slots=True)
class MailFields:
    """The fields of messages: every header, and the names that the patterns of a selection capture."""

    names: tuple[str, ...]

    def problem_with(self, where: Part, name: str) -> Problem | None:
        """What is wrong with the name of a field."""
        if name in self.names or is_header(name):
            return None
        do = "write for example from, correspondents, message-id or X-Ticket"
        return where.problem(f"{quoted(name)} is no name of a header", "headers have printable ASCII names without a colon", do)


def mail_of(part: Part, found: list[Problem]) -> tuple[Reading[MessageShape], MailSelection | None, MailFields | None]:
    """What is selected; None where something is wrong with it, which is then in `found`."""
    before = len(found)
    shape = read(MessageShape, part, found)
    if len(found) > before:
        return shape, None, None
    senders, recipients = (shape.get(key) if shape.has(key) else () for key in ("from", "to"))
    selection = MailSelection(shape.get("folder"), senders, recipients, tuple(shape.get("header").items()))
    names: list[str] = []
    for where, captured in _captured(shape, selection, found):
        for name in captured:
            if name in names:
                found.append(
                    where.problem(f"{{{name}}} stands in two patterns", "nobody could tell which is meant", "rename one")
                )
            names.append(name)
    return (shape, selection, MailFields(tuple(names))) if len(found) == before else (shape, None, None)


def means_everything(selection: MailSelection) -> bool:
    """Whether a selection is always true by its text."""
    return selection.folder in _EVERY_FOLDER and selection.conditions is None


def _captured(shape: Reading[MessageShape], selection: MailSelection, found: list[Problem]) -> Iterator[tuple[Part, set[str]]]:
    """The names that each pattern captures; alternatives may capture the same one. A pattern that cannot be used is a problem."""
    try:
        folder = compile_pattern(selection.folder)
        if folder.dates:
            raise PatternError("a folder captures text, no dates")
        yield shape.where("folder"), set(folder.names)
    except PatternError as error:
        found.append(_problem(shape.where("folder"), error))
    for key, patterns in (("from", selection.senders), ("to", selection.recipients)):
        yield shape.where(key), {name for pattern in patterns for name in _names(pattern, shape.where(key), found)}
    for name, pattern in selection.headers:
        where = shape.where("header").at(name)
        if not is_header(name):
            found.append(
                where.problem_with_key(f"{quoted(name)} is no name of a header", "it is printable ASCII without a colon")
            )
        yield where, set(_names(pattern, where, found))


def _names(pattern: str, where: Part, found: list[Problem]) -> tuple[str, ...]:
    try:
        return compile_text(pattern).names
    except PatternError as error:
        found.append(_problem(where, error))
        return ()


def _problem(where: Part, error: PatternError) -> Problem:
    return where.problem("the pattern cannot be used", str(error), "see 'select' in the policy language")
