"""The hub and the event stream."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

import pytest
from flask.testing import FlaskClient
from flask_openapi3 import OpenAPI

from core.errors import TryAgainError
from database import api_tokens, bars, users
from database.engine import Database
from tests.support_http import api_token
from tests.support_http import log_in as browser_log_in
from tests.support_postgres import fresh_database
from tests.support_service import Service, log_in, service
from web.live.hub import CLIENT_QUEUE, RING, Hub
from web.live.routes import PROOF_SECONDS

SIGNALS = frozenset({"signals"})


def test_a_stream_may_ask_for_the_bars_of_one_contract() -> None:
    hub = Hub()
    with (
        hub.client("ann", frozenset({"bars:A", "forming:A"}), "") as one,
        hub.client("bob", frozenset({"bars"}), "") as all_,
    ):
        for contract in ("A", "B"):
            hub.publish_notification("bars", json.dumps({"contract_id": contract, "bars": [["1m", "x", 0]]}))
        hub.publish_notification("forming", json.dumps({"contract_id": "A", "forming": {}, "quote": {}}))
        assert [(event.topic, json.loads(event.data)["contract_id"]) for event in one.waiting.queue] == [
            ("bars", "A"),
            ("forming", "A"),
        ]
        assert [json.loads(event.data)["contract_id"] for event in all_.waiting.queue] == ["A", "B"]


def test_what_changes_several_times_a_second_is_not_replayed() -> None:
    hub = Hub()
    topics = frozenset({"bars", "forming"})
    with hub.client("ann", topics, "") as client:
        hub.publish("bars", {"contract_id": "A"})
        seen = client.waiting.get_nowait().id
    for number in range(2 * RING):
        hub.publish("forming", number)
    hub.publish("bars", {"contract_id": "B"})
    with hub.client("ann", topics, seen) as client:
        assert [event.data for event in client.waiting.queue] == ['{"contract_id":"B"}']


def waiting(hub: Hub, last: str = "") -> list[tuple[str, str]]:
    with hub.client("somebody", SIGNALS, last) as client:
        return [(event.topic, event.data) for event in client.waiting.queue]


def test_a_stream_gets_what_is_published_on_its_topics() -> None:
    hub = Hub()
    with hub.client("ann", SIGNALS, "") as client:
        hub.publish("bars", 1)
        hub.publish("signals", [["main", "T1"]])
        event = client.waiting.get_nowait()
        assert (event.topic, json.loads(event.data), client.waiting.empty()) == ("signals", [["main", "T1"]], True)


def test_a_stream_that_comes_back_gets_what_it_missed() -> None:
    hub = Hub()
    with hub.client("ann", SIGNALS, "") as client:
        hub.publish("signals", 1)
        seen = client.waiting.get_nowait().id
    hub.publish("signals", 2)
    hub.publish("signals", 3)
    assert waiting(hub, seen) == [("signals", "2"), ("signals", "3")]


@pytest.mark.parametrize("last", ["ffffffff-1", "nonsense", "-", "ffffffff-x"])
def test_an_id_of_another_process_means_fetch_everything_again(last: str) -> None:
    hub = Hub()
    hub.publish("signals", 1)
    assert waiting(hub, last) == [("resync", "null")]


def test_a_stream_that_was_away_too_long_fetches_everything_again() -> None:
    hub = Hub()
    with hub.client("ann", SIGNALS, "") as client:
        hub.publish("signals", 0)
        seen = client.waiting.get_nowait().id
    for number in range(RING + 1):
        hub.publish("signals", number)
    assert waiting(hub, seen) == [("resync", "null")]


def test_a_stream_that_does_not_read_is_ended_and_the_others_go_on() -> None:
    hub = Hub()
    with hub.client("slow", SIGNALS, "") as slow, hub.client("quick", SIGNALS, "") as quick:
        for number in range(CLIENT_QUEUE + 1):
            hub.publish("signals", number)
            quick.waiting.get_nowait()
        assert (slow.is_behind, quick.is_behind) == (True, False)


def test_a_user_may_open_three_streams() -> None:
    hub = Hub()
    with hub.client("ann", SIGNALS, ""), hub.client("ann", SIGNALS, ""), hub.client("ann", SIGNALS, ""):
        with pytest.raises(TryAgainError), hub.client("ann", SIGNALS, ""):
            pass
        with hub.client("bob", SIGNALS, ""):
            assert hub.count() == 4
    with hub.client("ann", SIGNALS, ""):
        assert hub.count() == 1


def test_a_gap_in_listening_tells_every_stream_to_fetch_again() -> None:
    hub = Hub()
    with hub.client("ann", SIGNALS, "") as client:
        hub.publish_notification("signals", "")
        assert client.waiting.get_nowait().topic == "resync"


TOKEN = "token-of-the-live-tests"


@contextmanager
def serving(url: str) -> Iterator[Service]:
    with service(DATABASE_URL=url, WEBHOOK_TOKEN=TOKEN, ADMIN_PASSWORD="password-of-admin") as found:
        found.wait_for("writer_breaker_closed")
        found.wait_for("database_ready")  # the login is made before it
        yield found


@pytest.fixture(scope="module")
def shared(postgres: str, migrated: str) -> Iterator[tuple[Service, Database]]:
    """A service that goes on from test to test, and its database."""
    with fresh_database(postgres, migrated) as url, serving(url) as running:
        database = Database(url)
        yield running, database
        database.close()


@pytest.fixture
def running(shared: tuple[Service, Database]) -> Service:
    return shared[0]


@pytest.fixture
def its_database(shared: tuple[Service, Database]) -> Database:
    return shared[1]


class Stream:
    """An event stream read on a thread."""

    def __init__(self, running: Service, headers: dict[str, str], topics: str = "signals") -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=20)
        self.connection.request("GET", f"/api/stream?topics={topics}", headers=headers)
        self._socket = self.connection.sock
        self.answer = self.connection.getresponse()
        self.lines: list[str] = []
        self.ended = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> Stream:
        assert self.wait_for("retry: 2000")
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def _read(self) -> None:
        try:
            while line := self.answer.readline():
                self.lines.append(line.decode().strip())
        except (OSError, http.client.HTTPException, ValueError):
            pass
        self.ended.set()

    def wait_for(self, text: str, seconds: float = 15) -> bool:
        deadline = time.monotonic() + seconds
        while not any(text in line for line in self.lines) and time.monotonic() < deadline:
            time.sleep(0.02)
        return any(text in line for line in self.lines)


class Moments:
    """A clock that is a minute later each time it is asked."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        self.seconds += PROOF_SECONDS
        return self.seconds

    def now(self) -> datetime:
        return datetime.now(UTC)


