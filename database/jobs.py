"""Runs each slot of each job once, over any number of processes.

A slot is one row of `job_runs`, unique on (job, slot). Three things together make it run once:

* **Lock.** The runner holds a session advisory lock on the job, on a direct connection of its own, while the job works
  on others. One pass of a job at a time, everywhere; kill -9 gives the lock back by itself.
* **Take-over.** While the pass works, a thread sends a sign of life on that connection every `BEAT_SECONDS`. A holder
  silent for `STALE_SECONDS` by the server's clock is frozen: whoever wants the lock ends its session with
  `pg_terminate_backend`, which any session of the same role may do. A living session is never robbed.
* **Fence.** Under the lock, rows that still say `running` belong to the dead and become `abandoned`; within the grace
  the slot is run again with a higher `attempt`. The job gets a `SlotDatabase`, whose transactions first lock the row of
  their own attempt FOR SHARE: a thawed process is refused before it writes, and a transaction it had open is ended
  before the slot changes hands. Success is recorded only on the row of the same attempt.

So writes of two passes never mix, and a slot succeeds once. A process that dies after its job's commit and before the
success is recorded leaves a slot that is run again: jobs are safe to repeat, which is all that is asked of them.

Slots without a row since the last one are run late, oldest first, while within `Job.grace`; older ones become `missed`.
"""

from __future__ import annotations

import json
import logging
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from core.clock import Clock
from core.errors import ConflictError, DatabaseUnavailableError
from core.jobs import Job, Report
from database.engine import DATABASE_ERRORS, GONE, Cursor, Database
from database.queries import queries
from database.storable import storable

log = logging.getLogger(__name__)

LOCK_CLASS = 0x4A4F42  # the letters JOB: who may run the job
FENCE_CLASS = 0x4A4F43  # which sessions have a transaction of the job open
BEAT_SECONDS = 3.0
STALE_SECONDS = 15.0
LONGEST_PASS_SECONDS = 3_600.0  # a pass longer than this hangs: its heart stops and another process takes the job
TERMINATE_WAIT_MS = 2_000
MISSED_AT_ONCE = 10_000
KEEP_RUNS = timedelta(days=30)


class Outcome(StrEnum):
    """What became of one try at one slot."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    MISSED = "missed"
    TAKEN = "taken"  # the slot was done before
    BUSY = "busy"  # another pass of the job is at work
    LOST = "lost"  # another process took the slot over, or the lock's connection broke
    UNAVAILABLE = "unavailable"  # the bookkeeping could not reach the database


STOPS_CATCHING_UP = frozenset({Outcome.BUSY, Outcome.LOST, Outcome.UNAVAILABLE})


@dataclass(frozen=True, slots=True)
class Try:
    """One try at one slot."""

    job: Job
    slot: datetime
    now: datetime
    owner: str

    @property
    def late_by(self) -> timedelta:
        """How long ago the slot began."""
        return self.now - self.slot


@dataclass(frozen=True, slots=True)
class Claim:
    """The right of one run to its slot: valid while the row has this attempt and says running."""

    run_id: int
    attempt: int
    key: int


class SlotDatabase(Database):
    """The database as a job sees it: each transaction first proves that the slot is still this run's.

    `direct` connections are not fenced; a job writes through `transaction` alone.
    """

    def __init__(self, db: Database, claim: Claim) -> None:
        self.__dict__.update(db.__dict__)  # the same pool, not another one
        self._claim = claim

    @contextmanager
    def transaction(self, *, statement_timeout_ms: int | None = None) -> Iterator[Cursor]:
        """As `Database.transaction`; raises ConflictError when another process has taken the slot over."""
        with super().transaction(statement_timeout_ms=statement_timeout_ms) as cur:
            claim = self._claim
            names = {"run_id": claim.run_id, "attempt": claim.attempt, "key": claim.key, "fence": FENCE_CLASS}
            cur.execute(queries("jobs").prove_claim, names)
            if cur.fetchone() is None:
                raise ConflictError("another process has taken this slot over")
            yield cur


@dataclass(frozen=True, slots=True)
class SlotPlan:
    """What to do with the slots of a job, oldest first."""

    due: tuple[datetime, ...]
    missed: tuple[datetime, ...]


def plan_slots(job: Job, now: datetime, last: datetime | None, unfinished: Sequence[datetime]) -> SlotPlan:
    """Which slots to run and which to record as missed. Pure.

    `last` is the newest slot with a row, `unfinished` those whose runner may have died. After a very long absence only
    the oldest `MISSED_AT_ONCE` slots are planned; the next look goes on from there.
    """
    first = job.slot_of(now) if last is None else job.slot_of(last) + job.every
    count = max(0, (job.slot_of(now) - first) // job.every + 1)
    new = [first + number * job.every for number in range(min(count, MISSED_AT_ONCE))]
    missed = tuple(slot for slot in new if now - slot > job.grace)
    return SlotPlan((*sorted(unfinished), *new[len(missed) :]), missed)


def run_due(db: Database, job: Job, clock: Clock, owner: str) -> Iterator[Outcome]:
    """Bring the job's slots up to date: record the missed, run the due one by one, giving each outcome as it comes.

    Ends early when somebody else is at work or the database is away; the next look goes on. Raises nothing.
    """
    try:
        due = _plan(db, job, clock.now(), owner)
    except DATABASE_ERRORS as error:
        yield _unavailable(job, error)
        return
    for slot in due:
        outcome = run_slot(db, job, slot, clock.now(), owner)
        yield outcome
        if outcome in STOPS_CATCHING_UP:
            return


def run_slot(db: Database, job: Job, slot: datetime, now: datetime, owner: str) -> Outcome:
    """Run one slot unless it is done, too late or somebody else's. Raises nothing."""
    try:
        with _job_lock(db, job) as cur:
            return Outcome.BUSY if cur is None else _run_locked(db, cur, Try(job, slot, now, owner))
    except DATABASE_ERRORS as error:
        return _unavailable(job, error)


