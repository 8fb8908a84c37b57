"""The webhook, route by route and answer by answer; the door and its tokens; the delivery log's API."""

from __future__ import annotations

import json
import os
import stat
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from flask_openapi3 import OpenAPI
from prometheus_client import REGISTRY
from werkzeug.test import TestResponse

from core.errors import MisconfiguredError
from core.settings import Settings, load_settings
from database import tokens
from database.engine import Database
from telemetry.dialects.body import MAX_BYTES
from telemetry.journal.record import Record
from tests.intake_rig import until
from tests.support_intake import (
    RECEIVED_AT,
    TOKEN,
    WEBHOOK,
    await_stored,
    listening,
    parts_of,
    running_app,
    stored_bodies,
)
from tests.support_service import send, service, turn_off, turn_on
from web_server import create_app

EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"
BARE = "/api/automated-signals/webhook"
NOW = datetime(2025, 11, 20, 15, 6, 2, tzinfo=UTC)
ABSENT = "postgresql://nobody@127.0.0.1:1/nothing"


@pytest.fixture
def app(settings: Settings, db: Database) -> Iterator[OpenAPI]:
    with running_app(settings, db) as running:
        yield running


def entry(trade_id: str = "20251120_093000000_BULLISH", **more: Any) -> bytes:
    alert = {"event_type": "ENTRY", "trade_id": trade_id, "direction": "Bullish", "entry_price": 20500.25}
    return json.dumps(alert | {"stop_loss": 20480.25} | more).encode()


def update(be_mfe: float) -> bytes:
    return json.dumps(
        {"event_type": "MFE_UPDATE", "trade_id": "20251120_093000000_BULLISH", "be_mfe": be_mfe, "no_be_mfe": be_mfe}
    ).encode()


def post(
    client: FlaskClient, body: bytes, path: str = WEBHOOK, *, after: float | None = 0, **more: Any
) -> TestResponse:
    """One alert; received `after` seconds past NOW, or by the real clock if that is None."""
    if after is not None:
        more.setdefault("headers", {})[RECEIVED_AT] = (NOW + timedelta(seconds=after)).isoformat()
    return client.post(path, data=body, **more)


def refused(reason: str) -> float:
    return REGISTRY.get_sample_value("signalbook_webhook_refused_total", {"reason": reason}) or 0.0


# --- where the token may stand


def test_an_alert_with_its_token_in_the_path_is_stored_byte_for_byte(client: FlaskClient, db: Database) -> None:
    body = b'\xff\xfe not even "text'
    answer = post(client, body)
    assert (answer.status_code, answer.json["status"], answer.json["stored"]) == (422, "quarantined", "db")
    assert stored_bodies(db) == {body: 1}


@pytest.mark.parametrize("path", [BARE, "/api/automated-signals"])
@pytest.mark.parametrize("key", ["token", "secret"])
def test_a_token_in_the_body_opens_and_is_masked_before_it_is_stored(
    client: FlaskClient, db: Database, path: str, key: str
) -> None:
    answer = post(client, entry(**{key: TOKEN}), path)
    assert (answer.status_code, answer.json["stored"]) == (200, "db")
    assert stored_bodies(db) == {entry(**{key: "***"}): 1}
    assert TOKEN not in answer.text


def test_a_token_in_the_body_is_masked_even_if_the_path_has_one_too(client: FlaskClient, db: Database) -> None:
    post(client, entry(token=TOKEN))
    assert stored_bodies(db) == {entry(token="***"): 1}


@pytest.mark.parametrize(
    "path", [BARE, "/api/automated-signals", f"{BARE}/{TOKEN}x", f"{BARE}/%C3%A9%00", f"{BARE}/a%20b"]
)
def test_a_wrong_token_is_told_nothing_counted_and_not_stored(client: FlaskClient, db: Database, path: str) -> None:
    before = refused("not_found")
    answer = post(client, entry(token="wrong-token-in-the-body"), path)
    assert (answer.status_code, answer.json["code"]) == (404, "not_found")
    assert refused("not_found") == before + 1
    assert stored_bodies(db) == {}


