"""Deleting versions by their ids: many in a request, one in a request where XML has no way to write the key.

`DeleteObjects` answers 200 and errors side by side, for each version its own: they are read one by one, and
what the answer does not mention is nobody's fact. An error that may pass is tried again after a pause,
and what an upload could have replaced meanwhile is looked at again first.

Where no versions are kept, many are deleted quietly: the server mentions errors only, which spares it a tenth of its
work. What it is silent about is looked at, in one listing, and is gone when that does not show its key any more.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from botocore.exceptions import BotoCoreError, ClientError

from retentiond.core.outcome import Outcome, Settled
from retentiond.errors import RetentiondError, StoreDenied, StoreUnavailable
from retentiond.stores.s3.client import BODY, Bucket, chunks, code_of, wire
from retentiond.stores.s3.details import detail_of
from retentiond.stores.s3.listing import NULL, Row, space_of
from retentiond.stores.s3.looking import Looking
from retentiond.stores.s3.trouble import is_passing, refusal
from retentiond.stores.s3.uploads import GONE, Uploads

TOGETHER = 1000
"""So many versions a request takes. Several at once come of several lanes."""
_QUIETLY = 100
"""So many in one request are deleted quietly: a look at them costs as much as the mention of some thirty."""
_PAUSES = (0.2, 1.0, 4.0)
_NOT_XML = re.compile("[^ -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot carry there and back: control characters, line ends, lone surrogates, U+FFFE and U+FFFF."""
_GONE = frozenset({"NoSuchKey", "NoSuchVersion", GONE})
_CHANGED = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict"})
_DENIED = frozenset({"AccessDenied", "403", "AllAccessDisabled", "InvalidObjectState"})


class Step(NamedTuple):
    """A position of a batch, and the version that goes; whether it passes a lock, for which a person has answered."""

    position: int
    row: Row
    passes: bool = False


class Fates:
    """What has become of the positions of a batch. `taken` gives each once."""

    def __init__(self) -> None:
        self._of: dict[int, tuple[Outcome, str]] = {}

    def settle(self, position: int, outcome: Outcome, code: str = "") -> None:
        self._of[position] = (outcome, code)

    def settle_all(self, positions: Iterable[int], outcome: Outcome, code: str = "") -> None:
        self._of.update(dict.fromkeys(positions, (outcome, code)))

    def taken(self) -> Iterator[Settled]:
        """One fact for each kind of fate, of what was settled since it was last asked."""
        by: dict[tuple[Outcome, str], list[int]] = {}
        for position, fate in self._of.items():
            by.setdefault(fate, []).append(position)
        self._of.clear()
        for (outcome, code), positions in by.items():
            yield Settled(sorted(positions), outcome, code)


class _Answer(NamedTuple):
    """What a server said of one version: an error's code, "" where it is deleted."""

    step: Step
    code: str


