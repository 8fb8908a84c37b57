"""The telemetry backfill: events that came without a delivery get a row in the delivery log, marked as made up.

Reads `automated_signals` and never changes it. Safe to run any number of times and from any number of processes.
"""

from __future__ import annotations

import logging
from typing import Any, cast

import psycopg2
from flask import current_app

from database import backfill
from database.engine import GONE, Cursor, Database
from telemetry.parts import Telemetry

log = logging.getLogger(__name__)

DEFAULT_LIMIT = 1000
MAX_LIMIT = 5000


def backfill_telemetry_from_automated_signals(
    limit: int = DEFAULT_LIMIT, *, db: Database | None = None
) -> dict[str, Any]:
    """Give at most `limit` (1 to 5000) events their row, oldest first; call again for the next ones.

    Returns `success`, `error` (None or why not), `inserted`, `scanned` (events looked at now), `failed` (refused by the
    database one by one), `already_logged` (events with a row from earlier runs) and `limit` as it was applied. While
    another backfill runs nothing is scanned. Uses the current app's database unless one is given; raises
    DatabaseUnavailableError when it is away.
    """
    limit = min(max(limit, 1), MAX_LIMIT)
    db = db or cast(Telemetry, current_app.extensions["telemetry"]).db
    with db.transaction() as cur:
        missing = backfill.list_missing_tables(cur)
        if missing:
            return _report(limit, error=f"The table {' and the table '.join(missing)} does not exist.")
        if not backfill.try_lock(cur):
            return _report(limit)
        already_logged = backfill.count_logged(cur)
        scanned = backfill.list_unlogged(cur, limit)
        added = [_add(cur, event_id) for event_id in scanned]
    return _report(
        limit, inserted=added.count(True), scanned=len(scanned), failed=added.count(None), already_logged=already_logged
    )


def _add(cur: Cursor, event_id: int) -> bool | None:
    """Whether the event got its row now; None if the database refused it."""
    try:
        return backfill.add_row(cur, event_id)
    except psycopg2.Error as error:
        if isinstance(error, GONE):
            raise
        log.warning("backfill_row_refused", extra={"event_id": event_id, "kind": type(error).__name__})
        return None


def _report(limit: int, *, error: str | None = None, **counts: int) -> dict[str, Any]:
    known = {"inserted": 0, "scanned": 0, "failed": 0, "already_logged": 0} | counts
    return {"success": error is None, "error": error, **known, "limit": limit}
