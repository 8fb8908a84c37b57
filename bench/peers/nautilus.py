"""NautilusTrader's TimeBarAggregator, in a process of its own because it needs an environment of its own.

Given a file of ticks, a JSON list of [time in microseconds, price in ticks of 0.25, size] in order of time; answers each
line of its input with a run: {"seconds": ..., "bars": ...}.
"""

from __future__ import annotations

import gc
import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

KINDS = ("1-MINUTE", "5-MINUTE", "15-MINUTE", "1-HOUR", "4-HOUR")
MINUTE_NS = 60_000_000_000


def part(name: str) -> Any:
    return importlib.import_module(f"nautilus_trader.{name}")


def trades_of(ticks: list[list[int]], instrument: Any) -> list[Any]:
    data, objects, enums, identifiers = map(part, ("model.data", "model.objects", "model.enums", "model.identifiers"))
    return [
        data.TradeTick(
            instrument.id, objects.Price(price * 0.25, 2), objects.Quantity(size, 0), enums.AggressorSide.BUYER,
            identifiers.TradeId(str(number)), time_us * 1000, time_us * 1000,
        )
        for number, (time_us, price, size) in enumerate(ticks)
    ]  # fmt: skip


def run(trades: list[Any], instrument: Any) -> int:
    """All trades through an aggregator for each timeframe; how many bars came out."""
    aggregation, data = part("data.aggregation"), part("model.data")
    done: list[Any] = []
    clock = part("common.component").TestClock()
    clock.set_time(trades[0].ts_event)
    built = [
        aggregation.TimeBarAggregator(
            instrument, data.BarType.from_str(f"{instrument.id}-{kind}-LAST-INTERNAL"), done.append, clock
        )
        for kind in KINDS
    ]
    handlers = [each.handle_trade_tick for each in built]
    next_ns = 0
    for trade in trades:
        if trade.ts_event >= next_ns:  # its timers need the clock once a minute, no more often
            for event in clock.advance_time(trade.ts_event):
                event.handle()
            next_ns = trade.ts_event // MINUTE_NS * MINUTE_NS + MINUTE_NS
        for handle in handlers:
            handle(trade)
    return len(done)


def main(file: Path) -> None:
    instrument = part("test_kit.providers").TestInstrumentProvider.es_future(2026, 12)
    trades = trades_of(json.loads(file.read_text(encoding="utf-8")), instrument)
    for _ in sys.stdin:
        gc.collect()
        started = time.perf_counter()
        bars = run(trades, instrument)
        print(json.dumps({"seconds": time.perf_counter() - started, "bars": bars}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