class Deleting:
    """Deletes versions of one bucket, or aborts its uploads."""

    def __init__(self, bucket: Bucket, looking: Looking | Uploads) -> None:
        self._bucket, self._looking = bucket, looking
        self._aborts = isinstance(looking, Uploads)

    def let_go(self, steps: Sequence[Step], fates: Fates) -> RetentiondError | None:
        """Deletes these versions; the trouble that ended it early, if any. What it left unsettled is to be looked at."""
        trouble: RetentiondError | None = None
        left = list(steps)
        for pause in (*_PAUSES, None):
            again, trouble = self._send(left, fates)
            if not again or pause is None or isinstance(trouble, StoreDenied):
                break
            time.sleep(pause)
            try:
                left = self._still_there(again, fates)
            except RetentiondError as error:
                return error
        if again and trouble is None:
            fates.settle_all([s.position for s in again], Outcome.FAILED, "server-busy")
        return trouble

    def _send(self, steps: Sequence[Step], fates: Fates) -> tuple[list[Step], RetentiondError | None]:
        """Sends everything once; what may be tried again, and the trouble of requests that were not answered."""
        odd = [s for s in steps if self._is_odd(s)]
        plain = [s for s in steps if not self._is_odd(s)] if odd else steps
        sent: list[Sequence[Step]] = [*chunks(plain, TOGETHER), *([s] for s in odd)]
        answers = self._bucket.each(self._request, sent)
        again: list[Step] = []
        trouble: RetentiondError | None = None
        refused: list[Step] = []
        for asked, answer in zip(sent, answers, strict=True):
            if isinstance(answer, RetentiondError):
                trouble = trouble if isinstance(trouble, StoreDenied) else answer
                again += asked
                continue
            for step, code in answer:
                if is_passing(code):
                    again.append(step)
                elif code in _DENIED:
                    refused.append(step)
                else:
                    fates.settle(step.position, *_fate(code))
        self._settle_refused(refused, fates)
        return again, trouble

    def _request(self, steps: Sequence[Step]) -> list[_Answer]:
        """One request; what was said of each version, without those that the answer does not mention."""
        if len(steps) == 1 and self._is_odd(steps[0]):
            return [_Answer(steps[0], self._one(steps[0]))]
        told = "".join([self._identified(step.row) for step in steps])
        by = {(step.row.raw, step.row.version or NULL): step for step in steps}
        found = []
        quiet = len(steps) >= _QUIETLY and self._bucket.versioning == "unversioned"
        told += "<Quiet>true</Quiet>" if quiet else ""
        body = f"<Delete xmlns='http://s3.amazonaws.com/doc/2006-03-01/'>{told}</Delete>".encode()
        for raw, version, code in _answers(self._bucket.call("delete_objects", **{BODY: body})[BODY]):
            step = by.pop((raw, version or NULL), None) or (None if version else _alone(by, raw))
            if step is not None:
                found.append(_Answer(step, code))
        return found + self._unmentioned(by.values()) if quiet else found

    def _unmentioned(self, steps: Iterable[Step]) -> list[_Answer]:
        """Those of what a server was told to be silent about whose keys are not there any more; the others are nobody's fact."""
        silent = list(steps)
        rows = self._looking.at([step.row.raw for step in silent])
        return [_Answer(step, "") for step in silent if not rows[step.row.raw]]

    def _is_odd(self, step: Step) -> bool:
        """Whether it needs a request of its own."""
        return self._aborts or step.passes or _NOT_XML.search(step.row.raw) is not None

    def _one(self, step: Step) -> str:
        """The code of the error with which one deletion ended, "" for none."""
        row = step.row
        condition: dict[str, Any] = {"IfMatch": f'"{row.etag}"'} if self._compares(row) else {}
        condition |= {"BypassGovernanceRetention": True} if step.passes else {}
        try:
            if self._aborts:
                self._bucket.ask("abort_multipart_upload", Key=wire(row.raw), UploadId=row.version)
            else:
                self._bucket.ask("delete_object", Key=wire(row.raw), VersionId=row.version or NULL, **condition)
        except ClientError as error:
            code = code_of(error)
            if is_passing(code) or code in _GONE | _CHANGED | _DENIED:
                return code
            raise refusal(error) from error
        except BotoCoreError as error:
            raise refusal(error) from error
        return ""

    def _identified(self, row: Row) -> str:
        condition = f'<ETag>"{escape(row.etag)}"</ETag>' if self._compares(row) else ""
        return f"<Object><Key>{escape(row.raw)}</Key><VersionId>{escape(row.version or NULL)}</VersionId>{condition}</Object>"

    def _compares(self, row: Row) -> bool:
        """Whether the server compares while it deletes, which matters where an upload can take the place of a version."""
        return self._bucket.options.conditional_deletes and row.overwritable and not row.marker

    def _still_there(self, steps: Sequence[Step], fates: Fates) -> list[Step]:
        """Those that are there as they were; others went by a request of ours whose answer was lost, or were replaced."""
        found = self._looking.at([step.row.raw for step in steps])
        left = []
        for step in steps:
            rows = found[step.row.raw]
            if any(row.revision == step.row.revision for row in rows):
                left.append(step)
            elif step.row.overwritable and any(row.overwritable for row in rows):
                fates.settle(step.position, Outcome.CHANGED)
        return left

    def _settle_refused(self, steps: Sequence[Step], fates: Fates) -> None:
        """Why the server denied a deletion: a lock, as far as it says so."""
        if not steps:
            return

        def locked(step: Step) -> bool:
            return not step.row.marker and detail_of(self._bucket, step.row, head=True, tags=False).locked is not None

        looked = self._bucket.each(locked, steps) if self._bucket.locks else [False] * len(steps)
        for step, is_locked in zip(steps, looked, strict=True):
            if is_locked is True:
                fates.settle(step.position, Outcome.LOCKED)
            else:
                fates.settle(step.position, Outcome.FAILED, "denied")


def _alone(by: dict[tuple[str, str], Step], raw: str) -> Step | None:
    """The one step of a key that is left, for servers that leave the version out; None where there are several."""
    mine = [named for named in by if named[0] == raw]
    return by.pop(mine[0]) if len(mine) == 1 else None


def _answers(body: bytes) -> Iterator[tuple[str, str, str]]:
    """Key, version and error code (none: "") of everything that an answer mentions; `StoreUnavailable` where it is none."""
    try:
        root = ET.fromstring(body)  # noqa: S314 expat refuses entities that grow; botocore reads the same answers by the same parser
    except ET.ParseError as error:
        raise StoreUnavailable("the server's answer to a deletion cannot be read") from error
    start = len(space_of(root))
    for entry in root:
        told = {field.tag[start:]: field.text or "" for field in entry}
        kind = entry.tag[start:]
        if kind in ("Deleted", "Error") and "Key" in told:
            yield told["Key"], told.get("VersionId", ""), told.get("Code", "unknown") if kind == "Error" else ""


def _fate(code: str) -> tuple[Outcome, str]:
    if not code:
        return Outcome.DISPOSED, ""
    if code in _GONE:
        return Outcome.GONE, ""
    if code in _CHANGED:
        return Outcome.CHANGED, ""
    words = re.sub("(?<!^)(?=[A-Z])", "-", code).lower()
    return Outcome.FAILED, words if re.fullmatch("[a-z-]{1,40}", words) else "refused"
