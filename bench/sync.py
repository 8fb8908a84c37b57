"""Hybrid sync: the gap scan, a cycle that changes nothing, reconciling, healing from bars.

Ratios are measured side by side in one run, A B A B; absolute figures stand beside them. Prints a line of JSON and a line
to read for each figure.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random
from typing import Any

import psycopg2
import psycopg2.extras

from bench.support.database import embedded_server, migrated_database, settle
from bench.support.figures import print_figure
from core.settings import load_settings
from core.trading_calendar import cme_equity_calendar
from database import sync
from database.engine import Database
from database.event_rows import event_of
from database.events import append_events
from database.states import Key
from hybrid_sync.cycle import run_cycle
from hybrid_sync.gaps import judge, last_due
from hybrid_sync.healing.evidence import FOLLOWED_FOR
from hybrid_sync.healing.excursions import Followed, Range, walk
from tests.support_sync import deliver, store_bars, without, world

START = datetime(2025, 12, 8, 0, 0, tzinfo=UTC)
NOW = datetime(2025, 12, 11, 15, 30, tzinfo=UTC)
CALENDAR = cme_equity_calendar()
SIGNALS = 100_000
OPEN_SIGNALS = 25
SAMPLE = 2_000
RECONCILED = 100
TRADE_DAYS = 1_000
MINUTES_A_DAY = 1_380
PAIRS = 5

FILL = """
INSERT INTO trade_states (stream, trade_id, facts, status, direction, symbol, session, signal_date, signal_time, created_at,
                          entry_time, confirmation_time, confirmation_time_from, entry_price, stop_loss, targets_extended,
                          be_mfe_r, no_be_mfe_r, mae_r, last_mfe_slot, exit_at, exit_kind, htf_computed, last_received_at,
                          updated_at)
SELECT 'main', 'T' || n, '{}', CASE WHEN n <= %(open)s THEN 'ACTIVE' ELSE 'COMPLETED' END, 'long', 'MNQ1!', 'NY AM',
       '2025-12-10', at, at, at, at, 'sent', 25000, 24990, '{"1R": 25010}', 0.5, 0.5, -0.4, %(last)s,
       CASE WHEN n > %(open)s THEN at + interval '30 minutes' END, CASE WHEN n > %(open)s THEN 'EXIT_SL' END, true, at, at
FROM (SELECT n, %(start)s::timestamptz - n * interval '1 minute' AS at FROM generate_series(1, %(signals)s) AS n) AS made
"""
FILL_EVENTS = """
INSERT INTO automated_signals (stream, trade_id, event_type, event_key, slot, received_at, be_mfe, no_be_mfe, mae_global_r,
                               payload_checksum)
SELECT 'main', 'T' || n, 'MFE_UPDATE', md5(n || '/' || m), %(start)s::timestamptz + m * interval '1 minute',
       %(start)s::timestamptz + m * interval '1 minute', 0.5, 0.5, -0.4, 'x'
