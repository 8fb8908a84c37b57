"""A crowd at the real service: 500 slow connections and 50 dashboards whose queries hang, and alerts are stored all the same."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException

import pytest

from database import api_tokens
from database.engine import Database
from tests import test_admission
from tests.intake_rig import until
from tests.support_service import Service, send, service
from tests.test_admission import (
    POSTS,
    SLOW_BODY,
    SLOW_CONNECTIONS,
    SLOW_HEADER,
    TOKEN,
    WEBHOOK,
    assert_intake_is_quick,
    connections,
)

DASHBOARDS = 50
API_TOKEN = "token-of-the-fifty-dashboards"
SLOW_PAGE = "/api/hybrid-sync/calibration"
LIMIT_SECONDS = 1.0
room_for_descriptors = test_admission._room_for_descriptors


@contextmanager
def hanging_queries(db: Database) -> Iterator[None]:
    """Whoever asks for the slow page waits for a lock, until the database gives the statement up."""
    with db.transaction(statement_timeout_ms=0) as cur:
        cur.execute("LOCK TABLE heal_calibrations IN ACCESS EXCLUSIVE MODE")
        yield


@contextmanager
def dashboards(running: Service) -> Iterator[Counter[str]]:
    """Fifty clients that ask for the slow page again and again; the codes of their answers (`200` where all is well), counted."""
    answered: Counter[str] = Counter()
    over = threading.Event()

    def ask() -> None:
        while not over.wait(1.0):
            try:
                answer = send(
                    running.port, "GET", SLOW_PAGE, headers={"Authorization": f"Bearer {API_TOKEN}"}, timeout=30
                )
            except (OSError, HTTPException):
                continue  # the service has ended
            answered["200" if answer.status == 200 else answer.json()["code"]] += 1

    threads = [threading.Thread(target=ask) for _ in range(DASHBOARDS)]
    for thread in threads:
        thread.start()
    try:
        yield answered
    finally:
        over.set()
        for thread in threads:
            thread.join()


@pytest.mark.usefixtures("room_for_descriptors")
def test_500_slow_connections_and_50_slow_dashboards_leave_alerts_below_a_second(
    database_url: str, db: Database
) -> None:
    with db.transaction() as cur:
        api_tokens.add_token(cur, token=API_TOKEN, role="viewer", name="crowd", created_by="test")
    with service(DATABASE_URL=database_url, WEBHOOK_TOKEN=TOKEN) as running:
        running.wait_for("writer_breaker_closed")
        assert running.get(SLOW_PAGE, {"Authorization": f"Bearer {API_TOKEN}"}).status == 200
        with (
            connections(running.port, SLOW_CONNECTIONS, SLOW_BODY, SLOW_HEADER),
            dashboards(running) as answered,
            hanging_queries(db),
        ):
            until(lambda: answered["busy"], 60)  # their share is full
            assert_intake_is_quick(running.port, WEBHOOK, LIMIT_SECONDS)
            until(lambda: answered["try_again"], 60)  # the database gave their queries up
        assert set(answered) <= {"200", "busy", "try_again"}
    with db.transaction() as cur:
        cur.execute("SELECT count(*) FROM telemetry_automated_signals_log")
        stored = cur.fetchone()[0]  # type: ignore[index]
    assert stored >= POSTS
    assert stored % POSTS == 0
