"""Prometheus series of the feed: what it heard, what it could not use, how far it is behind, what storing takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from prometheus_client import Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from core.clock import Clock
from ingestion.feed.inbox import FeedState

FLUSH_SECONDS = Histogram(
    "signalbook_bars_flush_seconds",
    "Time to store what the feed has completed, one transaction",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0),
)
COUNTERS = {
    "ticks": "Trades heard",
    "connections": "Connections made to the market hub",
    "failures": "Attempts to connect that failed",
    "probes": "Questions to the history whether a quiet contract has traded",
    "dropped": "Trades dropped because a queue was full",
    "refused": "Trades and quotes that cannot be right",
    "unreadable": "Records that are no JSON",
    "duplicates": "Trades that two connections told",
}
LATE = {"late_corrected": "corrected", "late_dropped": "dropped", "from_future": "future"}
GAUGES: dict[str, tuple[str, Callable[[FeedState], float]]] = {
    "leader": ("1 if this process has the feed", lambda state: state.is_leader),
    "connected": ("1 if every subscription is confirmed", lambda state: state.is_connected),
    "queue_length": ("Records between the reading thread and the pump", lambda state: state.queued),
    "bars_waiting": ("Completed bars that wait for the database", lambda state: state.bars_waiting),
}


class HasState(Protocol):
    """A feed, as far as its figures go."""

    state: FeedState


class FeedCollector(Collector):
    """Reads the feed's own figures when the metrics are scraped."""

    def __init__(self, feed: HasState, clock: Clock) -> None:
        self._feed, self._clock = feed, clock

    def collect(self) -> Iterator[Metric]:
        state = self._feed.state
        for name, (text, value) in GAUGES.items():
            yield GaugeMetricFamily(f"signalbook_feed_{name}", text, value=float(value(state)))
        for name, text in COUNTERS.items():
            yield CounterMetricFamily(f"signalbook_feed_{name}", text, value=getattr(state, name))
        late = CounterMetricFamily(
            "signalbook_feed_late_ticks", "Trades that came late or too early", labels=["outcome"]
        )
        for name, outcome in LATE.items():
            late.add_metric([outcome], getattr(state, name))
        yield late
        yield CounterMetricFamily("signalbook_bars_stored", "Bars stored or corrected", value=state.bars_stored)
        if state.last_tick_at is not None:
            age = max(0.0, (self._clock.now() - state.last_tick_at).total_seconds())
            yield GaugeMetricFamily("signalbook_feed_last_tick_age_seconds", "Age of the newest trade", value=age)
