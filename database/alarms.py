"""Alarms and their notices, the facts that alarms are judged by, and the drills that were run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from database.deliveries import TEST_CONTENT_TYPE
from database.engine import Cursor
from database.json_text import to_json
from database.queries import queries

SQL = queries("alarms")


def lock_alarms(cur: Cursor) -> list[Any]:
    """Every held alarm, locked until the transaction ends."""
    cur.execute(SQL.lock_alarms)
    return cur.fetchall()


def list_raised(cur: Cursor) -> list[Any]:
    """What is wrong now, worst and oldest first."""
    cur.execute(SQL.list_raised)
    return cur.fetchall()


def save_alarms(cur: Cursor, rows: Sequence[Mapping[str, Any]], now: datetime) -> None:
    """Store held alarms; each row has the columns of `alarms` but `updated_at`."""
    if rows:
        cur.execute(SQL.save_alarms, {"rows": _rows(rows), "now": now})


def delete_alarms(cur: Cursor, causes: Sequence[str]) -> None:
    """Forget causes that are gone."""
    if causes:
        cur.execute(SQL.delete_alarms, {"causes": list(causes)})


def add_notices(cur: Cursor, rows: Sequence[Mapping[str, Any]]) -> None:
    """Notices to send; a row may say that it has been delivered already."""
    if rows:
        cur.execute(SQL.add_notices, {"rows": _rows(rows)})


def list_pending(cur: Cursor, limit: int) -> list[Any]:
    """Notices that wait to be sent, oldest first."""
    cur.execute(SQL.list_pending, {"limit": limit})
    return cur.fetchall()


def save_delivery(cur: Cursor, notice_id: int, delivery: str, delivered_at: datetime | None) -> None:
    """What became of one try to send a notice: pending, delivered, failed or nowhere."""
    cur.execute(SQL.save_delivery, {"id": notice_id, "delivery": delivery, "delivered_at": delivered_at})


def list_notices(cur: Cursor, limit: int) -> list[Any]:
    """The last notices, newest first."""
    cur.execute(SQL.list_notices, {"limit": limit})
    return cur.fetchall()


def listen_to_streams(cur: Cursor, now: datetime) -> list[Any]:
    """(stream, last_at, fires, trades) of every stream that has been heard and may still be."""
    cur.execute(SQL.listen_to_streams, {"now": now, "test": TEST_CONTENT_TYPE})
    return cur.fetchall()


def listen_to_kinds(cur: Cursor, streams: Iterable[str], since: datetime, now: datetime) -> list[Any]:
    """(stream, kind, last_at, days) of the alerts received in (since, now]."""
    cur.execute(SQL.listen_to_kinds, {"streams": list(streams), "since": since, "now": now})
    return cur.fetchall()


def newest_bars(cur: Cursor, contract_ids: Iterable[str]) -> list[Any]:
    """(contract_id, minutes, last_at) of each contract's smallest timeframe."""
    cur.execute(SQL.newest_bars, {"contract_ids": list(contract_ids)})
    return cur.fetchall()


def add_drill(
    cur: Cursor, kind: str, started_at: datetime, finished_at: datetime, *, is_passed: bool, figures: Mapping[str, Any]
) -> None:
    """Remember a rehearsal: `kind` is database, feed or restore."""
    given = {"kind": kind, "started_at": started_at, "finished_at": finished_at, "is_passed": is_passed}
    cur.execute(SQL.add_drill, given | {"figures": to_json(dict(figures))})


def last_drills(cur: Cursor) -> list[Any]:
    """The last rehearsal of each kind."""
    cur.execute(SQL.last_drills)
    return cur.fetchall()


def _rows(rows: Sequence[Mapping[str, Any]]) -> str:
    return to_json([dict(row) for row in rows])


def save_report(cur: Cursor, row: Mapping[str, Any], *, forget_before: datetime) -> None:
    """What a process says of itself; it has the columns of `process_reports`. Reports of before `forget_before` go."""
    cur.execute(SQL.save_report, dict(row))
    cur.execute(SQL.delete_old_reports, {"before": forget_before})


def list_reports(cur: Cursor, *, since: datetime, but: str) -> list[Any]:
    """What processes other than `but` have said since."""
    cur.execute(SQL.list_reports, {"since": since, "but": but})
    return cur.fetchall()
