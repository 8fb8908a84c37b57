"""Real alerts posted to a running service in random orders with repeats: always the state of a plain fold."""

from __future__ import annotations

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from database.engine import Database
from telemetry.history.alert_log import AlertRow, merge_alert_logs
from tests.intake_rig import TOKEN, WEBHOOK, until
from tests.support_postgres import fresh_database
from tests.support_service import Service, send, service
from tests.support_signals import hash_of
from tests.test_real_state import FILES, expected, logs

__all__ = ["expected", "logs"]  # fixtures

SENDERS = 6

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(not FILES, reason="the real alert logs (SIGNALBOOK_DATA) are not on this machine"),
]


@pytest.mark.parametrize("seed", range(20))
def test_every_random_order_over_http_gives_the_same_state(
    seed: int, postgres: str, migrated: str, logs: list[list[AlertRow]], expected: str
) -> None:
    rows = merge_alert_logs(logs)
    chance = random.Random(seed)
    shuffled = chance.sample(rows, len(rows)) + chance.choices(rows, k=len(rows) // 5)
    with fresh_database(postgres, migrated) as url:
        settings = {"DATABASE_URL": url, "WEBHOOK_TOKEN": TOKEN, "TESTING": "1", "ROLE": "web"}  # no repairs
        with service(**settings) as running:
            until(lambda: all(map(running.log_lines, ("writer_breaker_closed", "database_ready"))), 30)
            post_all(running, shuffled)
            db = Database(url)
            try:
                until(lambda: stored(db) == len(shuffled), 60)  # what only the journal took is stored a moment later
                until(lambda: "every alert is in the database" in send(running.port, "GET", "/readyz").text, 10)
                assert running.terminate() == 0
                assert stored(db) == len(shuffled)
                assert hash_of(db) == expected
            finally:
                db.close()


def stored(db: Database) -> int:
    """Deliveries in the log."""
    with db.transaction() as cur:
        cur.execute("SELECT count(*) AS held FROM telemetry_automated_signals_log")
        return int(cur.fetchone().held)


def post_all(running: Service, rows: Sequence[AlertRow]) -> None:
    """Post each alert with its own receive time."""

    def post(row: AlertRow) -> int:
        headers = {"Content-Type": "application/json", "X-Signalbook-Received-At": row.sent_at.isoformat()}
        return send(running.port, "POST", WEBHOOK, row.body, headers).status

    with ThreadPoolExecutor(SENDERS) as pool:
        answers = set(pool.map(post, rows))
    assert answers <= {200, 422}
