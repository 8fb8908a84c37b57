"""The scheduler: it calls jobs, waits for what is away, and heals when its clockwork breaks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.clock import ManualClock
from core.jobs import Job, Report
from database import scheduler as scheduler_module
from database.engine import Database
from database.scheduler import Scheduler

QUICK = timedelta(seconds=0.2)
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


class Passes:
    """A job that counts its passes and lets a test wait for the next ones."""

    def __init__(self) -> None:
        self.count = 0
        self.raises: BaseException | None = None
        self._changed = threading.Condition()

    def __call__(self, _db: Database, _now: datetime) -> Report:
        with self._changed:
            self.count += 1
            self._changed.notify_all()
        if self.raises is not None:
            error, self.raises = self.raises, None
            raise error
        return Report()

    def wait_for_more(self, more: int = 2, timeout: float = 20) -> bool:
        with self._changed:
            wanted = self.count + more
            return self._changed.wait_for(lambda: self.count >= wanted, timeout)


def quick(run: Callable[[Any, datetime], Report], name: str = "work") -> Job:
    return Job(name, QUICK, run, grace=timedelta(seconds=1))


@contextmanager
def started(db: Database, *all_jobs: Job, **options: Any) -> Iterator[Scheduler]:
    scheduler = Scheduler(db, all_jobs, look_every=QUICK, watch_every=QUICK, **options)
    scheduler.start()
    try:
        yield scheduler
    finally:
        assert scheduler.stop()


def break_the_job_store(scheduler: Scheduler, _passes: Passes) -> None:
    def update_job(_job: object) -> None:
        raise RuntimeError("the job store is broken")

    scheduler._clockwork._jobstores["default"].update_job = update_job


def break_a_job(_scheduler: Scheduler, passes: Passes) -> None:
    passes.raises = RuntimeError("the job is broken")


def leave_from_a_job(_scheduler: Scheduler, passes: Passes) -> None:
    passes.raises = SystemExit(3)


def break_a_listener(scheduler: Scheduler, _passes: Passes) -> None:
    def listener(_event: object) -> None:
        raise RuntimeError("the listener is broken")

    scheduler._clockwork.add_listener(listener)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("harm", [break_the_job_store, break_a_job, leave_from_a_job, break_a_listener])
def test_passes_go_on_after(harm: Callable[[Scheduler, Passes], None], db: Database) -> None:
    passes = Passes()
    with started(db, quick(passes)) as scheduler:
        assert passes.wait_for_more()
        harm(scheduler, passes)
        assert passes.wait_for_more(5)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_dead_clockwork_says_it_runs_and_only_the_watch_on_effects_replaces_it(db: Database) -> None:
    passes = Passes()
    with started(db, quick(passes)) as scheduler:
        assert passes.wait_for_more()
        broken = scheduler._clockwork
        break_the_job_store(scheduler, passes)
        broken._thread.join(20)
        assert broken.running
        assert passes.wait_for_more()
        assert scheduler._clockwork is not broken
        assert scheduler.rebuilds >= 1


def test_a_hanging_pass_does_not_stop_other_jobs_and_is_given_up(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler_module, "LONGEST_PASS_SECONDS", 0.5)
    end, rebuilt = threading.Event(), threading.Event()

    def hang(_db: Database, _now: datetime) -> Report:
        end.wait(20)
        return Report()

    others = Passes()
    monkeypatch.setattr(Scheduler, "_discard", lambda _self, old: (scheduler_module._shut_down(old), rebuilt.set()))
    with started(db, quick(hang, "hanging"), quick(others)):
        assert others.wait_for_more()
        assert rebuilt.wait(20)
        assert others.wait_for_more()
        end.set()


def test_it_starts_without_a_database_says_so_once_and_goes_on_when_it_comes(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "database.scheduler")
    urls = {"now": "postgresql://nobody@127.0.0.1:1/none"}
    asked = threading.Semaphore(0)
    db_of_later = Database(lambda: (asked.release(), urls["now"])[1])
    passes = Passes()
    with started(db_of_later, quick(passes)):
        for _ in range(4):
            assert asked.acquire(timeout=20)
        urls["now"] = database_url
        assert passes.wait_for_more()
    db_of_later.close()
    said = [record.message for record in caplog.records if record.name == "database.scheduler"]
    assert said == ["jobs_wait_for_database", "jobs_go_on"]


def test_looks_do_nothing_until_the_event_is_set(db: Database) -> None:
    ready, passes = threading.Event(), Passes()
    with started(db, quick(passes), wait_for=ready):
        assert not passes.wait_for_more(1, timeout=0.7)
        ready.set()
        assert passes.wait_for_more()


def test_stop_waits_for_the_pass_at_work(db: Database) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(_db: Database, _now: datetime) -> Report:
        begun.set()
        go_on.wait(20)
        return Report()

    scheduler = Scheduler(db, [quick(slow)], look_every=QUICK, watch_every=QUICK)
    scheduler.start()
    assert begun.wait(20)
    assert not scheduler.stop(timeout=0.1)
    go_on.set()
    assert scheduler.stop()


def test_a_slot_is_looked_at_from_its_start_and_often() -> None:
    scheduler = Scheduler(Database("postgresql://nobody@127.0.0.1:1/none"), [])
    seconds = {every: scheduler._look_seconds(Job("x", timedelta(seconds=every), Passes())) for every in (1, 20, 120)}
    assert seconds == {1: 1.0, 20: 10.0, 120: 15.0}


def test_overdue_names_the_jobs_without_a_success_for_two_periods(db: Database) -> None:
    names = ["fresh", "stale", "never"]
    scheduler = Scheduler(db, [Job(name, timedelta(minutes=2), Passes()) for name in names], clock=ManualClock(NOON))
    with db.transaction() as cur:
        for name, minutes in (("fresh", 58), ("stale", 50)):
            at = NOON + timedelta(minutes=minutes)
            cur.execute(
                "INSERT INTO job_runs (job, slot, status, owner, finished_at) VALUES (%s, %s, 'succeeded', 'x', %s)",
                (name, at, at),
            )
    assert scheduler.overdue(NOON + timedelta(minutes=4)) == []
    late = scheduler.overdue(NOON + timedelta(hours=1))
    assert [(job.job, job.last_success_at) for job in late] == [
        ("stale", NOON + timedelta(minutes=50)),
        ("never", None),
    ]
    assert late[0].late_by == timedelta(minutes=5, seconds=45)
