"""Letting go on an IMAP server: messages are flagged as deleted and removed by their UIDs, and no others with them.

`UID EXPUNGE` (RFC 4315) names what goes; a plain EXPUNGE would take along whatever people have flagged themselves, and is
never given. A server without it is refused. A disposal that is cut short may leave the flag: it is set together with a
keyword of our own, where the server keeps keywords, so that putting back takes away our flags and nobody else's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from retentiond.core.outcome import Outcome
from retentiond.engine import failpoints
from retentiond.errors import StoreDenied, StoreUnavailable
from retentiond.stores.fates import Fates
from retentiond.stores.mail.boxes import left_alone
from retentiond.stores.mail.imap import Folders, asked, items_for, revision_of, sighted, uid_of
from retentiond.stores.mail.server import Address, Line, Refused, uid_sets
from retentiond.stores.mail.sieve import Sieve
from retentiond.stores.paths import Step

CLAIM = "$retentiond"
_DELETED = r"\Deleted"


class ExpungingFolders(Folders):
    """Folders opened for disposal. `StoreDenied` where the server cannot remove single messages."""

    def __init__(self, address: Address, only: Sequence[str] = ()) -> None:
        super().__init__(address, only)
        with self.line() as line:
            if "UIDPLUS" not in line.capabilities:
                self.close()
                why = "it lacks UIDPLUS (RFC 4315), and a plain EXPUNGE would remove what others have marked"
                raise StoreDenied("the mail server cannot remove single messages", why=why)

    def let_go(self, folder: str, steps: Sequence[Step], revisions: Sequence[str], sieve: Sieve) -> Fates:
        """Disposes of messages of one folder; `StoreUnavailable` where the line is lost, and what became of them is not known."""
        fates = Fates()
        with self.line() as line:
            try:
                validity, _ = line.opened(folder, acting=True)
            except Refused as refused:
                if folder in self._listed():
                    fates.settle_all(steps, Outcome.FAILED, _word(refused))
                else:
                    fates.settle_all(steps, Outcome.GONE)
                return fates
            try:
                going = self._going(line, folder, validity, steps, revisions, sieve, fates)
            except Refused as refused:
                fates.settle_all(steps, Outcome.FAILED, _word(refused))
                return fates
            failpoints.reach("compared")
            if going:
                _expunge(line, going, fates)
                failpoints.reach("settled")
        return fates

    def put_back(self, folder: str, names: Collection[str]) -> None:
        """Takes away the flags that a cut-short disposal has set."""
        with self.line() as line:
            try:
                line.opened(folder, acting=True)
                for numbers in uid_sets(uid for name in names if (uid := uid_of(name))):
                    flagged = [a.uid for a in line.fetch(numbers, "FLAGS", by_uid=True) if CLAIM in a.flags]
                    for mine in uid_sets(flagged):
                        line.flag(mine, "-FLAGS.SILENT", f"{_DELETED} {CLAIM}")
            except Refused as refused:
                if folder in self._listed():
                    raise StoreDenied("a flag on the mail server cannot be taken back", why=_word(refused)) from None

    def _going(
        self,
        line: Line,
        folder: str,
        validity: int,
        steps: Sequence[Step],
        revisions: Sequence[str],
        sieve: Sieve,
        fates: Fates,
    ) -> dict[int, int]:
        """The positions of the messages, by UID, that are still as they were, and may go; the others' fates are settled."""
        known = {uid: position for position, name in steps if (uid := uid_of(name))}
        fates.settle_all((step for step in steps if uid_of(step[1]) is None), Outcome.GONE)
        there = asked(line, [*known], items_for(sieve))
        going: dict[int, int] = {}
        for uid, position in known.items():
            if uid not in there:
                fates.settle(position, Outcome.GONE)
            elif revision_of(validity, uid) != revisions[position]:
                fates.settle(position, Outcome.CHANGED)
            elif why := left_alone(sighted(validity, there[uid], sieve), folder, sieve):
                fates.settle(position, Outcome.CHANGED, why)
            else:
                going[uid] = position
        return going


def _expunge(line: Line, going: Mapping[int, int], fates: Fates) -> None:
    """Removes messages, by UID, and settles what has become of each."""
    flags = f"{_DELETED} {CLAIM}" if line.keeps_keywords else _DELETED
    why = "not-expunged"
    try:
        for numbers in uid_sets(going):
            line.flag(numbers, "+FLAGS.SILENT", flags)
        failpoints.reach("claimed")
        for numbers in uid_sets(going):
            line.expunge(numbers)
        failpoints.reach("destroyed")
    except Refused as refused:
        why = _word(refused)
    try:
        left = asked(line, [*going], "RFC822.SIZE")
    except Refused as refused:
        raise StoreUnavailable("what has become of messages cannot be seen", why=_word(refused)) from None
    if left:
        _take_back(line, left, flags)
    for uid, position in going.items():
        fates.settle(position, *((Outcome.FAILED, why) if uid in left else (Outcome.DISPOSED, "")))


def _take_back(line: Line, uids: Iterable[int], flags: str) -> None:
    """The flags of a removal that the server refuses; where it refuses this, too, they stay."""
    try:
        for numbers in uid_sets(uids):
            line.flag(numbers, "-FLAGS.SILENT", flags)
    except Refused:
        return


def _word(refused: Refused) -> str:
    return refused.code.lower() or "refused"
