"""Events made anew beside those that are stored, so that a rebuild writes only what differs.

What a rebuild does not change keeps its row: no reader sees another id, and the table does not grow by all that it holds.
"""

from __future__ import annotations

from collections.abc import Iterable

from database.engine import Cursor
from database.events import Insert
from database.queries import queries

SQL = queries("rebuilt")
EVENTS = queries("events")
_SENT_ROWS = "json_populate_recordset(NULL::automated_signals, %(rows)s::json)"
_CHANGED_ROWS = "rebuilt WHERE id IN (SELECT rebuilt_id FROM changed) AND event_type {} 'MFE_UPDATE'"


def begin(cur: Cursor) -> None:
    """Make room for the events, until the transaction ends."""
    cur.execute(SQL.create_rebuilt)
    cur.execute(SQL.create_changed)


def add(cur: Cursor, inserts: Iterable[Insert]) -> None:
    """Merge planned rows into what was made anew so far, by the rules of the stored table."""
    for query, rows in inserts:
        beside = query.replace("INSERT INTO automated_signals AS", "INSERT INTO rebuilt AS")
        cur.execute(beside.partition("RETURNING")[0], {"rows": rows})


def exchange(cur: Cursor) -> None:
    """Replace the stored rows that differ; what no delivery gives again stays, and is merged with what came anew."""
    cur.execute(SQL.allow_memory)
    cur.execute(SQL.find_changed)
    cur.execute(SQL.delete_changed)
    for query, which in ((EVENTS.add_one_shots, "<>"), (EVENTS.add_mfe_updates, "=")):
        cur.execute(query.replace(_SENT_ROWS, _CHANGED_ROWS.format(which)))
