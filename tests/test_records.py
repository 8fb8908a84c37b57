"""Timeframes and the spans that bars cover."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from core.errors import InvalidInputError
from core.records import (
    Timeframe,
    bucket_of,
    buckets_between,
    from_microseconds,
    microseconds,
    provenance_rank,
    replaces,
)
from tests.support_market import CALENDAR, at, bar_at

HOUR = timedelta(hours=1)


def span(text: str, name: str) -> tuple[str, str, str]:
    """(label, opens, ends) of the bucket of an instant, as month-day hour."""
    bucket = bucket_of(at(text), Timeframe.parse(name), CALENDAR)
    label, opens, ends = (f"{each:%m-%d %H:%M}" for each in (bucket.starts_at, bucket.opens_at, bucket.ends_at))
    return label, opens, ends


@pytest.mark.parametrize("text", ["1s", "15m", "30m", "1h", "4h", "12h", "1d", "1w", "1mo"])
def test_a_timeframe_reads_back_as_it_is_written(text: str) -> None:
    assert str(Timeframe.parse(text)) == text


@pytest.mark.parametrize("text", ["", "m", "7m", "60m", "24h", "2d", "2w", "0m", "1y", "15", "45s", "-1m", "3mo"])
def test_what_is_no_timeframe_is_refused_with_its_field(text: str) -> None:
    with pytest.raises(InvalidInputError) as found:
        Timeframe.parse(text)
    assert found.value.field == "timeframe"


def test_timeframes_sort_by_length() -> None:
    names = ["1mo", "1w", "4h", "1h", "15m", "5m", "1s", "1d"]
    assert [str(each) for each in sorted(map(Timeframe.parse, names))] == [
        "1s",
        "5m",
        "15m",
        "1h",
        "4h",
        "1d",
        "1w",
        "1mo",
    ]


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("2025-05-13 14:37:12", "15m", ("05-13 14:30", "05-13 14:30", "05-13 14:45")),
        ("2025-05-13 14:37:12", "1h", ("05-13 14:00", "05-13 14:00", "05-13 15:00")),
        ("2025-05-13 14:37:12", "4h", ("05-13 14:00", "05-13 14:00", "05-13 18:00")),
        ("2025-05-13 20:10", "4h", ("05-13 18:00", "05-13 18:00", "05-13 21:00")),  # cut at the close
        ("2025-05-12 22:00", "4h", ("05-12 22:00", "05-12 22:00", "05-13 02:00")),
        ("2025-12-10 23:10", "4h", ("12-10 23:00", "12-10 23:00", "12-11 03:00")),  # winter
        ("2025-05-12 22:00", "1d", ("05-13 00:00", "05-12 22:00", "05-13 21:00")),
        ("2025-05-13 20:59", "1d", ("05-13 00:00", "05-12 22:00", "05-13 21:00")),
        ("2025-05-11 22:00", "1w", ("05-12 00:00", "05-11 22:00", "05-16 21:00")),
        ("2025-06-01 22:00", "1mo", ("06-01 00:00", "06-01 22:00", "06-30 21:00")),
        ("2025-05-30 20:59", "1mo", ("05-01 00:00", "04-30 22:00", "05-30 21:00")),
    ],
)
def test_a_bar_covers_what_the_gateway_covers(text: str, name: str, expected: tuple[str, str, str]) -> None:
    assert span(text, name) == expected


def test_the_open_moves_with_the_clocks_of_chicago() -> None:
    assert span("2025-03-07 12:00", "1d")[1] == "03-06 23:00"
    assert span("2025-03-10 12:00", "1d")[1] == "03-09 22:00"
    assert span("2025-10-31 12:00", "1d")[1] == "10-30 22:00"
    assert span("2025-11-03 12:00", "1d")[1] == "11-02 23:00"


def test_thanksgiving_is_booked_with_the_friday() -> None:
    assert span("2024-11-28 15:00", "1d")[0] == "11-29 00:00"
    assert span("2024-11-29 15:00", "1d") == ("11-29 00:00", "11-27 23:00", span("2024-11-29 15:00", "1d")[2])


def test_good_friday_has_no_bars() -> None:
    assert buckets_between(at("2025-04-18 00:00"), at("2025-04-20 12:00"), Timeframe.parse("1h"), CALENDAR) == []


def test_a_day_of_the_regular_week_has_23_hours_of_bars() -> None:
    found = buckets_between(at("2025-05-12 22:00"), at("2025-05-13 22:00"), Timeframe.parse("1h"), CALENDAR)
    assert len(found) == 23
    assert all(bucket.ends_at - bucket.opens_at == HOUR for bucket in found)
    assert len(buckets_between(at("2025-05-12 22:00"), at("2025-05-13 22:00"), Timeframe.parse("4h"), CALENDAR)) == 6


def test_a_trade_outside_the_session_still_has_a_bar_of_every_length() -> None:
    instant = at("2025-05-13 21:30")
    for name in ("1m", "1h", "4h", "1d", "1w", "1mo"):
        bucket = bucket_of(instant, Timeframe.parse(name), CALENDAR)
        assert bucket.opens_at <= instant < bucket.ends_at


def test_microseconds_read_back_exactly() -> None:
    instant = at("2025-05-19 17:15:26.119923")
    assert from_microseconds(microseconds(instant)) == instant


def test_higher_provenance_replaces_lower_and_never_the_other_way() -> None:
    history = bar_at("2025-05-13 14:30", 5800, 10)
    live = replace(history, source="live", tick_count=5)
    ladder = [
        replace(live, is_partial=True),
        replace(live, gap_seconds=3.0),
        live,
        replace(history, source="rollup", volume=11),
        history,
    ]
    assert [provenance_rank(bar) for bar in ladder] == [1, 2, 3, 4, 5]
    for number, held in enumerate(ladder):
        for place, new in enumerate(ladder):
            assert replaces(new, held) == (place > number), (place, number)
    assert replaces(replace(live, revision=1), live)
    assert replaces(replace(history, volume=12), history)
    assert not replaces(history, history)
