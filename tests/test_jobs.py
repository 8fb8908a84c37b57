"""The job wrapper: each slot once, whatever dies, freezes, fails or is late."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import ManualClock
from core.errors import ConflictError, DatabaseUnavailableError
from core.jobs import Job, Report
from database import jobs
from database.engine import Connection, Database
from database.jobs import PRUNE_JOB_RUNS, Outcome, plan_slots, run_due, run_slot

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
EVERY = timedelta(minutes=2)
GRACE = timedelta(minutes=10)


def job_of(run: Callable[[Any, datetime], Report], name: str = "work") -> Job:
    return Job(name, EVERY, run, grace=GRACE)


def nothing(_db: Database, _now: datetime) -> Report:
    return Report("did nothing", {"rows": 0})


def rows(db: Database, columns: str = "slot, status, attempt") -> list[tuple[Any, ...]]:
    with db.transaction() as cur:
        cur.execute(f"SELECT {columns} FROM job_runs ORDER BY job, slot")
        return [tuple(row) for row in cur.fetchall()]


def put_row(db: Database, slot: datetime, status: str, job: str = "work") -> None:
    with db.transaction() as cur:
        cur.execute("INSERT INTO job_runs (job, slot, status, owner) VALUES (%s, %s, %s, 'x')", (job, slot, status))


def catch_up(db: Database, job: Job, now: datetime) -> list[Outcome]:
    return list(run_due(db, job, ManualClock(now), "me"))


class KeptOpen:
    """A connection whose end the server has not noticed yet."""

    def __init__(self, connection: Connection) -> None:
        self.__dict__["connection"] = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self.connection, name, value)

    def close(self) -> None:
        pass


def test_the_next_slot_finds_the_lock_free_though_the_server_is_slow(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    direct, held = db.direct, []

    def kept(role: str) -> Any:
        held.append(direct(role))
        return KeptOpen(held[-1])

    monkeypatch.setattr(db, "direct", kept)
    with ExitStack() as stack:
        stack.callback(lambda: [connection.close() for connection in held])
        assert [
            run_slot(db, job_of(nothing), NOON + number * EVERY, NOON + number * EVERY, "me") for number in range(2)
        ] == [Outcome.SUCCEEDED] * 2


class Pausing:
    """A job that writes, waits to be let on, and writes again: room to freeze it in the middle of its pass."""

    def __init__(self, *, holds_transaction: bool = False) -> None:
        self.holds_transaction = holds_transaction
        self.is_half_way, self.go_on = threading.Event(), threading.Event()
        self.error: Exception | None = None

    def __call__(self, db: Database, _now: datetime) -> Report:
        try:
            self._write(db, "first", pause=self.holds_transaction)
            if not self.holds_transaction:
                self._pause()
            self._write(db, "second")
        except (ConflictError, DatabaseUnavailableError) as error:
            self.error = error
            raise
        return Report()

    def _pause(self) -> None:
        self.is_half_way.set()
        assert self.go_on.wait(20)

    def _write(self, db: Database, what: str, *, pause: bool = False) -> None:
        with db.transaction() as cur:
            cur.execute("INSERT INTO written VALUES (%s)", (what,))
            if pause:
                self._pause()


@pytest.fixture
def written(db: Database) -> Callable[[], list[str]]:
    with db.transaction() as cur:
        cur.execute("CREATE TABLE written (what text)")

    def read() -> list[str]:
        with db.transaction() as cur:
            cur.execute("SELECT what FROM written")
            return [row.what for row in cur.fetchall()]

    return read


@contextmanager
def running(db: Database, pausing: Pausing) -> Iterator[list[Outcome]]:
    """The job half-way through the slot of noon; at the end it is let on, and its outcome is in the list."""
    outcomes: list[Outcome] = []
    thread = threading.Thread(target=lambda: outcomes.append(run_slot(db, job_of(pausing), NOON, NOON, "slow")))
    thread.start()
    try:
        assert pausing.is_half_way.wait(20)
        yield outcomes
    finally:
        pausing.go_on.set()
        thread.join(20)


@pytest.fixture
def heartless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runners give no sign of life, as if stopped by the system, and are taken for frozen at once."""
    monkeypatch.setattr(jobs, "BEAT_SECONDS", 60.0)
    monkeypatch.setattr(jobs, "STALE_SECONDS", 0.0)


