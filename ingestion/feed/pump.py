"""The pump: takes from the inbox, drives the aggregators, stores what they complete. One thread owns all of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg2

from core.clock import Clock
from core.errors import DatabaseUnavailableError
from core.records import Bar, Timeframe, bucket_of, from_microseconds, microseconds
from core.trading_calendar import TradingCalendar
from database import bars
from database.bars import Contract
from database.engine import Cursor, Database
from ingestion.bars.aggregator import OHLCBarAggregator
from ingestion.bars.overlap import Overlap
from ingestion.bars.spans import Span, without
from ingestion.feed.inbox import Closing, FeedState, Healed, Inbox, Item, Listening, Trades
from ingestion.measures import FLUSH_SECONDS

log = logging.getLogger(__name__)

WAITING_LIMIT = 50_000
STATE_EVERY, COVER_EVERY, TELL_EVERY = 1.0, 15.0, 0.25  # seconds


@dataclass(slots=True)
class Followed:
    """One contract that is followed: what builds its bars."""

    contract: Contract
    aggregator: OHLCBarAggregator
    overlap: Overlap
    covered_until: datetime


class Pump:
    """`turn` is one round; the caller repeats it. All methods on one thread, but for `holes`."""

    def __init__(
        self, inbox: Inbox, state: FeedState, *, contracts: Mapping[Contract, Sequence[Timeframe]],
        calendar: TradingCalendar, clock: Clock, database: Callable[[], Database],
    ) -> None:  # fmt: skip
        """`database` gives the fenced database of the current lead."""
        self._inbox, self._state, self._calendar, self._clock, self._database = inbox, state, calendar, clock, database
        self._waiting: list[Bar] = []
        self._saved_at = self._covered_at = self._told_at = clock.monotonic()
        self._moved: set[str] = set()
        self._told_quotes: dict[str, dict[str, Any]] = {}
        self._followed = {contract.contract_id: self._follow(contract, names) for contract, names in contracts.items()}
        self.holes: dict[str, list[Span]] = {}
        """Per contract the spans nobody heard and no history has told, in microseconds; replaced as a whole."""

    def _follow(self, contract: Contract, timeframes: Sequence[Timeframe]) -> Followed:
        built = OHLCBarAggregator(
            contract.contract_id, contract.tick_size, timeframes, self._calendar, self._waiting.append
        )
        return Followed(contract, built, Overlap(), self._clock.now())

    def base_of(self, contract_id: str) -> Timeframe:
        """The smallest timeframe of a contract."""
        return self._followed[contract_id].aggregator.base

    def turn(self, seconds: float = 0.25) -> None:
        """Take in what has come, waiting for it up to so many seconds; close by the clock; store.

        Raises ConflictError when another process leads. An absent database keeps the bars waiting.
        """
        for item in self._inbox.get(seconds):
            self._take(item)
        self._close_until(self._clock.now())
        self.holes = {name: each.aggregator.gaps for name, each in self._followed.items()}
        try:
            self._store()
        except (DatabaseUnavailableError, psycopg2.OperationalError) as error:
            log.debug("bars_wait", exc_info=error)
            self._forget_oldest()

    def _close_until(self, at: datetime) -> None:
        for each in self._followed.values():
            each.aggregator.close_until(at)

    def _take(self, item: Item) -> None:
        if isinstance(item, Closing):
            self._close_until(item.at)
            return
        each = self._followed[item.contract_id]
        if isinstance(item, Trades):
            fresh = each.overlap.take(item.connection, item.ticks)
            each.aggregator.add_ticks(fresh, self._clock.now())
            self._state.ticks += len(fresh)
            if fresh:
                self._moved.add(item.contract_id)
                self._state.last_tick_at = from_microseconds(fresh[-1].time_us)
                self._state.last_prices[item.contract_id] = float(fresh[-1].price * each.contract.tick_size)
        elif isinstance(item, Listening):
            (each.aggregator.listen if item.is_on else each.aggregator.lose_touch)(item.at)
        else:
            self._heal(each, item)

    def _heal(self, each: Followed, item: Healed) -> None:
        """Build the higher bars anew; an absent database leaves the hole open, and it is filled again."""
        try:
            self._store()
            since = min(item.start, each.aggregator.oldest_open(item.start))
            with self._database().transaction() as cur:
                stored = bars.list_bars_between(cur, item.contract_id, each.aggregator.base, since, self._clock.now())
        except (DatabaseUnavailableError, psycopg2.OperationalError) as error:
            log.info("hole_stays_open", extra={"contract": item.contract_id}, exc_info=error)
            return
        each.aggregator.heal(item.start, item.end, stored)

    def _store(self) -> None:
        at = self._clock.monotonic()
        is_time = at - self._saved_at >= STATE_EVERY
        moved = self._news() if at - self._told_at >= TELL_EVERY else set()
        if not self._waiting and not is_time and not moved:
            return
        batch = self._waiting[:]
        with FLUSH_SECONDS.time(), self._database().transaction() as cur:
            changed = bars.upsert_bars(cur, batch)
            quotes = {name: self._state.quotes.get(name, {}) for name in sorted(moved)}
            for name, quote in quotes.items():
                bars.tell_forming(cur, name, _forming(self._followed[name].aggregator), quote)
            if at - self._covered_at >= COVER_EVERY:
                for each in self._followed.values():
                    self._cover(cur, each)
                self._covered_at = at
            if is_time:
                self._note()
                forming = {name: _forming(each.aggregator) for name, each in self._followed.items()}
                bars.save_feed_state(cur, bars.FEED, self._state.as_dict() | {"forming": forming})
                self._saved_at = at
        if moved:
            self._moved, self._told_at = set(), at
            self._told_quotes |= quotes
        del self._waiting[: len(batch)]
        self._state.bars_stored += changed

    def _news(self) -> set[str]:
        """The contracts whose open bars or quotes have changed since they were told."""
        quotes = self._state.quotes
        return self._moved | {name for name, quote in quotes.items() if quote and quote != self._told_quotes.get(name)}

    def _cover(self, cur: Cursor, each: Followed) -> None:
        """Remember the time that was heard whole, up to the last closed bar of the smallest timeframe."""
        aggregator = each.aggregator
        until = bucket_of(aggregator.horizon - timedelta(seconds=2), aggregator.base, self._calendar).starts_at
        heard = without([(microseconds(each.covered_until), microseconds(until))], aggregator.gaps)
        for start, end in heard:
            span = {"start": from_microseconds(start), "end": from_microseconds(end)}
            for frame in aggregator.timeframes:
                bars.add_span(cur, aggregator.contract_id, frame, source="live", **span)
        each.covered_until = max(each.covered_until, until)

    def _note(self) -> None:
        counts = [each.aggregator.counts for each in self._followed.values()]
        self._state.late_corrected = sum(each.late_corrected for each in counts)
        self._state.late_dropped = sum(each.late_dropped for each in counts)
        self._state.from_future = sum(each.from_future for each in counts)
        self._state.duplicates = sum(each.overlap.duplicates for each in self._followed.values())
        self._state.dropped = self._inbox.dropped
        self._state.bars_waiting = len(self._waiting)
        self._state.queued = self._inbox.length

    def _forget_oldest(self) -> None:
        """The queue of bars is bounded; what is forgotten comes back from history."""
        too_many = len(self._waiting) - WAITING_LIMIT
        if too_many > 0:
            lost = self._waiting[:too_many]
            del self._waiting[:too_many]
            for bar in lost:
                each = self._followed[bar.contract_id]
                bucket = bucket_of(bar.starts_at, bar.timeframe, self._calendar)
                each.aggregator.lose_touch(bucket.opens_at)
                each.aggregator.listen(bucket.ends_at)
            self._state.dropped += sum(bar.tick_count for bar in lost)


def _forming(aggregator: OHLCBarAggregator) -> dict[str, list[float]]:
    """Timeframe -> [label in epoch seconds, open, high, low, close, volume] of the bars that are still open."""
    return {
        str(bar.timeframe): [
            bar.starts_at.timestamp(), *map(float, (bar.open, bar.high, bar.low, bar.close)), bar.volume
        ]
        for bar in aggregator.forming()
    }  # fmt: skip
