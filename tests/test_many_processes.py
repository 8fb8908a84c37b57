"""Several processes behind nginx and PgBouncer on one machine: correct, and nothing lost when one of them is killed.

Long runs, for `make soak`, which installs Debian's `nginx-light` and `pgbouncer` (`tools/setup.sh servers`). They are not in
`make test`: Debian starts a web server on port 80 when it installs one, which no run of tests should do to a machine.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from contextlib import ExitStack

import pytest

from database.engine import Database
from tests.support_needs import missing
from tests.support_proxies import NGINX, PGBOUNCER, nginx, pgbouncer
from tests.support_service import Answer, send, service

TOKEN = "token-of-the-many-processes"
pytestmark = pytest.mark.soak


@pytest.fixture(autouse=True)
def servers() -> None:
    for found in (NGINX, PGBOUNCER):
        if not found.exists():
            missing(f"needs {found}: tools/setup.sh servers")


def post(port: int, number: int) -> Answer:
    body = {"event_type": "HEARTBEAT", "signal_count": number}
    path = f"/api/automated-signals/webhook/{TOKEN}"
    return send(port, "POST", path, json.dumps(body).encode(), {"Content-Type": "application/json"})


def test_three_processes_behind_nginx_and_pgbouncer_store_each_alert_once_while_one_is_killed(
    database_url: str,
) -> None:
    with ExitStack() as stack:
        pooled = stack.enter_context(pgbouncer(database_url))
        given = {
            "DATABASE_URL": pooled,
            "DATABASE_DIRECT_URL": database_url,
            "WEBHOOK_TOKEN": TOKEN,
            "TRUSTED_PROXY": "127.0.0.1",
        }
        webs = [stack.enter_context(service(**given, ROLE="web")) for _ in range(2)]
        worker = stack.enter_context(service(**given, ROLE="worker"))
        for each in (*webs, worker):
            each.wait_for("database_ready")
        port = stack.enter_context(nginx([each.port for each in webs]))
        accepted: list[str] = []
        refused: list[int] = []

        def sender(first: int) -> None:
            for number in range(first, first + 150):
                try:
                    answer = post(port, number)
                except http.client.HTTPException:
                    continue  # killed in the middle of its answer: nobody was told that it is stored
                if answer.status == 200:
                    accepted.append(answer.json()["receipt_id"])
                else:
                    refused.append(answer.status)

        threads = [threading.Thread(target=sender, args=[1000 * number]) for number in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(1)
        webs[0].restart()  # killed, and started again on its journal
        for thread in threads:
            thread.join()
        webs[0].wait_for("database_ready")
        db = Database(database_url)
        deadline = time.monotonic() + 90
        while (missing := _missing(db, accepted)) and time.monotonic() < deadline:
            time.sleep(0.5)
        db.close()
        jobs = worker.wait_for("job_run", lambda line: line["job"] == "alarms", timeout=60)
    assert missing == set()
    assert len(accepted) == len(set(accepted))
    assert len(accepted) > 500
    assert set(refused) <= {503}
    assert jobs["outcome"] == "succeeded"


def _missing(db: Database, receipts: list[str]) -> set[str]:
    with db.transaction() as cur:
        cur.execute(
            "SELECT receipt_id::text AS receipt FROM telemetry_automated_signals_log WHERE receipt_id IS NOT NULL"
        )
        return set(receipts) - {row.receipt for row in cur.fetchall()}
