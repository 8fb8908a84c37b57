"""The signal API: shapes, counts, pages, streams, numbers and times as programs get them."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal

import pytest
from flask.testing import FlaskClient
from flask_openapi3 import OpenAPI

from core.clock import ManualClock
from core.lifecycle import Kind
from database.engine import Database
from tests.support_http import SIGNALS, ask
from tests.support_signals import START, add, event, fill, measure, mfe
from web.services import Services

NUL = "%00"


def test_all_signals_have_the_promised_fields_and_a_summary(caller: FlaskClient, db: Database) -> None:
    fill(db)
    found = ask(caller, "/all-signals")
    assert (found["success"], found["count"], found["next_cursor"]) == (True, 5, None)
    assert found["summary"] == {"total": 5, "confirmed": 3, "cancelled": 1, "pending": 1, "confirmation_rate": 60}
    won = {row["trade_id"]: row for row in found["signals"]}["WON"]
    assert {name: won[name] for name in ("direction", "status", "stream", "is_confirmed", "is_cancelled")} == {
        "direction": "Bullish",
        "status": "COMPLETED",
        "stream": "main",
        "is_confirmed": True,
        "is_cancelled": False,
    }
    assert (won["session"], won["signal_date"]) == ("NY AM", "2025-12-10")
    assert won["signal_time"].startswith("2025-12-10T14:3")
    assert won["signal_time"].endswith("Z")
    assert won["confirmation_time"].endswith("Z")
    assert (won["bars_to_confirmation"], won["cancellation_time"]) == (1, None)
    assert (won["entry_price"], won["stop_loss"]) == (20500.5, 20490)
    assert won["htf_alignment"]["m5"] == "Bullish"


def test_numbers_are_numbers_and_zero_is_not_absent(caller: FlaskClient, db: Database) -> None:
    fill(db)
    text = caller.get(f"{SIGNALS}/all-signals").text
    assert '"entry_price":20500.5' in text
    rows = {row["trade_id"]: row for row in json.loads(text)["signals"]}
    assert (rows["OPEN"]["be_mfe"], rows["OPEN"]["be_result_r"]) == (0, None)
    assert (rows["WON"]["be_result_r"], rows["WON"]["no_be_result_r"]) == (0, -1)
    assert (rows["WAITS"]["entry_price"], rows["WAITS"]["is_confirmed"]) == (None, False)


def test_health_is_told_with_the_gaps_behind_it(caller: FlaskClient, db: Database) -> None:
    fill(db)
    measure(db, "OPEN", "no_mae")
    scores = {row["trade_id"]: row["health_score"] for row in ask(caller, "/all-signals")["signals"]}
    assert (scores["OPEN"], scores["WON"]) == (67, None)
    (trade,) = ask(caller, "/trade/OPEN")["trades"]
    assert (trade["health_score"], trade["gaps"]) == (67, ["no_mae"])
    assert ask(caller, "/trade/WON")["trades"][0]["gaps"] == []


def test_cancelled_signals_tell_when_and_why(caller: FlaskClient, db: Database) -> None:
    fill(db)
    found = ask(caller, "/cancelled-signals")
    (row,) = found["signals"]
    assert (row["trade_id"], row["is_cancelled"], row["status"]) == ("GONE", True, "CANCELLED")
    told = (row["cancel_reason"], row["cancelled_by"], row["bars_pending"])
    assert told == ("opposite_signal_appeared", "X", 2)
    assert row["cancellation_time"].endswith("Z")


@pytest.mark.parametrize("status", ["active", "completed", "cancelled", "pending"])
def test_a_status_selects(caller: FlaskClient, db: Database, status: str) -> None:
    fill(db)
    held = {"active": {"OPEN"}, "completed": {"WON", "LOST"}, "cancelled": {"GONE"}, "pending": {"WAITS"}}
    assert {row["trade_id"] for row in ask(caller, f"/all-signals?status={status}")["signals"]} == held[status]


@pytest.mark.parametrize("streams", [("main",), ("main", "second")])
def test_the_cursor_leads_through_every_signal_once(
    caller: FlaskClient, db: Database, streams: tuple[str, ...]
) -> None:
    timeless = [mfe(f"ORPHAN-{number}", number, "0.5", "0.5") for number in range(3)]
    add(db, *timeless)
    for stream in streams:
        add(db, *(event(f"T{number}", Kind.ENTRY, number // 2, stream=stream) for number in range(11)))
    seen, path = [], "/all-signals?limit=4"
    while path:
        found = ask(caller, path)
        assert found["summary"]["total"] == 3 + 11 * len(streams)
        seen += [(row["stream"], row["trade_id"]) for row in found["signals"]]
        path = f"/all-signals?limit=4&before={found['next_cursor']}" if found["next_cursor"] else ""
    assert len(seen) == len(set(seen)) == 3 + 11 * len(streams)


def test_an_id_in_two_streams_lists_both_and_the_stream_selects(caller: FlaskClient, db: Database) -> None:
    add(db, event("T1", Kind.ENTRY), event("T1", Kind.ENTRY, 5, stream="second", entry_price=Decimal("20501")))
    both = ask(caller, "/trade/T1")
    assert (both["streams"], both["count"]) == (["main", "second"], 2)
    assert [row["entry_price"] for row in both["trades"]] == [20500.5, 20501]
    assert [len(row["events"]) for row in both["trades"]] == [1, 1]
    (one,) = ask(caller, "/trade/T1?stream=second")["trades"]
    assert one["stream"] == "second"
    assert ask(caller, "/trade/T1?stream=third", 404)["code"] == "not_found"


def test_a_trade_comes_with_its_events(caller: FlaskClient, db: Database) -> None:
    fill(db)
    (found,) = ask(caller, "/trade/WON")["trades"]
    kinds = [row["event_type"] for row in found["events"]]
    assert kinds == ["SIGNAL_CREATED", "ENTRY", "MFE_UPDATE", "BE_TRIGGERED", "EXIT_BE", "EXIT_SL"]
    update = found["events"][2]
    assert (update["be_mfe"], update["no_be_mfe"], update["mae"]) == (3, 3.25, -0.25)
    assert (update["data_source"], update["is_revoked"]) == ("live", False)
    assert found["targets"]["1R"] == 20511


def test_stats_give_each_total_with_its_sample_size(app: OpenAPI, caller: FlaskClient, db: Database) -> None:
    fill(db)
    services: Services = app.extensions["signalbook"]
    services.clock = ManualClock(START + timedelta(hours=2))
    found = ask(caller, "/stats")["stats"]
    assert (found["active"], found["completed"], found["signals_today"]) == (1, 2, 5)
    assert (found["be_results"], found["be_total_r"]) == (2, -1)
    assert (found["no_be_results"], found["no_be_total_r"]) == (2, -2)
    services.clock = ManualClock(START + timedelta(days=2))
    assert ask(caller, "/stats")["stats"]["signals_today"] == 0


def test_without_signals_nothing_is_made_up(caller: FlaskClient) -> None:
    assert ask(caller, "/all-signals")["summary"]["confirmation_rate"] is None
    found = ask(caller, "/stats")["stats"]
    assert (found["total"], found["be_results"], found["be_total_r"]) == (0, 0, None)
    assert ask(caller, "/daily-calendar?month=2025-12")["days"] == []
    assert ask(caller, "/dashboard-data")["active_trades"] == []


def test_phantoms_are_listed_with_their_flag_and_not_counted(caller: FlaskClient, db: Database) -> None:
    add(db, event("GHOST", Kind.SIGNAL_CREATED, market_state={"trend_regime": "Bearish"}))
    found = ask(caller, "/all-signals")
    assert [(row["trade_id"], "phantom" in row["flags"]) for row in found["signals"]] == [("GHOST", True)]
    assert found["summary"]["total"] == 0
    assert ask(caller, "/daily-calendar?month=2025-12")["days"] == []


def test_the_calendar_counts_by_new_york_day(app: OpenAPI, caller: FlaskClient, db: Database) -> None:
    fill(db)
    before_midnight = 14 * 60 + 20  # 23:51 in New York, the next day in UTC
    add(db, event("LATE", Kind.ENTRY, before_midnight), event("NEXT", Kind.ENTRY, before_midnight + 20))
    found = ask(caller, "/daily-calendar?month=2025-12")
    assert [(row["date"], row["signals"], row["trades"]) for row in found["days"]] == [
        ("2025-12-10", 6, 4),
        ("2025-12-11", 1, 1),
    ]
    first = found["days"][0]
    assert (first["completed"], first["cancelled"], first["be_total_r"], first["no_be_total_r"]) == (2, 1, -1, -2)
    assert (found["days"][1]["be_results"], found["days"][1]["be_total_r"]) == (0, None)
    assert (found["totals"]["signals"], found["totals"]["no_be_total_r"]) == (7, -2)
    assert ask(caller, "/daily-calendar?month=2025-11")["days"] == []
    assert ask(caller, "/daily-calendar?month=2025-12&stream=other")["days"] == []
    app.extensions["signalbook"].clock = ManualClock(START)
    assert ask(caller, "/daily-calendar")["month"] == "2025-12"


def test_dashboard_data_is_sent_again_only_when_it_has_changed(caller: FlaskClient, db: Database) -> None:
    fill(db)
    first = caller.get(f"{SIGNALS}/dashboard-data")
    found = first.get_json()
    held = {key: [row["trade_id"] for row in found[key]] for key in ("active_trades", "pending_signals")}
    assert held == {"active_trades": ["OPEN"], "pending_signals": ["WAITS"]}
    assert {row["trade_id"] for row in found["completed_trades"]} == {"WON", "LOST"}
    again = {"If-None-Match": first.headers["ETag"]}
    unchanged = caller.get(f"{SIGNALS}/dashboard-data", headers=again)
    assert (unchanged.status_code, unchanged.data) == (304, b"")
    add(db, mfe("OPEN", 23, "0.5", "0.5"))
    changed = caller.get(f"{SIGNALS}/dashboard-data", headers=again)
    assert (changed.status_code, changed.get_json()["active_trades"][0]["no_be_mfe"]) == (200, 0.5)


@pytest.mark.parametrize(
    ("path", "status", "field"),
    [
        ("/all-signals?status=open", 400, "status"),
        ("/all-signals?limit=x", 400, "limit"),
        ("/all-signals?before=nowhere", 422, "before"),
        (f"/all-signals?stream=a{NUL}", 400, "stream"),
        ("/daily-calendar?month=2025-13", 400, "month"),
        ("/daily-calendar?month=0000-01", 400, "month"),
        (f"/trade/a{NUL}", 400, "trade_id"),
    ],
)
def test_what_does_not_fit_is_named(caller: FlaskClient, path: str, status: int, field: str) -> None:
    assert ask(caller, path, status)["errors"][0]["field"] == field


@pytest.mark.parametrize(("limit", "applied"), [(0, 100), (-1, 100), (2, 2), (9999, 500)])
def test_the_page_size_has_bounds(caller: FlaskClient, db: Database, limit: int, applied: int) -> None:
    add(db, *(event(f"T{number}", Kind.SIGNAL_CREATED, number) for number in range(510)))
    assert ask(caller, f"/all-signals?limit={limit}")["count"] == applied


def test_december_is_followed_by_january(caller: FlaskClient, db: Database) -> None:
    add(db, event("NEW-YEAR", Kind.ENTRY, 22 * 24 * 60))
    assert ask(caller, "/daily-calendar?month=2025-12")["days"] == []
    assert [row["date"] for row in ask(caller, "/daily-calendar?month=2026-01")["days"]] == ["2026-01-01"]
