"""The telemetry backfill: events without a delivery get a row in the log, once, whatever happens meanwhile."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from flask.testing import FlaskClient
from flask_openapi3 import OpenAPI

from core.clock import SystemClock
from core.lifecycle import Kind, Source
from database import backfill as rows
from database import deliveries
from database.engine import Database
from telemetry.backfill import backfill_telemetry_from_automated_signals as backfill
from telemetry.history.rebuild import rebuild
from tests.support_deliveries import deliver
from tests.support_http import api_token, log_in
from tests.support_signals import START, add, event, mfe

ROUTE = "/api/automated-signals/telemetry/backfill"
ALERT = {"event_type": "ENTRY", "trade_id": "WITH-A-DELIVERY", "direction": "LONG", "entry_price": 20500.5}


def rows_of_log(db: Database) -> list[Any]:
    with db.transaction() as cur:
        cur.execute("SELECT * FROM telemetry_automated_signals_log WHERE source = 'backfill' ORDER BY id")
        return cur.fetchall()


def events_of(db: Database) -> str:
    with db.transaction() as cur:
        cur.execute(
            "SELECT md5(string_agg(a::text || a.xmin::text, '|' ORDER BY a.id)) AS sum FROM automated_signals a"
        )
        return str(cur.fetchone().sum)


def add_events(db: Database, count: int) -> None:
    """Events that came without a delivery."""
    add(db, *(event(f"OLD-{number:04}", Kind.ENTRY, number) for number in range(count)))


@pytest.fixture
def caller(app: OpenAPI, db: Database) -> FlaskClient:
    """A program that may do what an operator may."""
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {api_token(db, 'operator')}"
    return client


def test_an_event_without_a_delivery_gets_a_row_that_says_so(db: Database) -> None:
    add(db, event("OLD-1", Kind.ENTRY, stream="second"), mfe("OLD-1", 3, "0", "1.25"))
    report = backfill(db=db)
    counts = {"inserted": 2, "scanned": 2, "failed": 0, "already_logged": 0, "limit": 1000}
    assert report == {"success": True, "error": None, **counts}
    entry, update = rows_of_log(db)
    assert (entry.stream, entry.received_at, entry.receipt_id, entry.raw_body) == ("second", START, None, None)
    assert (entry.fused_event, entry.processing_time_ms, entry.validation_error) == (None, 0, None)
    assert entry.raw_payload["source"] == entry.handler_result["source"] == "backfill_7L"
    told = {name: entry.raw_payload[name] for name in ("trade_id", "event_type", "entry_price", "data_source")}
    assert told == {"trade_id": "OLD-1", "event_type": "ENTRY", "entry_price": 20500.5, "data_source": "live"}
    assert (update.raw_payload["be_mfe"], update.raw_payload["no_be_mfe"]) == (0, 1.25)
    assert "entry_price" not in update.raw_payload


def test_a_second_run_inserts_nothing_and_events_are_only_read(db: Database) -> None:
    add_events(db, 5)
    before = events_of(db)
    assert backfill(db=db)["inserted"] == 5
    assert backfill(db=db) == {
        "success": True,
        "error": None,
        "inserted": 0,
        "scanned": 0,
        "failed": 0,
        "already_logged": 5,
        "limit": 1000,
    }
    assert (len(rows_of_log(db)), events_of(db)) == (5, before)


def test_events_with_a_delivery_are_left_alone_and_repairs_are_not(db: Database) -> None:
    deliver(db, ALERT)
    add(db, event("HEALED", Kind.EXIT_SL, source=Source.INFERRED, confidence=Decimal("0.9")))
    assert backfill(db=db)["inserted"] == 1
    (row,) = rows_of_log(db)
    assert (row.raw_payload["trade_id"], row.raw_payload["confidence_score"]) == ("HEALED", 0.9)


def test_repeated_clicks_page_on_through_history(db: Database) -> None:
    add_events(db, 7)
    seen = [backfill(3, db=db) for _ in range(4)]
    assert [(report["scanned"], report["inserted"], report["already_logged"]) for report in seen] == [
        (3, 3, 0),
        (3, 3, 3),
        (1, 1, 6),
        (0, 0, 7),
    ]


@pytest.mark.parametrize(("given", "applied"), [(-3, 1), (0, 1), (1, 1), (5000, 5000), (5001, 5000), (10**12, 5000)])
def test_the_limit_stays_between_1_and_5000(db: Database, given: int, applied: int) -> None:
    assert backfill(given, db=db)["limit"] == applied


def test_a_row_the_database_refuses_costs_no_other(db: Database) -> None:
    add_events(db, 4)
    refuse = (
        "ALTER TABLE telemetry_automated_signals_log ADD CONSTRAINT no CHECK (raw_payload ->> 'trade_id' <> 'OLD-0002')"
    )
    with db.transaction() as cur:
        cur.execute(refuse)
    report = backfill(db=db)
    assert (report["success"], report["scanned"], report["inserted"], report["failed"]) == (True, 4, 3, 1)
    with db.transaction() as cur:
        cur.execute("ALTER TABLE telemetry_automated_signals_log DROP CONSTRAINT no")
    assert backfill(db=db)["inserted"] == 1


def test_twenty_parallel_clicks_equal_one(db: Database) -> None:
    add_events(db, 60)
    with ThreadPoolExecutor(20) as pool:
        reports = list(pool.map(lambda _: backfill(db=db), range(20)))
    assert all(report["success"] for report in reports)
    assert sum(report["inserted"] for report in reports) == 60
    assert sorted(row.raw_payload["trade_id"] for row in rows_of_log(db)) == [f"OLD-{n:04}" for n in range(60)]


def test_while_another_backfill_runs_there_is_nothing_to_do(db: Database, caller: FlaskClient) -> None:
    add_events(db, 2)
    with db.transaction() as cur:
        assert rows.try_lock(cur)
        answer = caller.post(ROUTE, json={"limit": 10})
    counts = {"inserted": 0, "scanned": 0, "failed": 0, "already_logged": 0, "limit": 10}
    assert (answer.status_code, answer.get_json()) == (200, {"success": True, "error": None, **counts})
    assert backfill(db=db)["inserted"] == 2


@pytest.mark.parametrize("table", ["automated_signals", "telemetry_automated_signals_log"])
def test_a_missing_table_is_named(db: Database, caller: FlaskClient, app: OpenAPI, table: str) -> None:
    with db.transaction() as cur:
        cur.execute(f"DROP TABLE {table}")
    answer = caller.post(ROUTE, json={"limit": 10})
    report = answer.get_json()
    assert (answer.status_code, report["success"], report["inserted"]) == (500, False, 0)
    assert report["error"] == f"The table {table} does not exist."
    done = app.test_cli_runner().invoke(args=["backfill", "telemetry"])
    assert (done.exit_code, table in done.output) == (1, True)


def test_the_call_takes_a_limit_or_nothing(caller: FlaskClient, db: Database) -> None:
    add_events(db, 3)
    assert caller.post(ROUTE, json={"limit": 2}).get_json()["inserted"] == 2
    answer = caller.post(ROUTE)
    assert (answer.status_code, answer.get_json()["inserted"], answer.get_json()["limit"]) == (200, 1, 1000)


@pytest.mark.parametrize("limit", ["many", 1.5, None, [1]])
def test_a_limit_that_is_no_whole_number_is_refused_by_name(caller: FlaskClient, limit: Any) -> None:
    answer = caller.post(ROUTE, json={"limit": limit})
    assert answer.status_code == 400
    assert answer.get_json()["errors"][0]["field"] == "limit"


def test_only_operators_may_run_it(client: FlaskClient, db: Database, operator: str) -> None:
    assert client.post(ROUTE, headers={"Authorization": f"Bearer {api_token(db, 'viewer')}"}).status_code == 403
    log_in(client, operator)
    assert client.post(ROUTE).get_json()["code"] == "csrf"


def test_the_command_line_runs_it_and_the_app_knows_its_database(app: OpenAPI, db: Database) -> None:
    add_events(db, 3)
    done = app.test_cli_runner().invoke(args=["backfill", "telemetry", "--limit", "2", "--json"])
    assert (done.exit_code, json.loads(done.output)["inserted"]) == (0, 2)
    with app.app_context():
        assert backfill(limit=1000)["inserted"] == 1


def test_the_rows_are_shown_and_never_derived_from(db: Database, caller: FlaskClient) -> None:
    add_events(db, 2)
    before = rebuild(db, is_dry_run=True).hash_before
    backfill(db=db)
    shown = caller.get("/api/automated-signals/telemetry").get_json()["events"]
    assert sorted((row["trade_id"], row["event_type"], row["source"]) for row in shown) == [
        ("OLD-0000", "ENTRY", "backfill"),
        ("OLD-0001", "ENTRY", "backfill"),
    ]
    assert rebuild(db).hash_after == before
    with db.transaction() as cur:
        assert not deliveries.has_earlier(cur, SystemClock().now())
