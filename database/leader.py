"""The one leader of a thing that must run once over all processes: a session lock, and an epoch that fences its writes.

The lock lives on a connection of its own and ends with it. The epoch is what counts: each write transaction proves that
it is still the newest, and a new leader's epoch waits for such a transaction, so nothing stale lands after a take-over.
A leader that has been silent on its connection for `STALE_SECONDS` is frozen and its session is ended.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2

from core.errors import ConflictError, DatabaseUnavailableError
from database.engine import GONE, Connection, Cursor, Database, process_name
from database.queries import queries

log = logging.getLogger(__name__)

LOCK_CLASS = 0x4C4541  # the letters LEA
STALE_SECONDS = 15.0
BEAT_TIMEOUT_MS = 2_000
SQL = queries("leaders")


class Leadership:
    """The right to lead while the connection lives. `beat` every few seconds keeps it."""

    def __init__(self, name: str, epoch: int, connection: Connection) -> None:
        self.name = name
        self.epoch = epoch
        self._connection = connection

    def beat(self) -> bool:
        """A sign of life; False when the lead is lost."""
        try:
            with self._connection.cursor() as cur:
                cur.execute(SQL.beat)
        except (*GONE, psycopg2.Error):
            return False
        return True

    def release(self) -> None:
        """Step down."""
        self._connection.close()


class LeaderDatabase(Database):
    """The database as a leader sees it: each transaction first proves that its epoch is the newest."""

    def __init__(self, db: Database, leadership: Leadership) -> None:
        self.__dict__.update(db.__dict__)  # the same pool, not another one
        self._leadership = leadership

    @contextmanager
    def transaction(self, *, statement_timeout_ms: int | None = None) -> Iterator[Cursor]:
        """As `Database.transaction`; raises ConflictError when another process leads."""
        with super().transaction(statement_timeout_ms=statement_timeout_ms) as cur:
            cur.execute(SQL.prove_lead, {"name": self._leadership.name, "epoch": self._leadership.epoch})
            if cur.fetchone() is None:
                raise ConflictError(f"another process leads {self._leadership.name}")
            yield cur


def try_to_lead(db: Database, name: str, *, stale_seconds: float = STALE_SECONDS) -> Leadership | None:
    """The lead of `name`, or None while a living process has it. Raises DatabaseUnavailableError."""
    connection = db.direct("leader", statement_timeout_ms=BEAT_TIMEOUT_MS)
    try:
        connection.autocommit = True
        cur: Any = connection.cursor()
        if _lock(cur, zlib.crc32(name.encode()) & 0x7FFFFFFF, stale_seconds):
            cur.execute(SQL.take_lead, {"name": name, "owner": process_name()})
            return Leadership(name, cur.fetchone().epoch, connection)
    except GONE as error:
        connection.close()
        raise DatabaseUnavailableError from error
    except BaseException:
        connection.close()
        raise
    connection.close()
    return None


def _lock(cur: Any, key: int, stale_seconds: float) -> bool:
    names = {"lock": LOCK_CLASS, "key": key}
    cur.execute(SQL.try_lock, names)
    if cur.fetchone().locked:
        return True
    cur.execute(SQL.end_stale_leader, names | {"stale_seconds": stale_seconds})
    if not cur.fetchall():
        return False
    log.warning("leader_frozen", extra={"lock_key": key})
    cur.execute(SQL.try_lock, names)
    return bool(cur.fetchone().locked)
