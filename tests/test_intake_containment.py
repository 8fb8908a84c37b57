"""A fault of ours with one alert is its sender's matter alone: those that are journalled beside it are stored and answered."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from core.settings import Settings
from database.engine import Database
from telemetry import intake
from telemetry.intake import WAIT_SECONDS
from telemetry.journal.record import Record
from telemetry.prepare import Prepared, prepare
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
