"""Alerts while pages are open and work goes on: p99 with sixteen streams asked for, a backfill and gap cycles, and without.

Distinct telemetry ENTRY bodies on a few connections, side by side in one run (A B A B); each alert is told to every open
stream. PostgreSQL has the settings of production.
"""

from __future__ import annotations

import statistics
from contextlib import ExitStack
from functools import partial

from bench.intake import TOKEN, WEBHOOK, Target, server
from bench.support.figures import print_figure
from core.lifecycle import Kind
from database import migrate
from database.embedded import EmbeddedServer
from database.engine import Database
from tests.intake_rig import until
from tests.support_postgres import public_directory
from tests.support_service import send
from tests.support_signals import add, event
from tests.support_streams import add_readers, backfills_and_cycles, streams
from web.serving.admission import STREAM_SHARE

ASKED = 16
BACKFILL = 500
CONNECTIONS = 4
SECONDS = 4.0
ROUNDS = 5
EVENTS = 20_000
AT_ONCE = 1_000
TARGET_MS = 100
METRICS_TOKEN = "metrics-token-of-the-streams-bench"

report = partial(print_figure, "streams")


def fill(db: Database) -> list[str]:
    """Events without a delivery, for the backfill and the cycle to work on; API tokens for the streams."""
    for start in range(0, EVENTS, AT_ONCE):
        add(db, *(event(f"OLD{number}", Kind.ENTRY, number % 500) for number in range(start, start + AT_ONCE)))
    return add_readers(db, ASKED)


def measure(target: Target, readers: list[str]) -> tuple[list[float], list[float], int]:
    """(p99s alone, p99s meanwhile, how often the work was done) in ms, in turns."""
    alone, meanwhile, done = [], [], 0
    for _ in range(ROUNDS):
        alone.append(target.load(connections=CONNECTIONS, seconds=SECONDS).p99_ms)
        with streams(target.port, readers) as held, backfills_and_cycles(target.port, readers[0], BACKFILL) as statuses:
            until(lambda held=held: len(held.statuses()) == ASKED)  # type: ignore[misc]
            meanwhile.append(target.load(connections=CONNECTIONS, seconds=SECONDS).p99_ms)
            assert held.statuses().count(200) == STREAM_SHARE
        assert set(statuses) <= {200}, statuses
        done += len(statuses)
        until(lambda: open_streams(target.port) == 0, 30)
    return alone, meanwhile, done


def open_streams(port: int) -> int:
    """How many streams the server still takes for open: that one is closed is noticed at its next comment."""
    said = send(port, "GET", "/metrics", headers={"Authorization": f"Bearer {METRICS_TOKEN}"}).text
    return next(
        int(float(line.split()[1])) for line in said.splitlines() if line.startswith("signalbook_streams_open ")
    )


def main() -> None:
    with ExitStack() as stack:
        base = stack.enter_context(public_directory())
        embedded = stack.enter_context(EmbeddedServer(base / "var", run_dir=base / "run"))
        db = Database(embedded.url)
        migrate.upgrade(db)
        readers = fill(db)
        given = {"DATABASE_URL": embedded.url, "DATA_DIR": str(base / "service"), "WEBHOOK_TOKEN": TOKEN}
        given |= {"METRICS_TOKEN": METRICS_TOKEN}
        port = stack.enter_context(server("web_server.py", **given))
        target = Target(port, WEBHOOK)
        until(lambda: send(port, "GET", "/readyz").status == 200, 60)
        target.load(connections=CONNECTIONS, seconds=0.5)
        alone, meanwhile, done = measure(target, readers)
        db.close()
    name = f"p99 of alerts on {CONNECTIONS} connections"
    report(f"{name}, nothing else going on", statistics.median(alone), "ms", "for comparison")
    name = f"{name}, {ASKED} streams asked for, {done} backfills and gap cycles"
    report(name, statistics.median(meanwhile), "ms", f"< {TARGET_MS} ms")
    ratio = statistics.median(with_it / without for with_it, without in zip(meanwhile, alone, strict=True))
    report("p99 meanwhile over alone", ratio, "x", "for comparison")


if __name__ == "__main__":
    main()
