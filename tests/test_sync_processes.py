"""Four processes run the two-minute cycle while one is killed and one frozen: each slot once, each repair once.

Slots follow one another faster than in the service, and each cycle sees the market's clock at the end of the stream. The
long run with trouble at random is `make soak`'s.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from multiprocessing.connection import Connection
from typing import Any

import pytest

from core.jobs import Report
from core.settings import load_settings
from database import jobs as job_store
from database.engine import Cursor, Database
from database.jobs import SlotDatabase
from database.scheduler import Scheduler
from hybrid_sync.cycle import run_cycle
from hybrid_sync.parts import jobs
from simulator.alert_stream import Alert
from tests.support_postgres import fresh_database
from tests.support_sync import LOST, World, deliver, rows, store_bars, sync_settings, without, world
from tests.test_jobs_many_processes import Crowd, Member, crowd, trouble, wait_until_settled

EVERY = timedelta(seconds=1.5)
NOW = world(minutes=0).start + timedelta(minutes=122)
RUNNING = "SELECT owner FROM job_runs WHERE job = 'hybrid_sync' AND status = 'running'"
PATIENCE = 90.0


class Slow(SlotDatabase):
    """The database of a job, a little slow, so that a cycle can be caught between two of its transactions."""

    def __init__(self, db: Database) -> None:
        self.__dict__.update(db.__dict__)

    @contextmanager
    def transaction(self, *, statement_timeout_ms: int | None = None) -> Iterator[Cursor]:
        time.sleep(0.03)
        with super().transaction(statement_timeout_ms=statement_timeout_ms) as cur:
            yield cur


def live(url: str, end: Connection) -> None:
    """One process with the real job, until the other side of the pipe is closed."""
    job_store.BEAT_SECONDS, job_store.STALE_SECONDS = 0.2, 1.0
    cycle = jobs(load_settings({}))[0]

    def run(db: Database, _now: datetime) -> Report:
        return cycle.run(Slow(db), NOW)

    fast = replace(cycle, run=run, every=EVERY, grace=timedelta(minutes=10))
    scheduler = Scheduler(Database(url, pool_size=2), [fast])
    scheduler.start()
    with suppress(EOFError):
        end.recv()
    scheduler.stop()


@pytest.fixture
def stream() -> World:
    """Two hours of alerts."""
    return world(minutes=120)


@pytest.fixture
def arrived(db: Database, stream: World) -> list[Alert]:
    """What of it arrives; the bars are there already."""
    store_bars(db, stream)
    return without(stream.alerts, LOST)[0]


@pytest.fixture
def alone(postgres: str, migrated: str, stream: World, arrived: list[Alert]) -> Iterator[Database]:
    """The same alerts and bars in a database that one process has for itself."""
    with fresh_database(postgres, migrated) as url:
        database = Database(url)
        store_bars(database, stream)
        deliver(database, arrived)
        yield database
        database.close()


def wait_for(db: Database, query: str, is_it: Callable[[list[Any]], bool] = bool) -> list[Any]:
    """The rows of a query once they are as wanted."""
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit:
        found = rows(db, query)
        if is_it(found):
            return found
        time.sleep(0.02)
    pytest.fail(f"waited in vain for: {query}")


def succeeded(db: Database) -> int:
    return int(rows(db, "SELECT count(*) AS n FROM job_runs WHERE status = 'succeeded'")[0].n)


def wait_for_more(db: Database, number: int) -> None:
    """Until so many more slots are done."""
    goal = succeeded(db) + number
    wait_for(db, "SELECT count(*) AS n FROM job_runs WHERE status = 'succeeded'", lambda found: found[0].n >= goal)


def running_pid(found: Sequence[Any]) -> int:
    """The process that runs the job; 0 for nobody."""
    return int(found[0].owner.rpartition(":")[2]) if found else 0


def stop_one_at_work(db: Database, people: Crowd) -> Member:
    """Freeze the process that runs the job, in the middle of it."""
    while True:
        by_pid = {one.pid: one for one in people.members}
        found = wait_for(db, RUNNING, lambda found: running_pid(found) in by_pid)  # noqa: B023
        member = by_pid[running_pid(found)]
        people.freeze(member, 0)
        if running_pid(rows(db, RUNNING)) == member.pid:
            return member
        people.thaw()  # it had just finished


def check(db: Database, alone: Database) -> None:
    """Each slot has one row with its report, each repair was made once, and the states are those of one quiet process."""
    slots = rows(db, "SELECT slot, status, attempt, counts FROM job_runs WHERE job = 'hybrid_sync' ORDER BY slot")
    assert [row.slot for row in slots] == [slots[0].slot + number * EVERY for number in range(len(slots))]
    assert {row.status for row in slots} == {"succeeded"}, "a slot was lost"
    assert all("gaps_after" in row.counts for row in slots)
    assert any(row.attempt > 1 for row in slots), "the trouble hit nobody at work"
    (cycles,) = rows(db, "SELECT count(*) AS begun, count(finished_at) AS finished FROM sync_cycles")
    assert len(slots) <= cycles.finished <= cycles.begun <= sum(row.attempt for row in slots)
    assert rows(db, TWICE) == []
    run_cycle(alone, sync_settings(), NOW)
    assert rows(db, STATES) == rows(alone, STATES)
    again = run_cycle(db, sync_settings(), NOW)
    assert (again.written, again.minutes_healed) == (0, 0)


TWICE = """
SELECT trade_id, action_type, field, new_value, evidence FROM sync_audit_log
WHERE action_type NOT IN ('gap_detected', 'reconciliation_attempted')
GROUP BY 1, 2, 3, 4, 5 HAVING count(*) > 1
"""
STATES = """
SELECT trade_id, status, be_triggered_at, be_exit_at, exit_at, be_mfe_r, no_be_mfe_r, mae_r, last_mfe_slot
FROM trade_states ORDER BY trade_id
"""


def test_four_processes_one_killed_and_one_frozen_run_each_slot_once(
    db: Database, database_url: str, arrived: list[Alert], alone: Database
) -> None:
    third = len(arrived) // 3 + 1
    parts = [arrived[start : start + third] for start in range(0, len(arrived), third)]
    with crowd(database_url, live) as people:
        deliver(db, parts[0])
        wait_for_more(db, 1)
        stop_one_at_work(db, people)
        deliver(db, parts[1])
        wait_for_more(db, 2)  # the others have taken its slot over
        people.thaw()
        people.kill(stop_one_at_work(db, people))
        deliver(db, parts[2])
        wait_for_more(db, 2)
        wait_until_settled(db, PATIENCE)
        people.close()
    check(db, alone)


@pytest.mark.soak
def test_processes_killed_and_frozen_for_minutes_run_each_slot_once(
    db: Database, database_url: str, arrived: list[Alert], alone: Database
) -> None:
    chance = random.Random(time.time_ns())
    with crowd(database_url, live) as people:
        for start in range(0, len(arrived), 40):
            deliver(db, arrived[start : start + 40])
            trouble(db, people, chance, 20.0, RUNNING)
        wait_until_settled(db, PATIENCE)
        people.close()
    check(db, alone)
