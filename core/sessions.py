"""The named parts of the New York day. Computed from the clock; a label that came on the wire is only evidence.

Whether the market is open is another question: see `core.trading_calendar`.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import datetime, time
from typing import Final

from core.timezones import to_new_york

ASIA: Final = "ASIA"
LONDON: Final = "LONDON"
NY_PRE: Final = "NY PRE"
NY_AM: Final = "NY AM"
NY_LUNCH: Final = "NY LUNCH"
NY_PM: Final = "NY PM"
AFTER_HOURS: Final = "AFTER_HOURS"

SESSIONS: Final = (ASIA, LONDON, NY_PRE, NY_AM, NY_LUNCH, NY_PM, AFTER_HOURS)
"""All sessions, in the order in which a trading day meets them."""

_STARTS: Final = (time(0), time(6), time(8, 30), time(12), time(13), time(16), time(20))
_FROM_MIDNIGHT: Final = (LONDON, NY_PRE, NY_AM, NY_LUNCH, NY_PM, AFTER_HOURS, ASIA)


def session_of(instant: datetime) -> str:
    """The session that contains an instant. ValueError for a naive datetime."""
    return session_of_wall_time(to_new_york(instant).time())


def session_of_wall_time(wall_time: time) -> str:
    """The session at a New York wall time; each lasts up to, not including, the start of the next."""
    return _FROM_MIDNIGHT[bisect_right(_STARTS, wall_time) - 1]