def test_the_very_first_alerts_are_let_in_together(app: OpenAPI) -> None:
    """One of them looks the token up; those that wait for it must not be told that there is none."""
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda number: post(app.test_client(), entry(f"T{number}")).status_code, range(8))
    assert list(answers) == [200] * 8


def test_only_posts_are_taken(client: FlaskClient) -> None:
    answer = client.get(WEBHOOK)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "OPTIONS, POST")


def test_the_service_names_a_stream_by_the_token(app: OpenAPI, client: FlaskClient, db: Database) -> None:
    with db.transaction() as cur:
        tokens.add_token(cur, token="token-of-another-stream", stream="second", created_by="the tests")
    assert post(client, entry(), f"{BARE}/token-of-another-stream").status_code == 200
    with db.transaction() as cur:
        cur.execute("SELECT stream, trade_id FROM automated_signals")
        assert cur.fetchall() == [("second", "20251120_093000000_BULLISH")]


# --- allowed addresses


@pytest.mark.parametrize(("address", "status"), [("52.89.214.238", 200), ("52.89.214.239", 404), ("127.0.0.1", 404)])
def test_an_allowed_address_needs_no_token(settings: Settings, db: Database, address: str, status: int) -> None:
    with running_app(replace(settings, webhook_allow=("52.89.214.238",)), db) as app:
        answer = post(app.test_client(), entry(), BARE, environ_base={"REMOTE_ADDR": address})
    assert answer.status_code == status
    with db.transaction() as cur:
        cur.execute("SELECT stream, source_ip FROM telemetry_automated_signals_log")
        assert cur.fetchall() == ([("main", address)] if status == 200 else [])


FORGED = ("X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Client-IP", "True-Client-IP", "X-Originating-IP")


def test_a_forged_address_counts_behind_a_trusted_proxy_only() -> None:
    with service(DATABASE_URL=ABSENT, WEBHOOK_ALLOW="tradingview") as running:
        for name in FORGED:
            value = "for=52.89.214.238" if name == "Forwarded" else "52.89.214.238"
            assert send(running.port, "POST", BARE, entry(), {name: value}).status == 404
    with service(DATABASE_URL=ABSENT, WEBHOOK_ALLOW="tradingview", TRUSTED_PROXY="127.0.0.1") as running:
        for chain, status in (("52.89.214.238", 200), ("52.89.214.238, 10.9.8.7", 404), ("10.9.8.7, 52.32.178.7", 200)):
            assert send(running.port, "POST", BARE, entry(), {"X-Forwarded-For": chain}).status == status, chain


def test_loopback_is_allowed_in_the_demo_only(tmp_path: Path, db: Database) -> None:
    given = {"DATA_DIR": str(tmp_path), "WEBHOOK_ALLOW": "127.0.0.1"}
    with pytest.raises(MisconfiguredError, match="WEBHOOK_ALLOW"):
        load_settings(given)
    with running_app(load_settings(given | {"DEMO": "1"}), db) as app:
        assert post(app.test_client(), entry(), BARE).status_code == 200


# --- size and content type


@pytest.mark.parametrize(("size", "status"), [(MAX_BYTES, 200), (MAX_BYTES + 1, 413), (MAX_BYTES * 20, 413)])
def test_more_than_64_kib_is_refused(client: FlaskClient, db: Database, size: int, status: int) -> None:
    body = entry(padding="")
    body = body.replace(b'"padding": ""', b'"padding": "%s"' % (b"x" * (size - len(body))))
    assert len(body) == size
    assert post(client, body).status_code == status
    assert stored_bodies(db) == ({body: 1} if status == 200 else {})


CONTENT_TYPES = (
    None,
    "",
    "application/json",
    "application/json; charset=utf-8",
    "application/json; charset=utf-16",
    "text/plain",
    "text/plain; charset=utf-8",
    "text/html",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "multipart/form-data; boundary=x",
    "application/octet-stream",
    "no/such; thing=\u00e9",
)


def test_the_content_type_makes_no_difference_and_is_recorded(client: FlaskClient, db: Database) -> None:
    found = set()
    for number, content_type in enumerate(CONTENT_TYPES):
        answer = post(client, entry(f"T{number:02}"), content_type=content_type)
        found.add(answer.text.replace(answer.json["receipt_id"], "").replace(f"T{number:02}", ""))
    assert len(found) == 1
    with db.transaction() as cur:
        cur.execute("SELECT content_type FROM telemetry_automated_signals_log ORDER BY id")
        assert [row.content_type for row in cur.fetchall()] == [name or "" for name in CONTENT_TYPES]


