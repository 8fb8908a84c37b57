"""Times of the wire and the lies they tell."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support_dialects import ARRIVAL, read

BAR_OPEN = datetime(2025, 11, 20, 14, 30, tzinfo=UTC)


def event_time_of(stamp: Any, received_at: datetime = ARRIVAL) -> tuple[datetime | None, tuple[str, ...]]:
    (event,) = read({"event_type": "BE_TRIGGERED", "trade_id": "T1", "timestamp": stamp}, received_at).events
    return event.event_time, event.warnings


@pytest.mark.parametrize(
    "stamp",
    [
        1763649000000,
        1763649000000.0,
        "1763649000000",
        "2025-11-20T09:30:00",
        "2025-11-20 09:30",
        "2025-11-20T09:30:00.000",
        "2025-11-20T14:30:00Z",
        "2025-11-20T14:30:00+00:00",
        "2025-11-20T09:30:00-05:00",
        "2025-11-20T15:30:00+0100",
    ],
)
def test_every_honest_spelling_means_the_same_instant(stamp: Any) -> None:
    assert event_time_of(stamp) == (BAR_OPEN, ())


@pytest.mark.parametrize("hours", [4, 5, 6, 7])
def test_a_false_utc_mark_is_corrected_and_marked(hours: int) -> None:
    stamp = (BAR_OPEN - timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert event_time_of(stamp) == (BAR_OPEN, ("event_time_false_utc",))


@pytest.mark.parametrize("minutes", [0, 60, 180, 270, 390, 480, 6 * 60 + 11, 6 * 60 - 12])
def test_other_delays_are_believed(minutes: int) -> None:
    stamp = ARRIVAL - timedelta(minutes=minutes)
    assert event_time_of(stamp.strftime("%Y-%m-%dT%H:%M:%SZ")) == (stamp, ())


def test_an_offset_that_is_not_utc_is_believed() -> None:
    assert event_time_of("2025-11-20T09:30:00+01:00") == (datetime(2025, 11, 20, 8, 30, tzinfo=UTC), ())


def test_a_script_that_lies_once_lies_always() -> None:
    body = {
        "event_type": "ENTRY",
        "trade_id": "T1",
        "timestamp": "2025-11-20T08:30:00Z",
        "signal_time": "2025-11-20T07:58:00Z",
        "confirmation_time": 1763649000000,
    }
    (event,) = read(body).events
    assert event.signal_time == datetime(2025, 11, 20, 13, 58, tzinfo=UTC)
    assert event.confirmation_time == BAR_OPEN
    assert {"event_time_false_utc", "signal_time_false_utc"} <= set(event.warnings)


@pytest.mark.parametrize(("received_hour", "hour"), [(5, 5), (6, 6)])
def test_the_repeated_hour_is_flagged_and_read_near_its_arrival(received_hour: int, hour: int) -> None:
    received_at = datetime(2025, 11, 2, received_hour, 31, tzinfo=UTC)
    expected = datetime(2025, 11, 2, hour, 30, tzinfo=UTC)
    assert event_time_of("2025-11-02T01:30:00", received_at) == (expected, ("event_time_ambiguous",))


def test_the_skipped_hour_is_flagged() -> None:
    received_at = datetime(2026, 3, 8, 7, 31, tzinfo=UTC)
    assert event_time_of("2026-03-08T02:30:00", received_at)[1] == ("event_time_nonexistent",)


@pytest.mark.parametrize(
    ("stamp", "doubt"),
    [
        ("yesterday", "invalid"),
        ("2025-11-20", "invalid"),
        ("2025-13-45T99:99:99", "invalid"),
        ("2025-W47-4T09:30:00", "invalid"),
        ("2025-11-20T09:30:00+99:99", "invalid"),
        (True, "invalid"),
        ([], "invalid"),
        ("0001-01-01T00:00:00Z", "out_of_range"),
        ("9999-12-31T23:59:59-14:00", "out_of_range"),
        (1763649000, "out_of_range"),
        (-1, "out_of_range"),
        (10**30, "out_of_range"),
    ],
)
def test_an_unreadable_time_is_null_and_flagged(stamp: Any, doubt: str) -> None:
    assert event_time_of(stamp) == (None, (f"event_time_{doubt}", "event_time_missing"))


def test_a_time_after_its_own_arrival_is_flagged() -> None:
    assert event_time_of("2025-11-20T11:30:00")[1] == ("event_time_in_future",)


def test_date_and_time_of_day_make_a_signal_time() -> None:
    (event,) = read({"type": "ENTRY", "signal_id": "T1", "date": "2025-07-01", "time": "09:30"}).events
    assert event.signal_time == datetime(2025, 7, 1, 13, 30, tzinfo=UTC)


def test_a_time_of_day_without_a_date_is_no_time() -> None:
    (event,) = read({"type": "ENTRY", "signal_id": "T1", "time": "09:30:00"}).events
    assert event.signal_time is None


def test_a_member_says_its_own_time_before_its_envelope_does() -> None:
    members = [{"trade_id": "A", "timestamp": "2025-11-20T09:29:00"}, {"trade_id": "B"}]
    body = {"event_type": "MFE_UPDATE_BATCH", "event_timestamp": "2025-11-20T09:30:00", "signals": members}
    own, inherited = read(body).events
    assert (own.event_time, inherited.event_time) == (BAR_OPEN - timedelta(minutes=1), BAR_OPEN)
