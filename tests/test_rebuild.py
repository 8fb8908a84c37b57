"""A rebuild gives the same rows and states however many processes understand the deliveries."""

from __future__ import annotations

import gc
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from core.ids import uuid7
from database import deliveries, rebuilt
from database.engine import Database
from simulator.alert_stream import Faults, generate
from telemetry.history import rebuild as history
from telemetry.history.rebuild import rebuild
from telemetry.journal.record import Record
from telemetry.prepare import prepare
from telemetry.projection import project

START = datetime(2025, 12, 8, 15, 0, tzinfo=UTC)
MINUTES = 240
ROWS = "SELECT to_jsonb(automated_signals) AS row FROM automated_signals ORDER BY event_key, source_rank, received_at"


@pytest.fixture
def filled(db: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """Four hours of simulated alerts, read in so small chunks that a signal's alerts are in many of them."""
    monkeypatch.setattr(history, "AT_ONCE", 100)
    monkeypatch.setattr(history, "CHUNK", 30)
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


def test_only_what_differs_is_written(filled: Database) -> None:
    before = {row["id"]: row for row in rows(filled)}
    one, other, third = sorted(before)[:3]
    with filled.transaction() as cur:
        cur.execute("UPDATE automated_signals SET be_mfe = 99, no_be_mfe = 99 WHERE id = %(id)s", {"id": one})
        cur.execute("UPDATE automated_signals SET bias = 'other' WHERE id = %(id)s", {"id": other})
        cur.execute("DELETE FROM automated_signals WHERE id = %(id)s", {"id": third})
    assert rebuild(filled).is_unchanged, "the states are made of the deliveries, not of the rows"
    after = {row["id"]: row for row in rows(filled)}
    assert before.keys() - after.keys() == {one, other, third}

    def told(held: dict[int, Any]) -> list[Any]:
        return sorted(({**row, "id": 0} for row in held.values()), key=str)

    assert told(after) == told(before)


def test_what_the_deliveries_do_not_say_goes(filled: Database) -> None:
    before = rows(filled)
    with filled.transaction() as cur:
        cur.execute("SELECT receipt_id FROM automated_signals LIMIT 1")
        cur.execute(
            "INSERT INTO automated_signals (trade_id, event_type, event_key, receipt_id) VALUES ('X', 'ENTRY', 'x', %(id)s)",
            {"id": cur.fetchone().receipt_id},
        )
    rebuild(filled)
    assert rows(filled) == before


def test_every_column_that_is_written_is_compared() -> None:
    def names(text: str) -> set[str]:
        return {name.strip() for name in text.split(",")}

    written = names(re.search(r"AS held\s*\((.*?)\)", rebuilt.EVENTS.add_one_shots, re.DOTALL)[1])
    held, made = re.findall(r"\((held\.stream.*?)\).*?\((rebuilt\.stream.*?)\)", rebuilt.SQL.find_changed, re.DOTALL)[0]
    assert names(held.replace("held.", "")) == names(made.replace("rebuilt.", "")) == written - {"event_key"}
