"""A lifecycle event as a row of `automated_signals`, and back. Pure.

The table says Bullish and Bearish nowhere: directions are `long` and `short`, also of rows that an older installation
wrote in other words.
"""

from __future__ import annotations

from decimal import Decimal
from operator import attrgetter
from typing import Any

import orjson

from core.lifecycle import Kind, LifecycleEvent, Source
from core.sessions import session_of
from core.timezones import to_new_york

_SIDES = {"bullish": "long", "long": "long", "bearish": "short", "short": "short", "buy": "long", "sell": "short"}
_SAME = (
    *("stream", "trade_id", "slot", "direction", "symbol", "timeframe", "session_label", "event_time", "received_at"),
    *("entry_price", "stop_loss", "current_price", "exit_price", "risk_distance", "reason", "cancelled_by"),
    *("bars_pending", "targets", "setup", "market_state", "telemetry", "htf_alignment", "reconciliation_reason"),
    *("sequence_number", "event_id", "confirmation_time", "bars_to_confirmation", "receipt_id", "bias"),
)
_RENAMED = {
    "signal_instant": "signal_time",
    "mfe": "no_be_mfe_r",
    "be_mfe": "be_mfe_r",
    "no_be_mfe": "no_be_mfe_r",
    "mae_global_r": "mae_r",
    "final_be_mfe": "final_be_mfe_r",
    "final_no_be_mfe": "final_no_be_mfe_r",
    "confidence_score": "confidence",
    "payload_checksum": "content_hash",
}
_COLUMNS = (*_SAME, *_RENAMED)
_values = attrgetter(*_SAME, *_RENAMED.values())
_FROM_ROW = {name: name for name in _SAME} | {name: column for column, name in _RENAMED.items() if column != "mfe"}


def row_of(event_key: str, event: LifecycleEvent, raw: dict[str, str]) -> dict[str, Any]:
    """Column -> value, of the columns that are known: a name that a row lacks is NULL, and most rows lack most.

    `raw` maps receipts to bodies as JSON text; a telemetry body stands in its own column.
    """
    is_repair = event.source.rank > Source.IMPORT.rank
    # What is sent of a signal or its entry is stamped with its candle; a repair is stamped with what it repairs.
    is_stamped = event.kind in (Kind.SIGNAL_CREATED, Kind.ENTRY) and not is_repair
    signal_time = event.signal_time or (event.event_time if is_stamped else None)
    body = raw.get(str(event.receipt_id)) if event.telemetry is None else None
    row = {name: value for name, value in zip(_COLUMNS, _values(event), strict=True) if value is not None}
    row |= {
        "event_key": event_key,
        "event_type": event.kind.value,
        "data_source": event.source.value,
        "warnings": event.warnings,
    }
    if signal_time is not None:
        new_york = to_new_york(signal_time)
        row |= {
            "session": session_of(signal_time),
            "signal_date": new_york.date(),
            "signal_time": new_york.time(),
        }
    if body:
        row["raw_payload"] = orjson.Fragment(body)
    if is_repair:
        row["reconciliation_timestamp"] = event.received_at
    return row


def event_of(row: Any) -> LifecycleEvent:
    """The event that a row holds, cleaned of what an older table allowed: zero prices, negative MFE, positive MAE."""
    values = {name: getattr(row, column) for name, column in _FROM_ROW.items()}
    for name in ("entry_price", "stop_loss", "current_price", "exit_price"):
        values[name] = values[name] or None  # zero stood for "unknown"; no instrument trades at it
    if values["no_be_mfe_r"] is None:
        values["no_be_mfe_r"] = row.mfe
    for name in ("be_mfe_r", "no_be_mfe_r", "final_be_mfe_r", "final_no_be_mfe_r"):
        values[name] = _clamp(max, values[name])
    values["mae_r"] = _clamp(min, values["mae_r"])
    targets = values["targets"]
    values["targets"] = _numbers(targets) if isinstance(targets, dict) else None
    source = Source(row.data_source)
    if row.receipt_id is None and source.rank <= Source.IMPORT.rank and values["session_label"] is None:
        values["session_label"] = row.session  # an older table's one column held the wire's label
    values["direction"] = _SIDES.get((row.direction or "").lower())
    return LifecycleEvent(kind=Kind(row.event_type), source=source, warnings=tuple(row.warnings), **values)


def _numbers(document: dict[str, Any]) -> dict[str, Any]:
    """Prices as they were sent: the row keeps a fraction as text, so that no digit is lost."""
    return {name: float(value) if _is_number(value) else value for name, value in document.items()}


def _is_number(value: Any) -> bool:
    return isinstance(value, str) and value.replace(".", "", 1).isdecimal()


def _clamp(choose: Any, value: Decimal | None) -> Decimal | None:
    return None if value is None else choose(value, Decimal(0))