def test_a_slot_is_run_once(db: Database) -> None:
    assert run_slot(db, job_of(nothing), NOON, NOON, "me") is Outcome.SUCCEEDED
    assert run_slot(db, job_of(nothing), NOON, NOON, "you") is Outcome.TAKEN
    assert rows(db, "slot, status, owner, counts, message") == [(NOON, "succeeded", "me", {"rows": 0}, "did nothing")]


def test_of_eight_that_want_a_slot_at_once_one_runs_it(db: Database) -> None:
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda n: run_slot(db, job_of(nothing), NOON, NOON, f"{n}"), range(8)))
    assert outcomes.count(Outcome.SUCCEEDED) == 1
    assert set(outcomes) <= {Outcome.SUCCEEDED, Outcome.TAKEN, Outcome.BUSY}


def test_a_failure_is_recorded_logged_and_not_repeated(db: Database, caplog: pytest.LogCaptureFixture) -> None:
    def fail(_db: Database, _now: datetime) -> Report:
        raise ValueError("no\0 good \ud800")

    assert catch_up(db, job_of(fail), NOON) == [Outcome.FAILED]
    assert catch_up(db, job_of(fail), NOON) == []
    assert rows(db, "status, message") == [("failed", "ValueError: no good ?")]
    assert [record.message for record in caplog.records if record.name == "database.jobs"] == ["job_run"]


@pytest.mark.parametrize("report", [None, Report(counts={"part": float("nan")})])
def test_a_report_that_cannot_be_stored_is_a_failed_run(db: Database, report: Any) -> None:
    assert run_slot(db, job_of(lambda _db, _now: report), NOON, NOON, "me") is Outcome.FAILED


