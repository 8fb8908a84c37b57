"""Hybrid sync around the cycle: outages, measured confidence, jobs, commands, API, page, import of an alert log."""

from __future__ import annotations

import gzip
import json
import logging
import re
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from flask_openapi3 import OpenAPI

from core.clock import ManualClock
from core.lifecycle import Kind, Source
from core.settings import Settings
from database import users
from database.engine import Database
from database.jobs import run_slot
from hybrid_sync.cycle import run_cycle
from hybrid_sync.healing.calibration import calibrate
from hybrid_sync.healing.repairs import UNMEASURED, confidence_of
from hybrid_sync.ledger import ledger_bars
from hybrid_sync.parts import jobs
from hybrid_sync.presenting import severity
from hybrid_sync.watch import watch_streams
from simulator.alert_text import alert_log
from tests.support_http import PASSWORD, password_hash
from tests.support_signals import START as NINE_THIRTY_ONE
from tests.support_signals import add, event, mfe
from tests.support_sync import AGO, World, deliver, rows, store_bars, store_torn, without, without_minutes, world

HOUR = timedelta(hours=1)


@pytest.fixture
def stream() -> World:
    return world(minutes=240)


@pytest.fixture
def torn(db: Database, stream: World) -> World:
    store_torn(db, stream)
    return stream


@pytest.fixture
def app(app: OpenAPI, stream: World) -> OpenAPI:
    app.config["WTF_CSRF_ENABLED"] = False
    app.extensions["signalbook"].clock = ManualClock(stream.end + AGO)
    return app


@pytest.fixture
def seen(client: FlaskClient, operator: str, torn: World) -> FlaskClient:
    """A logged-in operator and a stream with parts missing."""
    client.post("/login", data={"name": operator, "password": PASSWORD})
    return client


# --- outages ---------------------------------------------------------------------------------------------------------


def test_a_silence_while_trades_are_open_is_an_outage_from_its_first_to_its_last_minute(
    db: Database, stream: World
) -> None:
    start = stream.start + 2 * HOUR
    hole = timedelta(minutes=14)
    alerts = without_minutes(stream.alerts, lambda at: start < at <= start + hole)
    before = [one for one in alerts if one.sent_at <= start]
    deliver(db, before)
    (found,) = watch_streams(db, start + timedelta(minutes=5))
    assert (found[0], found[1].kind, found[1].ends_at) == ("main", "silence", None)
    deliver(db, [one for one in alerts if one.sent_at > start])
    watch_streams(db, start + hole + timedelta(minutes=3))
    (row,) = rows(db, "SELECT * FROM stream_outages WHERE kind = 'silence'")
    assert row.first_seen_at == start + timedelta(minutes=5)
    assert row.resolved_at == start + hole + timedelta(minutes=3)
    assert abs(float(row.open_minutes) - 15) < 1
    assert watch_streams(db, start + hole + timedelta(minutes=3)) == []


def test_a_whole_stream_through_the_daily_break_is_no_outage(db: Database) -> None:
    found = world(seed=3, minutes=300, start=NINE_THIRTY_ONE.replace(hour=20, minute=0))
    deliver(db, found.alerts)
    for minutes in range(60, 301, 20):
        until = found.start + timedelta(minutes=minutes)
        assert watch_streams(db, until) == []


def test_six_open_trades_with_an_alert_each_are_told_before_the_limit_stops_them(db: Database) -> None:
    names = [f"T{n}" for n in range(6)]
    add(db, *(event(name, Kind.ENTRY) for name in names), *(mfe(name, 2, "0", "0") for name in names))
    body = json.dumps({"schema_version": "1.0.0", "event_type": "MFE_UPDATE", "trade_id": "T0", "be_mfe": 0.1,
                       "no_be_mfe": 0.1, "mae_global_r": 0}).encode()  # fmt: skip
    alert = world(minutes=2).alerts[:1] or []
    sent = [replace(alert[0], sent_at=NINE_THIRTY_ONE + timedelta(minutes=2, seconds=n), body=body) for n in range(6)]
    deliver(db, sent)
    now = NINE_THIRTY_ONE + timedelta(minutes=3)
    told = watch_streams(db, now)
    assert [outage.kind for _, outage in told] == ["throttle"]
    assert watch_streams(db, now + timedelta(seconds=20)) == []


# --- measured confidence ---------------------------------------------------------------------------------------------


