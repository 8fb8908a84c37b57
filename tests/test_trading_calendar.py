"""The trading calendar: facts about real days, counting against brute force, and what a wrong file does."""

from __future__ import annotations

import csv
import os
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import MisconfiguredError
from core.trading_calendar import DATA_FILE, REGULAR_SOURCE, cme_equity_calendar, load_calendar

CALENDAR = cme_equity_calendar()
NEW_YORK = ZoneInfo("America/New_York")
MINUTE = timedelta(minutes=1)
HEADER = "session_date,opens_at,closes_at,trade_date,source"


def new_york(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).astimezone(UTC)


# New York wall time, open?, trade date (while closed, that of the session to come).
MOMENTS = [
    # The week before, and the Sunday on which, the clock goes back.
    ("2025-10-31T16:59:59", True, "2025-10-31"),
    ("2025-10-31T17:00:00", False, "2025-11-03"),
    ("2025-11-01T12:00:00", False, "2025-11-03"),
    ("2025-11-02T01:30:00", False, "2025-11-03"),
    ("2025-11-02T17:59:59", False, "2025-11-03"),
    ("2025-11-02T18:00:00", True, "2025-11-03"),
    ("2025-11-03T16:59:59", True, "2025-11-03"),
    ("2025-11-03T17:00:00", False, "2025-11-04"),
    ("2025-11-03T17:59:59", False, "2025-11-04"),
    ("2025-11-03T18:00:00", True, "2025-11-04"),
    # The clock goes forward.
    ("2026-03-06T16:59:59", True, "2026-03-06"),
    ("2026-03-06T17:00:00", False, "2026-03-09"),
    ("2026-03-08T03:30:00", False, "2026-03-09"),
    ("2026-03-08T17:59:59", False, "2026-03-09"),
    ("2026-03-08T18:00:00", True, "2026-03-09"),
    ("2026-03-09T17:30:00", False, "2026-03-10"),
    # Good Friday: closed, but open until the market has seen the employment report when that falls on it.
    ("2024-03-28T16:59:00", True, "2024-03-28"),
    ("2024-03-29T08:00:00", False, "2024-04-01"),
    ("2025-04-17T18:30:00", False, "2025-04-21"),
    ("2025-04-18T08:00:00", False, "2025-04-21"),
    ("2025-04-20T18:00:00", True, "2025-04-21"),
    ("2026-04-03T09:14:59", True, "2026-04-03"),
    ("2026-04-03T09:15:00", False, "2026-04-06"),
    ("2027-03-26T08:00:00", False, "2027-03-29"),
    # Thanksgiving: a halt at 13:00, one trade date for both sessions, an early close on the Friday.
    ("2025-11-26T18:00:00", True, "2025-11-28"),
    ("2025-11-27T12:59:59", True, "2025-11-28"),
    ("2025-11-27T13:00:00", False, "2025-11-28"),
    ("2025-11-27T18:00:00", True, "2025-11-28"),
    ("2025-11-28T13:14:59", True, "2025-11-28"),
    ("2025-11-28T13:15:00", False, "2025-12-01"),
    # Other holidays and early closes.
    ("2024-07-03T13:15:00", False, "2024-07-05"),
    ("2024-09-02T09:00:00", True, "2024-09-02"),
    ("2024-12-24T13:15:00", False, "2024-12-26"),
    ("2024-12-25T12:00:00", False, "2024-12-26"),
    ("2024-12-25T18:00:00", True, "2024-12-26"),
    ("2025-01-09T09:29:59", True, "2025-01-09"),
    ("2025-01-09T09:30:00", False, "2025-01-10"),
    ("2025-05-26T09:00:00", True, "2025-05-27"),
    ("2026-07-03T12:59:59", True, "2026-07-06"),
    ("2027-12-24T09:00:00", False, "2027-12-27"),
]


@pytest.mark.parametrize(("wall", "is_open", "trade_date"), MOMENTS)
def test_the_market_is_open_when_it_was_and_books_under_the_right_date(
    wall: str, is_open: bool, trade_date: str
) -> None:
    instant = new_york(wall)
    assert CALENDAR.is_open(instant) is is_open
    assert CALENDAR.trade_date_of(instant) == date.fromisoformat(trade_date)


def test_the_table_holds_forty_moments() -> None:
    assert len({wall for wall, _, _ in MOMENTS}) == 40


covered_minutes = st.integers(0, 4 * 365 * 24 * 60).map(lambda n: datetime(2024, 1, 1, tzinfo=UTC) + n * MINUTE)


@settings(max_examples=60, deadline=None)
@given(covered_minutes, st.integers(0, 4 * 24 * 60))
def test_open_minutes_equal_a_count_minute_by_minute(start: datetime, length: int) -> None:
    counted = sum(CALENDAR.is_open(start + n * MINUTE) for n in range(length))
    assert CALENDAR.open_minutes_between(start, start + length * MINUTE) == counted


