"""When waves are asked for, and which."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from waves.schedule import CANDLE, expected_wave, wave_time_of, window_at

MINUTES = (6, 20, 35, 50)
DURATION = timedelta(seconds=120)


def at(hour: int, minute: int, second: int = 0, day: int = 27) -> datetime:
    return datetime(2025, 10, day, hour, minute, second, tzinfo=UTC)


@pytest.mark.parametrize("minute", range(60))
def test_the_table_of_expected_waves_holds_for_every_minute(minute: int) -> None:
    if minute <= 15:
        expected = at(17, 45)
    elif minute <= 30:
        expected = at(18, 0)
    elif minute <= 45:
        expected = at(18, 15)
    else:
        expected = at(18, 30)
    assert expected_wave(at(18, minute)) == expected
    assert expected_wave(at(18, minute, 59)) == expected


def test_the_candle_of_half_past_is_expected_at_ten_to() -> None:
    assert expected_wave(at(18, 50)) == at(18, 30)


def test_the_expected_wave_at_midnight_belongs_to_the_day_before() -> None:
    assert expected_wave(at(0, 6, day=28)) == at(23, 45, day=27)


def test_every_instant_of_a_quarter_belongs_to_its_candle() -> None:
    assert wave_time_of(at(18, 44, 59)) == at(18, 30)
    assert wave_time_of(at(18, 45)) == at(18, 45)


def test_a_window_holds_its_start_but_not_its_end() -> None:
    assert window_at(at(18, 19, 59), MINUTES, DURATION) is None
    found = window_at(at(18, 20), MINUTES, DURATION)
    assert found is not None
    assert (found.start, found.end, found.wave_time) == (at(18, 20), at(18, 22), at(18, 0))
    assert window_at(at(18, 21, 59), MINUTES, DURATION) == found
    assert window_at(at(18, 22), MINUTES, DURATION) is None


def test_a_window_may_reach_into_the_next_hour() -> None:
    found = window_at(at(19, 0, 30), (59,), DURATION)
    assert found is not None
    assert found.wave_time == at(18, 30)


def test_the_windows_of_a_day_ask_for_each_wave_once() -> None:
    found = [window_at(at(hour, minute), MINUTES, DURATION) for hour in range(24) for minute in MINUTES]
    waves = [window.wave_time for window in found if window is not None]
    assert waves == [at(23, 45, day=26) + number * CANDLE for number in range(96)]
