"""Alerts while 500 connections dawdle and 50 dashboards ask for heavy figures over 100,000 signals: p50, p99 and the longest.

One web process, which takes the alerts and answers the dashboards, on a PostgreSQL with the settings of production; the same
alerts without the crowd beforehand. The crowd's clients run on the same cores.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from bench.signal_pages import fill
from bench.support.figures import print_figure
from bench.support.load import Load, Plan, run
from database import api_tokens, migrate
from database.embedded import EmbeddedServer
from database.engine import Database
from tests.support_postgres import public_directory
from tests.support_service import ROOT, service
from tests.test_admission import SLOW_BODY, SLOW_CONNECTIONS, SLOW_HEADER, connections

TOKEN, API_TOKEN = "token-of-the-crowd-bench", "api-token-of-the-crowd-bench"
DASHBOARDS = 50
SECONDS = 15.0
CLIENTS = """
import sys, threading, time, json
from collections import Counter
from tests.support_service import send
port, count, token = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
answered, over = Counter(), threading.Event()
def ask(number):
    turn = 0
    while not over.is_set():
        turn += 1  # a span that nobody has asked for lately: the figures are computed anew
        day = f"2025-{6 + turn % 7:02}-{1 + number % 28:02}"
        path = f"/api/automated-signals/analytics?target={number % 21}&from={day}"
        try:
            status = send(port, "GET", path, headers={"Authorization": f"Bearer {token}"}, timeout=60).status
        except OSError:
            status = 0
        answered[status] += 1
        over.wait(1.0 if status == 503 else 0.05)
threads = [threading.Thread(target=ask, args=[number], daemon=True) for number in range(count)]
for thread in threads: thread.start()
sys.stdin.read()
over.set()
print(json.dumps(answered))
"""


report = partial(print_figure, "crowd")


@dataclass(slots=True)
class Crowd:
    """What the dashboards were answered, by status, once they have gone."""

    answered: dict[str, int] = field(default_factory=dict)


@contextmanager
def crowd(port: int) -> Iterator[Crowd]:
    found = Crowd()
    command = [sys.executable, "-c", CLIENTS, str(port), str(DASHBOARDS), API_TOKEN]
    with connections(port, SLOW_CONNECTIONS, SLOW_BODY, SLOW_HEADER):
        clients = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            yield found
        finally:
            found.answered = json.loads(clients.communicate("", timeout=120)[0] or "{}")


def tell(name: str, load: Load, target: str = "for comparison") -> None:
    assert set(load.statuses) == {"200"}, load.statuses
    report(f"p50 of an alert, {name}", load.p50_ms, "ms", "for comparison")
    report(f"p99 of an alert, {name}", load.p99_ms, "ms", target)
    report(f"the longest of {sum(load.statuses.values())} alerts, {name}", load.longest_ms, "ms", "for comparison")


def main() -> None:
    with public_directory() as base, EmbeddedServer(base / "var", run_dir=base / "run") as server:
        db = Database(server.url)
        migrate.upgrade(db)
        fill(db)
        with db.transaction() as cur:
            api_tokens.add_token(cur, token=API_TOKEN, role="viewer", name="crowd", created_by="bench")
        db.close()
        with service(DATABASE_URL=server.url, WEBHOOK_TOKEN=TOKEN, ROLE="web") as running:
            running.wait_for("writer_breaker_closed")
            path = f"/api/automated-signals/webhook/{TOKEN}"
            run(Plan(running.port, path, connections=1, seconds=1.0, first=800_000_000))
            alone = run(Plan(running.port, path, connections=1, seconds=SECONDS / 3, first=0))
            with crowd(running.port) as met:
                crowded = run(Plan(running.port, path, connections=1, seconds=SECONDS, first=400_000_000))
    tell("alone", alone)
    tell("crowded", crowded, "< 1000 ms")
    report(f"heavy answers meanwhile (all: {met.answered})", met.answered.get("200", 0), "answers", "for comparison")
    report("this machine", os.cpu_count() or 0, "cores", "for comparison")


if __name__ == "__main__":
    main()
