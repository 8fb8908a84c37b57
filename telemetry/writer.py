"""The writer: one thread that owns one direct connection, stores what waits in one transaction, and drains the journal.

Whoever hands a delivery over may wait until it is settled. Any failure of the database opens the breaker: until a write
succeeds again, what is journalled is settled at once and answered from the journal. A frozen server does not even let a
statement time out, so a watchdog cuts the connection of a transaction that takes too long; what was on its way counts as
not stored and is stored again under the same receipt.
"""

from __future__ import annotations

import logging
import os
import queue
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from uuid import UUID

import psycopg2

from core.clock import Clock
from database import deliveries
from database.deliveries import StoredDelivery
from database.engine import DATABASE_ERRORS, Connection, Cursor, Database
from telemetry.journal import crash_points
from telemetry.journal.journal import Journal
from telemetry.journal.record import Record
from telemetry.prepare import Prepared, prepare

log = logging.getLogger(__name__)

GROUP = 100
DRAIN_GROUP = 500  # as far as the database stores that many within the time of a statement
STATEMENT_TIMEOUT_MS = 700
LIVE_BUDGET_SECONDS = 2.0
DRAIN_BUDGET_SECONDS = 15.0
RETRY_SECONDS = 0.5
IDLE_SECONDS = 0.2
IN_FLIGHT_SECONDS = 2.0  # what is younger may still be on its way from its own request
CARE_SECONDS = 1.0
ADOPT_SECONDS = 60.0
CONNECT_TIMEOUT_SECONDS = 2
REFUSED = (psycopg2.DataError, psycopg2.IntegrityError)  # by the database, of one record and however often
FAULT = "not stored as understood: a fault of the service; it can be replayed"

Project = Callable[[Cursor, Sequence[Prepared], dict[UUID, StoredDelivery]], dict[UUID, StoredDelivery]]


class Passage:
    """A delivery on its way to the database, for which its request waits.

    `is_journalled` says that it is safe on disk; `prepared` is None until it is understood, `stored` until it is in the
    database.
    """

    __slots__ = ("_settled", "is_journalled", "prepared", "record", "started", "stored")

    def __init__(self, record: Record, started: float) -> None:
        """`started` is the perf_counter() at which its request began."""
        self.record = record
        self.started = started
        self.is_journalled = False
        self.prepared: Prepared | None = None
        self.stored: StoredDelivery | None = None
        self._settled = threading.Lock()  # held until settled: a third of what an Event or a Future costs
        self._settled.acquire()

    def settle(self, stored: StoredDelivery | None) -> None:
        """End the wait: `stored` in the database, or None if it is not there now. Once only."""
        self.stored = stored
        self._settled.release()

    def wait(self, seconds: float) -> bool:
        """True when it was settled in time. For one waiter."""
        return self._settled.acquire(timeout=seconds)


