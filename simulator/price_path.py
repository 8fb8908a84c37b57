"""A made-up price of a micro Nasdaq future: a function of seed and time alone, so it can be asked for any session.

Every minute of a trading session is a walk of small steps that is pulled towards a slowly swinging level; the walk of
a session is pinned to that level at both its ends, so sessions join without knowing of each other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from random import Random

from core.sessions import AFTER_HOURS, ASIA, LONDON, NY_AM, NY_LUNCH, NY_PM, NY_PRE, session_of
from core.trading_calendar import TradingCalendar, TradingSession, cme_equity_calendar

SYMBOL = "MNQ1!"
TICK = 0.25
MINUTE = timedelta(minutes=1)

_BASE_PRICE = 25_000.0
_SWINGS = ((1.3, 60.0), (6.7, 120.0), (31.0, 300.0))
"""Of the level: (period in days, height in points)."""

_STEPS = 6
_MINUTES_TO_RETURN = 85.0
_POINTS_A_MINUTE = {ASIA: 4.6, LONDON: 5.6, NY_PRE: 6.6, NY_AM: 11.5, NY_LUNCH: 8.0, NY_PM: 9.0, AFTER_HOURS: 4.4}
"""Standard deviation of one minute's move."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One minute of prices, labelled by its open time (UTC). Multiples of the tick size, hence exact as floats."""

    opens_at: datetime
    open: float
    high: float
    low: float
    close: float

    @property
    def closes_at(self) -> datetime:
        return self.opens_at + MINUTE


class PricePath:
    """The prices that belong to a seed."""

    def __init__(self, seed: int, calendar: TradingCalendar | None = None) -> None:
        self._seed = seed
        self._calendar = calendar or cme_equity_calendar()
        phases = Random(f"{seed} level")
        self._swings = [(days * 86_400, points, phases.uniform(0, math.tau)) for days, points in _SWINGS]
        self._bars_of = lru_cache(maxsize=4)(self._make_bars)

    def bars(self, start: datetime) -> Iterator[Bar]:
        """The bars of all open minutes from the minute of `start` on, for as long as the calendar goes."""
        start = start.replace(second=0, microsecond=0)
        session = self._calendar.session_at(start)
        while True:
            if session is None:
                session = self._calendar.session_at(self._calendar.next_open(start))
                assert session is not None
            yield from (bar for bar in self._bars_of(session) if bar.opens_at >= start)
            start = session.closes_at
            session = self._calendar.session_at(start)

    def _level(self, instant: datetime) -> float:
        seconds = instant.timestamp()
        swings = (points * math.sin(math.tau * seconds / period + phase) for period, points, phase in self._swings)
        return _BASE_PRICE + sum(swings)

    def _make_bars(self, session: TradingSession) -> tuple[Bar, ...]:
        minutes = round((session.closes_at - session.opens_at) / MINUTE)
        offsets = self._offsets(session, minutes)
        bars = []
        for minute in range(minutes):
            opens_at = session.opens_at + minute * MINUTE
            level = self._level(opens_at)
            rise = (self._level(opens_at + MINUTE) - level) / _STEPS
            steps = enumerate(offsets[minute * _STEPS : (minute + 1) * _STEPS + 1])
            prices = [round((level + rise * step + offset) / TICK) * TICK for step, offset in steps]
            bars.append(Bar(opens_at, prices[0], max(prices), min(prices), prices[-1]))
        return tuple(bars)

    def _offsets(self, session: TradingSession, minutes: int) -> list[float]:
        """How far the price is from its level, step by step; 0 at both ends of the session."""
        random = Random(f"{self._seed} {session.opens_at.isoformat()}")
        walk, offset = [0.0], 0.0
        for minute in range(minutes):
            spread = _POINTS_A_MINUTE[session_of(session.opens_at + minute * MINUTE)] / math.sqrt(_STEPS)
            for _ in range(_STEPS):
                offset += random.gauss(0, spread) - offset / (_MINUTES_TO_RETURN * _STEPS)
                walk.append(offset)
        drift = offset / (len(walk) - 1)
        return [value - drift * step for step, value in enumerate(walk)]
