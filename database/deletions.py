"""Soft deletion of signals: the state goes, events and deliveries stay, and the row of the deletion is its audit.

While a deletion is in force no state is made of a signal: later events are stored and say `deleted`, a rebuild leaves it
out. Undoing it folds all events, the later ones too.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from database import events, states
from database.engine import Cursor
from database.queries import queries
from database.states import Key, pairs

SQL = queries("deletions")


def delete_signals(cur: Cursor, keys: Collection[Key], *, reason: str, by: str, now: datetime) -> list[Key]:
    """Delete those of the signals that are there; returns their keys. Safe to repeat."""
    given = pairs(sorted(keys))
    cur.execute(states.SQL.lock_states, given)
    cur.execute(SQL.add_deletions, given | {"reason": reason, "deleted_by": by, "deleted_at": now})
    deleted = [(row.stream, row.trade_id) for row in cur.fetchall()]
    cur.execute(SQL.remove_states, pairs(deleted))
    if deleted:
        states.notify(cur, deleted)
    return deleted


def restore_signals(cur: Cursor, ids: Sequence[int], *, by: str, now: datetime) -> list[Key]:
    """Undo those of the deletions that are in force; returns the keys of their signals. Safe to repeat."""
    cur.execute(SQL.lock_deletions, {"ids": list(ids)})
    found = cur.fetchall()
    cur.execute(SQL.end_deletions, {"ids": [row.id for row in found], "restored_by": by, "restored_at": now})
    keys = [(row.stream, row.trade_id) for row in found]
    events.refold(cur, keys)
    return keys


def list_deletions(cur: Cursor, *, limit: int) -> list[Any]:
    """The newest deletions, undone ones too, each with the events its signal got since."""
    cur.execute(SQL.list_deletions, {"limit": limit, "trade_id": None, "stream": None})
    return cur.fetchall()


def find_deletions(cur: Cursor, trade_id: str, stream: str | None = None) -> list[Any]:
    """The deletions in force of a trade id: at most one a stream."""
    cur.execute(SQL.list_deletions, {"limit": 100, "trade_id": trade_id, "stream": stream})
    return cur.fetchall()


def deleted_keys(cur: Cursor) -> list[Key]:
    """The signals that are deleted now."""
    cur.execute(SQL.list_deleted_keys)
    return [(row.stream, row.trade_id) for row in cur.fetchall()]
