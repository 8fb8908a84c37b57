"""From the wire to stored bars: trades on a real socket through the whole feed into PostgreSQL, beside the same frames
through signalrcore's own client with an empty handler; the time from a bar's end to its row; memory over millions of ticks.

The server runs in a process of its own and has all frames ready. Ratios are medians of pairs taken A B A B in one run.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from signalrcore.hub_connection_builder import HubConnectionBuilder
from signalrcore.protocol.json_hub_protocol import JsonHubProtocol
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from bench.support.database import database
from bench.ticks import FIVE, START, report, some_ticks
from core.clock import Clock, SystemClock
from core.records import Tick, Timeframe, from_microseconds, microseconds
from core.trading_calendar import cme_equity_calendar
from database.bars import Contract
from database.engine import Database
from ingestion.bars.aggregator import OHLCBarAggregator
from ingestion.feed.hub import Hub
from ingestion.feed.inbox import FeedState, Inbox, Listening, Trades
from ingestion.feed.parsing import parse_trades
from ingestion.feed.pump import Pump

RS = "\x1e"
PAIRS = 5
TRADES = 100_000
A_RECORD = 50
CONTRACT = Contract("bench", "BENCH", "", Decimal("0.25"))
FRAMES = [Timeframe.parse(name) for name in FIVE]
MANY = 10_000_000
GRACE_US = 500_000  # a bar of a second is due one and a half seconds after its end


def frames() -> list[str]:
    """The trades as records of 50, as the gateway writes them."""
    found = []
    first_us = microseconds(START)
    ticks = [tick._replace(time_us=first_us + (tick.time_us - first_us) // 10) for tick in some_ticks()[:TRADES]]
    for start in range(0, len(ticks), A_RECORD):
        data = [_trade(tick) for tick in ticks[start : start + A_RECORD]]
        found.append(json.dumps({"type": 1, "target": "GatewayTrade", "arguments": ["bench", data]}) + RS)
    return found


def _trade(tick: Tick) -> dict[str, Any]:
    at = from_microseconds(tick.time_us)
    text = f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond:06d}0+00:00"
    return {"symbolId": "F.US.B", "price": tick.price / 4, "timestamp": text, "type": tick.side, "volume": tick.size}


def serve_frames() -> None:
    """Shake hands, send everything, wait for the end; says its port."""
    ready = frames()

    def talk(connection: ServerConnection) -> None:
        connection.recv()
        connection.send("{}" + RS)
        for frame in ready:
            connection.send(frame)
        with contextlib.suppress(ConnectionClosed):
            connection.recv()

    with serve(talk, "127.0.0.1", 0, ping_interval=None, compression=None) as server:
        print(server.socket.getsockname()[1], flush=True)
        server.serve_forever()


@contextmanager
def server() -> Iterator[str]:
    command = [sys.executable, "-m", "bench.ticks_flow", "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"ws://127.0.0.1:{int(process.stdout.readline())}/hubs/market"
        finally:
            process.terminate()


class TapeClock(SystemClock):
    """A clock that says the time of the newest trade."""

    at_us = 0

    def now(self) -> datetime:
        return from_microseconds(self.at_us)


def bare(url: str) -> float:
    """Seconds of signalrcore's own client with a handler that counts."""
    seen, done = [0], threading.Event()

    def count(arguments: list[Any]) -> None:
        seen[0] += len(arguments[1])
        if seen[0] >= TRADES:
            done.set()

    options = {"skip_negotiation": True}
    connection = HubConnectionBuilder().with_url(url, options=options).with_hub_protocol(JsonHubProtocol()).build()
    connection.on("GatewayTrade", count)
    gc.collect()
    started = time.perf_counter()
    connection.start()
    assert done.wait(120)
    taken = time.perf_counter() - started
    connection.transport._client.sock.shutdown(2)
    return taken


