"""A fault of ours with one alert is its sender's matter alone: those that are journalled beside it are stored and answered."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import psycopg2
import pytest

from core.clock import SystemClock
from core.settings import Settings
from database.deliveries import StoredDelivery
from database.engine import Cursor, Database
from telemetry import intake
from telemetry.intake import WAIT_SECONDS
from telemetry.journal.disk import RealDisk
from telemetry.journal.journal import Journal
from telemetry.journal.record import Record
from telemetry.prepare import Prepared, prepare
from telemetry.projection import project
from telemetry.writer import DRAIN_GROUP, STATEMENT_TIMEOUT_MS, Writer
from tests.intake_rig import until
from tests.support_intake import WEBHOOK, await_stored, parts_of, running_app, stored_bodies

POISON = b'{"type":"ENTRY","signal_id":"POISON"}'
GOOD = [b'{"type":"ENTRY","signal_id":"S%d","entry_price":20500,"sl_price":20490}' % number for number in range(10)]


def test_an_alert_that_cannot_be_prepared_costs_the_others_nothing(
    settings: Settings, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fragile(record: Record, *given: Any) -> Prepared:
        if record.body == POISON:
            raise RuntimeError("a fault of ours")
        time.sleep(0.02)  # so that the others of a group wait together
        return prepare(record, *given)

    monkeypatch.setattr(intake, "prepare", fragile)
    with running_app(settings, db) as app:

        def send(body: bytes) -> tuple[bytes, int, float]:
            started = time.perf_counter()
            return body, app.test_client().post(WEBHOOK, data=body).status_code, time.perf_counter() - started

        with ThreadPoolExecutor(len(GOOD) + 1) as pool:
            answers = list(pool.map(send, [*GOOD[:5], POISON, *GOOD[5:]]))
        assert {status for body, status, _ in answers if body != POISON} == {200}
        assert [status for body, status, _ in answers if body == POISON] == [503]
        assert max(seconds for *_, seconds in answers) < WAIT_SECONDS
        assert not parts_of(app).writer.is_broken
        monkeypatch.undo()
        await_stored(app)  # the journal has the one that failed too, and stores it once it can be understood
        assert sorted(stored_bodies(db)) == sorted([*GOOD, POISON])


def test_a_journal_that_fails_in_an_unknown_way_refuses_and_goes_on(
    settings: Settings, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_app(settings, db) as app:

        def broken(*_records: Record) -> None:
            raise RuntimeError("a fault of ours")

        with monkeypatch.context() as patch:
            patch.setattr(parts_of(app).journal, "append", broken)
            answer = app.test_client().post(WEBHOOK, data=GOOD[0])
            assert answer.json
            assert (answer.status_code, answer.json["stored"]) == (200, "db")  # the database alone has it
        answer = app.test_client().post(WEBHOOK, data=GOOD[1])
        assert answer.status_code == 200
        await_stored(app)
        assert sorted(stored_bodies(db)) == sorted(GOOD[:2])


def test_an_alert_whose_state_cannot_be_made_is_kept_as_it_is_and_costs_the_others_nothing(
    settings: Settings, db: Database
) -> None:
    def fragile(
        cur: Cursor, group: Sequence[Prepared], stored: dict[UUID, StoredDelivery]
    ) -> dict[UUID, StoredDelivery]:
        if any(prepared.delivery.raw_body == POISON and prepared.is_understood for prepared in group):
            raise RuntimeError("a fault of ours")
        return project(cur, group, stored)

    with running_app(settings, db) as app:
        parts_of(app).writer._project = fragile
        answers = [app.test_client().post(WEBHOOK, data=body) for body in (*GOOD[:5], POISON, *GOOD[5:])]
        assert [answer.status_code for answer in answers] == [200] * 5 + [422] + [200] * 5
        assert not parts_of(app).writer.is_broken
    with db.transaction() as cur:
        cur.execute(
            "SELECT raw_body, validation_error FROM telemetry_automated_signals_log WHERE status = 'quarantined'"
        )
        ((body, error),) = cur.fetchall()
    assert (bytes(body), "a fault of the service" in error) == (POISON, True)
    assert sorted(stored_bodies(db)) == sorted([*GOOD, POISON])


@pytest.fixture
def journal(settings: Settings) -> Iterator[Journal]:
    """A journal in which more waits than the writer drains at once."""
    made = Journal(settings.data_dir / "journal", RealDisk(), SystemClock(), segment_bytes=20_000)
    now = SystemClock().now()
    for number in range(DRAIN_GROUP + 100):
        body = b'{"type":"HEARTBEAT","n":%d}' % number
        made.append(Record(UUID(int=number), now, "main", "127.0.0.1", "application/json", "webhook", body))
    yield made
    made.close()


def test_a_database_too_slow_for_a_whole_group_is_drained_in_smaller_ones(db: Database, journal: Journal) -> None:
    each = STATEMENT_TIMEOUT_MS / 1000 / (0.6 * DRAIN_GROUP)
    groups: list[int] = []

    def slow(cur: Cursor, group: Sequence[Prepared], stored: dict[UUID, StoredDelivery]) -> dict[UUID, StoredDelivery]:
        groups.append(len(group))
        cur.execute("SELECT pg_sleep(%s)", [each * len(group)])
        return project(cur, group, stored)

    writer = Writer(db, journal, SystemClock(), slow)
    writer.start()
    try:
        until(lambda: journal.stats().pending == 0, 20)
    finally:
        writer.stop()
    assert groups[:2] == [DRAIN_GROUP, DRAIN_GROUP // 2]
    assert sum(stored_bodies(db).values()) == DRAIN_GROUP + 100


def test_a_process_killed_while_it_drains_leaves_less_than_it_has_found(
    settings: Settings, db: Database, journal: Journal
) -> None:
    """As after a crash in a crash: what the database has is gone from the disk, whatever comes next."""
    folder = settings.data_dir / "journal"
    journal.close()
    found = sorted(folder.glob("*.seg"))
    again = Journal(folder, RealDisk(), SystemClock())
    again.adopt_orphans()
    assert len(found) > 1

    def killed(
        cur: Cursor, group: Sequence[Prepared], stored: dict[UUID, StoredDelivery]
    ) -> dict[UUID, StoredDelivery]:
        if group[0].delivery.receipt_id != UUID(int=0):
            raise psycopg2.OperationalError("the process is gone")
        return project(cur, group, stored)

    writer = Writer(db, again, SystemClock(), killed)
    writer.start()
    try:
        until(lambda: len(list(folder.glob("*.seg"))) < len(found), 20)
    finally:
        writer.stop()
        again.close()
    left = sorted(folder.glob("*.seg"))
    assert left
    assert set(left) < set(found)
