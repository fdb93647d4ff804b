"""Numbers as ranges: `1-1000,1003` for the steps of a batch and for positions in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence


def written(numbers: Sequence[int]) -> str:
    """Rising numbers as ranges."""
    if len(numbers) > 1 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"{numbers[0]}-{numbers[-1]}"
    parts: list[str] = []
    at = 0
    while at < len(numbers):
        end = at
        while end + 1 < len(numbers) and numbers[end + 1] == numbers[end] + 1:
            end += 1
        parts.append(str(numbers[at]) if end == at else f"{numbers[at]}-{numbers[end]}")
        at = end + 1
    return ",".join(parts)


def read(text: str) -> Iterator[range]:
    """The ranges that `written` wrote."""
    for part in text.split(",") if text else ():
        first, _, last = part.partition("-")
        yield range(int(first), int(last or first) + 1)


def numbers(text: str) -> list[int]:
    """All the numbers, one by one."""
    return [n for span in read(text) for n in span]


class Done:
    """Which steps of a plan need no further run: those covered, less those to be taken up again."""

    def __init__(self, rows: Iterable[tuple[str, str | None]]) -> None:
        self._spans: list[range] = []
        self._again: set[int] = set()
        for steps, again in rows:
            covered = list(read(steps))
            for span in covered:
                self._again.difference_update(span) if self._again else None
            self._spans += covered
            self._again.update(numbers(again or ""))
        self._spans = _merged(self._spans)

    def __contains__(self, n: int) -> bool:
        if n in self._again:
            return False
        low, high = 0, len(self._spans)
        while low < high:
            middle = (low + high) // 2
            if self._spans[middle].stop <= n:
                low = middle + 1
            else:
                high = middle
        return low < len(self._spans) and n in self._spans[low]

    def __bool__(self) -> bool:
        return bool(self._spans)


def _merged(spans: Iterable[range]) -> list[range]:
    merged: list[range] = []
    for span in sorted(spans, key=lambda s: s.start):
        if merged and span.start <= merged[-1].stop:
            merged[-1] = range(merged[-1].start, max(merged[-1].stop, span.stop))
        else:
            merged.append(span)
    return merged