def whole(url: str, db: Database) -> float:
    """Seconds of the whole way: hub, parsing, queue, aggregator, upsert and commit."""
    clock, inbox, state = TapeClock(), Inbox(), FeedState()
    clock.at_us = microseconds(START)
    pump = new_pump(db, inbox, state, clock)

    def on_event(_target: str, given: list[Any]) -> None:
        ticks, _ = parse_trades(given[1], CONTRACT.tick_size)
        clock.at_us = max(clock.at_us, ticks[-1].time_us)
        inbox.put_trades(Trades("bench", 1, ticks), clock.now())

    gc.collect()
    started = time.perf_counter()
    hub = Hub(url, "token", clock, on_event)
    hub.open()
    while state.ticks + state.duplicates < TRADES:
        pump.turn(0.05)
        assert time.perf_counter() - started < 120
    pump.turn(0)
    taken = time.perf_counter() - started
    hub.end()
    assert state.dropped == inbox.dropped == state.late_dropped == state.from_future == 0
    assert state.bars_stored > 0
    return taken


def new_pump(db: Database, inbox: Inbox, state: FeedState, clock: Clock) -> Pump:
    calendar = cme_equity_calendar()
    pump = Pump(inbox, state, contracts={CONTRACT: FRAMES}, calendar=calendar, clock=clock, database=lambda: db)
    inbox.put(Listening("bench", datetime(2020, 1, 1, tzinfo=UTC), is_on=True))
    return pump


def bench_flow(db: Database) -> None:
    with server() as url:
        bare(url)
        taken = []
        for _ in range(PAIRS):
            with db.transaction() as cur:
                cur.execute("DELETE FROM ohlc_bars")
            taken.append((bare(url), whole(url, db)))
    report("signalrcore bare, 50 a record", TRADES / statistics.median(one for one, _ in taken), "trades/s", "floor")
    report(
        "frames to stored bars", TRADES / statistics.median(other for _, other in taken), "trades/s", "for comparison"
    )
    report("stored over bare", statistics.median(one / other for one, other in taken), "x", ">= 0.5")


def bench_latency(db: Database) -> None:
    """How long after its end and grace a bar is a row that others see, over 20 bars of one second."""
    clock, inbox, state = SystemClock(), Inbox(), FeedState()
    calendar, late = cme_equity_calendar(), []
    frame = Timeframe.parse("1s")
    pump = Pump(inbox, state, contracts={CONTRACT: [frame]}, calendar=calendar, clock=clock, database=lambda: db)
    inbox.put(Listening("bench", datetime(2020, 1, 1, tzinfo=UTC), is_on=True))
    stored, ends = state.bars_stored, clock.now() + timedelta(seconds=24)
    while clock.now() < ends:
        now = clock.now()
        inbox.put_trades(Trades("bench", 1, [Tick(microseconds(now), 23_200, 1)]), now)
        pump.turn(0.01)
        if state.bars_stored > stored:
            stored = state.bars_stored
            late.append((clock.now().microsecond - GRACE_US) % 1_000_000 / 1000)
    report("bar due to bar stored, median", statistics.median(late), "ms", "for comparison")
    report("bar due to bar stored, worst of 20", max(late), "ms", "for comparison")


def bench_memory(count: int) -> None:
    """Growth of resident memory while so many ticks of many days pass through one aggregator."""
    calendar, done = cme_equity_calendar(), [0]

    def on_bar(_bar: object) -> None:
        done[0] += 1

    built = OHLCBarAggregator("bench", Decimal("0.25"), FRAMES, calendar, on_bar)
    built.listen(datetime(2020, 1, 1, tzinfo=UTC))
    ticks, now = some_ticks(), datetime(2026, 1, 1, tzinfo=UTC)
    length = ticks[-1].time_us - ticks[0].time_us + 60_000_000
    before = 0.0
    for part in range(count // len(ticks)):
        shift = part * length
        for start in range(0, len(ticks), 1000):
            built.add_ticks((tick._replace(time_us=tick.time_us + shift) for tick in ticks[start : start + 1000]), now)
        if part == 4:
            before = resident_mb()
    assert done[0] > count // 100_000
    report(f"memory over {count:,} ticks", resident_mb() - before, "MB", "flat")


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * 4096 / 1e6


def main() -> None:
    """Run the lot, or with --serve the other side."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", action="store_true")
    parser.add_argument("--ticks", type=int, default=MANY, help="for the memory (default 10,000,000)")
    args = parser.parse_args()
    if args.serve:
        serve_frames()
        return
    with database() as db:
        bench_flow(db)
        bench_latency(db)
    bench_memory(args.ticks)


if __name__ == "__main__":
    main()
