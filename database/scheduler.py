"""Calls the jobs of this process when their slots are due, and heals itself when the calls stop.

APScheduler is only the clockwork: it looks at each job at every slot's start and at least every `LOOK_EVERY`, and
`database/jobs.py` decides from the table what is due. So a slot whose database was away, or whose runner died in
another process, is taken up by the next look, and no missed call of the clockwork loses a slot.

Two watches, both on effects, since `running` stays True when APScheduler's thread has died:

* A thread of this class notices when a job has not really been called for three looks (or one call has lasted longer
  than any pass may) and builds a new clockwork. It needs no database, so it cannot hang with it.
* `overdue` reads from the table which jobs have not succeeded in any process for two periods; health pages ask it.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers import SchedulerNotRunningError
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

from core.clock import Clock, SystemClock
from core.jobs import Job
from core.records import EPOCH
from database.engine import Database, process_name
from database.jobs import LONGEST_PASS_SECONDS, Outcome, run_due
from database.queries import queries

log = logging.getLogger(__name__)

LOOK_EVERY = timedelta(seconds=15)
WATCH_EVERY = timedelta(seconds=10)
SILENT_LOOKS = 3


@dataclass(frozen=True, slots=True)
class Overdue:
    """A job that has not succeeded for more than two of its periods; `last_success_at` None: never since the start."""

    job: str
    last_success_at: datetime | None
    late_by: timedelta


class Scheduler:
    """The jobs of one process. Any number of processes may run the same jobs against one database.

    Until the event `wait_for` is set (the tables are there), looks do nothing.
    """

    def __init__(
        self,
        db: Database,
        jobs: Sequence[Job],
        *,
        clock: Clock | None = None,
        owner: str | None = None,
        wait_for: threading.Event | None = None,
        look_every: timedelta = LOOK_EVERY,
        watch_every: timedelta = WATCH_EVERY,
    ) -> None:
        self._db = db
        self._jobs = tuple(jobs)
        self._clock = clock or SystemClock()
        self._owner = owner or process_name()
        self._wait_for = wait_for
        self._look_every = look_every
        self._watch_every = watch_every
        self._stopping = threading.Event()
        self._state = threading.Condition()
        self._seen_at: dict[str, float] = {}
        self._at_work: Counter[str] = Counter()
        self._database_away = False
        self._started_at = self._clock.now()
        self._clockwork: BackgroundScheduler | None = None
        self._watchdog: threading.Thread | None = None
        self.rebuilds = 0

    def start(self) -> None:
        """Begin to look; returns at once, whether the database is there or not."""
        self._stopping.clear()
        self._started_at = self._clock.now()
        logging.getLogger("apscheduler").setLevel(logging.ERROR)  # it would log every look; job runs have our own line
        self._build()
        self._watchdog = threading.Thread(target=self._watch, name="scheduler-watchdog", daemon=True)
        self._watchdog.start()

    def stop(self, timeout: float = 20.0) -> bool:
        """Start nothing more and wait up to `timeout` seconds for the passes at work; True when none is left.

        A pass that is cut off by the end of the process leaves a slot that another process runs again.
        """
        self._stopping.set()
        if self._watchdog is not None:
            self._watchdog.join(timeout)
        self._discard(self._clockwork)
        self._clockwork = None
        with self._state:
            return self._state.wait_for(lambda: self._at_work.total() == 0, timeout)

    def overdue(self, now: datetime) -> list[Overdue]:
        """Jobs without a success in any process for two periods. Raises DatabaseUnavailableError."""
        with self._db.transaction() as cur:
            cur.execute(queries("jobs").last_successes, {"jobs": [job.name for job in self._jobs]})
            successes: dict[str, datetime] = dict(cur.fetchall())
        found = []
        for job in self._jobs:
            last = successes.get(job.name)
            late_by = now - (last or self._started_at) - 2 * job.every - self._look_every
            if late_by > timedelta(0):
                found.append(Overdue(job.name, last, late_by))
        return found

    def _build(self) -> None:
        """A new clockwork. Everything it needs is named here: its defaults drop late calls without a word."""
        clockwork = BackgroundScheduler(timezone=UTC, executors={"default": ThreadPoolExecutor(len(self._jobs) or 1)})
        for job in self._jobs:
            trigger = IntervalTrigger(seconds=self._look_seconds(job), start_date=EPOCH, timezone=UTC)
            clockwork.add_job(
                self._look, trigger, [job], id=job.name, coalesce=True, max_instances=1, misfire_grace_time=None
            )
        with self._state:
            self._seen_at = dict.fromkeys((job.name for job in self._jobs), self._clock.monotonic())
        clockwork.start()
        self._clockwork = clockwork

    def _look_seconds(self, job: Job) -> float:
        """Seconds between looks: a whole fraction of the period, so that each slot begins with a look."""
        return job.every.total_seconds() / math.ceil(job.every / self._look_every)

    def _look(self, job: Job) -> None:
        with self._state:
            self._at_work[job.name] += 1
            self._seen_at[job.name] = self._clock.monotonic()
        try:
            if self._wait_for is None or self._wait_for.is_set():
                self._run_due(job)
        finally:
            with self._state:
                self._at_work[job.name] -= 1
                self._seen_at[job.name] = self._clock.monotonic()
                self._state.notify_all()

    def _run_due(self, job: Job) -> None:
        away = False
        for outcome in run_due(self._db, job, self._clock, self._owner):
            away = outcome is Outcome.UNAVAILABLE
            with self._state:
                self._seen_at[job.name] = self._clock.monotonic()
            if self._stopping.is_set():
                break
        self._note_database(away)

    def _note_database(self, away: bool) -> None:
        with self._state:
            changed, self._database_away = away != self._database_away, away
        if changed and away:
            log.warning("jobs_wait_for_database")
        elif changed:
            log.info("jobs_go_on")

    def _watch(self) -> None:
        while not self._stopping.wait(self._watch_every.total_seconds()):
            silent = self._silent_jobs()
            if not silent:
                continue
            self.rebuilds += 1
            log.error("scheduler_rebuilt", extra={"silent_jobs": silent, "rebuilds": self.rebuilds})
            old, self._clockwork = self._clockwork, None
            self._discard(old)
            try:
                self._build()
            except RuntimeError as error:  # no more threads: the next watch tries again
                log.error("scheduler_not_built", exc_info=error)

    def _silent_jobs(self) -> list[str]:
        """Jobs that have not been called for three looks, or whose call hangs."""
        now = self._clock.monotonic()
        with self._state:
            return [job.name for job in self._jobs if now - self._seen_at[job.name] > self._patience(job)]

    def _patience(self, job: Job) -> float:
        return LONGEST_PASS_SECONDS if self._at_work[job.name] else SILENT_LOOKS * self._look_seconds(job)

    @staticmethod
    def _discard(clockwork: BackgroundScheduler | None) -> None:
        """Shut a clockwork down from a thread of its own: one that is broken may never give its locks back."""
        if clockwork is not None:
            threading.Thread(target=_shut_down, args=[clockwork], name="scheduler-discard", daemon=True).start()


def _shut_down(clockwork: BackgroundScheduler) -> None:
    try:
        clockwork.shutdown(wait=False)
    except SchedulerNotRunningError:
        log.debug("clockwork_was_stopped")
