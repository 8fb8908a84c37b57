"""Rows of the delivery log for events that came without a delivery. `automated_signals` is only read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2

from database.engine import GONE, Cursor
from database.queries import queries

SQL = queries("backfill")
LOCK_KEY = 0x4241434B46494C  # the letters BACKFIL
MARK = "backfill_7L"


def try_lock(cur: Cursor) -> bool:
    """True if no other backfill runs now; ours until the transaction ends."""
    cur.execute(SQL.try_lock, {"key": LOCK_KEY})
    return bool(cur.fetchone().is_ours)


def list_missing_tables(cur: Cursor) -> list[str]:
    """The tables that the backfill needs and that are not there."""
    cur.execute(SQL.list_missing_tables)
    return [row.name for row in cur.fetchall()]


def count_logged(cur: Cursor) -> int:
    """How many events have a row from earlier backfills."""
    cur.execute(SQL.count_logged)
    return int(cur.fetchone().total)


def list_unlogged(cur: Cursor, limit: int) -> list[int]:
    """Ids of at most `limit` events that have neither a delivery nor such a row, in the order of their ids."""
    cur.execute(SQL.list_unlogged, {"limit": limit})
    return [row.id for row in cur.fetchall()]


def add_row(cur: Cursor, event_id: int) -> bool:
    """Give one event its row; False if it has one. An error of the database undoes this row only and is raised."""
    with _savepoint(cur):
        cur.execute(SQL.add_row, {"id": event_id, "mark": MARK})
        return cur.fetchone() is not None


@contextmanager
def _savepoint(cur: Cursor) -> Iterator[None]:
    cur.execute("SAVEPOINT one_row")
    try:
        yield
    except psycopg2.Error as error:
        if not isinstance(error, GONE):
            cur.execute("ROLLBACK TO SAVEPOINT one_row")
        raise
    cur.execute("RELEASE SAVEPOINT one_row")
