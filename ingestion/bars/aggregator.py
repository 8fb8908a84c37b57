"""Ticks of one contract become bars of every timeframe.

Each tick touches only the smallest timeframe; a closed bar of it is built into the higher ones. A bar is final once the
newest exchange time seen, or the clock, is `grace` past its end, so the last bar of a session needs no further tick.
A tick that comes later corrects the bar for a while (`correction_window`), in every timeframe; after that it is counted
and dropped. The building knows no clock: whoever drives it says what time it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from core.errors import InvalidInputError
from core.records import Bar, Tick, Timeframe, bucket_of, from_microseconds, microseconds
from core.trading_calendar import TradingCalendar
from ingestion.bars.spans import Span, union, without
from ingestion.bars.working import WorkingBar

FOREVER = 1 << 62
GRACE = timedelta(seconds=1.5)
CORRECTION_WINDOW = timedelta(seconds=120)
FUTURE_LIMIT = timedelta(seconds=5)


@dataclass(slots=True)
class Counts:
    """Ticks that were not simply added: corrections, too late, inside filled history, from the future."""

    late_corrected: int = 0
    late_dropped: int = 0
    late_covered: int = 0
    from_future: int = 0


class Level:
    """The bars of one timeframe that are open or may still be corrected, by their label."""

    def __init__(self, timeframe: Timeframe, calendar: TradingCalendar) -> None:
        self.timeframe = timeframe
        self.bars: dict[int, WorkingBar] = {}
        self.calendar = calendar
        self._recent: WorkingBar | None = None
        self._grid_us = timeframe.seconds * 1_000_000 if timeframe.is_grid else 0

    def find(self, at_us: int) -> WorkingBar | None:
        """The bar that a time falls into, if it is here."""
        bar = self._recent
        if bar is not None and bar.opens_us <= at_us < bar.ends_us and bar.key in self.bars:
            return bar
        if self._grid_us:
            return self.bars.get(at_us - at_us % self._grid_us)
        return next((bar for bar in self.bars.values() if bar.opens_us <= at_us < bar.ends_us), None)

    def get(self, at_us: int) -> WorkingBar:
        """The bar that a time falls into, made if need be."""
        bar = self.find(at_us)
        if bar is None:
            fresh = self.new(at_us)
            bar = self._recent = self.bars.setdefault(fresh.key, fresh)
            bar.opens_us = min(bar.opens_us, fresh.opens_us)  # a trade outside the session, if there ever is one
        return bar

    def new(self, at_us: int) -> WorkingBar:
        """An empty bar for a time, kept nowhere."""
        return WorkingBar(self.timeframe, bucket_of(from_microseconds(at_us), self.timeframe, self.calendar))


class OHLCBarAggregator:
    """Builds the bars of one contract. Not thread-safe: one thread drives it."""

    def __init__(
        self,
        contract_id: str,
        tick_size: Decimal,
        timeframes: Sequence[Timeframe],
        calendar: TradingCalendar,
        on_bar_completed: Callable[[Bar], None],
        *,
        grace: timedelta = GRACE,
        correction_window: timedelta = CORRECTION_WINDOW,
    ) -> None:
        """`on_bar_completed` is called with every final bar, and again with a higher revision for each correction.

        InvalidInputError when a timeframe is not made of whole bars of the smallest.
        """
        ordered = check_timeframes(timeframes)
        self.contract_id = contract_id
        self.tick_size = tick_size
        self.counts = Counts()
        self._on_bar_completed = on_bar_completed
        self._grace_us = grace // timedelta(microseconds=1)
        self._window_us = self._grace_us + correction_window // timedelta(microseconds=1)
        self._future_us = FUTURE_LIMIT // timedelta(microseconds=1)
        self._levels = [Level(timeframe, calendar) for timeframe in ordered]
        self._base, self._higher = self._levels[0], self._levels[1:]
        self._newest: WorkingBar | None = None
        self._horizon_us = 0
        self._next_close_us = FOREVER
        self._gaps: list[Span] = [(0, FOREVER)]
        self._healed: list[Span] = []

    @property
    def base(self) -> Timeframe:
        """The smallest timeframe."""
        return self._base.timeframe

    @property
    def timeframes(self) -> list[Timeframe]:
        """All timeframes, smallest first."""
        return [level.timeframe for level in self._levels]

    @property
    def horizon(self) -> datetime:
        """The newest instant seen, of ticks or of the clock."""
        return from_microseconds(self._horizon_us)

    # --- ticks and clock -----------------------------------------------------------------------------------------

    def add_ticks(self, ticks: Iterable[Tick], now: datetime) -> None:
        """Take ticks in, in the order of their arrival; completed and corrected bars come out."""
        limit_us = microseconds(now) + self._future_us
        todo = iter(ticks)
        while (odd := self._add_run(todo, limit_us)) is not None:
            self._close_due()
            self._add_odd(odd, limit_us)
        self._close_due()
        self._emit_corrections()

    def close_until(self, now: datetime) -> None:
        """The clock has reached `now`: complete what is due without waiting for a tick."""
        self._horizon_us = max(self._horizon_us, microseconds(now))
        self._close_due()
        self._emit_corrections()

    def _add_run(self, todo: Iterator[Tick], limit_us: int) -> Tick | None:
        """Add ticks as long as they lie in order inside the newest bar; the first that does not, None at the end."""
        bar = self._newest
        if bar is None or bar.is_closed:
            return next(todo, None)
        high, low, close, volume, count, last_us = bar.high, bar.low, bar.close, bar.volume, bar.count, bar.last_us
        end_us = min(bar.ends_us, limit_us + 1)
        odd = None
        for tick in todo:
            at_us, price, size, _ = tick
            if not last_us <= at_us < end_us:
                odd = tick
                break
            last_us, close = at_us, price
            if price > high:
                high = price
            elif price < low:
                low = price
            volume += size
            count += 1
        bar.high, bar.low, bar.close, bar.volume, bar.count, bar.last_us = high, low, close, volume, count, last_us
        self._horizon_us = max(self._horizon_us, last_us)
        return odd

    def _add_odd(self, tick: Tick, limit_us: int) -> None:
        """A tick that begins a bar, comes late, or cannot be believed."""
        at_us = tick.time_us
        if at_us > limit_us:
            self.counts.from_future += 1
            return
        bar = self._base.find(at_us)
        if bar is None:
            if any(start <= at_us < end for start, end in self._healed):
                self.counts.late_covered += 1
                return
            bar = self._base.get(at_us)
            if bar.ends_us + self._window_us < self._horizon_us:
                del self._base.bars[bar.key]
                self.counts.late_dropped += 1
                return
            if self._newest is None or bar.opens_us > self._newest.opens_us:
                self._newest = bar
            self._next_close_us = min(self._next_close_us, bar.ends_us + self._grace_us)
        bar.add(at_us, tick.price, tick.size)
        self._horizon_us = max(self._horizon_us, at_us)
        if bar.is_closed:
            self.counts.late_corrected += 1
            bar.is_dirty = True
            self._build_in(bar, tick.size, 1)

    def _build_in(self, part: WorkingBar, volume: int, count: int) -> None:
        """Carry a bar of the smallest timeframe, or what it grew by, into the higher ones."""
        for level in self._higher:
            bar = level.get(part.opens_us)
            bar.absorb(part, volume, count)
            bar.is_dirty = bar.is_closed

    def _close_due(self) -> None:
        if self._horizon_us < self._next_close_us:
            return
        for level in self._levels:
            for bar in sorted(level.bars.values(), key=lambda bar: bar.opens_us):
                if not bar.is_closed and bar.ends_us + self._grace_us <= self._horizon_us and self._is_whole(bar):
                    bar.is_closed = True
                    if level is self._base:
                        self._build_in(bar, bar.volume, bar.count)
                    self._emit(bar)
        for level in self._levels:
            for bar in [bar for bar in level.bars.values() if bar.is_closed and self._is_settled(bar)]:
                if bar.is_dirty:
                    self._emit_correction(bar)
                del level.bars[bar.key]
        ends = [bar.ends_us for level in self._levels for bar in level.bars.values() if not bar.is_closed]
        self._next_close_us = min(ends, default=FOREVER) + self._grace_us

    def _is_whole(self, bar: WorkingBar) -> bool:
        """Whether nothing below is still open: where a session ends inside a bar of the grid, that one ends later."""
        parts = self._base.bars.values()
        return not any(
            not part.is_closed and bar.opens_us <= part.opens_us < bar.ends_us for part in parts if part is not bar
        )

    def _is_settled(self, bar: WorkingBar) -> bool:
        return bar.ends_us + self._window_us < self._horizon_us

    def _emit_corrections(self) -> None:
        for level in self._levels:
            for bar in level.bars.values():
                if bar.is_dirty:
                    self._emit_correction(bar)

    def _emit_correction(self, bar: WorkingBar) -> None:
        bar.is_dirty = False
        bar.revision += 1
        self._emit(bar)

    def _emit(self, bar: WorkingBar) -> None:
        self._on_bar_completed(bar.to_bar(self.contract_id, self.tick_size, self._gaps))

    # --- what is open, and what was missed -----------------------------------------------------------------------

    def forming(self) -> list[Bar]:
        """The bars that are still open, as far as they have got, smallest timeframe first; for showing only."""
        parts = [bar for bar in self._base.bars.values() if not bar.is_closed and bar.count]
        found = []
        for level in self._levels:
            newest = self._newest if level is self._base else self._sum_of(level, parts)
            if newest is not None and not newest.is_closed and newest.count:
                found.append(newest.to_bar(self.contract_id, self.tick_size, self._gaps))
        return found

    def _sum_of(self, level: Level, parts: list[WorkingBar]) -> WorkingBar | None:
        """The open bar of a higher timeframe together with what is still open below it."""
        if not parts or self._newest is None:
            return max(level.bars.values(), key=lambda bar: bar.opens_us, default=None)
        held = level.find(self._newest.opens_us)
        whole = held.copy() if held else level.new(self._newest.opens_us)
        for part in parts:
            if whole.opens_us <= part.opens_us < whole.ends_us:
                whole.absorb(part, part.volume, part.count)
        return whole

    def lose_touch(self, at: datetime) -> None:
        """From `at` on nobody listens."""
        self._gaps = union([*self._gaps, (microseconds(at), FOREVER)])

    def listen(self, at: datetime) -> None:
        """From `at` on every trade is heard."""
        self._gaps = without(self._gaps, [(microseconds(at), FOREVER)])

    @property
    def gaps(self) -> list[Span]:
        """The spans, in microseconds, in which nobody listened and which no history has filled."""
        return list(self._gaps)

    def oldest_open(self, at: datetime) -> datetime:
        """When the earliest bar that an instant falls into opened: from there on `heal` needs the stored bars."""
        buckets = (bucket_of(at, level.timeframe, level.calendar) for level in self._levels)
        return min(bucket.opens_at for bucket in buckets)

    def heal(self, start: datetime, end: datetime, stored: Sequence[Bar]) -> None:
        """History has told everything about [start, end), whole bars of the smallest timeframe.

        `stored`: all closed bars of the smallest timeframe, in time order, of every higher bar that overlaps the span.
        Ours inside it are forgotten, and the higher ones built anew.
        """
        span = microseconds(start), microseconds(end)
        self._gaps = without(self._gaps, [span])
        self._healed = [*self._healed[-99:], span]
        for bar in [bar for bar in self._base.bars.values() if span[0] <= bar.opens_us < span[1]]:
            del self._base.bars[bar.key]
        open_bars = self._base.bars.values()
        self._newest = max(open_bars, key=lambda bar: bar.opens_us, default=None)
        parts = [self._part_of(bar) for bar in stored]
        for level in self._higher:
            self._rebuild(level, parts, span)
        self._next_close_us = 0
        self._close_due()
        self._emit_corrections()

    def _rebuild(self, level: Level, parts: list[WorkingBar], span: Span) -> None:
        fresh: set[int] = set()
        for part in parts:
            bar = level.find(part.opens_us)
            if bar is None and span[0] <= part.opens_us < span[1]:
                bar = level.get(part.opens_us)
            if bar is None or bar.ends_us <= span[0] or bar.opens_us >= span[1]:
                continue
            if bar.key not in fresh:
                fresh.add(bar.key)
                bar.clear()
                bar.source, bar.is_dirty = "rollup", bar.is_closed
            bar.absorb(part, part.volume, part.count)

    def _part_of(self, bar: Bar) -> WorkingBar:
        part = WorkingBar(self.base, bucket_of(bar.starts_at, self.base, self._base.calendar))
        prices = (int(price / self.tick_size) for price in (bar.open, bar.high, bar.low, bar.close))
        part.open, part.high, part.low, part.close = prices
        part.volume, part.count = bar.volume, max(bar.tick_count, 1)
        return part


def check_timeframes(timeframes: Sequence[Timeframe]) -> list[Timeframe]:
    """The timeframes, smallest first. InvalidInputError unless each is made of whole bars of the smallest."""
    ordered = sorted(set(timeframes))
    if not ordered:
        raise InvalidInputError("at least one timeframe is needed", field="timeframes")
    for timeframe in ordered:
        if not timeframe.is_made_of(ordered[0]):
            raise InvalidInputError(f"{timeframe} is not made of whole bars of {ordered[0]}", field="timeframes")
    return ordered
