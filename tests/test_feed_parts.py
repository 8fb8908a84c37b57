"""The pieces of the feed one by one: messages, overlapping connections, holes."""

from __future__ import annotations

import random
import re
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from core.clock import ManualClock
from core.records import Tick, Timeframe, microseconds
from ingestion.bars.aggregator import FOREVER
from ingestion.bars.overlap import Overlap
from ingestion.feed.inbox import FeedState
from ingestion.feed.mender import due_holes
from ingestion.feed.parsing import parse_quote, parse_trades
from ingestion.measures import FeedCollector
from tests.support_market import CALENDAR, TICK_SIZE, at

TIME = "2025-05-19T17:15:26.1199235+00:00"
TIME_US = microseconds(at("2025-05-19 17:15:26.119923"))
GOOD = {"symbolId": "F.US.MES", "price": 5984.75, "timestamp": TIME, "type": 1, "volume": 2}


def test_trades_come_as_one_object_or_a_list() -> None:
    expected = Tick(TIME_US, 5984 * 4 + 3, 2, 1)
    assert parse_trades(GOOD, TICK_SIZE) == ([expected], 0)
    assert parse_trades([GOOD, GOOD], TICK_SIZE) == ([expected, expected], 0)


@pytest.mark.parametrize(
    "record",
    [
        {"price": 5984.75, "lastUpdated": TIME, "volume": 2, "type": 1},
        {"trade": GOOD},
        {"quote": GOOD},
        GOOD | {"timestamp": "0001-01-01T00:00:00+00:00", "lastUpdated": TIME},
        GOOD | {"unknown": {"field": 1}},
    ],
)
def test_the_time_is_taken_from_whichever_known_field_is_there(record: object) -> None:
    assert parse_trades(record, TICK_SIZE) == ([Tick(TIME_US, 23939, 2, 1)], 0)


@pytest.mark.parametrize(
    "change",
    [
        {"price": None}, {"price": 0}, {"price": -5984.75}, {"price": 5984.8}, {"price": float("nan")},
        {"price": float("inf")}, {"price": "5984.75"}, {"price": True}, {"volume": 0}, {"volume": -1}, {"volume": 1.5},
        {"volume": None}, {"volume": 10**9}, {"timestamp": None}, {"timestamp": "now"}, {"timestamp": 1},
        {"timestamp": "0001-01-01T00:00:00+00:00"}, {"price": []}, {"price": {}}, {"volume": []}, {"timestamp": []},
    ],
)  # fmt: skip
def test_a_record_that_cannot_be_right_costs_itself_only(change: dict[str, object]) -> None:
    ticks, refused = parse_trades([GOOD | change, GOOD], TICK_SIZE)
    assert (len(ticks), refused) == (1, 1)


@pytest.mark.parametrize("data", [None, 7, "x", [None], [[]], {}])
def test_what_is_no_trade_is_refused(data: object) -> None:
    assert parse_trades(data, TICK_SIZE) == ([], 1)


def test_a_record_is_read_alike_among_usual_ones_and_beside_an_odd_one() -> None:
    dice = random.Random(7)
    changes: list[dict[str, object]] = [
        {}, {"timestamp": "2025-05-19T17:15:26Z"}, {"timestamp": "2025-05-19T19:15:26.5+02:00"}, {"volume": 2.0},
        {"timestamp": "2025-05-19T17:15:26.25"}, {"price": 5984}, {"type": 9}, {"type": None}, {"type": []},
    ]  # fmt: skip
    for _ in range(500):
        records = [
            GOOD
            | {"price": 5900 + dice.randrange(400) / 4, "volume": 1 + dice.randrange(9)}
            | dice.choice(changes[: 1 + dice.randrange(9)])
            for _ in range(1 + dice.randrange(5))
        ]
        ticks, refused = parse_trades(records, TICK_SIZE)
        assert (len(ticks), refused) == (len(records), 0)
        assert parse_trades([*records, None], TICK_SIZE) == (ticks, 1)


def test_an_unknown_side_is_unknown_and_the_price_of_a_float_finds_its_tick() -> None:
    ((tick,), _) = parse_trades(GOOD | {"type": 9}, TICK_SIZE)
    assert tick.side == -1
    ((euro,), _) = parse_trades(GOOD | {"price": 1.08435}, Decimal("0.00005"))
    assert euro.price * Decimal("0.00005") == Decimal("1.08435")