def test_a_poisoned_job_leaves_the_slots_of_others_alone(db: Database) -> None:
    poison = job_of(lambda _db, _now: Report(counts={"x": 1 // 0}), "poison")
    clock = ManualClock(NOON)
    for _ in range(5):
        list(run_due(db, poison, clock, "me"))
        list(run_due(db, job_of(nothing), clock, "me"))
        clock.sleep(EVERY.total_seconds())
    assert rows(db, "job, status") == [("poison", "failed")] * 5 + [("work", "succeeded")] * 5


def test_skipped_slots_run_late_within_the_grace_and_are_missed_after_it(db: Database) -> None:
    catch_up(db, job_of(nothing), NOON)
    assert catch_up(db, job_of(nothing), NOON + 10 * EVERY) == [Outcome.SUCCEEDED] * 6
    statuses = [status for (status,) in rows(db, "status")]
    assert statuses == ["succeeded", *["missed"] * 4, *["succeeded"] * 6]


def test_a_first_start_owes_nothing_for_the_past(db: Database) -> None:
    assert catch_up(db, job_of(nothing), NOON + timedelta(seconds=5)) == [Outcome.SUCCEEDED]
    assert rows(db, "slot") == [(NOON,)]


def test_a_slot_asked_for_too_late_is_missed(db: Database) -> None:
    assert run_slot(db, job_of(nothing), NOON, NOON + 2 * GRACE, "me") is Outcome.MISSED
    assert run_slot(db, job_of(nothing), NOON, NOON, "me") is Outcome.TAKEN


def test_the_slot_of_a_dead_runner_is_run_again(db: Database) -> None:
    put_row(db, NOON, "running")
    assert catch_up(db, job_of(nothing), NOON + EVERY) == [Outcome.SUCCEEDED] * 2
    assert rows(db) == [(NOON, "succeeded", 2), (NOON + EVERY, "succeeded", 1)]


def test_the_slot_of_a_dead_runner_stays_abandoned_after_the_grace(db: Database) -> None:
    put_row(db, NOON, "running")
    assert catch_up(db, job_of(nothing), NOON + 10 * EVERY) == [Outcome.TAKEN] + [Outcome.SUCCEEDED] * 6
    assert rows(db)[0] == (NOON, "abandoned", 1)


def test_a_living_runner_is_not_robbed(
    db: Database, written: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "BEAT_SECONDS", 0.02)
    monkeypatch.setattr(jobs, "STALE_SECONDS", 1.0)
    half_past = threading.Timer(1.5, lambda: None)
    with running(db, Pausing()) as outcomes:
        half_past.start()
        while half_past.is_alive():
            assert run_slot(db, job_of(nothing), NOON, NOON, "eager") is Outcome.BUSY
    assert outcomes == [Outcome.SUCCEEDED]
    assert written() == ["first", "second"]


@pytest.mark.usefixtures("heartless")
def test_a_frozen_runner_loses_its_slot_and_writes_nothing_when_it_thaws(
    db: Database, written: Callable[[], list[str]]
) -> None:
    frozen = Pausing()
    with running(db, frozen) as outcomes:
        assert run_slot(db, job_of(nothing), NOON, NOON, "heir") is Outcome.SUCCEEDED
    assert outcomes == [Outcome.LOST]
    assert isinstance(frozen.error, ConflictError)
    assert written() == ["first"]
    assert rows(db, "status, owner, attempt") == [("succeeded", "heir", 2)]


@pytest.mark.usefixtures("heartless")
def test_a_transaction_that_a_frozen_runner_holds_open_is_ended(db: Database, written: Callable[[], list[str]]) -> None:
    frozen = Pausing(holds_transaction=True)
    with running(db, frozen) as outcomes:
        assert run_slot(db, job_of(nothing), NOON, NOON, "heir") is Outcome.SUCCEEDED
    assert outcomes == [Outcome.LOST]
    assert isinstance(frozen.error, DatabaseUnavailableError)
    assert written() == []


@pytest.mark.usefixtures("heartless")
def test_without_the_fence_the_thawed_runner_would_write(db: Database, written: Callable[[], list[str]]) -> None:
    frozen = Pausing()
    unfenced = Pausing.__call__

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Pausing, "__call__", lambda self, _db, now: unfenced(self, db, now))
        with running(db, frozen) as outcomes:
            assert run_slot(db, job_of(nothing), NOON, NOON, "heir") is Outcome.SUCCEEDED
    assert outcomes == [Outcome.LOST]
    assert written() == ["first", "second"]


@pytest.mark.usefixtures("heartless")
def test_a_frozen_runner_of_one_job_does_not_cost_another_its_session(
    db: Database, written: Callable[[], list[str]]
) -> None:
    with running(db, Pausing()) as outcomes:
        assert run_slot(db, job_of(nothing, "other"), NOON, NOON, "heir") is Outcome.SUCCEEDED
    assert outcomes == [Outcome.SUCCEEDED]
    assert written() == ["first", "second"]


def test_an_absent_database_is_an_outcome_and_no_exception() -> None:
    db = Database("postgresql://nobody@127.0.0.1:1/none")
    assert run_slot(db, job_of(nothing), NOON, NOON, "me") is Outcome.UNAVAILABLE
    assert catch_up(db, job_of(nothing), NOON) == [Outcome.UNAVAILABLE]


def test_a_lock_connection_that_breaks_leaves_the_slot_to_be_run_again(db: Database) -> None:
    def cut_the_lock(fenced: Database, _now: datetime) -> Report:
        with fenced.transaction() as cur:
            cur.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE classid = %s", (jobs.LOCK_CLASS,))
        return Report()

    assert run_slot(db, job_of(cut_the_lock), NOON, NOON, "me") is Outcome.LOST
    assert catch_up(db, job_of(nothing), NOON) == [Outcome.SUCCEEDED]
    assert rows(db) == [(NOON, "succeeded", 2)]


def test_the_table_itself_refuses_a_second_row_for_a_slot(db: Database) -> None:
    put_row(db, NOON, "running")
    with pytest.raises(psycopg2.errors.UniqueViolation):
        put_row(db, NOON, "running")


def test_pruning_keeps_the_newest_row_and_the_last_success(db: Database) -> None:
    old = NOON - timedelta(days=60)
    for number, status in enumerate(["succeeded", "succeeded", "failed", "missed"]):
        put_row(db, old + number * EVERY, status)
    put_row(db, NOON, "failed", "recent")
    assert PRUNE_JOB_RUNS.run(db, NOON).counts == {"deleted": 2}
    assert rows(db, "job, status") == [("recent", "failed"), ("work", "succeeded"), ("work", "missed")]


@given(
    every=st.integers(1, 500).map(lambda n: timedelta(seconds=n)),
    grace=st.integers(0, 5_000).map(lambda n: timedelta(seconds=n)),
    age=st.integers(-1_000, 50_000).map(lambda n: timedelta(seconds=n)),
)
def test_every_slot_since_the_last_is_due_or_missed(every: timedelta, grace: timedelta, age: timedelta) -> None:
    job = Job("work", every, nothing, grace=grace)
    last = job.slot_of(NOON - age)
    plan = plan_slots(job, NOON, last, [])
    planned = [*plan.missed, *plan.due]
    whole = (NOON - last) // every
    assert planned == [last + number * every for number in range(1, min(whole, jobs.MISSED_AT_ONCE) + 1)]
    assert all(NOON - slot > grace for slot in plan.missed)
    assert all(NOON - slot <= grace for slot in plan.due)
