"""A database of an older installation is upgraded in place: rows kept, unknown columns kept, signals folded."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from core.lifecycle import Kind, LifecycleEvent, mfe_slot
from database import states
from database.engine import Database
from telemetry.history.rebuild import fold_older_rows, rebuild
from tests.support_postgres import older_installation

OLDER = """
CREATE TABLE automated_signals (
    id serial PRIMARY KEY,
    trade_id varchar(100) NOT NULL,
    event_type varchar(20) NOT NULL,
    direction varchar(10),
    entry_price numeric(10,2),
    stop_loss numeric(10,2),
    risk_distance numeric(10,2),
    mfe numeric(10,4),
    be_mfe numeric(10,4),
    no_be_mfe numeric(10,4),
    session varchar(50),
    bias varchar(20),
    signal_date date,
    signal_time time,
    targets jsonb,
    raw_payload text,
    "timestamp" timestamp DEFAULT now(),
    lucky_number integer
);
INSERT INTO automated_signals
    (trade_id, event_type, direction, entry_price, stop_loss, be_mfe, no_be_mfe, mfe, session, "timestamp", lucky_number)
VALUES
    ('20251114_093000000_BULLISH', 'ENTRY', 'LONG', 20500.25, 20490.25, 0, 0, 0, 'NY AM', '2025-11-14 14:31:02', 7),
    ('20251114_093000000_BULLISH', 'MFE_UPDATE', 'LONG', 0, 0, 0.8, 0.8, 0.8, 'NY AM', '2025-11-14 14:35:01', 7),
    ('20251114_093000000_BULLISH', 'MFE_UPDATE', 'LONG', NULL, NULL, 1.2, 1.2, NULL, 'NY AM', '2025-11-14 14:36:01', 7),
    ('20251114_093000000_BULLISH', 'BE_TRIGGERED', 'LONG', NULL, NULL, 1.1, 1.1, NULL, NULL, '2025-11-14 14:36:01', 7),
    ('20251114_093000000_BULLISH', 'BE_TRIGGERED', 'LONG', NULL, NULL, 1.1, 1.1, NULL, NULL, '2025-11-14 14:50:01', 7),
    ('20251114_100000000_BEARISH', 'EXIT_SL', 'Bearish', NULL, NULL, 0.2, -0.5, NULL, NULL, '2025-11-14 15:10:01', 8),
    ('20251114_100000000_BEARISH', 'SOMETHING', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2025-11-14 15:11:01', 9);
UPDATE automated_signals SET raw_payload = CASE WHEN id = 1 THEN '{"type": "ENTRY"}' WHEN id = 2 THEN '{broken' END;
CREATE TABLE telemetry_automated_signals_log (
    id serial PRIMARY KEY,
    received_at timestamp DEFAULT now(),
    raw_payload jsonb,
    fused_event jsonb,
    validation_error text,
    handler_result jsonb,
    processing_time_ms integer,
    remark text
);
INSERT INTO telemetry_automated_signals_log (received_at, raw_payload, processing_time_ms, remark)
VALUES ('2025-11-14 14:31:02', '{"type": "ENTRY"}', 12, 'kept');
"""


@pytest.fixture
def older(empty_database_url: str) -> Iterator[Database]:
    with older_installation(empty_database_url, OLDER) as db:
        fold_older_rows(db)
        yield db


def test_every_row_and_every_unknown_column_is_kept(older: Database) -> None:
    with older.transaction() as cur:
        cur.execute("SELECT lucky_number, telemetry FROM automated_signals ORDER BY id")
        assert [tuple(row) for row in cur.fetchall()] == [(7, None)] * 5 + [(8, None), (9, None)]
        cur.execute("SELECT remark, received_at, stream, source FROM telemetry_automated_signals_log")
        row = cur.fetchone()
    assert tuple(row) == ("kept", datetime(2025, 11, 14, 14, 31, 2, tzinfo=UTC), "main", "webhook")


def test_a_body_that_is_no_json_is_kept_as_text(older: Database) -> None:
    with older.transaction() as cur:
        cur.execute("SELECT raw_payload FROM automated_signals WHERE id IN (1, 2) ORDER BY id")
        assert [row.raw_payload for row in cur.fetchall()] == [{"type": "ENTRY"}, "{broken"]


def test_a_repeat_of_a_one_shot_row_keeps_a_null_key(older: Database) -> None:
    with older.transaction() as cur:
        cur.execute(
            "SELECT event_key IS NOT NULL AS keyed FROM automated_signals WHERE event_type = 'BE_TRIGGERED' ORDER BY id"
        )
        assert [row.keyed for row in cur.fetchall()] == [True, False]


def test_the_signals_are_folded_from_their_rows(older: Database) -> None:
    with older.transaction() as cur:
        (state,) = states.get_states(cur, "20251114_093000000_BULLISH")
        (other,) = states.get_states(cur, "20251114_100000000_BEARISH")
    assert (state.status, state.direction, state.entry_price) == ("BE_PROTECTED", "long", Decimal("20500.25"))
    assert (state.no_be_mfe_r, state.be_triggered_at) == (
        Decimal("1.2"),
        datetime(2025, 11, 14, 14, 35, tzinfo=UTC),
    )
    assert (other.status, other.no_be_mfe_r, other.direction) == ("COMPLETED", Decimal(0), "short")


def test_a_key_of_an_older_row_is_the_key_that_a_new_event_would_have(older: Database) -> None:
    at = datetime(2025, 11, 14, 14, 35, 1, tzinfo=UTC)
    event = LifecycleEvent(
        stream="main",
        trade_id="20251114_093000000_BULLISH",
        kind=Kind.MFE_UPDATE,
        received_at=at,
        content_hash="x",
        slot=mfe_slot(at),
    )
    with older.transaction() as cur:
        cur.execute("SELECT count(*) AS held FROM automated_signals WHERE event_key = %s", (event.event_key,))
        assert cur.fetchone().held == 1


def test_a_rebuild_keeps_the_rows_of_an_older_table(older: Database) -> None:
    report = rebuild(older)
    assert report.is_unchanged
    assert report.signals == 2
    with older.transaction() as cur:
        cur.execute("SELECT count(*) AS held FROM automated_signals")
        assert cur.fetchone().held == 7


def test_folding_again_finds_nothing(older: Database) -> None:
    assert fold_older_rows(older) == 0


def test_the_upgraded_schema_takes_new_events_as_a_fresh_one_does(older: Database, db: Database) -> None:
    wanted = {}
    for name, database in (("older", older), ("fresh", db)):
        with database.transaction() as cur:
            cur.execute(
                "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'automated_signals'"
            )
            wanted[name] = {row.column_name: row.data_type for row in cur.fetchall()}
    assert wanted["fresh"].items() <= wanted["older"].items()
