"""Parameters of each exchange: the latest, their history, the overrides that mask them, and what was said of it all.

`params_history` is the record: one row an (exchange, wave) that is believed, older beliefs kept with `superseded_at`.
`params` holds the newest value of each field, so that a reader needs one row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from core.errors import InvalidInputError, NotFoundError
from core.wave_records import PARAM_FIELDS
from database.engine import Cursor
from database.json_text import as_number, to_json
from database.queries import queries

SQL = queries("params")


def get_params(cur: Cursor, exchange_id: int) -> Any:
    """The latest parameters of an exchange as they were recorded, overrides apart; None if it is not known."""
    cur.execute(SQL.get_params, {"exchange_id": exchange_id})
    return cur.fetchone()


def get_all_params(cur: Cursor) -> dict[int, Any]:
    """Exchange -> its latest parameters."""
    cur.execute(SQL.get_all_params)
    return {row.exchange_id: row for row in cur.fetchall()}


def update_params(cur: Cursor, exchange_id: int, **fields: Decimal | float | None) -> bool:
    """Set the given parameters that are not None; False when there is nothing to set or no such exchange.

    InvalidInputError for a name that is no parameter; errors of the database are raised.
    """
    unknown = set(fields) - set(PARAM_FIELDS)
    if unknown:
        raise InvalidInputError(f"{min(unknown)}: is no parameter", field=min(unknown))
    given = {name: value for name, value in fields.items() if value is not None}
    return bool(given) and exchange_id in set_params(cur, {exchange_id: given})


def set_params(cur: Cursor, changes: Mapping[int, Mapping[str, Any]]) -> set[int]:
    """Set parameters of several exchanges at once, None taking a value away; the exchanges that exist."""
    rows = [{"exchange_id": exchange_id, "fields": fields} for exchange_id, fields in sorted(changes.items())]
    cur.execute(SQL.update_params, {"rows": to_json(rows)})
    return {row.exchange_id for row in cur.fetchall()}


def add_exchanges(cur: Cursor, exchange_ids: Iterable[int]) -> None:
    """A row for each of these exchanges."""
    cur.execute(SQL.add_exchanges, {"exchange_ids": sorted(exchange_ids)})


def lock_params(cur: Cursor, exchange_ids: Iterable[int]) -> dict[int, dict[str, Decimal]]:
    """The latest parameters of exchanges, made if need be, and locked until the transaction ends."""
    add_exchanges(cur, exchange_ids)
    cur.execute(SQL.lock_params, {"exchange_ids": sorted(exchange_ids)})
    return {row.exchange_id: values_of(row) for row in cur.fetchall()}


def history_around(cur: Cursor, exchange_ids: Iterable[int], wave_time: datetime) -> dict[tuple[int, int], Any]:
    """(exchange, -1, 0 or 1) -> the newest values that waves before, at or after `wave_time` hold."""
    cur.execute(SQL.history_around, {"exchange_ids": sorted(exchange_ids), "wave_time": wave_time})
    return {(row.exchange_id, row.place): row for row in cur.fetchall()}


def params_as_of(cur: Cursor, at: datetime, known_at: datetime) -> dict[int, Any]:
    """Exchange -> the parameters that held at `at`, by what was known at `known_at`; overrides apart.

    A wave speaks from the close of its candle on, 15 minutes after the time that names it.
    """
    cur.execute(SQL.params_as_of, {"at": at, "known_at": known_at})
    return {row.exchange_id: row for row in cur.fetchall()}


def save_history(cur: Cursor, wave_time: datetime, rows: Sequence[Mapping[str, Any]], *, now: datetime) -> None:
    """What a wave says of exchanges; what was believed of them from this wave before is superseded."""
    ids = [row["exchange_id"] for row in rows]
    cur.execute(SQL.supersede_history, {"wave_time": wave_time, "exchange_ids": ids, "now": now})
    stamped = [{**row, "changed_at": now, "wave_timestamp": wave_time} for row in rows]
    cur.execute(SQL.add_history, {"rows": to_json(stamped, as_number)})


def list_history(
    cur: Cursor, exchange_id: int, *, limit: int, before: datetime | None = None, is_all: bool = False
) -> list[Any]:
    """The history of an exchange, newest wave first."""
    given = {"exchange_id": exchange_id, "limit": limit, "before": before, "is_all": is_all}
    cur.execute(SQL.list_history, given)
    return cur.fetchall()


def all_history(cur: Cursor, until: datetime) -> list[Any]:
    """Every belief that was written before `until`, superseded ones too, in the order of their writing."""
    cur.execute(SQL.all_history, {"until": until})
    return cur.fetchall()


def list_significant(cur: Cursor, *, ratio: Decimal, limit: int) -> list[Any]:
    """The newest changes by more than `ratio` of the value before."""
    cur.execute(SQL.list_significant, {"ratio": ratio, "limit": limit})
    return cur.fetchall()


def add_override(
    cur: Cursor,
    *,
    exchange_id: int,
    field: str,
    value: Decimal,
    reason: str,
    set_by: str,
    now: datetime,
    expires_at: datetime | None,
) -> Any:
    """Mask a parameter from now on; an override that stands in its place ends. Raises NotFoundError for the exchange."""
    if get_params(cur, exchange_id) is None:
        raise NotFoundError("There is no such exchange.", field="exchange_id")
    lock_params(cur, [exchange_id])
    cur.execute(SQL.replace_override, {"exchange_id": exchange_id, "field": field, "now": now, "ended_by": set_by})
    given = {"exchange_id": exchange_id, "field": field, "value": value, "reason": reason, "set_by": set_by}
    cur.execute(SQL.add_override, given | {"set_at": now, "expires_at": expires_at})
    return cur.fetchone()


def end_override(cur: Cursor, override_id: int, *, ended_by: str, reason: str, now: datetime) -> Any:
    """Take an override back. Raises NotFoundError if there is none, or it has ended."""
    cur.execute(SQL.end_override, {"id": override_id, "ended_by": ended_by, "end_reason": reason, "now": now})
    row = cur.fetchone()
    if row is None:
        raise NotFoundError("There is no such override, or it has ended.")
    return row


def active_overrides(cur: Cursor, at: datetime) -> dict[int, dict[str, Any]]:
    """Exchange -> field -> the override that masks it at `at`."""
    cur.execute(SQL.active_overrides, {"at": at})
    found: dict[int, dict[str, Any]] = {}
    for row in cur.fetchall():
        found.setdefault(row.exchange_id, {})[row.field] = row
    return found


def list_overrides(cur: Cursor, *, limit: int) -> list[Any]:
    """Every override that was ever set, newest first."""
    cur.execute(SQL.list_overrides, {"limit": limit})
    return cur.fetchall()


def add_events(cur: Cursor, events: Sequence[Mapping[str, Any]], *, now: datetime) -> None:
    """Append to `monitoring.events`: event_type, event_data, and where known exchange, symbol, severity, error_message."""
    if events:
        rows = [{"created_at": now, **event} for event in events]
        cur.execute(SQL.add_events, {"rows": to_json(rows)})


def list_events(cur: Cursor, *, limit: int, event_type: str | None = None) -> list[Any]:
    """The newest events."""
    cur.execute(SQL.list_events, {"limit": limit, "event_type": event_type})
    return cur.fetchall()


def values_of(row: Any) -> dict[str, Decimal]:
    """The parameters that a row holds."""
    return {name: Decimal(getattr(row, name)) for name in PARAM_FIELDS if getattr(row, name) is not None}
