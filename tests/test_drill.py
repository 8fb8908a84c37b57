"""The outage drill: the database goes away under traffic, every accepted alert is found afterwards."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest

from core.clock import ManualClock, SystemClock
from core.errors import ConflictError, DatabaseUnavailableError
from database import alarms
from database.engine import Database
from operations.drill import Drill
from tests.support_service import Answer, Service, csrf_of, log_in, service

TOKEN = "token-of-the-drill-tests"
PASSWORD = "password of the drill"


def press(running: Service, browser: dict[str, str]) -> Answer:
    """Press the button as a browser does: the form's token belongs to the cookie that came with the page."""
    page = running.get("/status", browser | {"Accept": "text/html"})
    jar = dict(cookie.split("=", 1) for cookie in browser["Cookie"].split("; "))
    for header in page.headers.get_all("Set-Cookie") or []:
        name, _, value = header.partition(";")[0].partition("=")
        jar[name] = value
    cookies = "; ".join(f"{name}={value}" for name, value in jar.items())
    return running.post(
        "/status/drill", urlencode({"csrf_token": csrf_of(page)}).encode(), browser | {"Cookie": cookies}
    )


def test_a_process_that_is_cut_off_ends_its_connections_and_makes_no_more(db: Database) -> None:
    connection = db.direct("someone")
    with db.transaction() as cur:
        cur.execute("SELECT 1")
    db.cut_off()
    assert not db.is_reachable()
    with pytest.raises(DatabaseUnavailableError):
        db.direct("another")
    with connection.cursor() as cur, pytest.raises(Exception, match=r"terminat|closed"):
        cur.execute("SELECT 1")
    connection.close()
    db.restore_contact()
    assert db.is_reachable()


def test_a_drill_without_traffic_loses_nothing_and_is_remembered(db: Database) -> None:
    drill = Drill(db, SystemClock(), outage_seconds=0.2)
    drill.start()
    with pytest.raises(ConflictError, match="running already"):
        drill.start()
    deadline = time.monotonic() + 20
    while drill.progress.phase != "done" and time.monotonic() < deadline:
        time.sleep(0.05)
    found: list[object] = []
    while not found and time.monotonic() < deadline:
        with db.transaction() as cur:
            found = alarms.last_drills(cur)
    assert [(row.kind, row.is_passed, row.figures["lost"]) for row in found] == [("database", True, 0)]  # type: ignore[attr-defined]


def test_an_idle_drill_says_so(db: Database) -> None:
    assert Drill(db, ManualClock(datetime(2025, 1, 1, tzinfo=UTC))).check() == ("pass", "none is running")


@pytest.mark.soak
def test_a_minute_without_the_database_under_traffic_loses_no_alert(database_url: str) -> None:
    with service(DATABASE_URL=database_url, WEBHOOK_TOKEN=TOKEN, ADMIN_PASSWORD=PASSWORD, DEMO="1") as running:
        running.wait_for("database_ready")
        browser = log_in(running, "admin", PASSWORD)
        answer = press(running, browser)
        assert answer.status == 303, answer.text
        sent = 0
        while not running.log_lines("drill_ends"):
            body = {"event_type": "HEARTBEAT", "signal_count": sent}
            reply = running.post(f"/api/automated-signals/webhook/{TOKEN}", json.dumps(body).encode())
            assert reply.status == 200
            sent += 1
            time.sleep(0.1)
        ended = running.wait_for("drill_ends")
    assert ended["accepted"] > 100
    assert ended["drained"] == ended["accepted"]
    assert ended["lost"] == 0


def test_outside_the_demo_there_is_no_drill(database_url: str) -> None:
    with service(DATABASE_URL=database_url, WEBHOOK_TOKEN=TOKEN, ADMIN_PASSWORD=PASSWORD) as running:
        running.wait_for("database_ready")
        browser = log_in(running, "admin", PASSWORD)
        assert "Outage drill" not in running.get("/status", browser | {"Accept": "text/html"}).text
        answer = press(running, browser)
    assert answer.status == 404
