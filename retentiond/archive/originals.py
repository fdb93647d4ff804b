"""What copies are made of: an item that is read from its store, or rows as lines of JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from retentiond.archive.passing import readable
from retentiond.engine.digest import Digest
from retentiond.engine.ports import Scope, Store


@dataclass(slots=True)
class Original:
    """An item of a store. After its last piece its digest and size are known; each reading begins anew."""

    store: Store
    scope: Scope
    key: str
    revision: str
    sha256: str = ""
    size: int = 0

    def pieces(self) -> Iterator[bytes]:
        """The item, piece by piece. `StoreDenied` where its store gives out no bytes."""
        digest = Digest()
        for piece in readable(self.store).read(self.scope, self.key, self.revision):
            digest.add(piece)
            yield piece
        self.sha256, self.size = digest.hex(), digest.size


@dataclass(slots=True)
class Rows:
    """Rows of a table, one line of JSON each."""

    rows: Iterable[Mapping[str, Any]]
    lines: list[bytes] = field(init=False)
    sha256: str = field(init=False)
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.lines = [json.dumps(row, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n" for row in self.rows]
        self.sha256, self.size = hashlib.sha256(b"".join(self.lines)).hexdigest(), sum(map(len, self.lines))

    def pieces(self) -> Iterator[bytes]:
        """The lines."""
        yield from self.lines