@given(covered_minutes)
def test_where_no_holiday_is_near_the_market_keeps_the_regular_week(instant: datetime) -> None:
    day = (instant + timedelta(hours=8)).astimezone(NEW_YORK).date()
    if not _exceptional_days() & {day - timedelta(days=1), day, day + timedelta(days=1)}:
        assert CALENDAR.is_open(instant) is _is_regular_time(instant.astimezone(NEW_YORK))


def _is_regular_time(wall: datetime) -> bool:
    is_break = time(17) <= wall.time() < time(18)
    opened = wall.weekday() != 6 or wall.time() >= time(18)
    return opened and not is_break and wall.weekday() != 5 and not (wall.weekday() == 4 and wall.time() >= time(17))


@cache
def _exceptional_days() -> set[date]:
    sessions = CALENDAR.sessions_between(datetime(2023, 12, 31, tzinfo=UTC), datetime(2028, 1, 2, tzinfo=UTC))
    full = {s.closes_at.date() for s in sessions if s.closes_at - s.opens_at == timedelta(hours=23)}
    days = (date(2023, 12, 31) + timedelta(days=n) for n in range(1463))
    return {day for day in days if day.weekday() < 5 and day not in full}


@given(covered_minutes, covered_minutes, covered_minutes)
def test_market_time_adds_up_and_never_runs_backwards(a: datetime, b: datetime, c: datetime) -> None:
    first, middle, last = sorted((a, b, c))
    parts = CALENDAR.open_seconds_between(first, middle) + CALENDAR.open_seconds_between(middle, last)
    assert CALENDAR.open_seconds_between(first, last) == parts
    assert CALENDAR.open_seconds_between(last, first) == 0


def test_market_time_counts_parts_of_a_minute_and_skips_breaks_and_weekends() -> None:
    assert CALENDAR.open_seconds_between(new_york("2025-12-11T16:59:30"), new_york("2025-12-11T18:00:15")) == 45
    assert CALENDAR.open_minutes_between(new_york("2025-12-12T16:58:00"), new_york("2025-12-14T18:03:00")) == 5
    assert CALENDAR.open_minutes_between(new_york("2025-12-07T18:00"), new_york("2025-12-14T18:00")) == 5 * 23 * 60


@given(covered_minutes)
def test_opens_and_closes_around_an_instant_agree_with_each_other(instant: datetime) -> None:
    session = CALENDAR.session_at(instant)
    assert CALENDAR.previous_close(instant) <= instant < CALENDAR.next_close(instant)
    assert CALENDAR.next_open(instant) > instant
    assert CALENDAR.is_open(CALENDAR.next_open(instant))
    assert not CALENDAR.is_open(CALENDAR.previous_close(instant))
    if session is None:
        assert CALENDAR.next_open(instant) < CALENDAR.next_close(instant)
    else:
        assert session.opens_at <= instant < session.closes_at == CALENDAR.next_close(instant)


def test_the_open_moves_with_the_season() -> None:
    assert CALENDAR.next_open(new_york("2025-10-31T17:00")) == datetime(2025, 11, 2, 23, tzinfo=UTC)
    assert CALENDAR.next_open(new_york("2026-03-06T17:00")) == datetime(2026, 3, 8, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("trade_date", "opens"),
    [
        ("2024-11-28", []),
        ("2024-11-29", ["2024-11-27T18:00", "2024-11-28T18:00"]),
        ("2025-07-07", ["2025-07-03T18:00", "2025-07-06T18:00"]),
        ("2024-09-02", ["2024-09-01T18:00"]),
        ("2024-09-03", ["2024-09-02T18:00"]),
        ("2025-12-13", []),
    ],
)
def test_a_holiday_session_belongs_to_the_next_trade_date_unless_the_data_say_otherwise(
    trade_date: str, opens: list[str]
) -> None:
    sessions = CALENDAR.sessions_of(date.fromisoformat(trade_date))
    assert [session.opens_at for session in sessions] == [new_york(text) for text in opens]


def test_sessions_between_touch_the_span_and_only_the_span() -> None:
    start, end = new_york("2025-12-11T17:00"), new_york("2025-12-12T18:00")
    assert [s.trade_date for s in CALENDAR.sessions_between(start, end)] == [date(2025, 12, 12)]
    assert [s.trade_date for s in CALENDAR.sessions_between(start - MINUTE, end)] == [
        date(2025, 12, 11),
        date(2025, 12, 12),
    ]
    assert CALENDAR.sessions_between(end, start) == ()


def test_the_file_has_a_row_with_a_source_for_every_weekday_of_its_years() -> None:
    with DATA_FILE.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    days = [date(2024, 1, 1) + timedelta(days=n) for n in range(1461)]
    assert [row["session_date"] for row in rows] == [day.isoformat() for day in days if day.weekday() < 5]
    assert all(row["source"].startswith("pandas_market_calendars") for row in rows)


