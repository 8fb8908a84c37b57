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
from itertools import zip_longest
from random import Random
from typing import Any, NamedTuple

from bench.support.database import embedded_server, migrated_database, settle
from bench.support.figures import print_figure
from core.lifecycle import LifecycleEvent
from core.settings import load_settings
from core.trading_calendar import cme_equity_calendar
from database import migrate, repairs, sync
from database.engine import Database
from database.event_rows import event_of
from database.events import list_events
from database.states import Key
from hybrid_sync.cycle import run_cycle
from hybrid_sync.gaps import judge, last_due
from hybrid_sync.healing.evidence import FOLLOWED_FOR
from hybrid_sync.healing.excursions import Followed, Range, walk
from tests.support_postgres import fresh_database, template_database
from tests.support_sync import CONTRACT, LOST, World, deliver, store_bars, without, world

START = datetime(2025, 12, 8, 0, 0, tzinfo=UTC)
NOW = datetime(2025, 12, 11, 15, 30, tzinfo=UTC)
CALENDAR = cme_equity_calendar()
SETTINGS = load_settings({})
SIGNALS = 100_000
OPEN_SIGNALS = 25
SAMPLE = 2_000
EVERY = 5  # of the reconciled signals, for the slow way
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
EXTREMES = """
SELECT max(high), min(low) FROM ohlc_bars
WHERE contract_id = %s AND timeframe_unit = 2 AND timeframe_value = 1 AND "timestamp" BETWEEN %s AND %s
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
    run_cycle(db, SETTINGS, NOW)
    times = [seconds_of(lambda: run_cycle(db, SETTINGS, NOW)) for _ in range(PAIRS)]
    report("a cycle that changes nothing", statistics.median(times) * 1000, "ms", "<= 250")


def bench_reconcile(server: str) -> None:
    """About 100 signals of a stream that loses what the real one loses: one cycle of ours; and on a copy of the database
    the same repairs as they are commonly made. That both end in the same rows is part of the bench."""
    ratios, figures = [], []
    for number in range(PAIRS):
        found = world(seed=11 + number, minutes=1_300, start=START + timedelta(days=1))
        with (
            template_database(server, lambda url: prepare(url, found)) as lossy,  # noqa: B023
            fresh_database(server, lossy) as one,
            fresh_database(server, lossy) as other,
        ):
            ratio, milliseconds = compare(Database(one), Database(other), found.end)
            ratios.append(ratio)
            figures.append(milliseconds)
    report("reconciling a signal", statistics.median(figures), "ms", "no target")
    report("a connection a signal over ours", statistics.median(ratios), "x", ">= 60")


def compare(ours: Database, theirs: Database, now: datetime) -> tuple[float, float]:
    """(how many times as long the common way takes, milliseconds a signal of ours)."""
    run_cycle(ours, SETTINGS, now, is_dry_run=True)
    started = time.perf_counter()
    reconciled = run_cycle(ours, SETTINGS, now).attempted
    seconds = time.perf_counter() - started
    jobs = list_jobs(ours)
    sample = jobs[::EVERY]
    slow = seconds_of(lambda: connection_a_signal(theirs, sample, now))
    assert all(outcome(ours, job.key) == outcome(theirs, job.key) for job in sample)
    # Signals differ much in how much they lack, so the sample counts by its share of the repairs.
    share = sum(len(job.repairs) for job in sample) / sum(len(job.repairs) for job in jobs)
    ours.close()
    theirs.close()
    return slow / share / seconds, seconds * 1000 / reconciled


def prepare(url: str, found: World) -> None:
    """A database that holds what arrived, and the bars."""
    db = Database(url)
    migrate.upgrade(db)
    arrived, _lost = without(found.alerts, LOST)
    deliver(db, arrived)
    store_bars(db, found)
    db.close()


class Job(NamedTuple):
    """What a cycle has done for one signal."""

    key: Key
    repairs: list[LifecycleEvent]
    audit: list[dict[str, Any]]
    health: dict[str, Any]


def list_jobs(db: Database) -> list[Job]:
    """What a cycle has done for each signal that it has reconciled."""
    jobs = []
    with db.transaction() as cur:
        cur.execute("SELECT DISTINCT stream, trade_id FROM automated_signals WHERE source_rank > 2 ORDER BY 1, 2")
        for key in cur.fetchall():
            events = [event_of(row) for row in list_events(cur, *key) if row.data_source in ("reconciled", "inferred")]
            audit = [row._asdict() for row in sync.list_audit(cur, limit=10_000, trade_id=key.trade_id)]
            cur.execute("SELECT * FROM signal_health_metrics WHERE (stream, trade_id) = (%s, %s)", key)
            jobs.append(Job(key, events, audit[::-1], cur.fetchone()._asdict()))
    return jobs


def connection_a_signal(db: Database, jobs: Sequence[Job], now: datetime) -> None:
    """As it is commonly written: for each signal a connection, its state, its events; for each minute that is missing a
    look at the bars since ENTRY; a commit for each fill, and for each line of the audit log."""
    for key, fills, audit, health in jobs:
        with closing(db.direct("bench")) as connection:
            cur = connection.cursor()
            sync.list_signals(cur, [key])
            since = list_events(cur, *key)[0].received_at
            for fill, row in zip_longest(fills, audit):
                if fill:
                    cur.execute(EXTREMES, (CONTRACT, since, fill.slot or fill.event_time))
                    cur.fetchone()
                    repairs.append_repairs(cur, [fill])
                    connection.commit()
                if row:
                    sync.add_audit(cur, [row], now=now, actor=row["actor"])
                    connection.commit()
            sync.save_health(cur, [health], now)
            connection.commit()


def outcome(db: Database, key: Key) -> list[Any]:
    """All that is stored of a signal, but for numbers of rows, times of writing, and what is worded otherwise when the
    repairs are read back from their rows."""
    found = []
    with db.transaction() as cur:
        for table in ("automated_signals", "trade_states", "sync_audit_log", "signal_health_metrics"):
            cur.execute(
                f"SELECT to_jsonb(t) - %s AS row FROM {table} t WHERE (stream, trade_id) = (%s, %s) ORDER BY 1",
                (["id", "updated_at", "facts", "confidence"], *key),
            )
            found.append([row.row for row in cur.fetchall()])
    return found


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