@pytest.mark.parametrize("how", ["logout", "deactivation", "revocation"])
def test_a_stream_ends_with_the_session_or_token_that_opened_it(
    app: OpenAPI, client: FlaskClient, db: Database, operator: str, how: str
) -> None:
    app.extensions["signalbook"].clock = Moments()
    headers = {"Authorization": f"Bearer {api_token(db, 'viewer')}"} if how == "revocation" else {}
    if not headers:
        assert browser_log_in(client).status_code == 303
    answer = client.get("/api/stream", headers=headers)
    lines = answer.iter_encoded()
    assert next(lines) == b"retry: 2000\n\n"
    assert next(lines) == b": still here\n\n"
    with db.transaction() as cur:
        if how == "logout":
            users.end_sessions(cur, 1)
        elif how == "deactivation":
            users.set_active(cur, name=operator, is_active=False)
        else:
            api_tokens.revoke_token(cur, token_id=1, now=datetime.now(UTC))
    assert list(lines) == []
    answer.close()


def test_a_stored_alert_reaches_an_open_stream(running: Service) -> None:
    with Stream(running, log_in(running, "admin", "password-of-admin")) as stream:
        assert stream.answer.headers["Content-Type"].startswith("text/event-stream")
        body = b'{"type":"ENTRY","signal_id":"T-live","entry_price":20500}'
        assert running.post(f"/api/automated-signals/webhook/{TOKEN}", body).status == 200
        assert stream.wait_for('[["main","T-live"]]')
        assert any(line.startswith("id: ") for line in stream.lines)


def test_a_drain_ends_the_streams_and_the_process(database_url: str) -> None:
    with (
        serving(database_url) as running,
        Stream(running, log_in(running, "admin", "password-of-admin")) as stream,
    ):
        running.terminate()
        assert stream.ended.wait(10)
        assert running.wait() == 0


def test_a_stream_needs_a_login(running: Service) -> None:
    assert running.get("/api/stream").status == 401


def test_an_unknown_topic_is_refused_by_name(running: Service) -> None:
    answer = running.get("/api/stream?topics=weather", headers=log_in(running, "admin", "password-of-admin"))
    assert answer.status == 422
    assert "topics" in answer.text


def test_notifications_travel_between_processes(its_database: Database, running: Service) -> None:
    with Stream(running, log_in(running, "admin", "password-of-admin")) as stream:
        with its_database.transaction() as cur:
            cur.execute("SELECT pg_notify('signals', '[[\"main\",\"from elsewhere\"]]')")
        assert stream.wait_for("from elsewhere")


def test_bars_that_form_travel_from_the_feed_to_an_open_stream(its_database: Database, running: Service) -> None:
    login = log_in(running, "admin", "password-of-admin")
    with Stream(running, login, "forming:CON.F.US.MNQ.Z26") as stream:
        with its_database.transaction() as cur:
            bars.tell_forming(cur, "CON.F.US.MES.Z26", {"1m": [60.0, 1, 2, 1, 2, 3]}, {})
            bars.tell_forming(cur, "CON.F.US.MNQ.Z26", {"1m": [60.0, 1, 2, 1, 2, 3]}, {"bid": 1.75})
        assert stream.wait_for('"forming":{"1m":[60.0,1,2,1,2,3]},"quote":{"bid":1.75}')
        assert not any("MES" in line for line in stream.lines)