def test_healing_is_measured_on_values_that_are_known_and_used_by_the_next_cycle(
    db: Database, stream: World, settings: Settings
) -> None:
    arrived, lost = without(stream.alerts, {"MFE_UPDATE_BATCH": 0.05})
    deliver(db, arrived)
    store_bars(db, stream)
    counts = calibrate(db, settings, stream.end + HOUR)
    assert lost
    assert counts["trades"] > 3
    found = {(row.method, row.gap_minutes): row for row in rows(db, "SELECT * FROM heal_calibrations")}
    for method in ("mfe", "mae"):
        assert found[method, 1].p95_error_ticks <= 1
        assert found[method, 5].coverage == 1
    assert found["exit_sl", 1].coverage > Decimal("0.8")
    run_cycle(db, settings, stream.end + AGO)
    query = "SELECT DISTINCT confidence_score AS trust FROM automated_signals WHERE reconciliation_reason = 'own_bars'"
    trusts = {row.trust for row in rows(db, query)}
    assert trusts <= {row.confidence for row in found.values()}
    assert UNMEASURED not in trusts
    assert trusts


def test_confidence_is_that_of_the_next_longer_gap_that_was_measured() -> None:
    measured = {("mfe", 1): Decimal("0.99"), ("mfe", 15): Decimal("0.9")}
    assert [confidence_of(measured, "mfe", minutes) for minutes in (1, 2, 15, 99)] == [
        Decimal("0.99"), Decimal("0.9"), Decimal("0.9"), Decimal("0.9"),
    ]  # fmt: skip
    assert confidence_of(measured, "mae", 1) == UNMEASURED


# --- jobs and commands -----------------------------------------------------------------------------------------------


