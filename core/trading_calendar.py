"""When CME Globex equity futures trade: sessions, the daily break, holidays and early closes, as data.

`data/cme_globex_equity.csv` is generated (tools/build_calendar.py) and has a row for every weekday it covers;
`data/calendar_overrides.csv` is written by hand and wins. Five years before and after the covered days follow the
regular week without holidays, so that an expired calendar degrades instead of declaring the market closed for ever;
`last_covered_day` lets the doctor warn in time. Outside even that span the market counts as closed.

A trading session here is one stretch from the open to the close; the named parts of the day are in `core.sessions`.
"""

from __future__ import annotations

import csv
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path

from core.errors import MisconfiguredError
from core.timezones import CHICAGO, attach, require_aware

DATA_FILE = Path(__file__).parent / "data" / "cme_globex_equity.csv"
OVERRIDES_FILE = Path(__file__).parent / "data" / "calendar_overrides.csv"
REGULAR_OPEN = time(17)
REGULAR_LENGTH = timedelta(hours=23)
REGULAR_SOURCE = "regular week"

_DAY = timedelta(days=1)
_MARGIN = timedelta(days=5 * 366)


@dataclass(frozen=True, slots=True)
class TradingSession:
    """One stretch of trading, [opens_at, closes_at) in UTC.

    `trade_date` is the day the exchange books it under; a holiday's session shares that of the session after it.
    """

    opens_at: datetime
    closes_at: datetime
    trade_date: date
    source: str


class TradingCalendar:
    """Questions about market time; each costs a binary search, whatever the span."""

    def __init__(self, sessions: Sequence[TradingSession], first_covered_day: date, last_covered_day: date) -> None:
        """`sessions` in time order and not overlapping, else MisconfiguredError."""
        _check_order(sessions)
        self.first_covered_day = first_covered_day
        self.last_covered_day = last_covered_day
        self._sessions = tuple(sessions)
        self._opens = [session.opens_at.timestamp() for session in sessions]
        self._closes = [session.closes_at.timestamp() for session in sessions]
        self._seconds_before = [0.0]
        for opens, closes in zip(self._opens, self._closes, strict=True):
            self._seconds_before.append(self._seconds_before[-1] + closes - opens)

    def session_at(self, instant: datetime) -> TradingSession | None:
        """The trading session that contains an instant; None while the market is closed."""
        at = _seconds(instant)
        index = bisect_right(self._opens, at) - 1
        return self._sessions[index] if index >= 0 and at < self._closes[index] else None

    def is_open(self, instant: datetime) -> bool:
        """Whether the market trades; true at the open, false at the close."""
        return self.session_at(instant) is not None

    def next_open(self, instant: datetime) -> datetime:
        """The first open after an instant (UTC). MisconfiguredError past the end of the calendar."""
        return self._session(bisect_right(self._opens, _seconds(instant))).opens_at

    def next_close(self, instant: datetime) -> datetime:
        """The first close after an instant (UTC). MisconfiguredError past the end of the calendar."""
        return self._session(bisect_right(self._closes, _seconds(instant))).closes_at

    def previous_close(self, instant: datetime) -> datetime:
        """The last close at or before an instant (UTC). MisconfiguredError before the start of the calendar."""
        return self._session(bisect_right(self._closes, _seconds(instant)) - 1).closes_at

    def trade_date_of(self, instant: datetime) -> date:
        """The trade date of an instant; while closed, that of the session to come.

        MisconfiguredError past the end of the calendar.
        """
        return self._session(bisect_right(self._closes, _seconds(instant))).trade_date

    def sessions_between(self, start: datetime, end: datetime) -> tuple[TradingSession, ...]:
        """The trading sessions that overlap [start, end), in time order, not cut to the span."""
        first = bisect_right(self._closes, _seconds(start))
        return self._sessions[first : max(first, bisect_left(self._opens, _seconds(end)))]

    def sessions_of(self, trade_date: date) -> tuple[TradingSession, ...]:
        """The trading sessions booked under a trade date: none, one, or two after a holiday."""
        noon = datetime.combine(trade_date, time(12), UTC)
        # A holiday's session may lie before a weekend: Friday's belongs to Monday.
        around = self.sessions_between(noon - 7 * _DAY, noon + _DAY)
        return tuple(session for session in around if session.trade_date == trade_date)

    def open_seconds_between(self, start: datetime, end: datetime) -> float:
        """Seconds of market time in [start, end); 0 if `end` is not after `start`, as after a clock step."""
        return max(0.0, self._seconds_until(_seconds(end)) - self._seconds_until(_seconds(start)))

    def open_minutes_between(self, start: datetime, end: datetime) -> float:
        """Minutes of market time in [start, end), with fractions; 0 if `end` is not after `start`."""
        return self.open_seconds_between(start, end) / 60

    def covers(self, day: date) -> bool:
        """Whether holidays and early closes are known for a day; otherwise the regular week is assumed."""
        return self.first_covered_day <= day <= self.last_covered_day

    def days_left(self, today: date) -> int:
        """Days until the calendar expires; negative once it has."""
        return (self.last_covered_day - today).days

    def _seconds_until(self, at: float) -> float:
        """Market seconds from the first open of the calendar to an epoch second."""
        index = bisect_right(self._opens, at) - 1
        if index < 0:
            return 0.0
        return self._seconds_before[index] + min(at, self._closes[index]) - self._opens[index]

    def _session(self, index: int) -> TradingSession:
        if not 0 <= index < len(self._sessions):
            raise MisconfiguredError(
                f"the trading calendar covers {self.first_covered_day} to {self.last_covered_day} and has no answer"
            )
        return self._sessions[index]


