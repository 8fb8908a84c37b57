"""Ticks to bars: the rules one by one, then ten thousand random histories against a reference."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from core.errors import InvalidInputError
from core.records import Bar, Tick, from_microseconds, microseconds
from ingestion.bars.aggregator import FOREVER, OHLCBarAggregator
from ingestion.bars.spans import common, total, union, without
from tests.support_market import (
    CALENDAR,
    CONTRACT,
    TICK_SIZE,
    Key,
    Table,
    at,
    bar_at,
    reference,
    tick,
    timeframes,
    values_of,
)

DAY = timedelta(days=1)


def aggregator(table: Table, *names: str, since: datetime | None = None) -> OHLCBarAggregator:
    built = OHLCBarAggregator(CONTRACT, TICK_SIZE, timeframes(*names), CALENDAR, table.save)
    built.listen(since or at("2020-01-01"))
    return built


def one(table: Table, name: str, start: str) -> Bar:
    return table.bars[timeframes(name)[0], at(start)]


def test_a_bar_holds_open_high_low_close_and_volume_of_its_half_open_span() -> None:
    table = Table()
    bars = aggregator(table, "1m")
    ticks = [
        tick("2025-05-13 14:30:00", 5800, 2),
        tick("2025-05-13 14:30:20", 5801.5),
        tick("2025-05-13 14:30:40", 5799.25),
        tick("2025-05-13 14:30:59.999999", 5800.5),
        tick("2025-05-13 14:31:00", 5900, 7),
    ]
    bars.add_ticks(ticks, at("2025-05-13 14:31:02"))
    bars.close_until(at("2025-05-13 14:31:02"))
    bar = one(table, "1m", "2025-05-13 14:30")
    assert values_of(bar) == (Decimal(5800), Decimal("5801.5"), Decimal("5799.25"), Decimal("5800.5"), 5)
    assert (bar.tick_count, bar.is_partial, bar.gap_seconds, bar.revision) == (4, False, 0, 0)
    assert len(table.bars) == 1


def test_the_clock_completes_the_last_bar_without_a_tick() -> None:
    table = Table()
    bars = aggregator(table, "1m")
    bars.add_ticks([tick("2025-05-13 20:59:59", 5800)], at("2025-05-13 20:59:59"))
    bars.close_until(at("2025-05-13 21:00:01.4"))
    assert table.bars == {}
    bars.close_until(at("2025-05-13 21:00:01.5"))
    assert one(table, "1m", "2025-05-13 20:59").close == 5800


def test_the_exchange_time_completes_a_bar_without_the_clock() -> None:
    table = Table()
    bars = aggregator(table, "1m")
    bars.add_ticks([tick("2025-05-13 14:30:30", 5800), tick("2025-05-13 14:31:01.4", 5801)], at("2025-05-13 14:31:00"))
    assert table.bars == {}
    bars.add_ticks([tick("2025-05-13 14:31:01.5", 5801)], at("2025-05-13 14:31:00"))
    assert one(table, "1m", "2025-05-13 14:30").close == 5800


def test_a_silent_minute_makes_no_bar() -> None:
    table = Table()
    bars = aggregator(table, "1m")
    bars.add_ticks([tick("2025-05-13 14:30:30", 5800)], at("2025-05-13 14:30:30"))
    for minute in range(31, 60):
        bars.close_until(at(f"2025-05-13 14:{minute}:05"))
    assert list(table.bars) == [(timeframes("1m")[0], at("2025-05-13 14:30"))]


def test_a_thousand_silent_minutes_make_no_bar_and_keep_none_open() -> None:
    """Every second minute has a trade; the clock alone completes it within two seconds of its end."""
    table = Table()
    bars = aggregator(table, "1m", "1h")
    start = at("2025-05-12 22:00")
    for minute in range(0, 2_000, 2):
        opens = start + timedelta(minutes=minute)
        if CALENDAR.is_open(opens):
            bars.add_ticks([Tick(microseconds(opens) + 30_000_000, 23_200 + minute, 1)], opens + timedelta(seconds=30))
        bars.close_until(opens + timedelta(seconds=62))
        bars.close_until(opens + timedelta(seconds=121.9))
    traded = {start + timedelta(minutes=minute) for minute in range(0, 2_000, 2)}
    (minutes, hours) = timeframes("1m", "1h")
    assert {key for frame, key in table.bars if frame == minutes} == {each for each in traded if CALENDAR.is_open(each)}
    assert {bar.volume for (frame, _), bar in table.bars.items() if frame == hours} == {30}
    assert {str(bar.timeframe) for bar in bars.forming()} == {"1h"}


def test_a_late_tick_corrects_the_bar_in_every_timeframe_and_counts_a_revision() -> None:
    table = Table()
    bars = aggregator(table, "1m", "5m")
    bars.add_ticks([tick("2025-05-13 14:34:30", 5800)], at("2025-05-13 14:34:30"))
    bars.close_until(at("2025-05-13 14:35:10"))
    bars.add_ticks([tick("2025-05-13 14:34:20", 5790, 3)], at("2025-05-13 14:35:20"))
    for name, start in (("1m", "14:34"), ("5m", "14:30")):
        bar = one(table, name, f"2025-05-13 {start}")
        assert (bar.open, bar.close, bar.low, bar.volume, bar.revision) == (5790, 5800, 5790, 4, 1)
    assert bars.counts.late_corrected == 1


def test_a_tick_later_than_the_correction_window_is_counted_and_folded_nowhere() -> None:
    table = Table()
    bars = aggregator(table, "1m", "1h")
    bars.add_ticks([tick("2025-05-13 14:30:30", 5800), tick("2025-05-13 14:40:00", 5801)], at("2025-05-13 14:40:00"))
    bars.add_ticks([tick("2025-05-13 14:30:31", 9000), tick("2025-05-13 14:33:31", 9000)], at("2025-05-13 14:40:00"))
    bars.close_until(at("2025-05-13 15:10"))
    assert bars.counts.late_dropped == 2
    assert one(table, "1h", "2025-05-13 14:00").high == 5801


def test_a_tick_from_the_future_is_set_aside() -> None:
    table = Table()
    bars = aggregator(table, "1m")
    bars.add_ticks([tick("2025-05-13 14:30:00", 5800)], at("2025-05-13 14:30:00"))
    bars.add_ticks([tick("2025-05-13 14:30:05.1", 9), tick("2025-05-14 14:30:05.1", 9)], at("2025-05-13 14:30:00"))
    bars.add_ticks([tick("2025-05-13 14:30:05", 5801)], at("2025-05-13 14:30:00"))
    bars.close_until(at("2025-05-13 14:32"))
    assert bars.counts.from_future == 2
    assert one(table, "1m", "2025-05-13 14:30").low == 5800


def test_the_first_bar_after_a_start_is_partial_and_the_next_is_whole() -> None:
    table = Table()
    bars = aggregator(table, "1m", since=at("2025-05-13 14:30:30"))
    bars.add_ticks([tick("2025-05-13 14:30:40", 5800), tick("2025-05-13 14:31:40", 5801)], at("2025-05-13 14:31:40"))
    bars.close_until(at("2025-05-13 14:32:02"))
    first, second = one(table, "1m", "2025-05-13 14:30"), one(table, "1m", "2025-05-13 14:31")
    assert (first.is_partial, first.gap_seconds) == (True, 30)
    assert (second.is_partial, second.gap_seconds) == (False, 0)


def test_a_lost_connection_marks_the_bars_it_touches() -> None:
    table = Table()
    bars = aggregator(table, "1m", "1h")
    bars.add_ticks([tick("2025-05-13 14:30:10", 5800)], at("2025-05-13 14:30:10"))
    bars.lose_touch(at("2025-05-13 14:30:20"))
    bars.listen(at("2025-05-13 14:30:45"))
    bars.close_until(at("2025-05-13 15:01"))
    for name, start in (("1m", "14:30"), ("1h", "14:00")):
        bar = one(table, name, f"2025-05-13 {start}")
        assert (bar.is_partial, bar.gap_seconds) == (False, 25)


def test_history_heals_the_gap_and_the_higher_bars_are_built_anew() -> None:
    table = Table()
    bars = aggregator(table, "1m", "5m", since=at("2025-05-13 14:32:30"))
    bars.add_ticks([tick("2025-05-13 14:32:40", 5800), tick("2025-05-13 14:33:40", 5801)], at("2025-05-13 14:33:40"))
    history = [bar_at(f"2025-05-13 14:3{minute}", 5700 + minute, 10) for minute in range(3)]
    bars.heal(at("2025-05-13 14:30"), at("2025-05-13 14:33"), history)
    bars.close_until(at("2025-05-13 14:36"))
    bar = one(table, "5m", "2025-05-13 14:30")
    assert values_of(bar) == (5700, 5801, 5700, 5801, 31)
    assert (bar.is_partial, bar.gap_seconds, bar.source) == (False, 0, "rollup")


def test_higher_bars_that_closed_while_nobody_listened_are_rolled_up_from_history() -> None:
    table = Table()
    bars = aggregator(table, "1m", "5m", since=at("2025-05-13 14:30"))
    bars.lose_touch(at("2025-05-13 14:30"))
    bars.close_until(at("2025-05-13 14:47"))
    history = [bar_at(f"2025-05-13 14:{minute}", 5700 + minute, 1) for minute in range(30, 47)]
    bars.heal(at("2025-05-13 14:30"), at("2025-05-13 14:47"), history)
    starts = sorted(start for frame, start in table.bars if str(frame) == "5m")
    assert starts == [at(f"2025-05-13 14:{minute}") for minute in (30, 35, 40)]


def test_a_late_tick_inside_filled_history_is_not_counted_twice() -> None:
    table = Table()
    bars = aggregator(table, "1m", "5m")
    bars.heal(at("2025-05-13 14:30"), at("2025-05-13 14:32"), [bar_at("2025-05-13 14:31", 5700, 10)])
    bars.add_ticks([tick("2025-05-13 14:31:59", 5700), tick("2025-05-13 14:32:01", 5700)], at("2025-05-13 14:32:01"))
    bars.close_until(at("2025-05-13 14:36"))
    assert one(table, "5m", "2025-05-13 14:30").volume == 11
    assert bars.counts.late_covered == 1


def test_the_forming_bars_are_what_would_be_completed_now() -> None:
    table = Table()
    bars = aggregator(table, "1m", "5m", "1d")
    ticks = [tick("2025-05-13 14:30:30", 5800), tick("2025-05-13 14:32:10", 5810), tick("2025-05-13 14:33:10", 5805)]
    bars.add_ticks(ticks, at("2025-05-13 14:33:10"))
    forming = {str(bar.timeframe): values_of(bar) for bar in bars.forming()}
    assert forming == {
        "1m": (5805, 5805, 5805, 5805, 1),
        "5m": (5800, 5810, 5800, 5805, 3),
        "1d": (5800, 5810, 5800, 5805, 3),
    }


def test_timeframes_that_do_not_consist_of_the_smallest_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="15m is not made of whole bars of 10m"):
        aggregator(Table(), "10m", "15m")
    with pytest.raises(InvalidInputError, match="at least one"):
        aggregator(Table())


def test_spans_are_joined_cut_and_compared() -> None:
    assert union([(5, 7), (1, 3), (3, 4), (9, 9)]) == [(1, 4), (5, 7)]
    assert without([(0, 10)], [(2, 3), (8, 12)]) == [(0, 2), (3, 8)]
    assert common([(0, 5), (8, 9)], [(3, 10)]) == [(3, 5), (8, 9)]
    assert total([(0, 2), (4, 5)]) == 3
    assert without([(0, FOREVER)], [(7, FOREVER)]) == [(0, 7)]


# --- ten thousand random histories -------------------------------------------------------------------------------

HISTORIES = 10_000
STARTS = (
    at("2025-03-09 21:58"),  # the Sunday of the change to summer time, around the open
    at("2025-11-02 22:58"),  # and back
    at("2025-05-13 20:57"),  # the daily break
    at("2025-11-27 17:57"),  # Thanksgiving, early close
    at("2025-04-17 20:57"),  # before Good Friday
    at("2025-05-13 14:57"),
    at("2025-05-30 20:57"),  # the last close of a month
)
LADDERS = (("1s", "1m", "1h", "1d"), ("1m", "5m", "15m", "1h", "4h", "1d", "1w", "1mo"), ("5m", "1h", "2h"))
LATENESS = 2_000_000


def random_ticks(dice: random.Random, start: datetime) -> list[Tick]:
    """Ticks in the order of exchange time, dense enough to share instants, with jumps over many bars."""
    now_us, price, found = microseconds(start), 4 * 5_800, []
    for _ in range(dice.randrange(4, 32)):
        now_us += dice.choice((0, 0, 1, 250_000, 900_000, 5_000_000, 61_000_000, 900_000_000))
        price += dice.randrange(-3, 4)
        found.append(Tick(now_us, price, dice.randrange(1, 5)))
        if dice.random() < 0.1:
            found.append(found[-1])  # two equal prints are two trades
    return found


def shuffled(dice: random.Random, ticks: list[Tick]) -> list[Tick]:
    """As they arrive: each up to LATENESS later than it was printed."""
    return sorted(ticks, key=lambda each: each.time_us + dice.randrange(LATENESS))


def run_history(seed: int) -> tuple[dict[Key, object], dict[Key, object]]:
    """(bars of the aggregator, bars of the reference) of one history that is cut into batches, idled and restarted."""
    dice = random.Random(seed)
    frames = timeframes(*dice.choice(LADDERS))
    arrived = shuffled(dice, random_ticks(dice, dice.choice(STARTS)))
    table, clock = Table(), 0
    bars = OHLCBarAggregator(CONTRACT, TICK_SIZE, frames, CALENDAR, table.save)
    bars.listen(at("2020-01-01"))
    restart_at = dice.randrange(len(arrived)) if dice.random() < 0.3 else -1
    index = 0
    while index < len(arrived):
        batch = arrived[index : index + dice.randrange(1, 8)]
        clock = max(clock, *(each.time_us for each in batch))
        bars.add_ticks(batch, from_microseconds(clock))
        if dice.random() < 0.2:
            bars.close_until(from_microseconds(clock))
        if index <= restart_at < index + len(batch):  # the process dies and the same trades are told again
            bars = OHLCBarAggregator(CONTRACT, TICK_SIZE, frames, CALENDAR, table.save)
            bars.listen(at("2020-01-01"))
            restart_at, index, clock = -1, 0, 0
            continue
        index += len(batch)
    bars.close_until(from_microseconds(clock) + 45 * DAY)
    assert bars.counts.late_dropped == bars.counts.from_future == 0
    return dict(table.values()), dict(reference(arrived, frames))


@pytest.mark.parametrize("part", range(4))
def test_ten_thousand_random_histories_equal_the_reference(part: int) -> None:
    count = HISTORIES // 4
    for seed in range(part * count, (part + 1) * count):
        built, expected = run_history(seed)
        assert built == expected, f"seed {seed}"
