"""Ticks to bars, bars to the database: the aggregator beside NautilusTrader's (installed by `tools/setup.sh bench`), the cost of
more timeframes, flushing beside one row per commit, and the import of history.

Ratios are medians of pairs taken A B A B in one run. Prints one line of JSON and one to read for each figure.
"""

from __future__ import annotations

import gc
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.support.database import database
from bench.support.figures import print_figure
from core.records import Bar, Tick, Timeframe, microseconds
from core.trading_calendar import cme_equity_calendar
from database import bars
from database.engine import Database
from ingestion.bars.aggregator import OHLCBarAggregator
from ingestion.bars.files import COLUMNS, parse_bars

PAIRS = 5
TICKS = 200_000
START = datetime(2025, 5, 13, 0, 0, tzinfo=UTC)
FIVE = ("1m", "5m", "15m", "1h", "4h")
TEN = (*FIVE, "2m", "10m", "30m", "2h", "1d")
BATCH = 100
MANY_BARS = 20_000
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


@contextmanager
def nautilus(ticks: list[Tick]) -> Iterator[Callable[[], float] | None]:
    """The same ticks, in order of time, through a TimeBarAggregator for each timeframe: seconds of a run in a process of its
    own; None if NautilusTrader is not installed."""
    python = os.environ.get("NAUTILUS_PYTHON") or str(Path(sys.prefix, "bench", "bin", "python"))
    if not Path(python).exists():
        yield None
        return
    with TemporaryDirectory(prefix="signalbook-bench-") as folder:
        file = Path(folder, "ticks.json")
        file.write_text(json.dumps([(tick.time_us, tick.price, tick.size) for tick in sorted(ticks)]))
        command = [python, "-m", "bench.peers.nautilus", str(file)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            yield lambda: answer_of(process)
            process.terminate()


def answer_of(process: subprocess.Popen[str]) -> float:
    """One run of the other side."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("run\n")
    process.stdin.flush()
    answer = json.loads(process.stdout.readline())
    assert answer["bars"] > 0
    return float(answer["seconds"])


def seconds(run: Callable[[], object]) -> float:
    gc.collect()
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def pairs(first: Callable[[], float], second: Callable[[], float]) -> tuple[float, float, float]:
    """(median seconds of the first, of the second, median of second over first)."""
    taken = [(first(), second()) for _ in range(PAIRS)]
    return (
        statistics.median(one for one, _ in taken),
        statistics.median(other for _, other in taken),
        statistics.median(other / one for one, other in taken),
    )


def bench_aggregator() -> None:
    ticks = some_ticks()
    five, ten = partial(seconds, ours(ticks, FIVE)), partial(seconds, ours(ticks, TEN))
    with nautilus(ticks) as baseline:
        if baseline is None:
            print("NautilusTrader is not installed beside this environment: tools/setup.sh bench")
        else:
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
        given = some_bars(MANY_BARS, f"c{next(names)}")
        return seconds(lambda: store(given))

    def file() -> float:
        text = as_file(some_bars(MANY_BARS, f"d{next(names)}"))
        return seconds(lambda: store(parse_bars(text)))

    def store(given: Iterable[Bar]) -> None:
        with db.transaction(statement_timeout_ms=0) as cur:
            bars.upsert_bars(cur, given)

    _, _, ratio = pairs(partial(seconds, together), partial(seconds, one_by_one))
    report("bar flush over one row per commit", ratio, "x", ">= 3")
    report("history import", MANY_BARS / statistics.median(history() for _ in range(PAIRS)), "bars/s", ">= 50,000")
    report("a file's import", MANY_BARS / statistics.median(file() for _ in range(PAIRS)), "bars/s", "for comparison")


def as_file(given: list[Bar]) -> list[str]:
    """Bars as the lines of a CSV."""
    rows = (
        (bar.contract_id, bar.starts_at.isoformat(), bar.open, bar.high, bar.low, bar.close, bar.volume, 2, 1)
        for bar in given
    )
    return [",".join(COLUMNS), *(",".join(map(str, row)) for row in rows)]


def main() -> None:
    """Run the lot."""
    bench_aggregator()
    with database() as db:
        bench_store(db)


if __name__ == "__main__":
    main()