def test_the_cycle_is_a_job_of_two_minutes_and_says_what_it_does(
    db: Database, torn: World, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        cycle, measure = jobs(settings)
        now = torn.end + AGO
        outcome = run_slot(db, cycle, cycle.slot_of(now), now, "tests")
        again = run_slot(db, cycle, cycle.slot_of(now), now, "others")
        assert run_slot(db, measure, measure.slot_of(now), measure.slot_of(now), "tests").value == "succeeded"
    assert (cycle.name, cycle.every) == ("hybrid_sync", timedelta(minutes=2))
    assert (outcome.value, again.value) == ("succeeded", "taken")
    said = [record.message for record in caplog.records if record.name == "hybrid_sync.parts"]
    assert said[0] == "Hybrid Sync Service started (2-minute gap detection and reconciliation)"
    assert sum(message.startswith("Hybrid Sync cycle:") for message in said) == 1


def run(app: OpenAPI, *words: str) -> Any:
    return app.test_cli_runner().invoke(args=["sync", *words])


def test_the_commands_tell_before_and_after_and_status_exits_by_severity(app: OpenAPI, torn: World) -> None:
    rehearsed = json.loads(run(app, "run", "--dry-run", "--json").output)
    assert rehearsed["dry_run"] is True
    text = run(app, "run").output
    assert f"Gaps before:        {rehearsed['gaps_before']}" in text
    assert "gap_filled_mfe_mae" in text
    assert "improvement +" in text
    status = run(app, "status", "--json")
    found = json.loads(status.output)
    assert status.exit_code == {"ok": 0, "warning": 1, "critical": 2}[found["severity"]]
    assert found["targets"] == {"open_gaps": 10, "health_score": 90}
    assert "target < 10, warning > 50, critical > 100" in run(app, "status").output
    created = json.loads(run(app, "check-created", "--json").output)
    assert created["htf_computed"] + created["htf_not_computed"] == created["created"]
    assert "confirmed without created" in run(app, "check-created").output
    assert json.loads(run(app, "calibrate", "--json").output)["trades"] >= 0


def test_what_the_sender_computed_is_counted_apart_from_what_was_healed(app: OpenAPI, db: Database) -> None:
    vague = {"h1": "Neutral", "all_bullish": True, "all_bearish": True}
    trends = {"h1": "Bullish", "h4": "Bearish"}
    add(
        db,
        event("VAGUE", Kind.SIGNAL_CREATED, htf_alignment=vague),
        event("VAGUE", Kind.SIGNAL_CREATED, 9, source=Source.RECONCILED, htf_alignment=trends),
        event("GOOD", Kind.SIGNAL_CREATED, htf_alignment=trends),
        event("NONE", Kind.SIGNAL_CREATED),
    )
    found = json.loads(run(app, "check-created", "--json").output)
    told = {name.removeprefix("htf_"): value for name, value in found.items() if name.startswith("htf_")}
    assert told == {"computed": 1, "not_computed": 1, "absent": 1, "healed": 1}


def test_a_command_takes_repairs_back_and_says_when_there_are_none(app: OpenAPI, torn: World, db: Database) -> None:
    run(app, "run")
    trade_id = rows(db, "SELECT trade_id FROM automated_signals WHERE source_rank > 2 LIMIT 1")[0].trade_id
    assert json.loads(run(app, "revoke", trade_id, "--json").output)["revoked"] > 0
    assert rows(db, "SELECT * FROM sync_audit_log WHERE action_type = 'repair_revoked'") != []
    refused = run(app, "revoke", trade_id)
    assert refused.exit_code == 1
    assert "no such repair" in refused.output


@pytest.mark.parametrize(
    ("score", "gaps", "expected"),
    [(100, 0, "ok"), (80, 50, "ok"), (79, 0, "warning"), (90, 51, "warning"), (49, 0, "critical"), (90, 101, "critical"),
     (None, 0, "ok")],
)  # fmt: skip
def test_the_thresholds_are_those_of_the_score_and_of_the_open_gaps(
    score: int | None, gaps: int, expected: str
) -> None:
    assert severity(score, gaps) == expected


# --- API and page ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["status", "gaps", "audit", "calibration"])
def test_the_api_asks_for_a_login(client: FlaskClient, name: str) -> None:
    assert client.get(f"/api/hybrid-sync/{name}").status_code == 401


def test_a_viewer_reads_and_may_not_run(client: FlaskClient, db: Database, torn: World) -> None:
    with db.transaction() as cur:
        users.add_user(cur, name="vic", password_hash=password_hash(), role="viewer")
    client.post("/login", data={"name": "vic", "password": PASSWORD})
    assert client.get("/api/hybrid-sync/status").status_code == 200
    assert b"Reconcile now" not in client.get("/hybrid-sync").data
    assert client.post("/api/hybrid-sync/run", json={}).status_code == 403
    assert client.post("/api/hybrid-sync/revoke", json={"trade_id": "T"}).status_code == 403
    assert client.post("/api/automated-signals/import", data=b"x").status_code == 403


def test_a_run_over_the_api_heals_and_the_lists_tell_of_it(seen: FlaskClient, torn: World) -> None:
    report = seen.post("/api/hybrid-sync/run", json={}).get_json()["report"]
    assert report["minutes_healed"] > 100
    status = seen.get("/api/hybrid-sync/status").get_json()
    assert status["health_score"] == report["health_after"]
    assert status["missing_minutes"] == 0
    ledger = status["ledger"]
    arrived = sum(ledger[fate] for fate in ("delivered", "late", "repeated", "mended"))
    assert ledger["expected"] == arrived + ledger["healed"]
    assert min(arrived, ledger["healed"]) > 0
    assert sum(bar["fate"] == "healed" for bar in ledger_bars(ledger)) >= 4
    first = seen.get("/api/hybrid-sync/audit?limit=5&action_type=missed_exit_inserted").get_json()
    assert {row["action_type"] for row in first["audit"]} == {"missed_exit_inserted"}
    assert first["audit"][0]["evidence"]["contract"] == "CON.F.US.MNQ.Z25"
    older = seen.get(f"/api/hybrid-sync/audit?limit=5&before_id={first['next_before_id']}").get_json()
    assert older["audit"][0]["id"] < first["audit"][-1]["id"]
    closed = seen.get("/api/hybrid-sync/gaps?resolved=true&gap_type=no_exit").get_json()["gaps"]
    assert {row["resolved_by"] for row in closed} == {"repair"}


@pytest.mark.parametrize(
    ("path", "field"),
    [("gaps?gap_type=none", "gap_type"), ("audit?action_type=none", "action_type"), ("gaps?limit=0", "limit")],
)
def test_a_wrong_question_is_refused_by_the_name_of_its_field(seen: FlaskClient, path: str, field: str) -> None:
    answer = seen.get(f"/api/hybrid-sync/{path}")
    assert answer.status_code == 400
    assert answer.get_json()["errors"][0]["field"] == field


def test_repairs_are_revoked_over_the_api(seen: FlaskClient, db: Database) -> None:
    seen.post("/api/hybrid-sync/run", json={})
    trade_id = rows(db, "SELECT trade_id FROM automated_signals WHERE source_rank > 2 LIMIT 1")[0].trade_id
    assert seen.post("/api/hybrid-sync/revoke", json={"trade_id": trade_id}).get_json()["revoked"] > 0
    assert seen.post("/api/hybrid-sync/revoke", json={"trade_id": trade_id}).status_code == 404


def test_the_page_shows_scores_gaps_minutes_and_what_was_done(seen: FlaskClient) -> None:
    empty = seen.get("/hybrid-sync").get_data(as_text=True)
    assert "No cycle has run yet" in empty
    seen.post("/api/hybrid-sync/run", json={})
    page = seen.get("/hybrid-sync").get_data(as_text=True)
    for text in (
        "Health score",
        "SIGNAL_CREATED missing",
        "healed from bars",
        "own bars",
        "CON.F.US.MNQ.Z25",
        "Not measured yet",
        ">As a table</summary>",
    ):
        assert text in page
    hours = re.findall(
        r"<tr><th scope=\"row\">.*?</tr>", page.partition('aria-label="Minutes by hour"')[2].partition("</table>")[0]
    )
    assert len(hours) == len(seen.get("/api/hybrid-sync/status").get_json()["ledger"]["hours"]) > 1
    audit = page.partition('id="audit-title"')[2]
    assert re.search(r"<td>MAE \S+R, BE \S+R, No-BE \S+R</td>", audit)
    assert re.search(r'<td>confirmation_time</td><td><time datetime="', audit)
    filtered = seen.get("/hybrid-sync?action_type=missed_exit_inserted").get_data(as_text=True)
    assert "Excursions filled</td>" not in filtered
    assert "Missed event inserted</td>" in filtered


def test_without_signals_the_page_claims_no_health(client: FlaskClient, operator: str) -> None:
    client.post("/login", data={"name": operator, "password": PASSWORD})
    page = client.get("/hybrid-sync").get_data(as_text=True)
    assert "Nothing to measure" in page
    assert "Healthy" not in page


def test_the_data_quality_tab_tells_the_score_and_what_was_repaired(seen: FlaskClient) -> None:
    report = seen.post("/api/hybrid-sync/run", json={}).get_json()["report"]
    page = seen.get("/automated-signals-quality").get_data(as_text=True)
    assert f"Health score <strong>{report['health_after']}</strong>" in page
    assert f"{report['gaps_after']} open gaps, 0 minutes without excursions" in page
    assert 'href="/hybrid-sync?action_type=missed_exit_inserted#audit-title">Missed event inserted</a>' in page


def test_an_uploaded_alert_log_heals_what_was_lost(seen: FlaskClient, stream: World, db: Database) -> None:
    log = alert_log((one.sent_at, one.body) for one in stream.alerts).encode()
    path = "/api/automated-signals/import?stream=main"
    told = seen.post(path, data=gzip.compress(log, mtime=0)).get_json()
    assert told["rows"] == len(stream.alerts)
    assert told["new"] == len(stream.alerts) - told["known"] > 0
    assert seen.post(path, data=log).get_json()["new"] == 0
    seen.post("/api/hybrid-sync/run", json={})
    assert rows(db, "SELECT * FROM automated_signals WHERE reconciliation_reason = 'own_bars'") == []
    (span,) = rows(db, "SELECT stream, starts_at, ends_at FROM alert_log_spans")
    assert span == (
        "main",
        stream.alerts[0].sent_at.replace(microsecond=0),
        stream.alerts[-1].sent_at.replace(microsecond=0),
    )


def test_between_two_imported_logs_nothing_is_known_of_what_was_fired(
    app: OpenAPI, stream: World, db: Database, tmp_path: Path
) -> None:
    ends = (stream.alerts[:20], stream.alerts[-20:])
    files = [tmp_path / f"{place}.csv" for place in range(len(ends))]
    for file, alerts in zip(files, ends, strict=True):
        file.write_text(alert_log((one.sent_at, one.body) for one in alerts))
    told = app.test_cli_runner().invoke(args=["alerts", "import", *map(str, files), "--json"])
    assert json.loads(told.output)["rows"] == 40
    spans = rows(db, "SELECT starts_at, ends_at FROM alert_log_spans ORDER BY starts_at")
    assert spans == [tuple(some[place].sent_at.replace(microsecond=0) for place in (0, -1)) for some in ends]


@pytest.mark.parametrize("body", [b"", b"\x1f\x8bcut", gzip.compress(b"a,b", mtime=0)[:-4], b"no,log\n1,2\n"])
def test_an_upload_that_is_none_is_refused_and_named(seen: FlaskClient, body: bytes) -> None:
    assert seen.post("/api/automated-signals/import", data=body).status_code == 422
