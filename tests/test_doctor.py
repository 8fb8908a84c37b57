"""`flask doctor` and `flask calendar`."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from flask_openapi3 import OpenAPI

from core.clock import ManualClock
from web.serving.doctor import calendar_check


def test_doctor_names_every_part_and_exits_by_the_worst(app: OpenAPI) -> None:
    result = app.test_cli_runner().invoke(args=["doctor", "--json"])
    report = json.loads(result.output)
    assert set(report["checks"]) == {"settings", "data_dir", "database", "clock", "calendar"}
    assert result.exit_code == {"pass": 0, "warn": 1, "fail": 2}[report["status"]]


def test_doctor_calls_a_database_without_durability_a_fault(app: OpenAPI) -> None:
    with app.extensions["signalbook"].db.transaction() as cur:
        cur.execute("SHOW fsync")
        is_durable = cur.fetchone()[0] == "on"
    report = json.loads(app.test_cli_runner().invoke(args=["doctor", "--json"]).output)
    assert report["checks"]["database"]["status"] == ("pass" if is_durable else "fail")


def test_doctor_sees_a_clock_that_is_wrong(app: OpenAPI) -> None:
    app.extensions["signalbook"].clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    report = json.loads(app.test_cli_runner().invoke(args=["doctor", "--json"]).output)
    assert report["checks"]["clock"]["status"] == "warn"


def test_the_end_of_the_calendar_is_announced() -> None:
    assert calendar_check(datetime(2026, 6, 1, tzinfo=UTC)).status == "pass"
    assert calendar_check(datetime(2027, 11, 20, tzinfo=UTC)).status == "warn"
    assert "has ended" in calendar_check(datetime(2028, 2, 1, tzinfo=UTC)).detail


def test_the_calendar_lists_the_thanksgiving_week(app: OpenAPI) -> None:
    app.extensions["signalbook"].clock = ManualClock(datetime(2025, 11, 26, 20, tzinfo=UTC))
    rows = json.loads(app.test_cli_runner().invoke(args=["calendar", "show", "--days", "4", "--json"]).output)
    assert [row["closes"][:16] for row in rows][:3] == ["2025-11-26T17:00", "2025-11-27T13:00", "2025-11-28T13:15"]
