"""Reading signals out of the database for files: page by page, so that memory stays flat."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from core.lifecycle import LifecycleEvent
from database.engine import Cursor
from database.event_rows import event_of
from database.queries import queries
from database.states import Key, pairs

SQL = queries("exports")
AT_ONCE = 500


def list_signals(
    cur: Cursor, *, stream: str | None = None, since: datetime | None = None, until: datetime | None = None
) -> Iterator[list[Any]]:
    """Pages of signals whose signal time (else first receipt) is in [since, until), in the order of their keys."""
    after: Key = ("", "")
    given = {"stream": stream, "since": since, "until": until, "limit": AT_ONCE}
    while True:
        cur.execute(SQL.list_signals, given | {"stream_after": after[0], "trade_after": after[1]})
        page = cur.fetchall()
        if page:
            yield page
        if len(page) < AT_ONCE:
            return
        after = (page[-1].stream, page[-1].trade_id)


def list_openings(cur: Cursor, keys: Sequence[Key]) -> dict[Key, list[LifecycleEvent]]:
    """How these signals appeared and were entered, in the order of receipt."""
    cur.execute(SQL.list_openings, pairs(keys))
    found: dict[Key, list[LifecycleEvent]] = {key: [] for key in keys}
    for row in cur.fetchall():
        found[row.stream, row.trade_id].append(event_of(row))
    return found


def list_deliveries_of(cur: Cursor, receipt_ids: Sequence[UUID]) -> list[Any]:
    """The deliveries with these receipts, bytes included."""
    cur.execute(SQL.list_deliveries_of, {"receipt_ids": list(receipt_ids)})
    return cur.fetchall()
