"""A rebuild gives the same rows and states however many processes understand the deliveries."""

from __future__ import annotations

import gc
from datetime import UTC, datetime
from typing import Any

import pytest

from core.ids import uuid7
from database import deliveries
from database.engine import Database
from simulator.alert_stream import Faults, generate
from telemetry.history import rebuild as history
from telemetry.history.rebuild import rebuild
from telemetry.journal.record import Record
from telemetry.prepare import prepare
from telemetry.projection import project

START = datetime(2025, 12, 8, 15, 0, tzinfo=UTC)
MINUTES = 240
ROWS = """
SELECT to_jsonb(automated_signals) - 'id' AS row FROM automated_signals
ORDER BY event_key, source_rank, received_at
"""


@pytest.fixture
def filled(db: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """Four hours of simulated alerts, read in so small chunks that a signal's alerts are in many of them."""
    monkeypatch.setattr(history, "AT_ONCE", 50)
    records = [
        Record(uuid7(alert.sent_at), alert.sent_at, "main", "", "", "webhook", alert.body)
        for alert in generate(3, START, MINUTES, Faults())
        if not alert.lost
    ]
    group = [prepare(record) for record in records]
    with db.transaction() as cur:
        project(cur, group, deliveries.add_deliveries(cur, [prepared.delivery for prepared in group]))
    return db


def rows(db: Database) -> list[Any]:
    with db.transaction() as cur:
        cur.execute(ROWS)
        return [row.row for row in cur.fetchall()]


@pytest.mark.parametrize("processes", [0, 2])
def test_a_rebuild_gives_the_rows_and_states_that_are_there(filled: Database, processes: int) -> None:
    before = rows(filled)
    report = rebuild(filled, processes=processes)
    assert report.is_unchanged
    assert report.deliveries > 150
    assert report.events > report.signals > 10
    assert rows(filled) == before
    assert gc.isenabled()


def test_only_many_deliveries_are_worth_the_start_of_processes(
    filled: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: {0, 1, 2})
    with filled.transaction() as cur:
        assert history.processes_for(cur) == 0
        monkeypatch.setattr(history, "MANY", 100)
        assert history.processes_for(cur) == 3
