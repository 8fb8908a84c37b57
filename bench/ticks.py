"""Ticks to bars, bars to the database: the aggregator beside NautilusTrader's (where that is installed), the cost of
more timeframes, flushing beside one row per commit, and the import of history.

Ratios are medians of pairs taken A B A B in one run. Prints one line of JSON and one to read for each figure.
"""

from __future__ import annotations

import gc
import importlib
import random
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from bench.support.database import database
from bench.support.figures import print_figure
from core.records import Bar, Tick, Timeframe, microseconds
from core.trading_calendar import cme_equity_calendar
from database import bars
from database.engine import Database
from ingestion.bars.aggregator import OHLCBarAggregator

PAIRS = 5
TICKS = 200_000
START = datetime(2025, 5, 13, 0, 0, tzinfo=UTC)
FIVE = ("1m", "5m", "15m", "1h", "4h")
TEN = (*FIVE, "2m", "10m", "30m", "2h", "1d")
BATCH = 100
MINUTE = Timeframe.parse("1m")

report = partial(print_figure, "ticks")


def some_ticks() -> list[Tick]:
    """About 25 trades a second over more than two hours, a few of them late."""
    dice, at_us, price, found = random.Random(1), microseconds(START), 23_200, []
    for _ in range(TICKS):
        at_us += dice.randrange(80_000)
        price += dice.randrange(-1, 2)
        late_us = dice.randrange(1_000_000) if dice.random() < 0.001 else 0
        found.append(Tick(at_us - late_us, price, dice.randrange(1, 5), dice.randrange(2)))
    return found


def ours(ticks: list[Tick], names: tuple[str, ...]) -> Callable[[], int]:
    """All ticks through a new aggregator in batches as the pump takes them; how many bars came out."""
    now = START + timedelta(days=1)
    frames = [Timeframe.parse(name) for name in names]

    def run() -> int:
        done: list[Bar] = []
        built = OHLCBarAggregator("bench", Decimal("0.25"), frames, cme_equity_calendar(), done.append)
        built.listen(START)
        for start in range(0, len(ticks), BATCH):
            built.add_ticks(ticks[start : start + BATCH], now)
        return len(done)

    return run


def nautilus(ticks: list[Tick]) -> Callable[[], int] | None:
    """The same ticks, in order of time, through a TimeBarAggregator for each timeframe; None if it is not installed."""
    try:
        aggregation, data = (
            importlib.import_module(f"nautilus_trader.{name}") for name in ("data.aggregation", "model.data")
        )
        provider = importlib.import_module("nautilus_trader.test_kit.providers").TestInstrumentProvider
        test_clock = importlib.import_module("nautilus_trader.common.component").TestClock
        objects, enums, identifiers = (
            importlib.import_module(f"nautilus_trader.model.{name}") for name in ("objects", "enums", "identifiers")
        )
    except ImportError:
        return None
    instrument = provider.es_future(2026, 12)
    trades = [
        data.TradeTick(
            instrument.id, objects.Price(tick.price * 0.25, 2), objects.Quantity(tick.size, 0),
            enums.AggressorSide.BUYER, identifiers.TradeId(str(number)), tick.time_us * 1000, tick.time_us * 1000,
        )
        for number, tick in enumerate(sorted(ticks))
    ]  # fmt: skip

    def run() -> int:
        done: list[Any] = []
        clock = test_clock()
        clock.set_time(trades[0].ts_event)
        kinds = ("1-MINUTE", "5-MINUTE", "15-MINUTE", "1-HOUR", "4-HOUR")
        built = [
            aggregation.TimeBarAggregator(
                instrument, data.BarType.from_str(f"{instrument.id}-{kind}-LAST-INTERNAL"), done.append, clock
            )
            for kind in kinds
        ]
        handlers = [each.handle_trade_tick for each in built]
        next_ns = 0
        for trade in trades:
            if trade.ts_event >= next_ns:  # its timers need the clock once a minute, no more often
                for event in clock.advance_time(trade.ts_event):
                    event.handle()
                next_ns = trade.ts_event // 60_000_000_000 * 60_000_000_000 + 60_000_000_000
            for handle in handlers:
                handle(trade)
        return len(done)

    return run


def seconds(run: Callable[[], object]) -> float:
    gc.collect()
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def pairs(first: Callable[[], object], second: Callable[[], object]) -> tuple[float, float, float]:
    """(median seconds of the first, of the second, median of second over first)."""
    taken = [(seconds(first), seconds(second)) for _ in range(PAIRS)]
    return (
        statistics.median(one for one, _ in taken),
        statistics.median(other for _, other in taken),
        statistics.median(other / one for one, other in taken),
    )


def bench_aggregator() -> None:
    ticks = some_ticks()
    five, ten = ours(ticks, FIVE), ours(ticks, TEN)
    assert five() > 0
    baseline = nautilus(ticks)
    if baseline is None:
        print("NautilusTrader is not installed: pip install nautilus_trader beside this environment to compare")
    else:
        assert baseline() > 0
        _, theirs, ratio = pairs(five, baseline)
        report("NautilusTrader, 5 timeframes", TICKS / theirs, "ticks/s", "for comparison")
        report("ours over NautilusTrader", ratio, "x", ">= 3")
    taken, _, ratio = pairs(five, ten)
    report("ours, 5 timeframes", TICKS / taken, "ticks/s", "for comparison")
    report("10 timeframes over 5", ratio, "x", "<= 1.15")


def some_bars(count: int, contract_id: str) -> list[Bar]:
    price = Decimal("5800.25")
    return [
        Bar(
            contract_id=contract_id, timeframe=MINUTE, starts_at=START + timedelta(minutes=number), open=price,
            high=price + 1, low=price - 1, close=price, volume=number, source="history",
        )
        for number in range(count)
    ]  # fmt: skip


def bench_store(db: Database) -> None:
    names = iter(range(1_000_000))

    def one_by_one() -> None:
        for bar in some_bars(300, f"a{next(names)}"):
            with db.transaction() as cur:
                bars.upsert_bars(cur, [bar])

    def together() -> None:
        with db.transaction() as cur:
            bars.upsert_bars(cur, some_bars(300, f"b{next(names)}"))

    def history() -> float:
        given = some_bars(20_000, f"c{next(names)}")

        def store() -> None:
            with db.transaction(statement_timeout_ms=0) as cur:
                bars.upsert_bars(cur, given)

        return seconds(store)

    _, _, ratio = pairs(together, one_by_one)
    report("bar flush over one row per commit", ratio, "x", ">= 3")
    report("history import", 20_000 / statistics.median(history() for _ in range(PAIRS)), "bars/s", ">= 50,000")


def main() -> None:
    """Run the lot."""
    bench_aggregator()
    with database() as db:
        bench_store(db)


if __name__ == "__main__":
    main()