class Writer:
    """Stores deliveries. `submit` may be called from any thread; everything else happens on the writer's own."""

    def __init__(self, db: Database, journal: Journal, clock: Clock, project: Project) -> None:
        self._db = db
        self._journal = journal
        self._clock = clock
        self._project = project
        self._queue: queue.SimpleQueue[Passage | None] = queue.SimpleQueue()  # None wakes it for the end
        self._connection: Connection | None = None
        self._stop = threading.Event()
        self._busy_until: float | None = None
        self._drain_group = DRAIN_GROUP
        self._retry_at = 0.0
        self._care_at = 0.0
        self._adopt_at = 0.0
        self.is_broken = True  # until the first write has succeeded
        self.stored = 0
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._watchdog = threading.Thread(target=self._watch, name="writer-watchdog", daemon=True)

    def start(self) -> None:
        """Begin to write and to drain; returns at once."""
        self._thread.start()
        self._watchdog.start()

    def stop(self, seconds: float = 5.0) -> None:
        """Store what waits, for at most `seconds`; the rest waits on disk."""
        self._stop.set()
        self._queue.put(None)
        self._thread.join(timeout=seconds)

    def submit(self, passage: Passage) -> None:
        """Take over a delivery that is understood; settled at once if the breaker is open and the journal has it."""
        if passage.is_journalled and (self.is_broken or self._stop.is_set()):
            passage.settle(None)
        else:
            self._queue.put(passage)

    def report_slow(self) -> None:
        """A request has waited in vain: the next ones need not wait too."""
        self._break("slow")

    # --- the thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not (self._stop.is_set() and self._queue.empty()):
            try:
                self._round()
            except Exception as error:
                log.exception("writer_failed")
                self._break(type(error).__name__)
                self._disconnect()
        self._finish()

    def _finish(self) -> None:
        """Let go of segments that are stored, so that the next start has nothing to replay."""
        self._journal.seal()
        if not self.is_broken:
            try:
                self._journal.remove_confirmed(self._confirm)
            except DATABASE_ERRORS as error:
                log.info("journal_not_cleared", extra={"reason": type(error).__name__})
        self._disconnect()

    def _round(self) -> None:
        items = self._take()
        if items:
            self._store_items(items)
        if not self.is_broken:
            self._care()
        elif not items:
            self._probe()

    def _take(self) -> list[Passage]:
        items: list[Passage | None] = []
        try:
            items.append(self._queue.get(timeout=IDLE_SECONDS))
            while len(items) < GROUP:
                items.append(self._queue.get_nowait())
        except queue.Empty:
            pass
        return [item for item in items if item is not None]

    def _store_items(self, items: list[Passage]) -> None:
        stored: dict[UUID, StoredDelivery] = {}
        try:
            stored = self._store([item.prepared for item in items if item.prepared], LIVE_BUDGET_SECONDS)
        except DATABASE_ERRORS as error:
            self._fail(error)
        finally:
            for item in items:
                item.settle(stored.get(item.record.receipt_id))

    def _store(self, group: Sequence[Prepared], budget: float, *, replayed: bool = False) -> dict[UUID, StoredDelivery]:
        """Store a group in one transaction; if one of its records cannot be stored, one by one."""
        self._busy_until = self._clock.monotonic() + budget
        try:
            try:
                stored = self._transact(group)
            except Exception as error:
                if not _is_of_one_record(error):
                    raise
                self._connected().rollback()
                stored = {}
                for prepared in group:
                    stored |= self._store_alone(prepared)
        finally:
            self._busy_until = None
        crash_points.reach("after_commit")
        self._journal.mark_stored((prepared.delivery.receipt_id for prepared in group), replayed=replayed)
        self.stored += len(stored)
        self._mend()
        return stored

    def _transact(self, group: Sequence[Prepared]) -> dict[UUID, StoredDelivery]:
        connection = self._connected()
        with connection.cursor() as cur:
            stored = deliveries.add_deliveries(cur, [prepared.delivery for prepared in group])
            stored = self._project(cur, group, stored)
        crash_points.reach("before_commit")
        connection.commit()
        return stored

    def _store_alone(self, prepared: Prepared) -> dict[UUID, StoredDelivery]:
        """One record; if it cannot be stored as understood, its bytes are, as quarantined with the reason."""
        try:
            return self._transact([prepared])
        except Exception as error:
            if not _is_of_one_record(error):
                raise
            self._connected().rollback()
            sqlstate = error.pgcode if isinstance(error, psycopg2.Error) else None
            log.exception(
                "delivery_refused", extra={"receipt_id": str(prepared.delivery.receipt_id), "sqlstate": sqlstate}
            )
            bare = replace(
                prepared.delivery,
                status="quarantined",
                raw_payload=None,
                fused_event=None,
                handler_result=None,
                repair=None,
                validation_error=f"refused by the database (SQLSTATE {sqlstate})" if sqlstate else FAULT,
            )
            return self._transact([Prepared(bare, (), is_understood=False)])

    # --- breaker, probe, drain -----------------------------------------------------------------------------------

    def _fail(self, error: BaseException) -> None:
        self._break(type(error).__name__)
        self._disconnect()
        self._retry_at = self._clock.monotonic() + RETRY_SECONDS

    def _break(self, reason: str) -> None:
        if not self.is_broken:
            log.warning("writer_breaker_open", extra={"reason": reason})
        self.is_broken = True

    def _mend(self) -> None:
        if self.is_broken:
            log.info("writer_breaker_closed")
        self.is_broken = False

    def _probe(self) -> None:
        """Try the real thing: store what waits on disk, or at least take the lock that a store needs."""
        if self._clock.monotonic() < self._retry_at:
            return
        try:
            if not self._drain():
                self._busy_until = self._clock.monotonic() + LIVE_BUDGET_SECONDS
                with self._connected().cursor() as cur:
                    deliveries.probe(cur)
                self._connected().rollback()
                self._busy_until = None
                self._mend()
        except DATABASE_ERRORS as error:
            self._busy_until = None
            self._fail(error)

    def _care(self) -> None:
        """Now and then: adopt what other processes left, store what waits on disk, let go of what is stored."""
        now = self._clock.monotonic()
        if now < self._care_at:
            return
        self._care_at = now + CARE_SECONDS
        try:
            if now >= self._adopt_at:
                self._adopt_at = now + ADOPT_SECONDS
                self._journal.adopt_orphans()
            self._drain(min_age_seconds=IN_FLIGHT_SECONDS)
            self._journal.remove_confirmed(self._confirm)
        except DATABASE_ERRORS as error:
            self._fail(error)

    def _drain(self, *, min_age_seconds: float = 0.0) -> bool:
        """Store the journal's backlog in its order, giving way to live alerts. True if anything was stored.

        With `min_age_seconds` what is younger is left to the request that brought it.
        """
        any_stored = False
        for waiting in self._journal.backlog(DRAIN_GROUP, min_age_seconds=min_age_seconds):
            left = waiting
            while left:
                group, left = left[: self._drain_group], left[self._drain_group :]
                self._replay(group)
                any_stored = True
                self._store_waiting()
            # At once, so that even a process that is killed again and again leaves less behind than it has found.
            self._journal.remove_confirmed(self._confirm)
        return any_stored

    def _replay(self, records: Sequence[Record]) -> None:
        """Store so many in one transaction; when the database has no time for them, next time half as many."""
        try:
            self._store([prepare(record) for record in records], DRAIN_BUDGET_SECONDS, replayed=True)
        except DATABASE_ERRORS:
            self._drain_group = max(1, len(records) // 2)
            raise
        self._drain_group = min(DRAIN_GROUP, self._drain_group * 2)

    def _store_waiting(self) -> None:
        if not self._queue.empty():
            items = self._take()
            if items:
                self._store_items(items)

    def _confirm(self, receipt_ids: Sequence[UUID]) -> set[UUID]:
        with self._connected().cursor() as cur:
            stored = deliveries.find_stored(cur, receipt_ids)
        self._connected().rollback()
        return stored

    # --- the connection ------------------------------------------------------------------------------------------

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = self._db.direct(
                "writer",
                statement_timeout_ms=STATEMENT_TIMEOUT_MS,
                lock_timeout_ms=STATEMENT_TIMEOUT_MS,
                connect_timeout=CONNECT_TIMEOUT_SECONDS,
                is_preparing=True,
            )
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _watch(self) -> None:
        """Cut the connection of a transaction that is over its budget; the writer then gets an error and goes on."""
        while not self._stop.wait(0.1) or self._thread.is_alive():
            busy_until, connection = self._busy_until, self._connection
            if busy_until is None or connection is None or self._clock.monotonic() < busy_until:
                continue
            log.warning("writer_connection_cut")
            self._busy_until = None
            try:
                cut = socket.socket(fileno=os.dup(connection.fileno()))
            except (OSError, psycopg2.InterfaceError):
                continue
            with cut:
                cut.shutdown(socket.SHUT_RDWR)


def _is_of_one_record(error: Exception) -> bool:
    """The database refuses a record, or we fail with it: its neighbours can be stored, and trying again does not help."""
    return isinstance(error, REFUSED) or not isinstance(error, DATABASE_ERRORS)