# --- what the answer says


def answer_of(answer: TestResponse) -> dict[str, Any]:
    """The answer without the receipt, which is new each time."""
    assert answer.json is not None
    return {name: value for name, value in answer.json.items() if name != "receipt_id"}


def test_the_telemetry_sample_is_answered_word_for_word(client: FlaskClient, db: Database) -> None:
    answer = post(client, (EXAMPLES / "test_telemetry_payload.json").read_bytes())
    assert (answer.status_code, answer_of(answer)) == (
        200,
        {
            "success": True,
            "message": "Telemetry event ENTRY processed",
            "trade_id": "20251120_093000000_BULLISH",
            "event_type": "ENTRY",
            "schema_version": "1.0.0",
            "dialect": "telemetry",
            "status": "accepted",
            "stored": "db",
        },
    )
    with db.transaction() as cur:
        cur.execute("SELECT signal_date::text, signal_time::text, receipt_id::text FROM automated_signals")
        assert cur.fetchall() == [("2025-11-20", "09:30:00", answer.json["receipt_id"])]


def test_the_least_legacy_alert_is_answered_word_for_word(client: FlaskClient) -> None:
    answer = post(client, b'{"type":"ENTRY","signal_id":"test123","entry_price":20500}')
    assert (answer.status_code, answer_of(answer)) == (
        200,
        {
            "success": True,
            "message": "Legacy payload processed (existing handler)",
            "trade_id": "test123",
            "event_type": "ENTRY",
            "dialect": "legacy",
            "status": "accepted",
            "stored": "db",
            "warnings": ["direction_missing", "stop_loss_missing", "event_time_missing"],
        },
    )


def test_the_same_bytes_within_25_seconds_are_a_duplicate_and_one_event(client: FlaskClient, db: Database) -> None:
    first, *again = [post(client, entry(), after=seconds) for seconds in (0, 5, 25)]
    for answer in again:
        assert (answer.status_code, answer.json["success"], answer.json["status"]) == (200, True, "duplicate")
        assert answer.json["first_receipt_id"] == first.json["receipt_id"]
    with db.transaction() as cur:
        cur.execute("SELECT count(*) FROM automated_signals")
        assert cur.fetchone().count == 1
    assert stored_bodies(db) == {entry(): 3}


def test_the_same_bytes_later_are_a_new_delivery(client: FlaskClient) -> None:
    statuses = [post(client, update(1), after=seconds).json["status"] for seconds in (0, 60)]
    assert statuses == ["accepted", "accepted"]
    statuses = [post(client, entry(), after=seconds).json["status"] for seconds in (0, 60)]
    assert statuses == ["accepted", "duplicate"]


def test_another_version_of_a_fact_is_a_conflict_and_another_value_of_a_minute_merges(client: FlaskClient) -> None:
    post(client, entry())
    answer = post(client, entry(stop_loss=20470.25), after=30)
    assert (answer.status_code, answer.json["success"], answer.json["status"]) == (200, True, "conflict")
    post(client, update(1))
    answer = post(client, update(1.5), after=1)
    assert (answer.status_code, answer.json["success"], answer.json["status"]) == (200, True, "merged")


def test_an_exit_without_an_entry_is_taken(client: FlaskClient) -> None:
    answer = post(client, b'{"event_type":"EXIT_SL","trade_id":"orphan","direction":"Bullish"}')
    assert (answer.status_code, answer.json["status"]) == (200, "accepted")


def batch(*ids: str) -> bytes:
    members = [{"trade_id": trade_id, "be_mfe": 1, "no_be_mfe": 1, "mae_global_r": 0} for trade_id in ids]
    return json.dumps({"event_type": "MFE_UPDATE_BATCH", "signals": members}).encode()