FROM generate_series(1, %(signals)s) AS n, generate_series(1, 10) AS m
"""
HEALTH = """
INSERT INTO signal_health_metrics (stream, trade_id, complete_until)
SELECT stream, trade_id, exit_at FROM trade_states
"""
SCANNED = "INSERT INTO sync_cycles (started_at, finished_at, scanned_until) VALUES (now(), now(), now())"

report = partial(print_figure, "sync")


def seconds_of(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def fill(db: Database) -> None:
    """100,000 finished signals with a million events, 25 of them still open, all looked at an hour ago."""
    with db.transaction(statement_timeout_ms=0) as cur:
        last = last_due(NOW, CALENDAR)
        cur.execute(FILL, {"start": START, "signals": SIGNALS, "open": OPEN_SIGNALS, "last": last})
        cur.execute(FILL_EVENTS, {"start": START, "signals": SIGNALS})
        cur.execute(HEALTH)
        cur.execute(SCANNED)
    settle(db)


def bench_scan(db: Database) -> None:
    """Which of 100,000 signals have a gap: from what may have changed, and signal by signal."""
    due = last_due(NOW, CALENDAR)

    def scan() -> None:
        with db.transaction() as cur:
            since = sync.last_scan(cur)
            assert since is not None
            keys = sync.list_candidates(cur, since=since, mendable_since=NOW - FOLLOWED_FOR)
            found = [judge(state, due) for state in sync.list_signals(cur, keys)]
        assert len(found) == OPEN_SIGNALS

    def one_by_one() -> None:
        with db.transaction(statement_timeout_ms=0) as cur:
            for number in range(1, SAMPLE + 1):
                judge(sync.list_signals(cur, [("main", f"T{number}")])[0], due)

    def whole() -> None:
        with db.transaction(statement_timeout_ms=0) as cur:
            keys: list[Key] = [("main", f"T{number}") for number in range(1, SIGNALS + 1)]
            for start in range(0, SIGNALS, 5_000):
                for state in sync.list_signals(cur, keys[start : start + 5_000]):
                    judge(state, due)

    pairs = [(seconds_of(scan), seconds_of(one_by_one) * SIGNALS / SAMPLE) for _ in range(PAIRS)]
    report("gap scan of 100,000 signals", statistics.median(a for a, _ in pairs) * 1000, "ms", "<= 100")
    report("signal by signal over the scan", statistics.median(b / a for a, b in pairs), "x", ">= 25")
    report("every signal judged anew, as after an upgrade", seconds_of(whole), "s", "no target")


def bench_idle_cycle(db: Database) -> None:
    settings = load_settings({})
    run_cycle(db, settings, NOW)
    times = [seconds_of(lambda: run_cycle(db, settings, NOW)) for _ in range(PAIRS)]
    report("a cycle that changes nothing", statistics.median(times) * 1000, "ms", "<= 250")


def bench_reconcile(server: str) -> None:
    """100 signals with confirmation times, minutes and exits missing: one cycle, and a connection a signal."""
    ratios, figures = [], []
    for number in range(PAIRS):
        found = world(seed=11 + number, minutes=1_300, start=START + timedelta(days=1))
        arrived, _lost = without(found.alerts, {"MFE_UPDATE_BATCH": 0.1, "EXIT_SL": 0.5, "EXIT_STOP_LOSS": 0.5})
        with migrated_database(server) as db:
            deliver(db, arrived)
            store_bars(db, found)
            with db.transaction() as cur:
                cur.execute(
                    "SELECT stream, trade_id FROM trade_states WHERE entry_time IS NOT NULL LIMIT %s", (RECONCILED,)
                )
                keys = [(row.stream, row.trade_id) for row in cur.fetchall()]
            settings = load_settings({})
            fills = run_cycle(db, settings, found.end, is_dry_run=True).written // _signals(db)
            ours = seconds_of(lambda: run_cycle(db, settings, found.end)) / _signals(db)  # noqa: B023
            theirs = seconds_of(lambda: connection_a_signal(db, keys, fills)) / len(keys)  # noqa: B023
            ratios.append(theirs / ours)
            figures.append(ours * 1000)
    report("reconciling a signal", statistics.median(figures), "ms", "no target")
    report("a connection a signal over ours", statistics.median(ratios), "x", ">= 60")


def _signals(db: Database) -> int:
    with db.transaction() as cur:
        cur.execute("SELECT count(*) AS n FROM trade_states")
        return int(cur.fetchone().n)


def connection_a_signal(db: Database, keys: Sequence[Key], fills: int) -> None:
    """As it is commonly written: for each signal a connection, its events, its bars, and a commit for each fill, as many
    as the cycle makes of a signal."""
    url = db.url.replace("+psycopg2", "")
    for stream, trade_id in keys:
        with closing(psycopg2.connect(url, cursor_factory=psycopg2.extras.NamedTupleCursor)) as connection:
            cur: Any = connection.cursor()
            cur.execute("SELECT * FROM automated_signals WHERE stream = %s AND trade_id = %s", (stream, trade_id))
            events = [event_of(row) for row in cur.fetchall()]
            start, end = events[0].received_at, events[-1].received_at
            cur.execute(
                'SELECT * FROM ohlc_bars WHERE "timestamp" BETWEEN %s AND %s ORDER BY "timestamp"', (start, end)
            )
            cur.fetchall()
            for event in (events * fills)[:fills]:
                append_events(cur, [event])
                connection.commit()


def bench_healing() -> None:
    """Trades of a whole day each through one-minute bars, of which nothing was told."""
    dice, price, bars = Random(1), 25_000.0, {}
    for minute in range(1, MINUTES_A_DAY + 1):
        steps = [price + dice.randint(-24, 24) * 0.25 for _ in range(4)]
        bars[minute], price = Range(max(*steps, price), min(*steps, price)), steps[-1]
    trade = Followed(sign=1, entry=25_000.0, stop=24_000.0, entered_at=0)

    def heal() -> None:
        for _ in range(TRADE_DAYS // 10):
            found = walk(trade, range(1, MINUTES_A_DAY + 1), bars, {})
            assert len(found.healed) == MINUTES_A_DAY

    times = [seconds_of(heal) * 10 for _ in range(PAIRS)]
    report("healing 1,000 trade-days from one-minute bars", statistics.median(times), "s", "<= 10")


def main() -> None:
    bench_healing()
    with embedded_server() as server:
        with migrated_database(server) as db:
            fill(db)
            bench_scan(db)
            bench_idle_cycle(db)
        bench_reconcile(server)


if __name__ == "__main__":
    main()
