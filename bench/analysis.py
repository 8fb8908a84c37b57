"""Analysis: the cost of a trend step and that it does not grow, a batch, and the time from a closed bar to a stored
coordinated signal; how the trend starts compare with hand labels, where these are at hand.

Prints one line of JSON and one to read for each figure.
"""

from __future__ import annotations

import csv
import gc
import json
import os
import random
import select
import statistics
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from analysis.analyzer import fold
from analysis.config import parse_plan
from analysis.trend.machine import TrendAnalyzer
from analysis.worker import Analyst
from bench.support.database import database
from bench.support.figures import print_figure
from core.records import Bar, Timeframe
from database import bars as bar_store
from database.engine import Database

PAIRS = 5
SHORT, LONG, WINDOW = 100, 100_000, 20_000
BATCH = 10_000
CLOSES = 200
QUIET_SECONDS = 0.4  # after which a close is taken to have brought no decision
START = datetime(2025, 3, 3, tzinfo=UTC)
LABELS = Path(os.environ.get("SIGNALBOOK_DATA", Path(__file__).parents[2] / "shared" / "data")) / "trends"
# Short averages cross often, so that many closes bring a decision.
PLAN = parse_plan(
    {
        "analyzers": {"cross": {"kind": "ema_cross", "parameters": {"fast": 1, "slow": 2}}},
        "rules": {"every": {"analyzer": "cross", "primary": "5m", "confirming": ["1m"], "window_minutes": 60}},
    }
)

report = partial(print_figure, "analysis")


def walk(count: int, timeframe: str = "1m") -> list[Bar]:
    """Bars of a random walk in ticks, one after the other."""
    dice, frame, price, found = random.Random(1), Timeframe.parse(timeframe), 40_000, []
    for number in range(count):
        path = [price := max(4_000, price + dice.randint(-40, 40)) for _ in range(4)]
        opens, high, low, closes = (Decimal(each) / 4 for each in (path[0], max(path), min(path), path[-1]))
        found.append(
            Bar(
                contract_id="bench", timeframe=frame, starts_at=START + number * timedelta(seconds=frame.seconds),
                open=opens, high=high, low=low, close=closes, volume=1, source="history",
            )
        )  # fmt: skip
    return found


def seconds_after(history: Sequence[Bar], window: Sequence[Bar]) -> float:
    """Processor seconds for the steps of `window` by a machine that has seen `history`."""
    machine = TrendAnalyzer()
    for bar in history:
        machine.step(bar)
    gc.collect()
    started = time.process_time()
    for bar in window:
        machine.step(bar)
    return time.process_time() - started


def bench_steps() -> None:
    given = walk(LONG + WINDOW)
    window = given[LONG:]
    taken = [(seconds_after(given[:SHORT], window), seconds_after(given[:LONG], window)) for _ in range(PAIRS)]
    report("a trend step", statistics.median(long for _, long in taken) / WINDOW * 1e6, "us", "<= 20")
    report(
        f"a step after {LONG:,} bars over one after {SHORT}", statistics.median(long / short for short, long in taken),
        "x", "<= 1.2",
    )  # fmt: skip
    batches = []
    for _ in range(PAIRS):
        gc.collect()
        started = time.process_time()
        assert fold(TrendAnalyzer(), given[:BATCH])
        batches.append(time.process_time() - started)
    report(f"batch of {BATCH:,} bars", statistics.median(batches), "s", "< 0.5")


def bench_latency(db: Database) -> None:
    """Bars are stored as a feed stores them; the clock runs until the decision they bring can be read."""
    analyst = Analyst(db, PLAN)
    minutes, fives = walk(CLOSES * 5), walk(CLOSES, "5m")
    with closing(db.direct("bench")) as connection:
        connection.autocommit = True
        with connection.cursor() as cur:
            cur.execute("LISTEN analysis")
        analyst.start()
        taken = []
        for number, five in enumerate(fives):
            batch = [*minutes[number * 5 : number * 5 + 5], five]
            started = time.perf_counter()
            with db.transaction() as cur:
                bar_store.upsert_bars(cur, batch)
            if _is_decided(connection):
                taken.append(time.perf_counter() - started)
        analyst.stop()
    taken.sort()
    report("decisions measured", len(taken), "", "> 50")
    report("bar close to stored coordinated signal, p50", statistics.median(taken) * 1000, "ms", "for comparison")
    report("bar close to stored coordinated signal, p99", taken[int(len(taken) * 0.99)] * 1000, "ms", "< 250")


def _is_decided(connection: Any) -> bool:
    """Wait for the word of a decision; False when this close brought none."""
    deadline = time.monotonic() + QUIET_SECONDS
    while (left := deadline - time.monotonic()) > 0:
        if select.select([connection], [], [], left)[0]:
            connection.poll()
            while connection.notifies:
                if json.loads(connection.notifies.pop(0).payload)["kind"] == "coordinated":
                    return True
    return False


def bench_labels() -> None:
    """Starts that the rules find against those that a person marked: a yardstick, not a pass mark."""
    if not LABELS.exists():
        print("hand labels are not here: set SIGNALBOOK_DATA to compare")
        return
    with (LABELS / "mes_4h_bars.csv").open(newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["timestamp"])
    given = [
        Bar(
            contract_id=row["contract_id"], timeframe=Timeframe.parse("4h"),
            starts_at=datetime.fromisoformat(row["timestamp"]), volume=int(row["volume"]),
            **{name: Decimal(row[name]) for name in ("open", "high", "low", "close")},
        )
        for row in rows
    ]  # fmt: skip
    found = {(each.signal_type.removesuffix("_start"), each.at) for each in fold(TrendAnalyzer(), given)}
    with (LABELS / "mes_4h_hand_labels.csv").open(newline="") as file:
        marked = {(row["trend_type"], datetime.fromisoformat(row["date"])) for row in csv.DictReader(file)}
    report("precision on hand labels", len(found & marked) / len(found), "", "for comparison")
    report("recall on hand labels", len(found & marked) / len(marked), "", "for comparison")


def main() -> None:
    """Run the lot."""
    bench_steps()
    bench_labels()
    with database() as db:
        bench_latency(db)


if __name__ == "__main__":
    main()
