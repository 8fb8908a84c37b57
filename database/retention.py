"""Letting old data go: bodies of deliveries, small bars, notices."""

from __future__ import annotations

from datetime import datetime

from database.engine import Cursor
from database.queries import queries

SQL = queries("retention")


def let_bodies_go(cur: Cursor, before: datetime, limit: int) -> int:
    """Forget at most `limit` raw bodies received before an instant; how many. What was not understood keeps its bytes.

    Waits for a rebuild as every writer does, so it may raise LockNotAvailable.
    """
    cur.execute(SQL.keep_rebuild_out)
    cur.execute(SQL.let_bodies_go, {"before": before, "limit": limit})
    return len(cur.fetchall())


def delete_bars(cur: Cursor, before: datetime) -> int:
    """Forget bars of less than an hour before an instant, and that their time was covered; how many bars."""
    cur.execute(SQL.delete_bars, {"before": before})
    deleted = cur.rowcount
    cur.execute(SQL.delete_spans, {"before": before})
    cur.execute(SQL.trim_spans, {"before": before})
    return int(deleted)


def delete_notices(cur: Cursor, before: datetime) -> int:
    """Forget notices told before an instant; how many."""
    cur.execute(SQL.delete_notices, {"before": before})
    return int(cur.rowcount)
