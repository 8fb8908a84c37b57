"""When a wave is due and which wave it is. Pure.

Signals of a 15-minute candle arrive five to eight minutes after its close; a wave is named by the candle's open. All
times are aware UTC: quarters of an hour are the same in every zone the service knows, but the server names them in UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

CANDLE = timedelta(minutes=15)
HOUR = timedelta(hours=1)
LONGEST_BACKOFF_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Window:
    """The half-open span [start, end) in which one wave is asked for each second."""

    start: datetime
    end: datetime
    wave_time: datetime


def wave_time_of(instant: datetime) -> datetime:
    """The open of the candle that contains `instant`."""
    return instant.replace(minute=instant.minute // 15 * 15, second=0, microsecond=0)


def expected_wave(at: datetime) -> datetime:
    """The wave that is expected at `at`: minutes 0 to 15 of an hour ask for :45 of the hour before, 16 to 30 for :00,
    31 to 45 for :15, 46 to 59 for :30."""
    minute = max(at.minute, 1)  # minute 0 belongs to the same wave as minutes 1 to 15
    return wave_time_of(at.replace(minute=minute) - timedelta(minutes=1)) - CANDLE


def window_at(now: datetime, minutes: Sequence[int], duration: timedelta) -> Window | None:
    """The check window that contains `now`; None between windows."""
    for hour in (_hour(now), _hour(now) - HOUR):  # a window may reach into the next hour
        for minute in sorted(minutes, reverse=True):
            start = hour + timedelta(minutes=minute)
            if start <= now < start + duration:
                return Window(start, start + duration, expected_wave(start))
    return None


def _hour(instant: datetime) -> datetime:
    return instant.replace(minute=0, second=0, microsecond=0)


def backoff_seconds(failures: int, first: float, luck: float) -> float:
    """How long to wait after so many failures in a row: doubling from `first` up to a minute, shortened by up to a
    quarter by `luck` in [0, 1), so that many clients do not come back together."""
    longest = max(first, LONGEST_BACKOFF_SECONDS)
    return float(min(longest, first * 2 ** min(failures - 1, 20)) * (1 - luck / 4))
