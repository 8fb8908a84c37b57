"""Signals, trades and days as the API gives them: plain JSON values, instants in ISO UTC, Decimals as they are. Pure.

Absent is null and zero is a value. Prices are points, names that end in `_r` and the excursions are multiples of the risk.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from web.dashboards.presenting import SIDES, is_trade

_OPEN = ("ACTIVE", "BE_PROTECTED", "BE_EXITED")
_LEGS = ("be_results", "be_total_r", "no_be_results", "no_be_total_r")


def signal(row: Any) -> dict[str, Any]:
    """One signal of a list."""
    return {
        "stream": row.stream,
        "trade_id": row.trade_id,
        "symbol": row.symbol,
        "timeframe": row.timeframe,
        "direction": SIDES.get(row.direction),
        "status": row.status,
        "signal_time": _instant(row.signal_time),
        "signal_date": row.signal_date.isoformat() if row.signal_date else None,
        "session": row.session,
        "session_label": row.session_label,
        "htf_alignment": row.htf_alignment,
        "htf_computed": row.htf_computed,
        "is_confirmed": is_trade(row),
        "is_cancelled": row.status == "CANCELLED",
        "confirmation_time": _instant(row.confirmation_time),
        "confirmation_time_from": row.confirmation_time_from,
        "bars_to_confirmation": row.bars_to_confirmation,
        "entry_time": _instant(row.entry_time),
        "entry_price": row.entry_price,
        "stop_loss": row.stop_loss,
        "risk_distance": row.risk_distance,
        "be_mfe": row.be_mfe_r,
        "no_be_mfe": row.no_be_mfe_r,
        "mae": row.mae_r,
        "be_triggered_time": _instant(row.be_triggered_at),
        "be_exit_time": _instant(row.be_exit_at),
        "exit_time": _instant(row.exit_at),
        "exit_kind": row.exit_kind,
        "exit_price": row.exit_price,
        "be_result_r": row.be_result_r,
        "no_be_result_r": row.no_be_result_r,
        "cancellation_time": _instant(row.cancelled_at),
        "cancel_reason": row.cancel_reason,
        "cancelled_by": row.cancelled_by,
        "bars_pending": row.bars_pending,
        "latest_event": row.last_kind,
        "last_received_at": _instant(row.last_received_at),
        "health_score": row.health_score,
        "flags": sorted(row.flags),
    }


def trade(state: Any, events: Sequence[Any]) -> dict[str, Any]:
    """One signal whole, with its events in the order of their receipt."""
    return signal(state) | {
        "gaps": state.gaps or [],
        "created_time": _instant(state.created_at),
        "last_mfe_minute": _instant(state.last_mfe_slot),
        "targets": _decimals(state.targets_extended),
        "targets_as_sent": state.targets,
        "setup": state.setup,
        "market_state": state.market_state,
        "sources": state.sources,
        "confidence": _decimals(state.confidence),
        "events": [event(row) for row in events],
    }


def event(row: Any) -> dict[str, Any]:
    """One event: what it says, when it came, and from where."""
    return {
        "event_type": row.event_type,
        "received_at": _instant(row.received_at),
        "event_time": _instant(row.event_time),
        "mfe_minute": _instant(row.slot),
        "data_source": row.data_source,
        "confidence_score": row.confidence_score,
        "receipt_id": str(row.receipt_id) if row.receipt_id else None,
        "is_revoked": row.revoked_at is not None,
        "entry_price": row.entry_price,
        "stop_loss": row.stop_loss,
        "current_price": row.current_price,
        "exit_price": row.exit_price,
        "be_mfe": row.be_mfe,
        "no_be_mfe": row.no_be_mfe,
        "mae": row.mae_global_r,
        "reason": row.reason,
        "warnings": list(row.warnings),
    }


def summary(rows: Sequence[Any]) -> dict[str, Any]:
    """How many signals there are and what became of them; the rate is percent of all, null where there is none."""
    by_status = {row.status: row.signals for row in rows}
    total = sum(by_status.values())
    cancelled, pending = by_status.get("CANCELLED", 0), by_status.get("PENDING", 0)
    confirmed = total - cancelled - pending
    rate = round(Decimal(100) * confirmed / total, 1) if total else None
    counts = {"total": total, "confirmed": confirmed, "cancelled": cancelled, "pending": pending}
    return {**counts, "confirmation_rate": rate}


def stats(rows: Sequence[Any]) -> dict[str, Any]:
    """The summary, open and completed trades, today's signals, and the R total of either leg with its sample size."""
    by_status = {row.status: row.signals for row in rows}
    return {
        **summary(rows),
        "active": sum(by_status.get(status, 0) for status in _OPEN),
        "completed": by_status.get("COMPLETED", 0),
        "signals_today": sum(row.today for row in rows),
        **_legs(rows),
    }


def day(row: Any) -> dict[str, Any]:
    """One New York day."""
    counts = {name: getattr(row, name) for name in ("signals", "trades", "completed", "cancelled", *_LEGS)}
    return {"date": row.signal_date.isoformat(), **counts}


def totals(rows: Sequence[Any]) -> dict[str, Any]:
    """Several days together."""
    counts = {name: sum(getattr(row, name) for row in rows) for name in ("signals", "trades", "completed", "cancelled")}
    return counts | _legs(rows)


def month_of(text: str | None, today: date) -> tuple[date, date]:
    """(first day, first day of the next month) of a month written `YYYY-MM`; that of `today` when there is none."""
    first = date.fromisoformat(f"{text}-01") if text else today.replace(day=1)
    return first, first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)


def _legs(rows: Sequence[Any]) -> dict[str, Any]:
    return {name: _sum([getattr(row, name) for row in rows]) if rows else _NO_RESULTS[name] for name in _LEGS}


_NO_RESULTS: dict[str, int | None] = {"be_results": 0, "be_total_r": None, "no_be_results": 0, "no_be_total_r": None}


def _sum(values: Sequence[Any]) -> Any:
    """The sum of what is known; None where nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _decimals(document: dict[str, Any] | None) -> dict[str, Decimal] | None:
    """The numbers of a stored document, which keeps their digits as text."""
    return {name: Decimal(str(value)) for name, value in document.items()} if document is not None else None


def _instant(value: datetime | None) -> str | None:
    return value.isoformat().replace("+00:00", "Z") if value is not None else None


def deletion(row: Any) -> dict[str, Any]:
    """One deletion: of what, by whom, when and why, and whether it has been undone."""
    return {
        "id": row.id,
        "stream": row.stream,
        "trade_id": row.trade_id,
        "was": row.was,
        "reason": row.reason,
        "deleted_by": row.deleted_by,
        "deleted_at": _instant(row.deleted_at),
        "restored_by": row.restored_by,
        "restored_at": _instant(row.restored_at),
        "events_since": row.events_since,
    }
