"""The manifest of an archive: what is in it, line by line, as JSON. It is encrypted as the archive is.

The first line says whose it is, and of rows how their table is defined; each further one names an original, or the rows
that are in one file, with revision, start, size and SHA-256, and the copy of it. Whoever has nothing but the archive and an
identity finds in it what lies there, and what it was.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from retentiond.core.copied import Origin
from retentiond.core.plan import written
from retentiond.engine.ports import Deposit

FORMAT = "retentiond-archive-1"


@dataclass(frozen=True, slots=True)
class Line:
    """One copy, and what is in it: the keys and revisions of the originals, and the digest and size of their bytes."""

    keys: Sequence[str]
    revisions: Sequence[str]
    start: datetime | None
    size: int
    sha256: str
    deposit: Deposit

    def as_json(self) -> dict[str, Any]:
        """The line of the manifest."""
        original: dict[str, Any] = {"keys": list(self.keys), "revisions": list(self.revisions)}
        if len(self.keys) == 1:
            original = {"key": self.keys[0], "revision": self.revisions[0], "start": self.start and written(self.start)}
        copy = {"copy": self.deposit.key, "copy_size": self.deposit.size, "copy_sha256": self.deposit.sha256}
        return original | {"size": self.size, "sha256": self.sha256} | copy


def manifest(
    origin: Origin, lines: Sequence[Line], now: datetime | None, recipients: Sequence[str], definition: Mapping[str, Any] | None
) -> bytes:
    """The bytes of a manifest."""
    whose = {"category": origin.category, "rule": origin.rule, "store": origin.store}
    items = sum(len(line.keys) for line in lines)
    head: dict[str, Any] = {
        "format": FORMAT,
        **whose,
        "archived": now and written(now),
        "items": items,
        "recipients": list(recipients),
    }
    head |= {"definition": definition} if definition is not None else {}
    return b"".join(json.dumps(each, ensure_ascii=False).encode() + b"\n" for each in [head, *(line.as_json() for line in lines)])