def test_the_calendar_knows_when_it_expires() -> None:
    assert (CALENDAR.first_covered_day, CALENDAR.last_covered_day) == (date(2024, 1, 1), date(2027, 12, 31))
    assert CALENDAR.days_left(date(2027, 12, 1)) == 30
    assert CALENDAR.days_left(date(2028, 1, 1)) == -1
    assert CALENDAR.covers(date(2027, 12, 31))
    assert not CALENDAR.covers(date(2028, 1, 1))


def test_an_expired_calendar_keeps_the_regular_week() -> None:
    session = CALENDAR.session_at(new_york("2029-06-13T12:00"))
    assert session is not None
    assert (session.source, session.trade_date) == (REGULAR_SOURCE, date(2029, 6, 13))
    assert not CALENDAR.is_open(new_york("2029-06-13T17:30"))
    assert CALENDAR.is_open(new_york("2022-06-15T12:00"))


def test_far_outside_the_calendar_nothing_trades_and_no_open_is_invented() -> None:
    assert not CALENDAR.is_open(new_york("2050-06-15T12:00"))
    assert not CALENDAR.is_open(new_york("1999-06-16T12:00"))
    assert CALENDAR.open_seconds_between(new_york("2050-06-15T12:00"), new_york("2050-06-16T12:00")) == 0
    with pytest.raises(MisconfiguredError, match="2027-12-31"):
        CALENDAR.next_open(new_york("2050-06-15T12:00"))
    with pytest.raises(MisconfiguredError, match="2024-01-01"):
        CALENDAR.previous_close(new_york("1999-06-16T12:00"))


def test_a_naive_datetime_is_refused() -> None:
    with pytest.raises(ValueError, match="naive"):
        CALENDAR.is_open(datetime(2025, 12, 11, 12))


def _file(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(["# by hand", HEADER, *rows]), encoding="utf-8")
    return path


def test_an_override_replaces_adds_and_closes_days(tmp_path: Path) -> None:
    overrides = _file(
        tmp_path / "overrides.csv",
        "2026-06-10,2026-06-09T17:00-05:00,2026-06-10T09:00-05:00,,notice",
        "2026-06-13,2026-06-12T17:00-05:00,2026-06-13T09:00-05:00,2026-06-15,drill",
        "2026-06-11,,,,outage",
    )
    calendar = load_calendar(overrides=[overrides])
    session = calendar.session_at(new_york("2026-06-10T08:00"))
    assert session is not None
    assert (session.source, session.trade_date) == ("notice", date(2026, 6, 10))
    assert not calendar.is_open(new_york("2026-06-10T12:00"))
    assert not calendar.is_open(new_york("2026-06-11T12:00"))
    assert calendar.trade_date_of(new_york("2026-06-13T09:00")) == date(2026, 6, 15)


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("2026-06-10,2026-06-09T17:00,2026-06-10T09:00-05:00,,no offset", "naive"),
        ("2026-06-10,,2026-06-10T09:00-05:00,,half a session", "wrong row"),
        ("10 June,,,,no date", "wrong row"),
        ("2026-06-10", "no source"),
        ("2026-06-10,,,,", "no source"),
        ("2026-06-10,2026-06-10T09:00-05:00,2026-06-09T17:00-05:00,,swapped", "closes before it opens"),
        ("2026-06-10,2026-06-09T17:00-05:00,2026-06-10T19:00-05:00,,too long", "overlap"),
    ],
)
def test_a_wrong_row_stops_the_loading_and_says_which(tmp_path: Path, row: str, complaint: str) -> None:
    with pytest.raises(MisconfiguredError, match=complaint):
        load_calendar(overrides=[_file(tmp_path / "overrides.csv", row)])


def _real_bars(name: str, unit: str) -> list[datetime]:
    """Start times of the real bars of a timeframe unit (2 minute, 4 day), in time order."""
    path = Path(os.environ.get("SIGNALBOOK_DATA", Path(__file__).parents[2] / "shared" / "data")) / name
    if not path.exists():
        pytest.skip("SIGNALBOOK_DATA is absent: no real bars to compare with")
    with path.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["timeframe_unit"] == unit]
    return sorted({datetime.fromisoformat(row["timestamp"]) for row in rows})


def test_real_bars_start_while_the_market_is_open_and_no_open_minute_is_without_one() -> None:
    starts = _real_bars("bars/mes_m25_2025_5m_15m_1h_4h_1d.csv", "2")
    assert all(CALENDAR.is_open(start) for start in starts)
    assert {CALENDAR.open_minutes_between(earlier, later) for earlier, later in pairwise(starts)} == {5}


def test_real_daily_bars_carry_the_trade_dates_of_the_calendar() -> None:
    days = [start.date() for start in _real_bars("trends/mes_1d_bars.csv", "4")]
    span = (days[0] + timedelta(days=n) for n in range((days[-1] - days[0]).days + 1))
    assert days == [day for day in span if CALENDAR.sessions_of(day)]
