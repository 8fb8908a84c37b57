"""Alarms on a real database: facts are gathered, told once through apprise, and remembered."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from flask_openapi3 import OpenAPI

from core.clock import ManualClock
from core.jobs import Job, Report
from core.settings import Settings
from core.trading_calendar import cme_equity_calendar
from database import alarms, bars, tokens
from database.bars import Contract
from database.deliveries import TEST_CONTENT_TYPE
from database.engine import Database
from hybrid_sync.presenting import status_of
from operations.alarms.messenger import Messenger, masked
from operations.alarms.reports import Reporter
from operations.alarms.rules import JournalFacts
from operations.alarms.sentry import Sentry
from operations.alarms.watch import Watch, Watched, gather
from tests.support_deliveries import deliver
from tests.support_http import csrf_token
from tests.support_market import CONTRACT, bar_at
from tests.support_service import turn_off, turn_on
from web_server import create_app

NOW = datetime(2025, 12, 10, 15, 0, tzinfo=UTC)  # a Wednesday, 10:00 in New York
MINUTE = timedelta(minutes=1)
TOKEN = "token-of-the-alarm-tests"


@dataclass
class Listening:
    """A web server that takes what apprise posts."""

    url: str = ""
    heard: list[dict[str, Any]] = field(default_factory=list)
    beats: int = 0
    status: int = 200


@contextmanager
def listening() -> Iterator[Listening]:
    found = Listening()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if found.status == 200:
                found.heard.append(json.loads(body))
            self._answer()

        def do_GET(self) -> None:
            found.beats += 1
            self._answer()

        def _answer(self) -> None:
            self.send_response(found.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        found.url = f"127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=[0.05])
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def friend() -> Iterator[Listening]:
    with listening() as found:
        yield found


@pytest.fixture
def watched(db: Database, tmp_path: Path) -> Watched:
    """A service that has been watched for long, with one stream that may send."""
    with db.transaction() as cur:
        tokens.add_token(cur, token=TOKEN, stream="main", created_by="test")
    return Watched(
        calendar=cme_equity_calendar(),
        data_dir=tmp_path,
        has_feed=False,
        jobs=(),
        watched_since=NOW - timedelta(days=9),
    )


def beat(db: Database, at: datetime) -> None:
    deliver(db, {"event_type": "HEARTBEAT", "signal_count": 1, "timestamp": at.isoformat()}, received_at=at)


def told(db: Database) -> list[tuple[str, str, str]]:
    with db.transaction() as cur:
        return [(row.kind, row.cause, row.delivery) for row in reversed(alarms.list_notices(cur, 100))]


def of(found: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """Without what the test server itself is: it gives durability up for speed."""
    return [row for row in found if not row[1].startswith(("durability_off", "disk_low", "calendar_ending"))]


def test_a_silent_stream_is_told_once_and_its_recovery_once(db: Database, watched: Watched, friend: Listening) -> None:
    watch = Watch(watched, Messenger([f"json://{friend.url}/"], f"http://{friend.url}/beat"))
    beat(db, NOW - 5 * MINUTE)
    for step in range(4):
        watch.run(db, NOW + step * MINUTE)
    beat(db, NOW + 4 * MINUTE)
    watch.run(db, NOW + 5 * MINUTE)
    watch.run(db, NOW + 6 * MINUTE)
    assert of(told(db)) == [
        ("raised", "stream_silent:main", "delivered"),
        ("recovered", "stream_silent:main", "delivered"),
    ]
    titles = [said["title"] for said in friend.heard if "Stream" in said["title"]]
    assert titles == ["Warning: Stream silent (main)", "Recovered: Stream silent (main)"]
    assert "docs/runbook.md#stream_silent" in friend.heard[-1]["message"]
    assert friend.beats == 6


def test_a_message_that_is_refused_is_sent_at_the_next_pass(db: Database, watched: Watched, friend: Listening) -> None:
    watch = Watch(watched, Messenger([f"json://{friend.url}/"]))
    beat(db, NOW - 5 * MINUTE)
    friend.status = 500
    watch.run(db, NOW)
    assert {row[2] for row in told(db)} == {"pending"}
    friend.status = 200
    watch.run(db, NOW + MINUTE)
    assert {row[2] for row in told(db)} == {"delivered"}
    assert len(friend.heard) == len(told(db))


def test_without_an_address_alarms_are_shown_and_not_kept_waiting(db: Database, watched: Watched) -> None:
    beat(db, NOW - 5 * MINUTE)
    watch = Watch(watched, Messenger([]))
    watch.run(db, NOW)
    assert of(told(db)) == [("raised", "stream_silent:main", "nowhere")]
    with db.transaction() as cur:
        assert "stream_silent:main" in [row.cause for row in alarms.list_raised(cur)]


def test_facts_of_throttle_feed_bars_and_jobs_come_from_the_database(db: Database, watched: Watched) -> None:
    for number in range(13):
        beat(db, NOW - number * timedelta(seconds=10))
    with db.transaction() as cur:
        bars.save_contract(cur, Contract(CONTRACT, "MESM5", "", tick_size=Decimal("0.25")))
        bars.upsert_bars(cur, [bar_at("2025-12-10 14:40", 5800, 3)])
        bars.save_feed_state(cur, "market", {"is_connected": True, "forming": {CONTRACT: {}}})
        cur.execute("UPDATE feed_states SET updated_at = %s", [NOW])
    overdue = Job("never_run", MINUTE, lambda _db, _now: Report())
    watch = Watch(replace(watched, has_feed=True, jobs=(overdue,)), Messenger([]))
    watch.run(db, NOW)
    assert of(told(db)) == [
        ("raised", f"bars_late:{CONTRACT}", "nowhere"),
        ("raised", "job_overdue:never_run", "nowhere"),
        ("raised", "throttle_danger:main", "nowhere"),
    ]
    watch.run(db, NOW + 2 * MINUTE)  # the feed has not spoken since: a look later it is told in place of its bars
    watch.run(db, NOW + 4 * MINUTE)
    assert ("raised", "feed_down", "nowhere") in told(db)


def test_tests_of_the_connection_are_no_danger_of_the_throttle(db: Database, watched: Watched) -> None:
    beat(db, NOW)
    for number in range(20):
        at = NOW - number * timedelta(seconds=1)
        deliver(db, {"event_type": "HEARTBEAT", "n": number}, received_at=at, content_type=TEST_CONTENT_TYPE)
    Watch(watched, Messenger([])).run(db, NOW)
    assert of(told(db)) == []


def test_health_and_gaps_are_those_of_the_page_of_hybrid_sync(db: Database, watched: Watched) -> None:
    with db.transaction() as cur:
        assert (gather(cur, watched, NOW).health_score, gather(cur, watched, NOW).open_gaps) == (None, 0)
        cur.execute(
            "INSERT INTO trade_states (stream, trade_id, status, flags) VALUES ('main', 'a', 'PENDING', '{}'),"
            " ('main', 'b', 'ACTIVE', '{}'), ('main', 'new', 'ACTIVE', '{}'), ('main', 'ghost', 'ACTIVE', '{phantom}');"
            " INSERT INTO signal_health_metrics (stream, trade_id, health_score)"
            " VALUES ('main', 'a', 40), ('main', 'b', 50), ('main', 'ghost', 10);"
            " INSERT INTO sync_gaps (stream, trade_id, gap_type, first_seen_at) VALUES ('main', 'a', 'no_mae', now()),"
            " ('main', 'b', 'no_htf_alignment', now()), ('main', 'ghost', 'no_mae', now())"
        )
        facts, page = gather(cur, watched, NOW), status_of(cur, NOW)
    assert (facts.health_score, facts.open_gaps) == (page["health_score"], page["open_gaps"]) == (45, 2)
    assert page["signals"] == 2  # the new one has not been looked at, and what is not known is no 100
    Watch(watched, Messenger([])).run(db, NOW)
    assert ("raised", "health_low", "nowhere") in told(db)


def test_durability_that_is_off_is_an_alarm(db: Database, watched: Watched) -> None:
    with db.transaction() as cur:
        cur.execute("SHOW fsync")
        is_off = cur.fetchone()[0] == "off"  # type: ignore[index]
    Watch(watched, Messenger([])).run(db, NOW)
    assert (("raised", "durability_off:fsync", "nowhere") in told(db)) == is_off


ILL = JournalFacts(ok=False, pending=7, oldest_age_seconds=45.0, persistent=False)
WELL = JournalFacts(ok=True, pending=0, oldest_age_seconds=0.0, persistent=True)


def test_what_ails_one_of_several_processes_is_told_once_whichever_of_them_looks(
    db: Database, watched: Watched, friend: Listening
) -> None:
    states, clock = {"ill": ILL, "well": WELL}, ManualClock(NOW)
    messenger = Messenger([f"json://{friend.url}/"])
    processes = []
    for owner in states:
        journal = partial(states.__getitem__, owner)
        reporter = Reporter(db, clock, watched.data_dir, journal, owner)
        processes.append((reporter, Watch(replace(watched, journal=journal, owner=owner), messenger)))
    web = Reporter(db, clock, watched.data_dir, lambda: replace(WELL, pending=3), "web")  # has no jobs

    def pass_by_turns(count: int) -> None:
        for number in range(count):
            web.say()
            for reporter, _ in processes:
                reporter.say()
            processes[number % 2][1].run(db, clock.now())
            clock.sleep(30)

    pass_by_turns(7)
    states["ill"] = WELL
    pass_by_turns(7)
    journal_alarms = [row[:2] for row in told(db) if row[1].startswith("journal")]
    names = ["journal_broken", "journal_not_kept", "journal_pending"]
    assert sorted(journal_alarms) == sorted((kind, name) for kind in ("raised", "recovered") for name in names)


def test_a_web_process_is_heard_of_and_one_that_has_ended_is_not(db: Database, watched: Watched) -> None:
    clock = ManualClock(NOW)
    ready = threading.Event()
    ready.set()
    Sentry(db, None, clock, ready, Reporter(db, clock, watched.data_dir, lambda: ILL, "web")).look()
    watch = Watch(replace(watched, journal=lambda: WELL, owner="worker"), Messenger([]))
    watch.run(db, NOW + timedelta(minutes=1))
    assert ("raised", "journal_broken", "nowhere") in told(db)
    watch.run(db, NOW + timedelta(minutes=3))
    assert ("recovered", "journal_broken", "nowhere") in told(db)
    Reporter(db, ManualClock(NOW + timedelta(days=2)), watched.data_dir, lambda: WELL, "another").say()
    with db.transaction() as cur:
        cur.execute("SELECT owner FROM process_reports")
        assert [row.owner for row in cur.fetchall()] == ["another"]


def test_an_absent_database_is_told_once_with_its_recovery(
    db: Database, database_url: str, postgres: str, friend: Listening
) -> None:
    clock, ready = ManualClock(NOW), threading.Event()
    ready.set()
    sentry = Sentry(db, Messenger([f"json://{friend.url}/"]), clock, ready)
    turn_off(postgres, database_url)
    for _ in range(12):
        sentry.look()
        clock.sleep(10)
    turn_on(postgres, database_url)
    sentry.look()
    sentry.look()
    assert [said["title"] for said in friend.heard] == [
        "Critical: The database is away",
        "Recovered: The database is away",
    ]
    assert told(db) == [("raised", "database_away", "delivered"), ("recovered", "database_away", "delivered")]


@pytest.mark.parametrize("url", ["discord://id/secret-token", "json://user:secret@host/path", "mailto://a:secret@b.c"])
def test_an_address_is_shown_by_its_kind_alone(url: str) -> None:
    assert masked(url) == url.partition("://")[0] + "://***"
    assert "secret" not in masked(url)


def test_the_test_command_says_which_address_took_it(settings: Settings, db: Database, friend: Listening) -> None:
    given = replace(settings, alarm_urls=(f"json://{friend.url}/", "json://127.0.0.1:9/"))
    found = create_app(given, db).test_cli_runner().invoke(args=["alarm", "test", "--json"])
    assert json.loads(found.output)["addresses"] == [
        {"address": "json://***", "taken": True},
        {"address": "json://***", "taken": False},
    ]
    assert found.exit_code == 1
    assert [said["title"] for said in friend.heard] == ["Test: Signalbook"]


def test_the_list_command_fails_while_something_is_wrong(app: OpenAPI, db: Database, watched: Watched) -> None:
    beat(db, NOW - 5 * MINUTE)
    Watch(watched, Messenger([])).run(db, NOW)
    found = app.test_cli_runner().invoke(args=["alarm", "list"])
    assert "stream_silent:main: no alert for 5 minutes" in found.output
    assert found.exit_code == 1


def test_the_status_page_shows_alarms_and_what_was_told(reader: FlaskClient, db: Database, watched: Watched) -> None:
    assert "No alarm is raised" in reader.get("/status").text
    beat(db, NOW - 5 * MINUTE)
    Watch(watched, Messenger([])).run(db, NOW)
    page = reader.get("/status").text
    assert "no alert for 5 minutes of open market" in page
    assert "no address" in page


def test_the_test_button_needs_an_operator_and_says_how_it_went(reader: FlaskClient) -> None:
    answer = reader.post("/status/alarms/test", data={"csrf_token": csrf_token(reader, "/status")})
    assert answer.headers["Location"] == "/status?tested=0-of-0"
    assert "No address is set" in reader.get("/status?tested=0-of-0").text