def _plan(db: Database, job: Job, now: datetime, owner: str) -> tuple[datetime, ...]:
    """Gather, decide, record the missed; returns the slots to run."""
    sql = queries("jobs")
    with db.transaction() as cur:
        cur.execute(sql.last_slot, {"job": job.name})
        last: datetime | None = _one(cur).slot
        cur.execute(sql.unfinished_slots, {"job": job.name, "oldest": now - job.grace})
        plan = plan_slots(job, now, last, [row.slot for row in _all(cur)])
        missed = _save_missed(cur, job, plan.missed, owner)
    if missed:
        log.warning("job_slots_missed", extra={"job": job.name, "count": missed, "first": plan.missed[0].isoformat()})
    return plan.due


def _save_missed(cur: Cursor, job: Job, slots: Sequence[datetime], owner: str) -> int:
    """How many of the slots had no row and have one now."""
    if not slots:
        return 0
    cur.execute(queries("jobs").save_missed, {"job": job.name, "slots": list(slots), "owner": owner})
    return cur.rowcount


@contextmanager
def _job_lock(db: Database, job: Job) -> Iterator[Cursor | None]:
    """A cursor of the connection that holds the job's lock; None when a living process holds it."""
    connection = db.direct("jobs")
    try:
        connection.autocommit = True
        cur: Any = connection.cursor()
        yield cur if _take_lock(cur, _key(job)) else None
        with suppress(*DATABASE_ERRORS):  # of a runner that was frozen and has been cut off
            cur.execute(queries("jobs").unlock)
    finally:
        connection.close()


def _take_lock(cur: Cursor, key: int) -> bool:
    sql = queries("jobs")
    names = {"lock": LOCK_CLASS, "fence": FENCE_CLASS, "key": key, "wait_ms": TERMINATE_WAIT_MS}
    cur.execute(sql.try_lock, names)
    if not _one(cur).locked:
        cur.execute(sql.end_stale_holder, names | {"stale_seconds": STALE_SECONDS})
        if not _all(cur):
            return False
        log.warning("job_runner_frozen", extra={"lock_key": key})
        cur.execute(sql.try_lock, names)
        if not _one(cur).locked:
            return False
    cur.execute(sql.end_leftovers, names)
    return True


def _run_locked(db: Database, cur: Cursor, this: Try) -> Outcome:
    """One slot, by the holder of the job's lock."""
    job = this.job
    cur.execute(queries("jobs").abandon_running, {"job": job.name})
    for row in _all(cur):
        log.warning("job_run_abandoned", extra={"job": job.name, "slot": row.slot.isoformat(), "by": row.owner})
    if this.late_by > job.grace:
        return Outcome.MISSED if _save_missed(cur, job, [this.slot], this.owner) else Outcome.TAKEN
    cur.execute(queries("jobs").claim_slot, {"job": job.name, "slot": this.slot, "owner": this.owner})
    claimed = _one(cur)
    if claimed is None:
        return Outcome.TAKEN
    return _run_claimed(db, cur, this, Claim(claimed.id, claimed.attempt, _key(job)))


