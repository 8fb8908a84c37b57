"""For the tests of market data: an aggregator's output as a table, and a reference that sorts all ticks first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache

from core.records import Bar, Tick, Timeframe, bucket_of, from_microseconds, microseconds, replaces, values_of
from core.trading_calendar import TradingCalendar, cme_equity_calendar

CONTRACT = "CON.F.US.MES.M25"
TICK_SIZE = Decimal("0.25")
CALENDAR = cme_equity_calendar()
Key = tuple[Timeframe, datetime]
Values = tuple[Decimal, Decimal, Decimal, Decimal, int]


class Table:
    """Stored bars as the database would hold them."""

    def __init__(self) -> None:
        self.bars: dict[Key, Bar] = {}
        self.seen: list[Bar] = []

    def save(self, bar: Bar) -> None:
        key = (bar.timeframe, bar.starts_at)
        self.seen.append(bar)
        if key not in self.bars or replaces(bar, self.bars[key]):
            self.bars[key] = bar

    def values(self) -> dict[Key, Values]:
        return {key: values_of(bar) for key, bar in self.bars.items()}


def timeframes(*names: str) -> list[Timeframe]:
    return [Timeframe.parse(name) for name in names]


def at(text: str) -> datetime:
    """An instant in UTC from `2025-05-13 14:30:00.5`."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def tick(text: str, price: float, size: int = 1) -> Tick:
    """A trade at a price in points."""
    return Tick(microseconds(at(text)), round(price * 4), size)


def bar_at(start: str, price: float, volume: int) -> Bar:
    value = Decimal(str(price))
    frame = timeframes("1m")[0]
    return Bar(
        contract_id=CONTRACT, timeframe=frame, starts_at=at(start), open=value, high=value, low=value, close=value,
        volume=volume, tick_count=1, source="history",
    )  # fmt: skip


def reference(
    ticks: Iterable[Tick], frames: Sequence[Timeframe], calendar: TradingCalendar = CALENDAR
) -> dict[Key, Values]:
    """Every bar, from the ticks sorted by time (ties in the order of arrival)."""
    groups: dict[Key, list[Tick]] = {}
    for each in sorted(ticks, key=lambda tick: tick.time_us):
        for frame in frames:
            label = _label(each.time_us // 1_000_000, frame, calendar)
            groups.setdefault((frame, label), []).append(each)
    return {key: _values(group) for key, group in groups.items()}


@lru_cache(maxsize=100_000)
def _label(second: int, frame: Timeframe, calendar: TradingCalendar) -> datetime:
    return bucket_of(from_microseconds(second * 1_000_000), frame, calendar).starts_at


def _values(group: list[Tick]) -> Values:
    prices = [each.price for each in group]
    open_, high, low, close = (price * TICK_SIZE for price in (prices[0], max(prices), min(prices), prices[-1]))
    return open_, high, low, close, sum(each.size for each in group)
