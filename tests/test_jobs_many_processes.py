"""Four processes run one job while they are killed and frozen at random: no slot twice, none missing, no overlap.

The job is as jobs are allowed to be: safe to repeat, not safe to run twice at once. It looks whether the slot has its
effect, takes its time, then adds the effect.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import random
import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from typing import Any

import pytest

from core.jobs import Job, Report
from database import jobs
from database.engine import Database
from database.scheduler import Scheduler

log = logging.getLogger(__name__)
EVERY = timedelta(seconds=0.5)
GRACE = timedelta(seconds=5)
PROCESSES = 4
TROUBLE_SECONDS = 14.0
BIRTH = multiprocessing.get_context("forkserver")  # a new process in milliseconds, without this one's threads
BIRTH.set_forkserver_preload([__name__])
TABLES = """
CREATE TABLE effects (slot timestamptz, pid integer);
CREATE TABLE steps (id bigint GENERATED ALWAYS AS IDENTITY, run text, step integer);
"""
RUNNING = "SELECT slot, owner FROM job_runs WHERE job = 'work' AND status = 'running'"


def work(db: Database, _now: datetime) -> Report:
    """The pass of a process: the slot is the only one that is running."""
    with db.transaction() as cur:
        cur.execute(RUNNING)
        ((slot, _owner),) = cur.fetchall()
    return add_effect(db, slot, lambda: time.sleep(random.uniform(0.05, 0.25)))


def add_effect(db: Database, slot: datetime, linger: Callable[[], object]) -> Report:
    run = uuid.uuid4().hex
    with db.transaction() as cur:
        cur.execute("INSERT INTO steps (run, step) VALUES (%s, 1)", (run,))
        cur.execute("SELECT count(*) AS n FROM effects WHERE slot = %s", (slot,))
        is_new = cur.fetchone().n == 0  # type: ignore[union-attr,attr-defined]
    linger()
    with db.transaction() as cur:
        cur.execute("INSERT INTO steps (run, step) VALUES (%s, 2)", (run,))
        if is_new:
            cur.execute("INSERT INTO effects VALUES (%s, %s)", (slot, os.getpid()))
    return Report()


def live(url: str, end: Connection) -> None:
    """One process of the crowd, until the other side of the pipe is closed."""
    jobs.BEAT_SECONDS, jobs.STALE_SECONDS = 0.2, 1.0
    scheduler = Scheduler(Database(url, pool_size=2), [Job("work", EVERY, work, grace=GRACE)])
    scheduler.start()
    with suppress(EOFError):
        end.recv()
    scheduler.stop()


@dataclass
class Member:
    """One process as the test sees it."""

    process: ForkServerProcess
    end: Connection
    thaw_at: float | None = None

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid


class Crowd:
    """The processes, and what is done to them."""

    def __init__(self, url: str, target: Callable[[str, Connection], None] = live) -> None:
        self.url = url
        self.target = target
        self.done: Counter[str] = Counter()
        self.members = [self._born() for _ in range(PROCESSES)]

    def _born(self) -> Member:
        ours, theirs = BIRTH.Pipe()
        process = BIRTH.Process(target=self.target, args=(self.url, theirs), daemon=True)
        process.start()
        theirs.close()
        return Member(process, ours)

    def kill(self, member: Member) -> None:
        self._end(member)
        self.members[self.members.index(member)] = self._born()
        self.done["kills"] += 1

    def freeze(self, member: Member, seconds: float) -> None:
        os.kill(member.pid, signal.SIGSTOP)
        member.thaw_at = time.monotonic() + seconds
        self.done["freezes"] += 1

    def thaw(self, now: float = float("inf")) -> None:
        """Let those go on whose time has come; by default all."""
        for member in self.members:
            if member.thaw_at is not None and member.thaw_at <= now:
                member.thaw_at = None
                os.kill(member.pid, signal.SIGCONT)

    def close(self) -> None:
        """Let all come to an end by themselves."""
        for member in self.members:
            member.end.close()
        for member in self.members:
            member.process.join(20)

    def end(self) -> None:
        for member in self.members:
            self._end(member)

    @staticmethod
    def _end(member: Member) -> None:
        member.process.kill()
        member.process.join()
        member.end.close()


@contextmanager
def crowd(url: str, target: Callable[[str, Connection], None] = live) -> Iterator[Crowd]:
    people = Crowd(url, target)
    try:
        yield people
    finally:
        people.end()


def read(db: Database, query: str) -> list[Any]:
    with db.transaction() as cur:
        cur.execute(query)
        return list(cur.fetchall())


def trouble(
    db: Database, people: Crowd, chance: random.Random, seconds: float = TROUBLE_SECONDS, running: str = RUNNING
) -> None:
    """Kill and freeze, mostly whoever is at work, a freeze often long enough to be taken for dead."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(chance.uniform(0.1, 0.7))
        people.thaw(time.monotonic())
        at_work = {int(row.owner.rpartition(":")[2]) for row in read(db, running)}
        awake = [member for member in people.members if member.thaw_at is None]
        if len(awake) < 2:
            continue
        member = next((one for one in awake if one.pid in at_work), chance.choice(awake))
        if chance.random() < 0.5:
            people.kill(member)
        else:
            people.freeze(member, chance.choice([0.3, 1.5, 2.5]))
    people.thaw()


