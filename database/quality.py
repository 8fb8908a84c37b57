"""Figures about the quality of what is stored."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from database.engine import Cursor
from database.queries import queries

SQL = queries("quality")


def count_deliveries(cur: Cursor, streams: Sequence[str], since: datetime) -> list[Any]:
    """(stream, source, status, deliveries, last_at) of what came after an instant."""
    cur.execute(SQL.count_deliveries, {"streams": list(streams), "since": since})
    return cur.fetchall()


def count_flags(cur: Cursor, streams: Sequence[str], since: datetime) -> tuple[int, dict[str, int]]:
    """(signals since an instant, flag -> how many of them carry it)."""
    cur.execute(SQL.count_flags, {"streams": list(streams), "since": since})
    found = {row.flag: row.signals for row in cur.fetchall()}
    return found.pop(None), found


def count_quarantined(cur: Cursor) -> int:
    """Deliveries that are stored and not understood."""
    cur.execute(SQL.count_quarantined)
    return int(cur.fetchone().deliveries)
