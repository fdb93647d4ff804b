"""Claiming: taking items out of their users' sight, comparing them there, and letting them go.

As with files on a local disk, but for many directories together, because each step is a round trip: the claim directories
are made, the items renamed into them, the claims listed (which compares all that is in them in a few answers), the
claimed removed, the claim directories too. An item that is not what its step names goes back to its name, and never over a
newcomer: a rename is refused where something has the new name, and since not every server keeps to that, it is looked first.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from retentiond.core.outcome import Outcome
from retentiond.engine import failpoints
from retentiond.stores.fates import Fates
from retentiond.stores.paths import RESERVED, Step
from retentiond.stores.sftp import packets
from retentiond.stores.sftp.claims import Claimed
from retentiond.stores.sftp.listing import walked
from retentiond.stores.sftp.packets import Answer, Attributes, Request
from retentiond.stores.sftp.root import Root, code_of
from retentiond.stores.sftp.view import is_twin

_TAKEN = "taken-from-claim"
_TWIN = 2


@dataclass(slots=True)
class Group:
    """The steps of one directory, and what becomes of them."""

    directory: str
    steps: Sequence[Step]
    fates: Fates
    claim: str = field(default_factory=lambda: RESERVED + secrets.token_hex(8))
    taken: dict[str, Step] = field(default_factory=dict)
    mine: list[Step] = field(default_factory=list)
    is_clean: bool = True
    now: int | None = None

    @property
    def inside(self) -> str:
        """The claim directory, relative to the root."""
        return below(self.directory, self.claim)


def below(directory: str, name: str) -> str:
    """The path of a name in a directory; "" is the root."""
    return f"{directory}/{name}" if directory else name


class Claiming:
    """Takes and lets go of the items of several directories together. `revisions[position]` is what an item must still be."""

    def __init__(self, root: Root, groups: Sequence[Group], revisions: Sequence[str]) -> None:
        self._root, self._session = root, root.session()
        self._groups, self._revisions = list(groups), revisions

    def claim(self) -> None:
        """Renames each item into the claim beside it, as far as that can be."""
        self._groups = self._those_on_their_way(self._groups)
        made = self._ask(packets.mkdir(self._root.at(group.inside)) for group in self._groups)
        for group, answer in zip(self._groups, made, strict=True):
            code = packets.status_of(answer)
            if code:
                gone = code == packets.ABSENT
                group.fates.settle_all(group.steps, *((Outcome.GONE, "") if gone else (Outcome.FAILED, code_of(code))))
        self._groups = [group for group, answer in zip(self._groups, made, strict=True) if not packets.status_of(answer)]
        self._take()
        failpoints.reach("claimed")

    def compare(self) -> None:
        """Looks at what was claimed; what is not as its step says goes back."""
        by = {group.inside: group for group in self._groups}
        found: dict[str, dict[str, Attributes]] = {inside: {} for inside in by}
        for part in walked(self._root, self._session, list(by), lambda _: False):
            found[part.directory].update(part.entries)
            by[part.directory].now = part.now
        back: list[tuple[Group, Step, Attributes]] = []
        for inside, group in by.items():
            for name, step in group.taken.items():
                attributes = found[inside].get(name)
                if attributes is None:
                    group.fates.settle(step[0], Outcome.UNKNOWN, _TAKEN)
                elif attributes.is_file and attributes.revision == self._revisions[step[0]] and attributes.links in (1, None):
                    group.mine.append(step)
                else:
                    back.append((group, step, attributes))
        self._give_back(back)
        failpoints.reach("compared")

    def destroy(self) -> None:
        """Removes what is as its step says, and the claim directories, where nothing is left in them."""
        steps = [(group, step) for group in self._groups for step in group.mine]
        answers = self._ask(packets.remove(self._root.at(below(group.inside, step[1]))) for group, step in steps)
        for (group, step), answer in zip(steps, answers, strict=True):
            code = packets.status_of(answer)
            if not code:
                group.fates.settle(step[0], Outcome.DISPOSED)
            elif code == packets.ABSENT:
                group.fates.settle(step[0], Outcome.UNKNOWN, _TAKEN)
            else:
                restored = give_back(self._root, group.directory, [(step[1], Claimed(group.claim, Attributes(None, None, None)))])
                group.fates.settle(step[0], Outcome.FAILED, code_of(code))
                group.is_clean = group.is_clean and all(restored)
        remove_empty(self._root, [group.inside for group in self._groups])
        failpoints.reach("destroyed")

    def is_behind(self, at: int, seconds: int) -> bool:
        """Whether the server's clock, as the claims tell it, is more than so many seconds behind an instant."""
        return any(group.now is not None and group.now < at - seconds for group in self._groups if group.taken)

    def release(self) -> None:
        """Gives everything back that was claimed, instead of letting it go."""
        claimed = [(group, step) for group in self._groups for step in group.mine]
        self._give_back([(group, step, Attributes(None, None, None)) for group, step in claimed])
        for group in self._groups:
            group.mine.clear()

    def _those_on_their_way(self, groups: Sequence[Group]) -> list[Group]:
        """The groups in whose way no link stands."""
        there = self._root.are_where_they_say([group.directory for group in groups])
        for group, is_there in zip(groups, there, strict=True):
            if not is_there:
                group.fates.settle_all(group.steps, Outcome.FAILED, "not-followed")
        return [group for group, is_there in zip(groups, there, strict=True) if is_there]

    def _take(self) -> None:
        """Renames; of a name that stands twice, once."""
        steps: list[tuple[Group, Step]] = []
        for group in self._groups:
            for step in group.steps:
                if step[1] in group.taken:
                    group.fates.settle(step[0], Outcome.GONE)
                else:
                    group.taken[step[1]] = step
                    steps.append((group, step))
        at = self._root.at
        answers = self._ask(packets.rename(at(below(g.directory, name)), at(below(g.inside, name))) for g, (_, name) in steps)
        codes = map(packets.status_of, answers)
        failed = [(group, step, code) for (group, step), code in zip(steps, codes, strict=True) if code]
        looked = self._ask(packets.lstat(self._root.at(below(group.directory, step[1]))) for group, step, _ in failed)
        for (group, step, code), answer in zip(failed, looked, strict=True):
            del group.taken[step[1]]
            if packets.failure_of(answer) in (packets.ABSENT, packets.BAD):
                group.fates.settle(step[0], Outcome.GONE)
            else:
                group.fates.settle(step[0], Outcome.FAILED, code_of(code))

    def _give_back(self, back: Iterable[tuple[Group, Step, Attributes]]) -> None:
        for group, step, attributes in back:
            (given,) = give_back(self._root, group.directory, [(step[1], Claimed(group.claim, attributes))])
            same = attributes.is_file and attributes.revision == self._revisions[step[0]]
            code = "" if given and not same else "hard-links" if given else "left-in-claim"
            group.fates.settle(step[0], Outcome.CHANGED, code)
            group.is_clean = group.is_clean and given

    def _ask(self, requests: Iterable[Request]) -> list[Answer]:
        return list(self._session.answers(requests))