def _run_claimed(db: Database, cur: Cursor, this: Try, claim: Claim) -> Outcome:
    """One pass with its record and its log line."""
    started = time.monotonic()
    with _heartbeat(cur):
        outcome, report, error = _pass(SlotDatabase(db, claim), this.job, this.now)
    if not _finish(cur, claim, outcome, report):
        outcome = Outcome.LOST
    fields = {
        "job": this.job.name,
        "slot": this.slot.isoformat(),
        "outcome": outcome.value,
        "attempt": claim.attempt,
        "seconds": round(time.monotonic() - started, 3),
        "late_seconds": round(this.late_by.total_seconds(), 3),
        "counts": report.counts,
        "detail": report.message,
    }
    log.log(logging.INFO if outcome is Outcome.SUCCEEDED else logging.ERROR, "job_run", extra=fields, exc_info=error)
    return outcome


def _pass(db: Database, job: Job, now: datetime) -> tuple[Outcome, Report, Exception | None]:
    """Call the job. Whatever goes wrong in it is a failed run, and never harms the scheduler or other jobs."""
    try:
        report = job.run(db, now)
        json.dumps(report.counts, allow_nan=False)
    except Exception as error:  # noqa: BLE001  the one place that may: it is recorded and logged right after
        return Outcome.FAILED, Report(f"{type(error).__name__}: {error}"[:1_000]), error
    return Outcome.SUCCEEDED, report, None


def _finish(cur: Cursor, claim: Claim, outcome: Outcome, report: Report) -> bool:
    """Record the end of the run; False when the slot is no longer this run's."""
    values = {
        "run_id": claim.run_id,
        "attempt": claim.attempt,
        "status": outcome.value,
        "counts": storable(json.dumps(report.counts, ensure_ascii=False)).replace("\\u0000", ""),
        "message": storable(report.message),
    }
    try:
        cur.execute(queries("jobs").finish_run, values)
        return cur.fetchone() is not None
    except GONE:
        return False


@contextmanager
def _heartbeat(cur: Cursor) -> Iterator[None]:
    """Signs of life on the lock's connection from a thread of its own, until the pass is over or hangs."""
    over = threading.Event()
    deadline = time.monotonic() + LONGEST_PASS_SECONDS

    def beat() -> None:
        while not over.wait(BEAT_SECONDS) and time.monotonic() < deadline:
            try:
                cur.execute(queries("jobs").beat)
            except GONE:
                return

    thread = threading.Thread(target=beat, name="job-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _unavailable(job: Job, error: Exception) -> Outcome:
    """An absent database is told once by the scheduler; anything else about the bookkeeping is told each time."""
    known = isinstance(error, (DatabaseUnavailableError, *GONE))
    log.log(
        logging.DEBUG if known else logging.ERROR, "job_bookkeeping_failed", extra={"job": job.name}, exc_info=error
    )
    return Outcome.UNAVAILABLE


def _key(job: Job) -> int:
    """The job's number in advisory locks: 31 bits, so that pg_locks shows it unchanged."""
    return zlib.crc32(job.name.encode()) & 0x7FFFFFFF


def _one(cur: Cursor) -> Any:
    return cur.fetchone()


def _all(cur: Cursor) -> list[Any]:
    return list(cur.fetchall())


def last_successes(cur: Cursor, jobs: Sequence[str]) -> dict[str, datetime]:
    """When each of these jobs last succeeded, in any process; those that never did are left out."""
    cur.execute(queries("jobs").last_successes, {"jobs": list(jobs)})
    return dict(_all(cur))


def _delete_old_runs(db: Database, now: datetime) -> Report:
    with db.transaction() as cur:
        cur.execute(queries("jobs").delete_old_runs, {"before": now - KEEP_RUNS})
        return Report(counts={"deleted": cur.rowcount})


PRUNE_JOB_RUNS = Job("prune_job_runs", timedelta(hours=1), _delete_old_runs, grace=timedelta(hours=1))
