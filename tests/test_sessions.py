"""The named sessions of the New York day, above all on the two Sundays on which its clock changes."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.sessions import (
    AFTER_HOURS,
    ASIA,
    LONDON,
    NY_AM,
    NY_LUNCH,
    NY_PM,
    NY_PRE,
    SESSIONS,
    session_of,
    session_of_wall_time,
)

# Instant in UTC, the New York clock at that instant, the session: 20 instants around each change of the clock.
INSTANTS = [
    ("2025-10-31T12:29:59", "08:29", NY_PRE),
    ("2025-10-31T12:30:00", "08:30", NY_AM),
    ("2025-10-31T20:00:00", "16:00", AFTER_HOURS),
    ("2025-11-01T23:59:59", "19:59", AFTER_HOURS),
    ("2025-11-02T00:00:00", "20:00", ASIA),
    ("2025-11-02T03:59:59", "23:59", ASIA),
    ("2025-11-02T04:00:00", "00:00", LONDON),
    ("2025-11-02T05:00:00", "01:00", LONDON),
    ("2025-11-02T05:59:59", "01:59", LONDON),
    ("2025-11-02T06:00:00", "01:00", LONDON),
    ("2025-11-02T06:59:59", "01:59", LONDON),
    ("2025-11-02T07:00:00", "02:00", LONDON),
    ("2025-11-02T10:59:59", "05:59", LONDON),
    ("2025-11-02T11:00:00", "06:00", NY_PRE),
    ("2025-11-02T13:30:00", "08:30", NY_AM),
    ("2025-11-02T17:00:00", "12:00", NY_LUNCH),
    ("2025-11-02T18:00:00", "13:00", NY_PM),
    ("2025-11-02T23:00:00", "18:00", AFTER_HOURS),
    ("2025-11-03T01:00:00", "20:00", ASIA),
    ("2025-11-03T13:29:59", "08:29", NY_PRE),
    ("2026-03-06T13:30:00", "08:30", NY_AM),
    ("2026-03-06T17:59:59", "12:59", NY_LUNCH),
    ("2026-03-06T20:59:59", "15:59", NY_PM),
    ("2026-03-08T00:59:59", "19:59", AFTER_HOURS),
    ("2026-03-08T01:00:00", "20:00", ASIA),
    ("2026-03-08T04:59:59", "23:59", ASIA),
    ("2026-03-08T05:00:00", "00:00", LONDON),
    ("2026-03-08T06:59:59", "01:59", LONDON),
    ("2026-03-08T07:00:00", "03:00", LONDON),
    ("2026-03-08T07:59:59", "03:59", LONDON),
    ("2026-03-08T08:00:00", "04:00", LONDON),
    ("2026-03-08T09:59:59", "05:59", LONDON),
    ("2026-03-08T10:00:00", "06:00", NY_PRE),
    ("2026-03-08T12:30:00", "08:30", NY_AM),
    ("2026-03-08T16:00:00", "12:00", NY_LUNCH),
    ("2026-03-08T17:00:00", "13:00", NY_PM),
    ("2026-03-08T20:00:00", "16:00", AFTER_HOURS),
    ("2026-03-08T22:00:00", "18:00", AFTER_HOURS),
    ("2026-03-09T00:00:00", "20:00", ASIA),
    ("2026-03-09T12:29:59", "08:29", NY_PRE),
]


@pytest.mark.parametrize(("instant", "clock", "session"), INSTANTS)
def test_the_session_follows_the_new_york_clock_through_both_changes(instant: str, clock: str, session: str) -> None:
    assert session_of(datetime.fromisoformat(instant).replace(tzinfo=UTC)) == session
    assert session_of_wall_time(time.fromisoformat(clock)) == session


def test_the_table_holds_forty_instants_and_every_session() -> None:
    assert len({instant for instant, _, _ in INSTANTS}) == 40
    assert {session for _, _, session in INSTANTS} == set(SESSIONS)


def test_the_sessions_fill_the_day_with_the_minutes_they_are_given() -> None:
    minutes = [session_of_wall_time(time(hour, minute)) for hour in range(24) for minute in range(60)]
    assert {name: minutes.count(name) for name in SESSIONS} == {
        ASIA: 240,
        LONDON: 360,
        NY_PRE: 150,
        NY_AM: 210,
        NY_LUNCH: 60,
        NY_PM: 180,
        AFTER_HOURS: 240,
    }


@given(st.datetimes(datetime(2024, 1, 1), datetime(2027, 12, 31)), st.integers(-14, 14))
def test_an_instant_has_one_session_in_whatever_zone_it_is_written(naive: datetime, offset_hours: int) -> None:
    instant = naive.replace(tzinfo=UTC)
    assert session_of(instant.astimezone(timezone(timedelta(hours=offset_hours)))) == session_of(instant)


def test_a_naive_datetime_has_no_session() -> None:
    with pytest.raises(ValueError, match="naive"):
        session_of(datetime(2025, 11, 2, 12))