def wait_until_settled(db: Database, timeout: float = 20) -> None:
    """Until the slot of now is done, and so all before it."""
    end = datetime.now(UTC)
    limit = time.monotonic() + timeout
    while time.monotonic() < limit:
        (row,) = read(db, "SELECT max(slot) AS slot, bool_or(status = 'running') AS busy FROM job_runs")
        if row.slot is not None and row.slot >= end and not row.busy:
            return
        time.sleep(0.1)
    pytest.fail("the processes do not catch up")


def count_overlaps(db: Database) -> int:
    """How often a run wrote between the first and the last write of another."""
    overlaps = 0
    open_run = None
    for row in read(db, "SELECT run, step FROM steps ORDER BY id"):
        overlaps += row.step == 2 and row.run != open_run
        open_run = row.run
    return overlaps


def test_four_processes_killed_and_frozen_do_each_slot_once(db: Database, database_url: str) -> None:
    with db.transaction() as cur:
        cur.execute(TABLES)
    seed = random.randrange(1_000_000)
    with crowd(database_url) as people:
        trouble(db, people, random.Random(seed))
        wait_until_settled(db)
        people.close()
    slots = read(db, "SELECT slot, status, attempt FROM job_runs ORDER BY slot")
    effects = Counter(row.slot for row in read(db, "SELECT slot FROM effects"))
    statuses = Counter(row.status for row in slots)
    again = sum(row.attempt > 1 for row in slots)
    log.info("seed %s: %s, %s slots, %s, run again: %s", seed, people.done, len(slots), statuses, again)

    assert [row.slot for row in slots] == [slots[0].slot + number * EVERY for number in range(len(slots))]
    assert set(statuses) <= {"succeeded", "missed", "abandoned"}
    assert statuses["succeeded"] > 5
    assert again > 0, "the trouble hit nobody at work"
    assert {row.slot for row in slots if row.status == "succeeded"} <= set(effects)
    assert set(effects.values()) == {1}
    assert count_overlaps(db) == 0


def test_the_same_job_without_the_slot_row_doubles_its_effect(db: Database) -> None:
    with db.transaction() as cur:
        cur.execute(TABLES)
    slot, both = datetime(2026, 3, 4, tzinfo=UTC), threading.Barrier(2)
    threads = [threading.Thread(target=add_effect, args=(db, slot, both.wait)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(read(db, "SELECT slot FROM effects")) == 2
    assert count_overlaps(db) > 0