@pytest.mark.parametrize(
    ("ids", "status", "applied", "quarantined"),
    [(("A", "B"), 200, 2, 0), (("A", "2,025", "B"), 200, 2, 1), (("2,025", "\u0410"), 422, 0, 2)],
)
def test_a_batch_counts_its_good_and_bad_members(
    client: FlaskClient, ids: tuple[str, ...], status: int, applied: int, quarantined: int
) -> None:
    answer = post(client, batch(*ids))
    assert answer.status_code == status
    assert answer.json["success"] is (applied > 0)
    assert (answer.json["applied"], answer.json["quarantined"]) == (applied, quarantined)
    assert [error["field"] for error in answer.json.get("errors", [])] == [
        f"signals/{place}/trade_id" for place, trade_id in enumerate(ids) if trade_id not in ("A", "B")
    ]


def test_what_is_not_understood_names_the_field(client: FlaskClient) -> None:
    answer = post(client, b'{"event_type":"ENTRY","trade_id":"two words"}')
    assert (answer.status_code, answer.json["status"]) == (422, "quarantined")
    assert answer.json["errors"][0]["field"] == "trade_id"


# --- the receive clock


def received_at(db: Database) -> datetime:
    with db.transaction() as cur:
        cur.execute("SELECT received_at FROM telemetry_automated_signals_log")
        found: datetime = cur.fetchone().received_at
    return found


@pytest.mark.parametrize(("testing", "demo"), [(True, False), (False, True), (False, False)])
def test_the_receive_clock_is_set_by_tests_and_the_demo_only(
    settings: Settings, db: Database, testing: bool, demo: bool
) -> None:
    with running_app(replace(settings, testing=testing, demo=demo), db) as app:
        post(app.test_client(), entry())
    assert (received_at(db) == NOW) is (testing or demo)


@pytest.mark.parametrize("text", ["yesterday", "2025-11-20T15:06:02"])
def test_a_receive_clock_without_an_instant_is_refused(client: FlaskClient, db: Database, text: str) -> None:
    assert post(client, entry(), after=None, headers={RECEIVED_AT: text}).status_code == 422
    assert stored_bodies(db) == {}


# --- without the database, and the journal's own way


def test_while_the_database_is_away_known_tokens_open_and_unknown_ones_cannot_be_checked(
    app: OpenAPI, client: FlaskClient, db: Database, postgres: str
) -> None:
    assert post(client, entry("T1")).status_code == 200
    turn_off(postgres, db.url)
    answer = post(client, entry())
    assert (answer.status_code, answer.json["status"], answer.json["stored"]) == (200, "journalled", "journal")
    before = refused("try_again")
    # For a second after the tokens were read, a token that was not among them is known to be wrong.
    until(lambda: status_of(client, "token-nobody-knows") == 503, 2)
    assert refused("try_again") == before + 1
    turn_on(postgres, db.url)
    await_stored(app)
    assert stored_bodies(db) == {entry("T1"): 1, entry(): 1}


def test_a_start_without_the_database_uses_the_tokens_of_the_start_before(
    app: OpenAPI, client: FlaskClient, settings: Settings
) -> None:
    assert post(client, entry()).status_code == 200
    cache = settings.data_dir / "webhook_tokens.json"
    assert stat.S_IMODE(os.stat(cache).st_mode) == 0o600
    assert TOKEN not in cache.read_text()
    later = create_app(settings, Database(ABSENT))
    parts_of(later).intake.start()
    answer = post(later.test_client(), entry())
    parts_of(later).intake.stop()
    assert (answer.status_code, answer.json["stored"]) == (200, "journal")
    parts_of(later).journal.close()


def test_one_alert_in_fifty_takes_the_way_through_the_journal(app: OpenAPI, client: FlaskClient, db: Database) -> None:
    found = [post(client, entry(f"T{number}")).json["stored"] for number in range(100)]
    assert [number for number, stored in enumerate(found, start=1) if stored == "journal"] == [50, 100]
    await_stored(app)
    assert stored_bodies(db) == {entry(f"T{number}"): 1 for number in range(100)}


# --- tokens come and go


@pytest.fixture
def hears(app: OpenAPI) -> Iterator[None]:
    with listening(app):
        yield


def status_of(client: FlaskClient, token: str) -> int:
    return post(client, entry(), f"{BARE}/{token}").status_code


