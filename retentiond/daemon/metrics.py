"""How things stand, as metrics: for a scrape, or for a file that node_exporter's textfile collector reads.

Names begin with `retentiond_`, units are seconds, bytes and instants (seconds since 1970), counters
end in `_total` (https://prometheus.io/docs/practices/naming/). Labels are `category`, which
people choose in `policies.d/`, and `outcome`: no key, subject, path or hold is ever in a metric. What is known
of the items of a category is as old as `retentiond_last_seen_timestamp_seconds` says.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from retentiond.app.standing import CategoryStanding, Standing
from retentiond.core.outcome import Outcome


def _known(category: CategoryStanding, number: float) -> float | None:
    """A number of items, or an age; None instead of a 0 that is only for want of a look."""
    return number if number or category.seen else None


_BY_CATEGORY: tuple[tuple[str, str, Callable[[CategoryStanding, datetime], float | None]], ...] = (
    (
        "overdue_items",
        "Items past their deletion period that were seen last and not disposed of since.",
        lambda c, _: _known(c, c.overdue),
    ),
    (
        "overdue_oldest_age_seconds",
        "Age of the oldest overdue item, from its starting point; 0 where none is overdue.",
        lambda c, at: _known(c, (at - c.oldest_overdue).total_seconds() if c.oldest_overdue else 0),
    ),
    ("violations", "Items that must not exist, as the newest plan found them.", lambda c, _: _known(c, c.found["violations"])),
    (
        "undetermined_items",
        "Items in doubt, which are never due: no usable starting point, an incomplete set, unknown encryption.",
        lambda c, _: _known(c, c.found["undetermined"]),
    ),
    ("held_items", "Items otherwise due that a hold covers.", lambda c, _: _known(c, c.found["held"])),
    ("locked_items", "Items otherwise due that their store has locked.", lambda c, _: _known(c, c.found["locked"])),
    ("late", "1 where nothing effective was done for as many periods of the schedule as `silence` allows.", lambda c, _: c.late),
    ("waits_for_person", "1 where a plan or an approval waits for a person.", lambda c, _: c.waits),
    (
        "last_seen_timestamp_seconds",
        "When its items were seen: the oldest of the newest plans that saw each rule; no sample before all were seen.",
        lambda c, _: c.seen.timestamp() if c.seen else None,
    ),
    (
        "last_look_timestamp_seconds",
        "When the last look ended; no sample before the first.",
        lambda c, _: c.look.ended / 1e6 if c.look else None,
    ),
    (
        "last_effective_timestamp_seconds",
        "When the last look ended that saw every store and did what was due; no sample before the first.",
        lambda c, _: c.effective.timestamp() if c.effective else None,
    ),
)
_OF_ALL: tuple[tuple[str, str, Callable[[Standing], float | None]], ...] = (
    ("daemon_running", "1 while the daemon runs.", lambda s: s.daemon),
    ("run_active", "1 while a plan is being carried out.", lambda s: s.running),
    ("stop_file", "1 while the stop file lets nothing begin.", lambda s: s.stop_file),
    ("clock_trusted", "0 after a step of the clock that nobody accepted.", lambda s: not s.clock_step),
    ("clock_step_seconds", "The step of the clock that nobody accepted.", lambda s: s.clock_step / 1e6),
    ("open_intents", "Batches that were begun and have no outcome yet.", lambda s: s.open_intents),
    ("holds_active", "Holds that are in force.", lambda s: s.holds),
    ("holds_to_review", "Active holds whose review date has come.", lambda s: s.holds_to_review),
    ("requests_open", "Erasure requests that are neither carried out nor withdrawn.", lambda s: len(s.requests)),
    ("requests_late", "Erasure requests without an answer after a month.", lambda s: sum(one.late for one in s.requests)),
    ("messages_owed", "Messages to people that were not delivered yet.", lambda s: s.messages_owed),
    ("receivers_failing", "Receivers of messages that refuse, or are not reached.", lambda s: s.receivers_failing),
    ("audit_entries", "Entries of the audit trail.", lambda s: s.trail.entries),
    ("audit_unpublished_entries", "Entries that the published log does not have yet.", lambda s: s.trail.unpublished),
    ("audit_log_bytes", "Size of audit.jsonl in the published log.", lambda s: s.trail.bytes),
    (
        "audit_checkpoint_timestamp_seconds",
        "When the newest checkpoint was published; no sample before the first.",
        lambda s: s.trail.published_at.timestamp() if s.trail.published_at else None,
    ),
    (
        "anchors_failing",
        "Anchors that did not take what they were given last.",
        lambda s: s.trail.anchors_failing,
    ),
    (
        "audit_anchored_timestamp_seconds",
        "When an anchor last took a checkpoint; no sample before the first.",
        lambda s: s.trail.anchored_at.timestamp() if s.trail.anchored_at else None,
    ),
    ("state_bytes", "Size of the ledger's database.", lambda s: s.state_bytes),
    ("standing_timestamp_seconds", "When these metrics were taken.", lambda s: s.at.timestamp()),
)


class _Taken(Collector):
    """One standing as families of metrics."""

    def __init__(self, standing: Standing) -> None:
        self._standing = standing

    def collect(self) -> Iterator[Metric]:
        standing = self._standing
        for name, words, of_all in _OF_ALL:
            yield _gauge(name, words, [((), of_all(standing))])
        for name, words, value in _BY_CATEGORY:
            yield _gauge(name, words, [((c.category,), value(c, standing.at)) for c in standing.categories], "category")
        outcomes = CounterMetricFamily(
            "retentiond_outcomes", "What became of items by looks at a category.", labels=("category", "outcome")
        )
        for c in standing.categories:
            for outcome in Outcome:
                outcomes.add_metric((c.category, outcome.value), c.look.totals.get(outcome.value, 0) if c.look else 0)
        yield outcomes


def _gauge(name: str, words: str, samples: Iterable[tuple[Sequence[str], float | None]], *labels: str) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"retentiond_{name}", words, labels=labels)
    for values, value in samples:
        if value is not None:
            family.add_metric(values, float(value))
    return family


def exposition(standing: Standing, accept: str = "") -> tuple[bytes, str]:
    """The metrics and their content type: OpenMetrics 1.0 for whoever accepts it, else Prometheus text 0.0.4."""
    registry = CollectorRegistry()
    registry.register(_Taken(standing))
    if "application/openmetrics-text" in accept:
        body: bytes = openmetrics.generate_latest(registry)  # type: ignore[no-untyped-call]  # the library does not say its type
        return body, openmetrics.CONTENT_TYPE_LATEST
    return generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4


def write_textfile(path: Path, standing: Standing) -> None:
    """Writes the metrics into a file, whole or not at all, for everybody to read: whoever collects them is another user.

    The file beside it, while it is being written, does not end in `.prom`, so nobody collects it. `OSError` where it cannot be.
    """
    body, _ = exposition(standing)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with open(partial, "xb") as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise
