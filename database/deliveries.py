"""The delivery log `telemetry_automated_signals_log`: one row for each delivery, raw bytes first, never changed later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson

from core.errors import NotFoundError
from database.engine import Cursor
from database.queries import queries

SQL = queries("deliveries")
SAME_DELIVERY = timedelta(seconds=25)
TEST_CONTENT_TYPE = "application/json; signalbook=test"
"""By this the log tells a test from an alert; the queries behind "has TradingView been heard?" leave it out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One row to store. JSON columns hold text that PostgreSQL accepts as jsonb, or None."""

    receipt_id: UUID
    received_at: datetime
    stream: str
    source: str
    delivery_key: bytes
    raw_body: bytes
    content_type: str
    source_ip: str
    processing_time_ms: Decimal | float
    status: str
    duplicate_of: UUID | None = None
    dialect: str | None = None
    raw_payload: str | None = None
    fused_event: str | None = None
    validation_error: str | None = None
    handler_result: str | None = None
    repair: str | None = None


@dataclass(frozen=True, slots=True)
class StoredDelivery:
    """What became of a delivery: its status, and the first receipt of the same bytes if it is a duplicate."""

    status: str
    duplicate_of: UUID | None


_COLUMNS = tuple(column.name for column in fields(Delivery))
_JSON = ("raw_payload", "fused_event", "handler_result", "repair")
_BYTES = ("delivery_key", "raw_body")


def add_deliveries(cur: Cursor, deliveries: Sequence[Delivery]) -> dict[UUID, StoredDelivery]:
    """Insert what is not stored yet; what became of each new receipt. Any number of times gives each row once."""
    rows = _mark_repeats(deliveries)
    cur.execute(SQL.add_deliveries, {"rows": orjson.dumps([_document(row) for row in rows], default=str).decode()})
    return {row.receipt_id: StoredDelivery(row.status, row.duplicate_of) for row in cur.fetchall()}


def _document(row: Delivery) -> dict[str, Any]:
    """A row as JSON; what is JSON already goes in as it is."""
    found = {name: value for name in _COLUMNS if (value := getattr(row, name)) is not None}
    found |= {name: orjson.Fragment(found[name]) for name in _JSON if name in found}
    found |= {f"{name}_hex": found.pop(name).hex() for name in _BYTES}
    return found


def _mark_repeats(deliveries: Sequence[Delivery]) -> list[Delivery]:
    """Repeats within one statement, which cannot see its own rows."""
    first: dict[bytes, Delivery] = {}
    rows = []
    for row in deliveries:
        earlier = first.setdefault(row.delivery_key, row)
        is_repeat = earlier is not row and abs(row.received_at - earlier.received_at) <= SAME_DELIVERY
        rows.append(replace(row, duplicate_of=earlier.receipt_id) if is_repeat else row)
    return rows


def set_statuses(cur: Cursor, statuses: dict[UUID, str]) -> None:
    """What became of deliveries, once their events are known to be new or not."""
    if statuses:
        cur.execute(SQL.set_statuses, {"receipt_ids": list(statuses), "statuses": list(statuses.values())})


def find_stored(cur: Cursor, receipt_ids: Sequence[UUID]) -> set[UUID]:
    """Which of these receipts have their row."""
    cur.execute(SQL.find_stored, {"receipt_ids": list(receipt_ids)})
    return {row.receipt_id for row in cur.fetchall()}


def has_earlier(cur: Cursor, before: datetime) -> bool:
    """Whether a webhook has stored anything before an instant, by the database's own clock."""
    cur.execute(SQL.has_earlier, {"before": before})
    return bool(cur.fetchone().found)


def probe(cur: Cursor) -> None:
    """Raise if the log cannot be written now."""
    cur.execute(SQL.probe)


def count_bodies(cur: Cursor, most: int) -> int:
    """How many deliveries `list_bodies` has in all, or `most` if there are more."""
    cur.execute(SQL.count_bodies, {"most": most})
    return int(cur.fetchone().total)


def list_bodies(
    cur: Cursor, *, after_id: int, limit: int, status: str | None = None, ids: Sequence[int] | None = None
) -> list[Any]:
    """Deliveries with their bytes, in the order of their ids from `after_id` on."""
    given = {"after_id": after_id, "limit": limit, "status": status, "ids": list(ids) if ids is not None else None}
    cur.execute(SQL.list_bodies, given)
    return cur.fetchall()


def find_same_bytes(cur: Cursor, stream: str, keys: Sequence[bytes]) -> list[tuple[bytes, datetime]]:
    """(delivery key, received_at) of the stream's deliveries with one of these keys."""
    cur.execute(SQL.find_same_bytes, {"stream": stream, "keys": list(keys)})
    return [(bytes(row.delivery_key), row.received_at) for row in cur.fetchall()]


def save_log_span(cur: Cursor, stream: str, starts_at: datetime, ends_at: datetime) -> None:
    """Remember from when to when an imported alert log tells every alert that was fired."""
    cur.execute(SQL.save_log_span, {"stream": stream, "starts_at": starts_at, "ends_at": ends_at})


def save_understanding(cur: Cursor, delivery: Delivery) -> None:
    """What a delivery is understood to say now; its bytes stay as they are."""
    cur.execute(SQL.save_understanding, {name: getattr(delivery, name) for name in _COLUMNS})


def list_deliveries(
    cur: Cursor,
    *,
    limit: int,
    after_id: int | None = None,
    before_id: int | None = None,
    status: str | None = None,
    dialect: str | None = None,
) -> list[Any]:
    """At most `limit` deliveries, newest first, without bodies."""
    given = {"limit": limit, "after_id": after_id, "before_id": before_id, "status": status, "dialect": dialect}
    cur.execute(SQL.list_deliveries, given)
    return cur.fetchall()


def newer_edge(
    cur: Cursor, *, after_id: int, limit: int, status: str | None = None, dialect: str | None = None
) -> tuple[int, int | None]:
    """(rows, newest id) of the page that is just newer than `after_id`, at most `limit` rows of it."""
    given = {"after_id": after_id, "limit": limit, "status": status, "dialect": dialect}
    cur.execute(SQL.newer_edge, given)
    row = cur.fetchone()
    return row.total, row.newest


def find_id(cur: Cursor, receipt_id: UUID) -> int:
    """The id of the delivery with that receipt. Raises NotFoundError."""
    cur.execute(SQL.find_id, {"receipt_id": receipt_id})
    row = cur.fetchone()
    if row is None:
        raise NotFoundError("There is no delivery with that receipt.")
    return int(row.id)


def get_delivery(cur: Cursor, delivery_id: int) -> Any:
    """One delivery with its bytes. Raises NotFoundError."""
    cur.execute(SQL.get_delivery, {"id": delivery_id})
    row = cur.fetchone()
    if row is None:
        raise NotFoundError("There is no delivery with that id.")
    return row


def list_of_receipts(cur: Cursor, receipt_ids: Sequence[UUID]) -> list[Any]:
    """The deliveries of these receipts with their bytes, newest first."""
    cur.execute(SQL.list_of_receipts, {"receipt_ids": list(receipt_ids)})
    return cur.fetchall()


def last_delivery(cur: Cursor, stream: str) -> Any | None:
    """The newest webhook delivery of a stream."""
    cur.execute(SQL.last_delivery, {"stream": stream, "test": TEST_CONTENT_TYPE})
    return cur.fetchone()


def count_fires(cur: Cursor, streams: Sequence[str], since: datetime) -> dict[str, int]:
    """Stream -> alerts that came after that instant; streams without any are left out."""
    cur.execute(SQL.count_fires, {"streams": list(streams), "since": since, "test": TEST_CONTENT_TYPE})
    return {row.stream: row.fires for row in cur.fetchall()}


def first_delivery_since(cur: Cursor, stream: str, since: datetime) -> Any | None:
    """The first webhook delivery of a stream from that instant on."""
    cur.execute(SQL.first_delivery_since, {"stream": stream, "since": since, "test": TEST_CONTENT_TYPE})
    return cur.fetchone()
