"""Real alerts, imported and delivered in any order with repeats: one state.

The logs stay where they are; without them these tests say so and are skipped.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from automated_signals_state import Facts, derive, state_hash
from core.ids import uuid7
from database import deliveries
from database.engine import Database
from telemetry.history.alert_import import ImportReport, import_logs
from telemetry.history.alert_log import AlertRow, merge_alert_logs, parse_alert_log
from telemetry.history.rebuild import rebuild
from telemetry.journal.record import Record
from telemetry.prepare import prepare
from telemetry.projection import project
from tests.support_signals import hash_of

ALERTS = Path(os.environ.get("SIGNALBOOK_DATA", Path(__file__).parents[2] / "shared" / "data")) / "alerts"
FILES = sorted(ALERTS.glob("*.csv"))

pytestmark = pytest.mark.skipif(not FILES, reason="the real alert logs (SIGNALBOOK_DATA) are not on this machine")


@pytest.fixture(scope="module")
def logs() -> list[list[AlertRow]]:
    return [parse_alert_log(path.read_bytes()) for path in FILES]


def import_log(db: Database, rows: Sequence[AlertRow]) -> ImportReport:
    return import_logs(db, [rows], stream="main", is_token=lambda _text: False)


def deliver(db: Database, rows: Iterable[AlertRow]) -> None:
    """What the writer does with live deliveries that carry their own receive times."""
    records = [
        Record(uuid7(row.sent_at), row.sent_at, "main", "127.0.0.1", "application/json", "webhook", row.body)
        for row in rows
    ]
    for start in range(0, len(records), 100):
        group = [prepare(record) for record in records[start : start + 100]]
        with db.transaction() as cur:
            project(cur, group, deliveries.add_deliveries(cur, [prepared.delivery for prepared in group]))


def empty(db: Database) -> None:
    with db.transaction() as cur:
        cur.execute("TRUNCATE automated_signals, trade_states, telemetry_automated_signals_log")


@pytest.fixture(scope="module")
def expected(logs: list[list[AlertRow]]) -> str:
    """The hash that a plain fold of everything gives, without any database."""
    facts: dict[str, Facts] = {}
    for row in merge_alert_logs(logs):
        record = Record(uuid7(row.sent_at), row.sent_at, "main", "", "", "webhook", row.body)
        for event in prepare(record).events:
            facts.setdefault(event.trade_id, Facts()).add(event)
    return state_hash(derive(held, "main", trade_id) for trade_id, held in facts.items())


def test_six_orders_of_the_files_give_one_state(db: Database, logs: list[list[AlertRow]], expected: str) -> None:
    for order in random.Random(1).sample(list(itertools.permutations(range(len(logs)))), 6):
        for place in order:
            assert import_log(db, logs[place]).quarantined == 0
        assert hash_of(db) == expected
        empty(db)


def test_three_random_orders_with_repeats_give_the_same_state(
    db: Database, logs: list[list[AlertRow]], expected: str
) -> None:
    rows = merge_alert_logs(logs)
    for seed in range(3):
        chance = random.Random(seed)
        shuffled = chance.sample(rows, len(rows)) + chance.choices(rows, k=len(rows) // 5)
        deliver(db, shuffled)
        assert hash_of(db) == expected
        empty(db)


def test_importing_what_came_live_adds_nothing(db: Database, logs: list[list[AlertRow]], expected: str) -> None:
    deliver(db, logs[-1])
    before = hash_of(db)
    report = import_log(db, logs[-1])
    assert (report.new, report.known) == (0, len(logs[-1]))
    assert hash_of(db) == before


def test_live_after_import_gives_the_same_state(db: Database, logs: list[list[AlertRow]], expected: str) -> None:
    for log in logs:
        import_log(db, log)
    for log in logs:
        deliver(db, log)
    assert hash_of(db) == expected


def test_overlapping_exports_add_each_alert_once(db: Database, logs: list[list[AlertRow]]) -> None:
    log = logs[-1]
    assert import_log(db, log[:700]).new == 700
    report = import_log(db, log[300:])
    assert (report.new, report.known) == (len(log) - 700, 400)


def test_a_rebuild_from_the_deliveries_gives_the_same_state_and_rows(
    db: Database, logs: list[list[AlertRow]], expected: str
) -> None:
    rows = merge_alert_logs(logs)
    deliver(db, random.Random(5).sample(rows, len(rows)))
    with db.transaction() as cur:
        cur.execute("SELECT event_key, payload_checksum, no_be_mfe FROM automated_signals ORDER BY 1")
        before = [tuple(row) for row in cur.fetchall()]
    report = rebuild(db)
    assert report.is_unchanged
    assert report.hash_after == expected
    with db.transaction() as cur:
        cur.execute("SELECT event_key, payload_checksum, no_be_mfe FROM automated_signals ORDER BY 1")
        assert [tuple(row) for row in cur.fetchall()] == before


def test_every_malformed_entry_is_recovered(db: Database, logs: list[list[AlertRow]]) -> None:
    import_log(db, logs[0])
    with db.transaction() as cur:
        cur.execute(
            "SELECT count(*) AS held FROM telemetry_automated_signals_log l"
            " JOIN automated_signals a USING (receipt_id) WHERE l.repair IS NOT NULL AND a.event_type = 'ENTRY'"
            " AND a.entry_price > 0 AND a.stop_loss > 0 AND a.direction IS NOT NULL"
        )
        assert cur.fetchone().held == 6


def test_a_state_that_drifted_is_found_by_verify(db: Database, logs: list[list[AlertRow]]) -> None:
    import_log(db, logs[0])
    with db.transaction() as cur:
        cur.execute("UPDATE trade_states SET facts = '{}' WHERE trade_id = (SELECT min(trade_id) FROM trade_states)")
    report = rebuild(db, is_dry_run=True)
    assert not report.is_unchanged
    assert rebuild(db).hash_after == report.hash_after
    assert rebuild(db, is_dry_run=True).is_unchanged
