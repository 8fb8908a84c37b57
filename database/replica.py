"""Reads that may be a little old: from a replica while it is known to be close, else from the primary.

How old a replica is cannot be asked of it: one whose stream is cut believes itself complete. So it is read off what the
primary writes: the last success of a job that runs every half minute. Nothing on the replica is older than that tells.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from core.clock import Clock
from core.settings import Settings
from database import jobs
from database.engine import DATABASE_ERRORS, Cursor, Database

PULSE_JOB = "alarms"
LOOK_SECONDS = 5.0


class Reads:
    """Transactions for pages and figures. Without a replica it is the primary."""

    def __init__(self, primary: Database, replica: Database | None, clock: Clock, most_stale: timedelta) -> None:
        self._primary = primary
        self._replica = replica
        self._clock = clock
        self._most_stale = most_stale
        self._lock = threading.Lock()
        self._looked_at: float | None = None
        self._is_close = False
        self._detail = "not asked yet"

    @classmethod
    def of(cls, settings: Settings, primary: Database, clock: Clock) -> Reads:
        """The reads that the settings want."""
        url = settings.read_database_url
        replica = Database(url, pool_size=settings.database_pool_size, role="reads") if url else None
        return cls(primary, replica, clock, timedelta(seconds=settings.read_max_stale_seconds))

    @property
    def has_replica(self) -> bool:
        return self._replica is not None

    @contextmanager
    def transaction(self, *, statement_timeout_ms: int | None = None) -> Iterator[Cursor]:
        """As `Database.transaction`, for reading; what it shows is at most `READ_MAX_STALE_SECONDS` old."""
        chosen = self._replica if self._replica is not None and self._look(self._replica) else self._primary
        with chosen.transaction(statement_timeout_ms=statement_timeout_ms) as cur:
            yield cur

    def check(self) -> tuple[str, str]:
        """(status, detail) for the readiness report, from memory."""
        return ("pass" if self._is_close or self._looked_at is None else "warn"), self._detail

    def _look(self, replica: Database) -> bool:
        """Whether the replica is close enough; asked every few seconds."""
        with self._lock:
            now = self._clock.monotonic()
            if self._looked_at is None or now - self._looked_at >= LOOK_SECONDS:
                self._looked_at = now
                self._is_close, self._detail = self._measure(replica)
            return self._is_close

    def _measure(self, replica: Database) -> tuple[bool, str]:
        try:
            with replica.transaction() as cur:
                told = jobs.last_successes(cur, [PULSE_JOB]).get(PULSE_JOB)
        except DATABASE_ERRORS:
            return False, "the replica cannot be reached; pages read from the primary"
        if told is None:
            return False, "the replica has no sign of life of the jobs; pages read from the primary"
        age = self._clock.now() - told
        if age > self._most_stale:
            return False, f"the replica is {age.total_seconds():.0f} s old; pages read from the primary"
        return True, f"pages read from the replica, at most {max(0.0, age.total_seconds()):.0f} s old"
