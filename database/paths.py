"""`trade_paths`: what one-minute bars say of stopped trades, for the analytics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from database.engine import Cursor
from database.json_text import to_json
from database.queries import queries

SQL = queries("paths")


def list_pathless(cur: Cursor, *, limit: int, ended_before: datetime, retry_before: datetime) -> list[Any]:
    """(stream, trade_id, symbol, entry_price, stop_loss, entry_time, exit_at) of trades whose path is to be computed."""
    cur.execute(SQL.list_pathless, {"limit": limit, "ended_before": ended_before, "retry_before": retry_before})
    return cur.fetchall()


def save_paths(cur: Cursor, rows: Sequence[Mapping[str, Any]], now: datetime) -> None:
    """Store paths in the place of those that were there: the fields of the table but `computed_at`."""
    cur.execute(SQL.save_paths, {"rows": to_json([dict(row) for row in rows]), "now": now})
