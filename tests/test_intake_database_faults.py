"""PostgreSQL stopped, restarted, frozen, locked, cut off under load; the journal's disk full: nothing is lost."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

import telemetry.parts
from core.settings import Settings
from database.engine import Database
from telemetry.journal.disk import RealDisk
from tests.intake_rig import Cluster, Rig, cluster, control_rig, rig, until
from tests.support_intake import WEBHOOK, parts_of, running_app, stored_bodies
from tests.support_service import turn_off, turn_on

FAULTS = {"stopped": 1.0, "restarted": 0.0, "frozen": 2.5, "frozen_writer": 2.5, "locked": 1.5, "cut": 0.0}
"""How long each lasts, in seconds; a frozen server longer than the writer's patience."""

LONGEST_SECONDS = 1.5
DRAINED_SECONDS = 5.0


@pytest.fixture(scope="module")
def server() -> Iterator[Cluster]:
    with cluster() as running:
        yield running


@pytest.fixture(scope="module")
def running(server: Cluster) -> Iterator[Rig]:
    """One service that lives through all the faults."""
    with rig(server) as started:
        started.await_ready()
        yield started


@pytest.mark.parametrize("fault", FAULTS)
def test_under_load_nothing_is_lost_and_nobody_waits_long(running: Rig, fault: str) -> None:
    running.forget()
    with running.clients():
        running.await_acks(50)
        running.fault(fault, FAULTS[fault])
        running.await_acks(50)
    report = running.finish()
    assert (report.lost, report.doubles, report.ambiguous) == (0, 0, 0)
    assert set(report.statuses) == {200}
    assert report.longest < LONGEST_SECONDS
    assert report.drain_seconds < DRAINED_SECONDS


def test_a_build_that_stores_after_the_answer_loses_when_the_database_stops(server: Cluster) -> None:
    with control_rig(server) as running:
        with running.clients():
            running.await_acks(50)
            running.fault("stopped", 0.5, is_awaited=False)
            running.await_acks(50)
        report = running.finish(may_lose=True)
    assert report.lost > 0


@pytest.mark.soak
def test_three_hundred_database_faults_lose_nothing(server: Cluster) -> None:
    with rig(server, seed=300) as running:
        running.await_ready()
        with running.clients():
            for number in range(300):
                fault = list(FAULTS)[number % len(FAULTS)]
                running.fault(fault, running.chance.uniform(0.0, 2.0))
                if number % 10 == 9:
                    running.kill_cycles(1)
        report = running.finish()
    assert (report.lost, report.doubles) == (0, 0)
    assert set(report.statuses) == {200}


# --- the journal's disk


class FailingDisk(RealDisk):
    """A real disk that refuses to be written while `error` is set."""

    error: int | None = None

    def write(self, fd: int, data: bytes) -> int:
        self._refuse()
        return super().write(fd, data)

    def open_exclusive(self, path: Path) -> int:
        self._refuse()
        return super().open_exclusive(path)

    def _refuse(self) -> None:
        if self.error is not None:
            raise OSError(self.error, os.strerror(self.error))


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> FailingDisk:
    failing = FailingDisk()
    monkeypatch.setattr(telemetry.parts, "RealDisk", lambda: failing)
    return failing


def heartbeat(number: int) -> bytes:
    return b'{"event_type":"HEARTBEAT","signal_count":%d}' % number


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS])
def test_without_its_journal_the_database_decides_and_both_recover_by_themselves(
    disk: FailingDisk, settings: Settings, db: Database, postgres: str, error: int
) -> None:
    with running_app(settings, db) as app:
        client, intake = app.test_client(), parts_of(app)
        assert answers(client, range(1)) == {(200, "db")}
        disk.error = error
        assert answers(client, range(1, 11)) == {(200, "db")}
        assert intake.check()[0] == "warn"
        turn_off(postgres, db.url)
        refused = client.post(WEBHOOK, data=heartbeat(-1))
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
        assert answers(client, range(-10, -1)) == {(503, None)}
        assert intake.check()[0] == "fail"
        disk.error = None
        assert answers(client, range(11, 21)) == {(200, "journal")}
        turn_on(postgres, db.url)
        until(lambda: not intake.writer.is_broken)
        assert answers(client, range(21, 31)) == {(200, "db")}
        until(lambda: intake.check()[0] == "pass")
        assert stored_bodies(db) == {heartbeat(number): 1 for number in range(31)}


def answers(client: FlaskClient, numbers: range) -> set[tuple[int, str | None]]:
    """Post a heartbeat for each number: the different answers, as status and where it was stored."""
    found = [client.post(WEBHOOK, data=heartbeat(number)) for number in numbers]
    return {(answer.status_code, answer.json["stored"]) for answer in found if answer.json}
