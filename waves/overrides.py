"""An operator masks a parameter, or takes the mask back. The recording of waves goes on underneath."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from core.errors import InvalidInputError
from core.wave_records import PARAM_FIELDS
from database import params, waves
from database.engine import Database
from waves import events
from waves.adapter import parse_param

MAX_REASON = 300


def set_override(
    db: Database,
    *,
    exchange_id: int,
    field: str,
    value: Any,
    reason: str,
    by: str,
    now: datetime,
    expires_at: datetime | None = None,
) -> Any:
    """Mask a parameter from now on, until `expires_at` or its undoing; the row of the override.

    Raises InvalidInputError naming the field, NotFoundError for an exchange that is not known.
    """
    if field not in PARAM_FIELDS:
        raise InvalidInputError("field: must be one of " + ", ".join(PARAM_FIELDS), field="field")
    number = parse_param(field, value)
    if expires_at is not None and expires_at <= now:
        raise InvalidInputError("expires_at: must lie in the future", field="expires_at")
    with db.transaction() as cur:
        row = params.add_override(
            cur,
            exchange_id=exchange_id,
            field=field,
            value=number,
            reason=_reason(reason),
            set_by=by,
            now=now,
            expires_at=expires_at,
        )
        params.add_events(cur, [events.overridden(row, "set", by)], now=now)
        waves.notify(cur)
    return row


def undo_override(db: Database, override_id: int, *, by: str, now: datetime, reason: str = "undone") -> Any:
    """Take an override back. Raises NotFoundError when there is none, or it has ended."""
    with db.transaction() as cur:
        row = params.end_override(cur, override_id, ended_by=by, reason=_reason(reason), now=now)
        params.add_events(cur, [events.overridden(row, "undone", by)], now=now)
        waves.notify(cur)
    return row


def _reason(text: str) -> str:
    cleaned = " ".join(text.replace("\0", " ").split())
    if not cleaned:
        raise InvalidInputError("reason: say why", field="reason")
    if len(cleaned) > MAX_REASON:
        raise InvalidInputError(f"reason: at most {MAX_REASON} characters", field="reason")
    return cleaned