def test_a_rotation_lets_both_tokens_in_and_a_revocation_ends_one_within_a_second(
    client: FlaskClient, db: Database, hears: None
) -> None:
    with db.transaction() as cur:
        end = datetime.now(UTC) + timedelta(hours=1)
        fresh = tokens.rotate_token(cur, stream="main", created_by="the tests", old_expires_at=end)
    assert (status_of(client, fresh), status_of(client, TOKEN)) == (200, 200)
    with db.transaction() as cur:
        old = next(row for row in tokens.list_tokens(cur) if row.token_end == TOKEN[-4:])
        tokens.revoke_token(cur, token_id=old.id, now=datetime.now(UTC))
    until(lambda: status_of(client, TOKEN) == 404, 1.0)
    assert status_of(client, fresh) == 200


def test_the_overlap_of_a_rotation_ends(client: FlaskClient, db: Database, hears: None) -> None:
    with db.transaction() as cur:
        tokens.rotate_token(cur, stream="main", created_by="the tests", old_expires_at=datetime.now(UTC))
    until(lambda: status_of(client, TOKEN) == 404, 1.0)


# --- the delivery log's API


@pytest.fixture
def many(db: Database) -> None:
    """More deliveries than a page may hold."""
    with db.transaction() as cur:
        cur.execute(
            "INSERT INTO telemetry_automated_signals_log (receipt_id, raw_body)"
            " SELECT gen_random_uuid(), '' FROM generate_series(1, 510)"
        )


API = "/api/automated-signals/telemetry"


@pytest.mark.parametrize(
    ("query", "count"), [("", 50), ("?limit=7", 7), ("?limit=0", 50), ("?limit=-3", 50), ("?limit=501", 500)]
)
def test_a_page_of_the_log_has_its_limits(reader: FlaskClient, many: None, query: str, count: int) -> None:
    page = reader.get(API + query).json
    assert page is not None
    assert (page["success"], page["count"], len(page["events"])) == (True, count, count)
    ids = [event["id"] for event in page["events"]]
    assert ids == sorted(ids, reverse=True)
    assert ids[0] == 510


@pytest.mark.parametrize("query", ["?limit=ten", "?limit=1.5", "?after_id=x"])
def test_a_limit_that_is_no_number_is_refused(reader: FlaskClient, query: str) -> None:
    assert reader.get(API + query).status_code == 400


def test_a_delivery_is_shown_whole_and_an_absent_one_is_404(reader: FlaskClient) -> None:
    post(reader, entry())
    listed = reader.get(API).json["events"][0]
    shown = reader.get(f"{API}/{listed['id']}").json
    assert (shown["success"], shown["event"]["raw_body"].encode()) == (True, entry())
    assert {name: shown["event"][name] for name in ("id", "received_at", "receipt_id", "status")} == {
        name: listed[name] for name in ("id", "received_at", "receipt_id", "status")
    }
    assert reader.get(f"{API}/{listed['id'] + 1}").status_code == 404
    assert reader.get(f"{API}/nine").status_code == 404


def test_the_log_is_for_people_with_a_login(client: FlaskClient) -> None:
    assert [client.get(path).status_code for path in (API, f"{API}/1")] == [401, 401]


def test_a_disk_that_hangs_refuses_alerts_in_time_and_stores_them_when_it_comes_back(
    app: OpenAPI, client: FlaskClient, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go = threading.Event()
    append = parts_of(app).journal.append

    def hang(*records: Record) -> None:
        assert may_go.wait(30)
        append(*records)

    monkeypatch.setattr(parts_of(app).journal, "append", hang)
    started = time.monotonic()
    answer = post(client, entry())
    assert time.monotonic() - started < 2
    assert (answer.status_code, answer.json["status"], answer.json["stored"]) == (503, "refused", None)
    assert answer.headers["Retry-After"] == "5"
    may_go.set()
    until(lambda: sum(stored_bodies(db).values()) == 1)
    assert post(client, entry()).json["status"] == "duplicate"


def test_a_fault_of_ours_refuses_its_alerts_and_not_the_next(
    app: OpenAPI, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr("telemetry.intake.prepare", lambda record, started: 1 / 0)
        assert post(client, entry()).status_code == 503
    assert post(client, entry()).status_code == 200
