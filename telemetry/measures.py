"""Prometheus series of the intake: answers by status, time to answer, tokens refused, and the journal's state."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from prometheus_client import Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from telemetry.journal.journal import Journal

ANSWERS = Counter("signalbook_webhook_answers_total", "Webhook answers by HTTP and delivery status", ["http", "status"])
SECONDS = Histogram(
    "signalbook_webhook_seconds",
    "Time from the first line of the handler to the answer",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0),
)
REFUSED = Counter("signalbook_webhook_refused_total", "Requests refused at the door", ["reason"])


@cache
def _answers(http: int, status: str) -> Counter:
    return ANSWERS.labels(str(http), status)


def observe_answer(http: int, status: str, seconds: float) -> None:
    """Count one answer."""
    _answers(http, status).inc()
    SECONDS.observe(seconds)


class JournalCollector(Collector):
    """Reads the journal's own figures when the metrics are scraped."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def collect(self) -> Iterator[Metric]:
        stats = self._journal.stats()
        gauges = {
            "ok": ("1 if the journal takes records", float(stats.ok)),
            "pending_records": ("Records not yet known to be in the database", float(stats.pending)),
            "oldest_pending_seconds": ("Age of the oldest of them", stats.oldest_age_seconds),
            "bytes": ("Size of all segments", float(stats.bytes)),
            "segments": ("Number of segments", float(stats.segments)),
        }
        for name, (text, value) in gauges.items():
            yield GaugeMetricFamily(f"signalbook_journal_{name}", text, value=value)
        yield CounterMetricFamily("signalbook_journal_torn", "Torn tails set aside", value=stats.torn)
        yield CounterMetricFamily("signalbook_journal_replayed", "Records stored from disk", value=stats.replayed)
