"""Wall time in and out, with the two hours a year that are not what they seem."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytz.tzinfo import DstTzInfo

from core.errors import InvalidInputError
from core.timezones import (
    CHICAGO,
    NEW_YORK,
    AttachedInstant,
    WallTime,
    attach,
    day_bounds,
    new_york_date,
    parse_wall_time,
    to_new_york,
    to_utc,
)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# New York wall time, the instant it is read as, how sure that is: around the change of 2025-11-02 and of 2026-03-08.
WALL_TIMES = [
    ("2025-11-01T18:00:00", "2025-11-01T22:00:00", WallTime.EXACT),
    ("2025-11-02T00:59:59", "2025-11-02T04:59:59", WallTime.EXACT),
    ("2025-11-02T01:00:00", "2025-11-02T05:00:00", WallTime.AMBIGUOUS),
    ("2025-11-02T01:30:00", "2025-11-02T05:30:00", WallTime.AMBIGUOUS),
    ("2025-11-02T01:59:59", "2025-11-02T05:59:59", WallTime.AMBIGUOUS),
    ("2025-11-02T02:00:00", "2025-11-02T07:00:00", WallTime.EXACT),
    ("2025-11-02T18:00:00", "2025-11-02T23:00:00", WallTime.EXACT),
    ("2026-03-08T01:59:59", "2026-03-08T06:59:59", WallTime.EXACT),
    ("2026-03-08T02:00:00", "2026-03-08T07:00:00", WallTime.NONEXISTENT),
    ("2026-03-08T02:30:00", "2026-03-08T07:30:00", WallTime.NONEXISTENT),
    ("2026-03-08T02:59:59", "2026-03-08T07:59:59", WallTime.NONEXISTENT),
    ("2026-03-08T03:00:00", "2026-03-08T07:00:00", WallTime.EXACT),
    ("2026-03-08T18:00:00", "2026-03-08T22:00:00", WallTime.EXACT),
    ("2025-12-11T08:17:00", "2025-12-11T13:17:00", WallTime.EXACT),
    ("2025-07-01T08:17:00.250", "2025-07-01T12:17:00.250", WallTime.EXACT),
]


@pytest.mark.parametrize(("wall", "instant", "wall_time"), WALL_TIMES)
def test_a_new_york_wall_time_becomes_one_instant_and_tells_its_doubt(
    wall: str, instant: str, wall_time: WallTime
) -> None:
    attached = parse_wall_time(wall)
    assert attached == AttachedInstant(utc(instant), wall_time)
    assert attached.instant.tzinfo is UTC
    assert attached.is_certain == (wall_time is WallTime.EXACT)


@pytest.mark.parametrize(
    ("received", "instant"),
    [("2025-11-02T05:31:03", "2025-11-02T05:30:00"), ("2025-11-02T06:31:03", "2025-11-02T06:30:00")],
)
def test_the_receive_time_decides_which_of_two_hours_was_meant_but_the_mark_stays(received: str, instant: str) -> None:
    attached = parse_wall_time("2025-11-02T01:30:00", near=utc(received))
    assert attached == AttachedInstant(utc(instant), WallTime.AMBIGUOUS)


def test_chicago_repeats_and_skips_its_own_hours() -> None:
    assert attach(datetime(2025, 11, 2, 1, 30), CHICAGO).instant == utc("2025-11-02T06:30")
    assert attach(datetime(2026, 3, 8, 2, 30), CHICAGO).wall_time is WallTime.NONEXISTENT
    assert attach(datetime(2025, 11, 21, 17, 0), CHICAGO).instant == utc("2025-11-21T23:00")


@given(st.datetimes(datetime(2007, 3, 12), datetime(2036, 1, 1)), st.sampled_from([NEW_YORK, CHICAGO]))
def test_a_wall_time_agrees_with_the_other_time_zone_library_and_comes_back(naive: datetime, zone: DstTzInfo) -> None:
    attached = attach(naive, zone)
    other = ZoneInfo(str(zone))
    assert attached.instant == naive.replace(tzinfo=other).astimezone(UTC)
    if attached.wall_time is not WallTime.NONEXISTENT:
        assert attached.instant.astimezone(other).replace(tzinfo=None) == naive


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2025-13-01T00:00:00", "2025-12-11T08:17:00Z", "2025-12-11T08:17-05:00"]
)
def test_text_that_is_no_wall_time_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        parse_wall_time(text)


@pytest.mark.parametrize("convert", [to_utc, to_new_york, new_york_date])
def test_a_naive_datetime_is_never_taken_for_an_instant(convert: Callable[[datetime], object]) -> None:
    with pytest.raises(ValueError, match="naive"):
        convert(datetime(2025, 12, 11))


def test_an_instant_that_has_an_offset_cannot_be_attached_again() -> None:
    with pytest.raises(ValueError, match="naive"):
        attach(utc("2025-12-11"))


def test_the_new_york_clock_shows_the_offset_of_the_season() -> None:
    assert to_new_york(utc("2025-11-02T05:59")).isoformat() == "2025-11-02T01:59:00-04:00"
    assert to_new_york(utc("2025-11-02T06:00")).isoformat() == "2025-11-02T01:00:00-05:00"


def test_the_new_york_date_changes_at_new_york_midnight() -> None:
    assert new_york_date(utc("2025-12-12T04:59:59")) == date(2025, 12, 11)
    assert new_york_date(utc("2025-12-12T05:00:00")) == date(2025, 12, 12)


@pytest.mark.parametrize(("day", "hours"), [("2025-11-02", 25), ("2026-03-08", 23), ("2025-12-11", 24)])
def test_a_day_is_as_long_as_its_clock_says(day: str, hours: int) -> None:
    start, end = day_bounds(date.fromisoformat(day))
    assert end - start == timedelta(hours=hours)
    assert new_york_date(start) == new_york_date(end - timedelta(microseconds=1)) == date.fromisoformat(day)