def give_back(root: Root, directory: str, claimed: Sequence[tuple[str, Claimed]]) -> list[bool]:
    """Gives claimed items their names back; False where a newcomer has one, and the item stays in the claim."""
    session, given = root.session(), []
    for name, (claim, attributes) in claimed:
        own, hidden = root.at(below(directory, name)), root.at(below(below(directory, claim), name))
        answer = session.ask(packets.lstat(own))
        if packets.failure_of(answer) == packets.ABSENT:
            given.append(not packets.status_of(session.ask(packets.rename(hidden, own))))
            continue
        newcomer = None if answer.kind == packets.STATUS else packets.attributes_of(answer)
        is_other_name = newcomer is not None and is_twin(newcomer._replace(links=_TWIN), attributes)
        given.append(is_other_name and not packets.status_of(session.ask(packets.remove(hidden))))
    return given


def remove_empty(root: Root, directories: Sequence[str]) -> list[bool]:
    """Removes directories that are empty; whether each has gone."""
    answers = root.session().ask_all([packets.rmdir(root.at(directory)) for directory in directories])
    return [not packets.status_of(answer) for answer in answers]


def make_durable(root: Root, directories: Sequence[str]) -> bool:
    """Has the server write directories through to its disk; False where it cannot, or one of them is not there any more.

    OpenSSH opens a directory as it opens a file, and fsync(2) makes durable what names it has.
    """
    session = root.session()
    if b"fsync@openssh.com" not in session.extensions:
        return False
    opened = session.ask_all([packets.opened(root.at(directory), packets.FOR_READING) for directory in directories])
    handles = [packets.string_of(answer, packets.HANDLE) for answer in opened if answer.kind == packets.HANDLE]
    written = session.ask_all([packets.fsync(handle) for handle in handles])
    session.forget([session.post(packets.close(handle)) for handle in handles])
    return len(handles) == len(directories) and not any(map(packets.status_of, written))
