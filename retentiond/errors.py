"""Every exception on one page, each with the exit code of the command that meets it.

The class docstring is the fixed part of the message (*what*). An instance adds where it
happened, why it is so and what to do, because an operator at three in the morning needs
all four. The text of an error never holds the data of a row, a file name or a key: it may
end up in a journal. A key belongs in `key`, which only a terminal prints.

Exit codes are a contract: 0 done · 1 some steps failed or are unknown · 2 configuration or
usage · 3 refused by a limit or unapproved · 4 a plan that cannot be used · 5 a store or a
lock · 6 the audit trail does not verify · 7 a violation or something overdue.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with what a person wrote: where it stands and the way out."""

    what: str
    why: str = ""
    do: str = ""
    file: str = ""
    line: int = 0
    column: int = 0
    code: str = "configuration"

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}: " if self.file else ""
        return where + "; ".join(part for part in (self.what, self.why, self.do) if part)


class RetentiondError(Exception):
    """Something went wrong."""

    code = "error"
    exit_code = 1

    def __init__(self, what: str = "", *, why: str = "", do: str = "", key: str = "") -> None:
        self.what = what or (self.__doc__ or "").strip().rstrip(".")
        self.why, self.do, self.key = why, do, key
        super().__init__(self.what)

    @property
    def problems(self) -> Sequence[Problem]:
        """The same as a list, as `--json` prints it."""
        return [Problem(self.what, self.why, self.do, code=self.code)]


class ConfigurationError(RetentiondError):
    """The configuration cannot be used; every problem in it is listed."""

    code = "configuration"
    exit_code = 2

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(p) for p in problems))
        self._problems = list(problems)

    @property
    def problems(self) -> Sequence[Problem]:
        return self._problems


class UsageError(RetentiondError):
    """The command cannot be carried out as it was given."""

    code = "usage"
    exit_code = 2


class StateOfAnother(UsageError):
    """The state belongs to another user, who is meant to give this command."""

    def __init__(self, user: str) -> None:
        super().__init__(
            f"the state belongs to the user {user}",
            why="files made by root could not be written by it",
            do=f"sudo -u {shlex.quote(user)} retentiond …",
        )
        self.user = user


class PlanRefused(RetentiondError):
    """A limit stands in the way of this plan."""

    code = "limit"
    exit_code = 3


class NotApproved(RetentiondError):
    """This version of the category has not been approved."""

    code = "unapproved"
    exit_code = 3


class ClockStepped(RetentiondError):
    """The clock has gone back or jumped, so nothing can be judged by it."""

    code = "clock"
    exit_code = 3


class PlanUnusable(RetentiondError):
    """The plan is stale, altered, expired, unknown, a forecast, or for another place."""

    code = "plan"
    exit_code = 4


class StoreTrouble(RetentiondError):
    """A store does not do what it was asked. Raised as one of the two below.

    `event_store` names the store of an event that could not be looked up; "" where items were asked for. `destination` names
    the store that archives or copies go to, where it is that one's trouble. `word` is the word of a rule that it is about, as
    it was written; `place` (file, line, column) is where that stands, once somebody has looked.
    """

    exit_code = 5
    event_store = ""
    destination = ""
    place = ("", 0, 0)

    def __init__(self, what: str = "", *, why: str = "", do: str = "", key: str = "", word: str = "") -> None:
        super().__init__(what, why=why, do=do, key=key)
        self.word = word

    @property
    def problems(self) -> Sequence[Problem]:
        whose = f"the store {self.destination}, which its copies go to: " if self.destination and self.place[0] else ""
        return [Problem(whose + self.what, self.why, self.do, *self.place, self.code)]


class StoreUnavailable(StoreTrouble):
    """The store cannot be reached now; trying again may help."""

    code = "store-unavailable"


class StoreDenied(StoreTrouble):
    """The store refuses, and trying again will not help."""

    code = "store-denied"


class ItemChanged(RetentiondError):
    """The item is not there any more as it was seen."""

    code = "item-changed"


class Occupied(RetentiondError):
    """Something lies there already, and nothing is ever written over it."""

    code = "occupied"


class NotSealed(RetentiondError):
    """The process that encrypts has failed."""

    code = "not-encrypted"


class NotOpened(RetentiondError):
    """The archive cannot be brought back."""

    code = "not-restored"


class StateUnavailable(RetentiondError):
    """The state cannot be written, and without evidence nothing is destroyed."""

    code = "state"
    exit_code = 5


class Locked(RetentiondError):
    """Somebody else is at work on this state."""

    code = "locked"
    exit_code = 5


class LeaseLost(Locked):
    """This process was away for so long that somebody else is at work on this state by now."""

    code = "lease-lost"


class NotDelivered(RetentiondError):
    """The message has not been taken."""

    code = "undelivered"


class AuditBroken(RetentiondError):
    """The audit trail does not verify."""

    code = "audit"
    exit_code = 6

    def __init__(self, findings: Sequence[str]) -> None:
        super().__init__("\n".join(findings), do="compare the folder with an earlier copy and with the anchored checkpoints")
        self.findings = list(findings)
