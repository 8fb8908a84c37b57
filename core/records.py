"""Market records: ticks, timeframes, bars, which span of time a bar covers, and minutes as numbers.

Bars are half-open [opens_at, ends_at) and labelled by `starts_at`: seconds, minutes and single hours lie on the UTC grid,
longer hours begin at the session's open and are cut at its close, a day is the sessions of one trade date and labelled
by that date at 00:00 UTC, a week by its Monday, a month by its first day.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import IntEnum
from functools import lru_cache
from typing import Final, NamedTuple

from core.errors import InvalidInputError
from core.trading_calendar import TradingCalendar, TradingSession

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)


class Unit(IntEnum):
    """The gateway's codes of time units; part of the key of stored bars."""

    SECOND = 1
    MINUTE = 2
    HOUR = 3
    DAY = 4
    WEEK = 5
    MONTH = 6


_SUFFIXES: Final = {"s": Unit.SECOND, "m": Unit.MINUTE, "h": Unit.HOUR, "d": Unit.DAY, "w": Unit.WEEK, "mo": Unit.MONTH}
_SECONDS: Final = {Unit.SECOND: 1, Unit.MINUTE: 60, Unit.HOUR: 3_600}
_NOMINAL: Final = {Unit.DAY: 86_400, Unit.WEEK: 604_800, Unit.MONTH: 2_592_000}


@dataclass(frozen=True, slots=True, order=True)
class Timeframe:
    """A bar's length: (unit, value), spelled 1s, 15m, 4h, 1d, 1w, 1mo. Smaller ones sort first."""

    unit: Unit
    value: int

    def __post_init__(self) -> None:
        limit = {Unit.SECOND: 60, Unit.MINUTE: 60, Unit.HOUR: 24}.get(self.unit, 1)
        is_even = self.unit not in (Unit.SECOND, Unit.MINUTE) or 60 % self.value == 0 if self.value > 0 else False
        if not is_even or self.value > limit or (self.value == limit and limit > 1):
            raise InvalidInputError(f"{self}: no timeframe that bars are made of", field="timeframe")

    @classmethod
    def parse(cls, text: str) -> Timeframe:
        """Read `15m`. InvalidInputError naming the field for anything else."""
        found = re.fullmatch(r"([1-9]\d?)(s|m|h|d|w|mo)", text.strip())
        if found is None:
            raise InvalidInputError(f"{text!r} is no timeframe; write 1m, 15m, 4h, 1d, 1w or 1mo", field="timeframe")
        return cls(_SUFFIXES[found[2]], int(found[1]))

    def __str__(self) -> str:
        return f"{self.value}{next(suffix for suffix, unit in _SUFFIXES.items() if unit == self.unit)}"

    @property
    def seconds(self) -> int:
        """The length; of days and longer the nominal one, for sorting and paging only."""
        return self.value * (_SECONDS | _NOMINAL)[self.unit]

    @property
    def is_grid(self) -> bool:
        """True where bars lie on the UTC grid and no calendar is needed."""
        return self.unit < Unit.HOUR or (self.unit == Unit.HOUR and self.value == 1)

    def is_made_of(self, lower: Timeframe) -> bool:
        """Whether bars of this timeframe consist of whole bars of `lower`."""
        if self == lower or lower.is_grid:
            return self.seconds % lower.seconds == 0 if self.unit <= Unit.HOUR else True
        if lower.unit == Unit.HOUR:
            return self.unit > Unit.HOUR or self.value % lower.value == 0
        return lower.unit == Unit.DAY and self.unit > Unit.DAY


