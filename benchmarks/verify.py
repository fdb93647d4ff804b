"""`audit verify` on a log of REFERENCES (1,000,000) in batches of BATCH: 1,000, as large runs write them; 1 is the worst."""

import hashlib
import os
import random
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from retentiond.audit.note import Signer
from retentiond.audit.publish import Publisher
from retentiond.audit.verify import examine
from retentiond.core.entry import written

REFERENCES = int(os.environ.get("REFERENCES", "1000000"))
BATCH = int(os.environ.get("BATCH", "1000"))


class Source:
    """The entries of one long run: `audit.publish.Source`, in memory."""

    def __init__(self, references: int) -> None:
        dice, plan, run = random.Random(1), "a" * 64, "b" * 16
        self._bodies: list[bytes] = []
        self._refs: dict[int, tuple[int, bytes]] = {}
        self._head: tuple[int, bytes] | None = None
        self._write("plan-made", plan=plan, rulebook="c" * 64, at=1, steps=references, forecast=0)
        self._write("plan-allowed", plan=plan, run=run, by="person", categories=["calls"])
        names = {"category": "calls", "rule": "rows", "store": "pbx"}
        for first in range(0, references, BATCH):
            refs = dice.randbytes(16 * BATCH)
            told = {"first": first + 1, "refs": first, "count": BATCH, "sha256": hashlib.sha256(refs).hexdigest()}
            self._refs[len(self._bodies)] = first, refs
            intent = self._write("intent", run=run, plan=plan, **names, **told, holds=-1, events=-1)
            self._write("outcome", intent=intent, disposed=BATCH, inferred=[], otherwise={}, why={})
        counts = {"disposed": references}
        self._write("certificate", run=run, plan=plan, counts=counts, looked=references, absent=references, back=0)

    def _write(self, type_: str, **fields: object) -> int:
        self._bodies.append(written(type_, len(self._bodies) + 1, fields))
        return len(self._bodies) - 1

    def size(self) -> int:
        return len(self._bodies)

    def entries(self, first: int, end: int) -> Iterator[bytes]:
        return iter(self._bodies[first:end])

    def refs(self, first: int, end: int) -> Iterator[tuple[str, int, bytes]]:
        return (("b" * 16, at, refs) for entry, (at, refs) in self._refs.items() if first <= entry < end)

    def head(self) -> tuple[int, bytes] | None:
        return self._head

    def store_head(self, size: int, root: bytes) -> None:
        self._head = size, root


def main(place: str | None) -> None:
    folder = Path(tempfile.mkdtemp(dir=place))
    try:
        signer = Signer.generate("bench.example.org/log")
        Publisher(folder, signer).publish(Source(REFERENCES))
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            report = examine(folder, signer.verifier)
            seconds.append(time.perf_counter() - start)
            assert report.findings == (), report.findings
        median = sorted(seconds)[1]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        rate = report.totals.references / median * 60
        print(
            f"{report.totals.references:,} references, {report.totals.entries:,} entries: {median:.2f} s, {rate:,.0f} a minute;",
            end=" ",
        )
        print(f"peak {peak} MiB, what it was made from included")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