def test_a_quote_may_name_only_some_fields() -> None:
    quote = parse_quote(
        {"bestBid": 5984.5, "bestAsk": 5984.75, "timestamp": TIME, "lastUpdated": "2025-05-19T17:15:27Z"}
    )
    assert quote is not None
    assert (quote.last_price, quote.bid, quote.ask, quote.at) == (None, 5984.5, 5984.75, at("2025-05-19 17:15:27"))
    assert parse_quote([]) is None


# --- two connections ---------------------------------------------------------------------------------------------


def test_equal_prints_of_one_connection_are_different_trades() -> None:
    overlap = Overlap()
    tick = Tick(1, 5800, 1)
    assert overlap.take(1, [tick, tick]) == [tick, tick]
    assert overlap.take(1, [tick]) == [tick]


def test_of_what_two_connections_tell_the_larger_count_stands() -> None:
    overlap, tick = Overlap(), Tick(1, 5800, 1)
    overlap.take(1, [tick, tick])
    assert overlap.take(2, [tick, tick, tick]) == [tick]
    assert overlap.duplicates == 2


def test_what_an_older_connection_still_says_is_dropped() -> None:
    overlap, tick = Overlap(), Tick(1, 5800, 1)
    overlap.take(2, [tick])
    assert overlap.take(1, [tick]) == []


def test_replayed_overlaps_of_thirty_seconds_never_change_the_sum() -> None:
    for seed in range(300):
        dice = random.Random(seed)
        ticks = sorted(Tick(dice.randrange(30_000_000), dice.randrange(3), dice.randrange(1, 3)) for _ in range(60))
        overlap, heard, told = Overlap(), Counter[Tick](), 0
        for connection in range(1, 5):
            again = dice.randrange(told + 1)
            until = max(told, dice.randrange(len(ticks) + 1))
            while again < until:
                size = dice.randrange(1, 9)
                heard.update(overlap.take(connection, ticks[again : min(again + size, until)]))
                again += size
            told = until
        assert heard == Counter(ticks[:told]), f"seed {seed}"


# --- holes -------------------------------------------------------------------------------------------------------

NOW = at("2026-11-18 15:00:30")
MINUTE = Timeframe.parse("1m")


def test_a_hole_is_asked_for_in_whole_bars_that_are_final() -> None:
    lost, back = microseconds(NOW - timedelta(minutes=10)), microseconds(NOW - timedelta(minutes=8))
    assert due_holes([(lost, back)], MINUTE, NOW, CALENDAR) == [(at("2026-11-18 14:50"), at("2026-11-18 14:53"))]


def test_a_hole_in_the_open_bar_waits_until_the_bar_is_final() -> None:
    gap = (microseconds(NOW - timedelta(seconds=20)), microseconds(NOW))
    assert due_holes([gap], MINUTE, NOW, CALENDAR) == []
    assert due_holes([gap], MINUTE, at("2026-11-18 15:01:02"), CALENDAR) == []
    assert due_holes([gap], MINUTE, at("2026-11-18 15:01:03"), CALENDAR) == [
        (at("2026-11-18 15:00"), at("2026-11-18 15:01"))
    ]


def test_a_start_asks_for_the_open_week_at_most() -> None:
    assert due_holes([(0, FOREVER)], MINUTE, NOW, CALENDAR) == [(at("2026-11-15 23:00"), at("2026-11-18 15:00"))]


# --- figures -----------------------------------------------------------------------------------------------------


class Told:
    """A feed that has something to say."""

    state = FeedState(is_leader=True, ticks=7, late_dropped=2, queued=3, bars_stored=5, last_tick_at=NOW)


def test_every_series_of_the_feed_has_its_value_and_stands_in_the_documents() -> None:
    registry = CollectorRegistry()
    registry.register(FeedCollector(Told(), ManualClock(NOW + timedelta(seconds=4))))
    value = registry.get_sample_value
    assert value("signalbook_feed_ticks_total") == 7
    assert value("signalbook_feed_late_ticks_total", {"outcome": "dropped"}) == 2
    assert value("signalbook_feed_queue_length") == 3
    assert value("signalbook_feed_last_tick_age_seconds") == 4
    assert (value("signalbook_feed_leader"), value("signalbook_feed_connected")) == (1, 0)
    assert value("signalbook_bars_stored_total") == 5
    said = re.findall(r"^# TYPE (signalbook_\w+) ", generate_latest(registry).decode(), re.MULTILINE)
    document = (Path(__file__).parents[1] / "docs" / "market_data.md").read_text(encoding="utf-8")
    assert [name for name in said if f"`{name}`" not in document] == []
