"""Signals as programs read them: pages of the list, and figures by status and by New York day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from database.engine import Cursor
from database.queries import queries

SQL = queries("signals")


def list_signals(
    cur: Cursor,
    *,
    limit: int,
    stream: str | None = None,
    statuses: Sequence[str] = (),
    before: tuple[datetime | None, str, str] | None = None,
) -> list[Any]:
    """At most `limit` signals, newest first, after the one that `before` (signal_time, trade_id, stream) names."""
    before_time, before_id, before_stream = before or (None, None, None)
    given = {"limit": limit, "stream": stream, "statuses": list(statuses) or None}
    cur.execute(
        SQL.list_signals, given | {"before_time": before_time, "before_id": before_id, "before_stream": before_stream}
    )
    return cur.fetchall()


def sum_statuses(cur: Cursor, *, today: date, stream: str | None = None) -> list[Any]:
    """A row for each status that occurs: signals, those of `today`, results and R totals of either leg."""
    cur.execute(SQL.sum_statuses, {"today": today, "stream": stream})
    return cur.fetchall()


def sum_days(cur: Cursor, *, first: date, after: date, stream: str | None = None) -> list[Any]:
    """A row for each New York day with signals, from `first` up to but without `after`."""
    cur.execute(SQL.sum_days, {"first": first, "after": after, "stream": stream})
    return cur.fetchall()