@cache
def cme_equity_calendar() -> TradingCalendar:
    """The calendar that comes with the service, read once per process."""
    return load_calendar()


def load_calendar(data: Path = DATA_FILE, overrides: Iterable[Path] = (OVERRIDES_FILE,)) -> TradingCalendar:
    """Read a calendar; a later file replaces earlier rows of the same day. MisconfiguredError for a wrong row."""
    covered = dict(_read(data))
    first, last = min(covered), max(covered)
    for path in overrides:
        covered.update(_read(path))
    before = ((day, _regular_session(day)) for day in _weekdays(first - _MARGIN, first))
    after = ((day, _regular_session(day)) for day in _weekdays(last + _DAY, last + _MARGIN))
    by_day = {**dict(before), **dict(after), **covered}
    sessions = [session for _, session in sorted(by_day.items()) if session is not None]
    return TradingCalendar(sessions, first, last)


def _read(path: Path) -> Iterator[tuple[date, TradingSession | None]]:
    """Rows as (session date, session), None where the market stays closed; lines that start with # are comments."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    for row in csv.DictReader(lines):
        try:
            yield _parse_row(row)
        except (KeyError, TypeError, ValueError) as error:
            raise MisconfiguredError(f"{path.name}: wrong row {row}: {error}") from error


def _parse_row(row: dict[str, str]) -> tuple[date, TradingSession | None]:
    day = date.fromisoformat(row["session_date"])
    if not row["source"]:
        raise ValueError("no source")
    if row["opens_at"] == row["closes_at"] == "":
        return day, None
    opens_at = require_aware(datetime.fromisoformat(row["opens_at"])).astimezone(UTC)
    closes_at = require_aware(datetime.fromisoformat(row["closes_at"])).astimezone(UTC)
    trade_date = date.fromisoformat(row["trade_date"]) if row["trade_date"] else day
    return day, TradingSession(opens_at, closes_at, trade_date, row["source"])


def _regular_session(day: date) -> TradingSession:
    opens_at = attach(datetime.combine(day - _DAY, REGULAR_OPEN), CHICAGO).instant
    # The clock changes on Sunday mornings, so no session of the regular week is longer or shorter than another.
    return TradingSession(opens_at, opens_at + REGULAR_LENGTH, day, REGULAR_SOURCE)


def _weekdays(start: date, end: date) -> Iterator[date]:
    """Monday to Friday in [start, end)."""
    days = (start + n * _DAY for n in range((end - start).days))
    return (day for day in days if day.weekday() < 5)


def _check_order(sessions: Sequence[TradingSession]) -> None:
    for session in sessions:
        if session.opens_at >= session.closes_at:
            raise MisconfiguredError(f"trading calendar: {session.trade_date} closes before it opens")
    for earlier, later in pairwise(sessions):
        if later.opens_at < earlier.closes_at or later.trade_date < earlier.trade_date:
            raise MisconfiguredError(f"trading calendar: {earlier.trade_date} and {later.trade_date} overlap")


def _seconds(instant: datetime) -> float:
    return require_aware(instant).timestamp()
