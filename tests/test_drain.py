"""SIGTERM under load: what was accepted is answered, what comes later is told to come back, nothing is lost."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from unittest.mock import Mock

from core.clock import ManualClock
from database.engine import Database
from telemetry.parts import Telemetry
from tests.support_service import ROOT, Service, send, service
from web.serving.server import stop_together

TOKEN = "token-of-the-drain-tests"
WEBHOOK = f"/api/automated-signals/webhook/{TOKEN}"
SENDERS = 8
ACKNOWLEDGED_BEFORE = 150
EXIT_SECONDS = 10.0


class Sender:
    """Posts numbered alerts, each on a connection of its own, until nobody listens any more."""

    def __init__(self, name: int, port: int, enough: threading.Semaphore) -> None:
        self.statuses: Counter[int] = Counter()
        self.acknowledged: list[bytes] = []
        self.unanswered: list[str] = []
        self.without_retry_after = 0
        self._name = name
        self._port = port
        self._enough = enough

    def run(self) -> None:
        number = 0
        while self._post(json.dumps({"event_type": "HEARTBEAT", "number": f"{self._name}-{number}"}).encode()):
            number += 1

    def _post(self, body: bytes) -> bool:
        """False when the connection was refused."""
        with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)) as connection:
            try:
                connection.connect()
            except ConnectionRefusedError:
                return False
            try:
                connection.request("POST", WEBHOOK, body)
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.unanswered.append(repr(error))
                return True
        self._note(answer, body)
        return True

    def _note(self, answer: http.client.HTTPResponse, body: bytes) -> None:
        self.statuses[answer.status] += 1
        if answer.status == 200:
            self.acknowledged.append(body)
            self._enough.release()
        elif "Retry-After" not in answer.headers:
            self.without_retry_after += 1


def stored_bodies(url: str) -> Counter[bytes]:
    db = Database(url, pool_size=1)
    with db.transaction() as cur:
        cur.execute("SELECT raw_body FROM telemetry_automated_signals_log")
        found = Counter(bytes(row[0]) for row in cur.fetchall())
    db.close()
    return found


def test_under_load_nothing_acknowledged_is_lost_and_nothing_accepted_is_cut_off(database_url: str) -> None:
    enough = threading.Semaphore(0)
    with service(DATABASE_URL=database_url, WEBHOOK_TOKEN=TOKEN) as running:
        running.wait_for("writer_breaker_closed")
        senders = [Sender(name, running.port, enough) for name in range(SENDERS)]
        with ThreadPoolExecutor(SENDERS) as pool:
            ended = [pool.submit(sender.run) for sender in senders]
            for _ in range(ACKNOWLEDGED_BEFORE):
                assert enough.acquire(timeout=20)
            started = time.monotonic()
            running.signal(signal.SIGTERM)
            code, seconds = running.wait(), time.monotonic() - started
            for sender in ended:
                sender.result()
        assert (code, seconds < EXIT_SECONDS) == (0, True), seconds
        statuses: Counter[int] = sum((sender.statuses for sender in senders), Counter())
        assert set(statuses) == {200, 503}
        assert [sender.unanswered for sender in senders] == [[]] * SENDERS
        assert [sender.without_retry_after for sender in senders] == [0] * SENDERS
        acknowledged = [body for sender in senders for body in sender.acknowledged]
        assert len(acknowledged) >= ACKNOWLEDGED_BEFORE
        if not stored_bodies(database_url).keys() >= set(acknowledged):
            running.start()  # what the database had no time for waits in the journal
            running.wait_for("writer_breaker_closed", count=2)
        stored = stored_bodies(database_url)
        assert {body: stored[body] for body in acknowledged} == dict.fromkeys(acknowledged, 1)


def test_what_was_accepted_before_the_signal_is_answered_after_it_and_a_second_signal_changes_nothing(
    database_url: str,
) -> None:
    db = Database(database_url, pool_size=1)
    with service(DATABASE_URL=database_url, WEBHOOK_TOKEN=TOKEN) as running, ThreadPoolExecutor(1) as pool:
        running.wait_for("writer_breaker_closed")
        with db.transaction() as cur:
            cur.execute("LOCK TABLE telemetry_automated_signals_log IN ACCESS EXCLUSIVE MODE")
            early = pool.submit(send, running.port, "POST", WEBHOOK, b'{"event_type":"HEARTBEAT"}')
            wait_until_under_way(cur)
            running.signal(signal.SIGTERM)
            running.wait_for("drain_started")
            running.signal(signal.SIGTERM)
            running.signal(signal.SIGINT)
            late = running.post(WEBHOOK, b'{"event_type":"HEARTBEAT","late":true}')
            assert (late.status, late.headers["Retry-After"]) == (503, "5")
            assert health_of(running) == (200, 503, "fail")
            answer = early.result()
        assert (answer.status, answer.json()["stored"]) == (200, "journal")
        assert running.wait() == 0
        assert [line["left"] for line in running.log_lines("drain_finished")] == [0]
        assert len(running.log_lines("drain_started")) == 1
        assert (running.log_lines()[-1]["event"], running.stderr) == ("stopped", "")
    db.close()


def wait_until_under_way(cur: object) -> None:
    """Until the service's writer waits for the lock we hold."""
    deadline = time.monotonic() + 10
    waiting = 0
    while not waiting and time.monotonic() < deadline:
        cur.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")  # type: ignore[attr-defined]
        ((waiting,),) = cur.fetchall()  # type: ignore[attr-defined]
    assert waiting


def health_of(running: Service) -> tuple[int, int, str]:
    ready = running.get("/readyz")
    return running.get("/healthz").status, ready.status, ready.json()["checks"]["process"]["status"]


class Part:
    """Something to stop: at once, or only when it may."""

    def __init__(self, may_end: threading.Event) -> None:
        self._may_end = may_end

    def stop(self) -> None:
        self._may_end.wait(30)


class Quick(Part):
    """One that ends at once."""

    def stop(self) -> None:
        return


def test_a_part_that_does_not_end_is_named_and_holds_up_no_other() -> None:
    may_end = threading.Event()
    started = time.monotonic()
    assert stop_together(Part(may_end), Quick(may_end), Part(may_end), seconds=0.2) == ["Part", "Part"]
    assert time.monotonic() - started < 5
    may_end.set()
    assert stop_together(Part(may_end), Quick(may_end), seconds=10) == []


def test_intake_and_writer_share_five_seconds_to_end_so_that_the_journal_is_closed_too() -> None:
    clock = ManualClock(datetime(2025, 12, 10, tzinfo=UTC))
    given: dict[str, float] = {}

    def takes(name: str, wanted: float) -> Mock:
        def stop(seconds: float) -> None:
            given[name] = seconds
            clock.sleep(min(wanted, seconds))

        return Mock(stop=stop)

    journal = Mock()
    parts = dict.fromkeys(("settings", "db", "door", "built_at"), Mock())
    Telemetry(**parts, clock=clock, journal=journal, writer=takes("writer", 9), intake=takes("intake", 4)).stop()
    assert given == {"intake": 5.0, "writer": 1.0}
    journal.close.assert_called_once()


def test_a_thread_at_work_does_not_hold_the_end_up() -> None:
    code = (
        "import threading, time\n"
        "from web.serving.server import leave_at_once\n"
        "threading.Thread(target=time.sleep, args=(600,)).start()\n"
        "leave_at_once()\n"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60, check=False).returncode == 0