class Tick(NamedTuple):
    """One trade print. `time_us`: exchange time in microseconds since 1970; `price` in tick sizes; `size` in contracts.

    `side` is the aggressor: 0 buy, 1 sell, -1 unknown.
    """

    time_us: int
    price: int
    size: int
    side: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar of a contract. `revision` counts corrections, `gap_seconds` the part of its time that nobody listened."""

    contract_id: str
    timeframe: Timeframe
    starts_at: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: int
    tick_count: int = 0
    source: str = "live"
    is_partial: bool = False
    revision: int = 0
    gap_seconds: float = 0.0


_RANKS: Final = {"history": 5, "import": 4, "rollup": 4, "live": 3}


def provenance_rank(bar: Bar) -> int:
    """How far a bar is to be trusted: history 5, imported or rolled up from whole bars 4, live 3, with gap 2, partial 1."""
    if bar.is_partial:
        return 1
    return 2 if bar.gap_seconds > 0 else _RANKS[bar.source]


def replaces(new: Bar, held: Bar) -> bool:
    """Whether a new bar takes the place of the stored one of the same key. `upsert_bars` in SQL is its twin."""
    if provenance_rank(new) != provenance_rank(held):
        return provenance_rank(new) > provenance_rank(held)
    if provenance_rank(new) > _RANKS["live"]:
        return values_of(new) != values_of(held)
    return (new.revision, new.tick_count) > (held.revision, held.tick_count)


def values_of(bar: Bar) -> tuple[Decimal, Decimal, Decimal, Decimal, int]:
    """What a correction may change: open, high, low and close in points, and the volume in contracts."""
    return bar.open, bar.high, bar.low, bar.close, bar.volume


@dataclass(frozen=True, slots=True)
class Bucket:
    """What a bar covers: its label, and the span [opens_at, ends_at) in UTC."""

    starts_at: datetime
    opens_at: datetime
    ends_at: datetime


def bucket_of(instant: datetime, timeframe: Timeframe, calendar: TradingCalendar) -> Bucket:
    """The bucket that an instant (aware UTC) falls into.

    A trade outside every session, which the calendar says cannot be, counts for the trade date to come; longer hours
    then count from the last close. MisconfiguredError past the end of the calendar.
    """
    if timeframe.is_grid:
        length = timedelta(seconds=timeframe.seconds)
        start = instant - (instant - EPOCH) % length
        return Bucket(start, start, start + length)
    if timeframe.unit == Unit.HOUR:
        return _hours(instant, timedelta(hours=timeframe.value), calendar)
    return _dates(instant, *_first_and_last(calendar.trade_date_of(instant), timeframe.unit), calendar)


def buckets_between(start: datetime, end: datetime, timeframe: Timeframe, calendar: TradingCalendar) -> list[Bucket]:
    """The buckets in which the market is open that overlap [start, end), in time order."""
    found: list[Bucket] = []
    for session in calendar.sessions_between(start, end):
        at, stop = max(session.opens_at, start), min(session.closes_at, end)
        while at < stop:
            bucket = bucket_of(at, timeframe, calendar)
            if not found or found[-1] != bucket:
                found.append(bucket)
            at = bucket.ends_at
    return found


def microseconds(instant: datetime) -> int:
    """An aware instant as whole microseconds since 1970."""
    return (instant - EPOCH) // MICROSECOND


def from_microseconds(value: int) -> datetime:
    """Microseconds since 1970 as an instant in UTC."""
    return EPOCH + timedelta(microseconds=value)


def minute_of(instant: datetime) -> int:
    """The minute since 1970 that contains an instant."""
    return (instant - EPOCH) // _MINUTE


def instant_of(minute: int) -> datetime:
    """The open of a minute."""
    return EPOCH + minute * _MINUTE


def open_minutes(start: int, end: int, calendar: TradingCalendar) -> Iterator[int]:
    """The minutes in [start, end) in which the market is open, in order."""
    for session in calendar.sessions_between(instant_of(start), instant_of(max(start, end))):
        yield from range(max(start, minute_of(session.opens_at)), min(end, minute_of(session.closes_at)))


def _hours(instant: datetime, length: timedelta, calendar: TradingCalendar) -> Bucket:
    session = calendar.session_at(instant)
    if session is None:
        opens_at, closes_at = calendar.previous_close(instant), calendar.next_open(instant)
    else:
        opens_at, closes_at = session.opens_at, session.closes_at
    start = opens_at + (instant - opens_at) // length * length
    return Bucket(start, start, min(start + length, closes_at))


def _first_and_last(day: date, unit: Unit) -> tuple[date, date]:
    """The trade dates that a day's, week's or month's bar covers."""
    if unit == Unit.DAY:
        return day, day
    if unit == Unit.WEEK:
        monday = day - day.weekday() * _DAY
        return monday, monday + 6 * _DAY
    first = day.replace(day=1)
    return first, (first + 31 * _DAY).replace(day=1) - _DAY


def _dates(instant: datetime, first: date, last: date, calendar: TradingCalendar) -> Bucket:
    whole = _whole_dates(first, last, calendar)
    return whole if whole.opens_at <= instant else replace(whole, opens_at=instant)


@lru_cache(maxsize=256)
def _whole_dates(first: date, last: date, calendar: TradingCalendar) -> Bucket:
    label = datetime.combine(first, time(), UTC)
    around = calendar.sessions_between(label - 7 * _DAY, datetime.combine(last, time(), UTC) + 2 * _DAY)
    sessions: list[TradingSession] = [session for session in around if first <= session.trade_date <= last]
    return Bucket(label, sessions[0].opens_at, sessions[-1].closes_at)
