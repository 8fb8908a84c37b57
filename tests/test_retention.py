"""What is old goes as the settings say; what was concluded from it stays, and a rebuild still proves it."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from psycopg2.errors import LockNotAvailable

from core.errors import MisconfiguredError
from core.records import Timeframe
from core.settings import Settings, load_settings
from database import alarms, bars, events
from database.bars import Contract
from database.engine import Database
from database.retention import let_bodies_go
from operations import retention
from telemetry.history.rebuild import rebuild
from tests.support_deliveries import deliver
from tests.support_market import CONTRACT, bar_at

NOW = datetime(2025, 12, 11, tzinfo=UTC)
DAY = timedelta(days=1)


def entry(trade_id: str) -> dict[str, Any]:
    return {
        "schema_version": "1.0.0", "event_type": "ENTRY", "trade_id": trade_id, "event_timestamp": "2025-12-11T08:17:00",
        "symbol": "MNQ1!", "timeframe": "1", "session": "NY PRE", "direction": "Bearish", "entry_price": 25672.25,
        "stop_loss": 25684.75, "risk_R": 1, "be_mfe": 0.4, "no_be_mfe": 0.5, "mae_global_r": -0.1,
        "setup": {"setup_family": "FVG"}, "market_state": {"trend_regime": "Bearish"},
        "htf_alignment": {"daily": "Bearish", "all_bullish": False, "all_bearish": True},
        "targets": {"tp1_price": 25660.25, "target_Rs": [1, 2.5]},
    }  # fmt: skip


def batch(trade_id: str, mfe: float) -> dict[str, Any]:
    member = {"trade_id": trade_id, "direction": "Bearish", "be_mfe": mfe, "no_be_mfe": mfe, "mae_global_r": -0.2,
              "current_price": 25692, "be_triggered": False}  # fmt: skip
    return {"event_type": "MFE_UPDATE_BATCH", "timestamp": "2025-12-11T07:57:00", "signals": [member]}


def bodies(db: Database) -> list[bool]:
    with db.transaction() as cur:
        cur.execute("SELECT raw_body IS NOT NULL AS kept FROM telemetry_automated_signals_log ORDER BY id")
        return [row.kept for row in cur.fetchall()]


def test_bodies_go_after_their_time_and_the_states_can_still_be_rebuilt(db: Database, settings: Settings) -> None:
    trade = "20241101_081700000_BEARISH"
    deliver(db, entry(trade), b"{not understood", received_at=NOW - 400 * DAY)
    deliver(db, batch(trade, 0.8), received_at=NOW - 400 * DAY + timedelta(minutes=3))
    deliver(db, batch(trade, 1.3), entry("20251210_081700000_BEARISH"), received_at=NOW - 2 * DAY)
    report = retention.job(replace(settings, keep_delivery_bodies_days=365)).run(db, NOW)
    assert report.counts["bodies"] == 2
    assert bodies(db) == [False, True, False, True, True]  # what was not understood keeps its bytes
    assert rebuild(db, is_dry_run=True).is_unchanged
    assert rebuild(db).is_unchanged
    assert retention.job(replace(settings, keep_delivery_bodies_days=365)).run(db, NOW).counts["bodies"] == 0


def test_no_body_goes_while_a_rebuild_reads_them(db: Database) -> None:
    """It would take the body of an event that it has not kept, and the signal would lose what it said."""
    deliver(db, entry("20241101_081700000_BEARISH"), received_at=NOW - 400 * DAY)
    with db.transaction() as reading:
        events.lock_for_rebuild(reading)
        with db.transaction() as cur:
            cur.execute("SET LOCAL lock_timeout = '50ms'")
            with pytest.raises(LockNotAvailable):
                let_bodies_go(cur, NOW, 10)
    assert bodies(db) == [True]


def test_what_only_a_repeat_said_outlives_its_bytes(db: Database, settings: Settings) -> None:
    """The second BE_TRIGGERED is no event of its own, yet its excursion is the last that is known."""
    trade = "20241101_081700000_BEARISH"
    then = NOW - 400 * DAY
    deliver(db, entry(trade), received_at=then)
    for minute, mfe in ((2, 1.1), (9, 1.7)):
        told = entry(trade) | {"event_type": "BE_TRIGGERED", "be_mfe": mfe, "no_be_mfe": mfe}
        deliver(db, told, received_at=then + timedelta(minutes=minute))
    deliver(db, entry("20251210_081700000_BEARISH"), received_at=NOW - 2 * DAY)
    retention.job(replace(settings, keep_delivery_bodies_days=365)).run(db, NOW)
    assert bodies(db) == [False, False, False, True]
    assert rebuild(db).is_unchanged


def test_small_bars_go_with_the_claim_that_their_time_is_covered(db: Database, settings: Settings) -> None:
    frame = Timeframe.parse("1m")
    hour = Timeframe.parse("1h")
    old, young = bar_at("2025-10-01 14:00", 5800, 1), bar_at("2025-12-10 14:00", 5800, 1)
    with db.transaction() as cur:
        bars.save_contract(cur, Contract(CONTRACT, "MESM5", "", tick_size=Decimal("0.25")))
        bars.upsert_bars(cur, [old, young, replace(old, timeframe=hour)])
        bars.add_span(cur, CONTRACT, frame, source="history", start=old.starts_at, end=young.starts_at)
    assert retention.job(replace(settings, keep_bars_days=30)).run(db, NOW).counts["bars"] == 1
    with db.transaction() as cur:
        kept = [(row.timeframe_unit, row.first_at) for row in bars.list_series(cur)]
        spans = bars.list_spans(cur, CONTRACT, frame, NOW - 90 * DAY, NOW)
    assert kept == [(2, young.starts_at), (3, old.starts_at)]
    assert [(span.starts_at, span.ends_at) for span in spans] == [(NOW - 30 * DAY, young.starts_at)]


def test_rotated_log_files_and_old_notices_go(db: Database, settings: Settings, tmp_path: Path) -> None:
    for name, age in (("log", 200), ("log.1", 10), ("log.2", 100), ("logbook", 300)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, ((NOW - age * DAY).timestamp(),) * 2)
    notice = {"cause": "disk_low", "rule": "disk_low", "kind": "raised", "severity": "warning", "detail": "x"}
    with db.transaction() as cur:
        alarms.add_notices(cur, [notice | {"at": NOW - age * DAY, "delivery": "nowhere"} for age in (10, 100)])
        alarms.add_notices(cur, [notice | {"at": NOW - 100 * DAY}])
    given = replace(settings, log_file=tmp_path / "log", keep_logs_days=90)
    assert retention.job(given).run(db, NOW).counts == {"bodies": 0, "bars": 0, "notices": 1, "log_files": 1}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "log.1", "logbook"]


def test_with_every_setting_at_zero_nothing_goes(db: Database, settings: Settings) -> None:
    deliver(db, entry("20200101_081700000_BEARISH"), received_at=NOW - 2000 * DAY)
    given = replace(settings, keep_logs_days=0)
    assert set(retention.job(given).run(db, NOW).counts.values()) == {0}


@pytest.mark.parametrize(("name", "value"), [("KEEP_DELIVERY_BODIES_DAYS", "364"), ("KEEP_BARS_DAYS", "29")])
def test_a_time_that_is_too_short_is_refused(name: str, value: str) -> None:
    with pytest.raises(MisconfiguredError, match=f"{name}: must be 0"):
        load_settings({name: value})
