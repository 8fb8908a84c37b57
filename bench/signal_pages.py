"""The pages and data of signals as a browser gets them, at 100,000 signals: p50 and p95 of whole answers, warm.

The app answers in this process, logged in, on a PostgreSQL with the settings of production. Prints a line of JSON and a line
to read for each page.
"""

from __future__ import annotations

import json
import re
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from flask.testing import FlaskClient

from bench.support.database import database, settle
from core.clock import SystemClock
from core.settings import load_settings
from database import users
from database.engine import Database
from database.states import Selection
from web.dashboards.analytics.gather import Question, Reports
from web.passwords import hash_password
from web_server import create_app

SIGNALS = 100_000
ROUNDS = 40
TARGET_MS = 150
PASSWORD = "password of the bench"
PAGES = {
    "newest": "",
    "deep page": "?before=WyIyMDI1LTA3LTAxVDAwOjAwOjAwKzAwOjAwIiwgIlQiLCAibWFpbiJd",
    "active": "?status=active",
    "cancelled": "?status=cancelled",
    "one session and direction": "?session=NY+PRE&direction=long",
    "one day": "?from=2025-07-01&to=2025-07-01",
    "text in few": "?q=T4711",
    "text in none": "?q=nothing",
    "by entry": "?sort=entered&way=asc",
    "by end": "?sort=ended",
    "by id": "?sort=id",
    "by No-BE MFE": "?sort=no_be_mfe",
    "by MAE": "?sort=mae&way=asc",
}
OTHERS = {
    "calendar": "/automated-signals-calendar?month=2025-07",
    "data quality": "/automated-signals-quality",
    "analytics, kept": "/automated-signals-analytics",
    "analytics data, kept": "/api/automated-signals/analytics?target=2",
    "stats": "/api/automated-signals/stats",
    "dashboard data": "/api/automated-signals/dashboard-data",
    "all signals data": "/api/automated-signals/all-signals",
}
"""Analytics are computed at most every half minute; how long that takes is measured on its own."""
FILL = """
INSERT INTO trade_states (stream, trade_id, facts, status, direction, symbol, session, signal_time, entry_time, exit_at,
                          exit_kind, cancelled_at, entry_price, stop_loss, be_mfe_r, no_be_mfe_r, mae_r, last_kind,
                          last_received_at, confirmation_time, confirmation_time_from, bars_to_confirmation, htf_alignment,
                          htf_computed, be_result_r, no_be_result_r, signal_date, signal_time_ny)
SELECT 'main', 'T' || n,
       jsonb_build_object('facts', (SELECT string_agg(md5((n * 100 + i)::text), '') FROM generate_series(1, 50) AS i)),
       kind, (ARRAY['long', 'short'])[1 + n %% 2], 'MNQ1!',
       (ARRAY['NY AM', 'ASIA', 'LONDON', 'NY PRE', 'NY LUNCH', 'NY PM', 'AFTER_HOURS'])[1 + n %% 7], at,
       CASE WHEN kind IN ('COMPLETED', 'BE_EXITED') THEN at + interval '2 minutes' END,
       CASE WHEN kind = 'COMPLETED' THEN at + interval '50 minutes' END, CASE WHEN kind = 'COMPLETED' THEN 'EXIT_SL' END,
       CASE WHEN kind = 'CANCELLED' THEN at + interval '9 minutes' END, 25000, 24990,
       random() * 5, random() * 20, -random(), 'MFE_UPDATE', at + interval '1 hour', at + interval '1 minute', 'derived', 2,
       '{"daily": "Bullish", "h4": "Bearish", "h1": "Neutral", "m15": "Bullish", "m5": "Bullish", "m1": "Bearish"}', true,
       CASE WHEN kind = 'COMPLETED' THEN -(n %% 2) END, CASE WHEN kind = 'COMPLETED' THEN -1 END,
       (at AT TIME ZONE 'America/New_York')::date, (at AT TIME ZONE 'America/New_York')::time
FROM (SELECT n, timestamptz '2025-06-01' + n * interval '3 minutes' AS at,
             (ARRAY['COMPLETED', 'COMPLETED', 'CANCELLED', 'CANCELLED', 'PENDING', 'COMPLETED', 'CANCELLED'])[1 + n %% 7] AS kind
      FROM generate_series(1, %(signals)s) AS n) AS made
"""


def fill(db: Database) -> None:
    """Signals over seven months, with facts as large as real ones, and statistics as autovacuum leaves them."""
    with db.transaction(statement_timeout_ms=0) as cur:
        cur.execute(FILL, {"signals": SIGNALS})
        users.add_user(cur, name="ann", password_hash=hash_password(PASSWORD), role="operator")
    settle(db)


def log_in(client: FlaskClient) -> None:
    token = re.search(r'name="csrf-token" content="([^"]+)"', client.get("/login").text)
    assert token
    client.post("/login", data={"name": "ann", "password": PASSWORD, "csrf_token": token[1]})


def measure(client: FlaskClient, path: str) -> list[float]:
    """Milliseconds of each round, sorted, after three to warm up."""
    times = []
    for number in range(ROUNDS + 3):
        started = time.perf_counter()
        answer = client.get(path)
        if number >= 3:
            times.append((time.perf_counter() - started) * 1000)
        assert answer.status_code == 200, path
    return sorted(times)


def computing(db: Database, question: Question) -> list[float]:
    """Milliseconds of computing a report that is not kept."""
    times = []
    for _ in range(ROUNDS // 4):
        started = time.perf_counter()
        Reports().get(db, SystemClock(), question)
        times.append((time.perf_counter() - started) * 1000)
    return sorted(times)


def say(name: str, times: list[float], target_ms: int | None) -> None:
    p50, p95 = statistics.median(times), times[int(len(times) * 0.95)]
    print(json.dumps({"bench": "signal_pages", "figure": f"{name} p95", "value": round(p95, 1), "unit": "ms"}))
    aim = f" (target p95 < {target_ms} ms)" if target_ms else ""
    print(f"  {name}: p50 {p50:.0f} ms, p95 {p95:.0f} ms{aim}", flush=True)


def main() -> None:
    with TemporaryDirectory() as data, database() as db:
        fill(db)
        client = create_app(load_settings({"DATA_DIR": str(Path(data)), "TESTING": "1"}), db).test_client()
        log_in(client)
        paths = {name: f"/automated-signals{asked}" for name, asked in PAGES.items()} | OTHERS
        for name, path in paths.items():
            say(name, measure(client, path), TARGET_MS)
        question = Question(("main",), Selection())
        say("analytics, computed", computing(db, question), None)


if __name__ == "__main__":
    main()
