"""State in the database: a rebuild from raw deliveries, and the list of signals at 10,000 and 1,000,000 events.

Ratios are measured side by side in one run; absolute figures stand beside them. Prints a line of JSON and a line to read
for each figure.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, cast

from bench.support.database import embedded_server, migrated_database, settle
from bench.support.figures import print_figure
from core.ids import uuid7
from database import deliveries, states
from database.engine import Cursor, Database
from simulator.alert_stream import Faults, generate
from telemetry.history.rebuild import rebuild
from telemetry.journal.record import Record
from telemetry.prepare import prepare
from telemetry.projection import project

START = datetime(2025, 12, 8, 0, 0, tzinfo=UTC)
REBUILD_TARGET = 10_000
EVENTS_A_SIGNAL = 10
SMALL, LARGE = 1_000, 100_000  # signals: 10,000 and 1,000,000 events
ROUNDS = 15

FILL_STATES = """
INSERT INTO trade_states (stream, trade_id, facts, status, direction, symbol, session, signal_time, entry_time, entry_price,
                          stop_loss, be_mfe_r, no_be_mfe_r, mae_r, last_kind, last_received_at, flags)
SELECT 'main', 'T' || n, '{}'::jsonb,
       (ARRAY['ACTIVE', 'COMPLETED', 'CANCELLED', 'PENDING', 'BE_EXITED'])[1 + n %% 5], 'long', 'MNQ1!', 'NY AM',
       %(start)s::timestamptz + n * interval '3 minutes', %(start)s::timestamptz + n * interval '3 minutes', 25000, 24990,
       1.5, 2.5, -0.4, 'MFE_UPDATE', now(), '{}'
FROM generate_series(1, %(signals)s) AS n
"""
FILL_EVENTS = """
INSERT INTO automated_signals (stream, trade_id, event_type, event_key, slot, received_at, be_mfe, no_be_mfe, payload_checksum)
SELECT 'main', 'T' || n, 'MFE_UPDATE', md5(n || '/' || m), %(start)s::timestamptz + (n * 3 + m) * interval '1 minute',
       %(start)s::timestamptz + (n * 3 + m) * interval '1 minute', 1, 1, 'x'
FROM generate_series(1, %(signals)s) AS n, generate_series(1, %(each)s) AS m
"""

report = partial(print_figure, "state")


def median_ms(run: Callable[[], object]) -> float:
    """Median of the rounds, warm, in milliseconds."""
    run()
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        run()
        times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times)


def bench_rebuild(db: Database) -> None:
    """Ten days of simulated alerts, then everything derived anew from their bytes."""
    fired = [alert for alert in generate(1, START, 10 * 1440, Faults()) if not alert.lost]
    records = [Record(uuid7(a.sent_at), a.sent_at, "main", "", "", "webhook", a.body) for a in fired]
    for start in range(0, len(records), 500):
        group = [prepare(record) for record in records[start : start + 500]]
        with db.transaction(statement_timeout_ms=0) as cur:
            project(cur, group, deliveries.add_deliveries(cur, [prepared.delivery for prepared in group]))
    for name, is_dry_run in (("rebuild", False), ("verify", True), ("rebuild", False), ("verify", True)):
        started = time.perf_counter()
        result = rebuild(db, is_dry_run=is_dry_run)
        seconds = time.perf_counter() - started
        if not result.is_unchanged:
            raise SystemExit("the rebuild gave another state")
        report(
            f"{name} from raw deliveries ({result.events} events)",
            result.events / seconds,
            "events/s",
            f">= {REBUILD_TARGET}",
        )


def fill(db: Database, signals: int) -> None:
    with db.transaction(statement_timeout_ms=0) as cur:
        cur.execute(FILL_STATES, {"start": START, "signals": signals})
        cur.execute(FILL_EVENTS, {"start": START, "signals": signals, "each": EVENTS_A_SIGNAL})
    settle(db)


class Explained:
    """A cursor that adds up what the server itself takes, planning included, for the queries put to it; milliseconds."""

    def __init__(self, cur: Cursor) -> None:
        self._cur = cur
        self.ms = 0.0

    def execute(self, query: str, values: Any = None) -> None:
        self._cur.execute(f"EXPLAIN (ANALYZE, TIMING off, FORMAT JSON) {query}", values)
        plan = self._cur.fetchone()[0][0]
        self.ms += plan["Planning Time"] + plan["Execution Time"]
        self._cur.execute(query, values)

    def fetchall(self) -> list[Any]:
        return self._cur.fetchall()


def latest(cur: Cursor) -> object:
    return states.list_states(cur, limit=500, streams=["main"])


def page_deep(cur: Cursor) -> object:
    after = states.Place(START + timedelta(minutes=1500), "T500", "main")
    return states.list_states(cur, limit=100, streams=["main"], after=after)


def active(cur: Cursor) -> object:
    return states.list_states(cur, limit=100, streams=["main"], selection=states.Selection(statuses=["ACTIVE"]))


def counts(cur: Cursor) -> object:
    return states.count_states(cur, ["main"])


def asked_ms(db: Database, ask: Callable[[Cursor], object]) -> float:
    """Median time of a question with its answer read, in milliseconds."""

    def run() -> None:
        with db.transaction() as cur:
            ask(cur)

    return median_ms(run)


def server_ms(db: Database, ask: Callable[[Cursor], object]) -> float:
    """Median time of the same on the server alone, in milliseconds."""

    def run() -> float:
        with db.transaction() as cur:
            explained = Explained(cur)
            ask(cast(Cursor, explained))
        return explained.ms

    run()
    return statistics.median(run() for _ in range(ROUNDS))


def bench_lists(small: Database, large: Database) -> None:
    """The screen's queries, small and large side by side."""
    figures = (
        ("latest 500 on the server", latest, server_ms, "<= 10 ms"),
        ("latest 500", latest, asked_ms, "<= 10 ms"),
        ("deep page", page_deep, asked_ms, "<= 50 ms"),
        ("active", active, asked_ms, "<= 50 ms"),
        ("counts", counts, asked_ms, "<= 50 ms"),
    )
    for name, ask, measure, target in figures:
        few, many = measure(small, ask), measure(large, ask)
        report(f"{name} at 10,000 events", few, "ms", target)
        report(f"{name} at 1,000,000 events", many, "ms", target)
        report(f"{name}: 1,000,000 over 10,000 events", many / few, "x", "<= 1.5 for latest 500")


def main() -> None:
    with embedded_server() as server:
        with migrated_database(server) as db:
            bench_rebuild(db)
        with migrated_database(server) as small, migrated_database(server) as large:
            fill(small, SMALL)
            fill(large, LARGE)
            bench_lists(small, large)


if __name__ == "__main__":
    main()
