"""The events and history rows that waves leave behind. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from core.wave_records import PARAM_FIELDS, WaveSignal
from waves.plan import Change, StoredSignal, Verdict
from waves.schedule import CANDLE

Event = dict[str, Any]


def detected(wave_time: datetime, signals: int, now: datetime) -> Event:
    """The first signals of a wave have come in."""
    delay = (now - wave_time - CANDLE).total_seconds()
    return _event("wave_detected", wave_time, signals=signals, delay_seconds=delay)


def completed(
    wave_time: datetime, signals: Sequence[StoredSignal], verdicts: Sequence[Verdict], now: datetime
) -> Event:
    """A wave has been processed for the first time."""
    return _event(
        "wave_completed",
        wave_time,
        signals=len(signals),
        by_exchange={str(key): value for key, value in Counter(one.exchange_id for one in signals).items()},
        selected=sum(verdict.verdict == "selected" for verdict in verdicts),
        invalid=sum(bool(one.faults) for one in signals),
        delay_seconds=(now - wave_time - CANDLE).total_seconds(),
    )


def not_found(wave_time: datetime, detail: str) -> Event:
    """A wave did not come in its window."""
    return _event("wave_not_found", wave_time, severity="WARNING", detail=detail)


def repeated(wave_time: datetime, signals: int) -> Event:
    """A wave came again without anything new; said once, counted on the wave."""
    return _event("wave_duplicate_detected", wave_time, signals=signals, is_same=True)


def other_version(signal: WaveSignal) -> Event:
    """A signal came again with other contents: the first version stands, this one is kept here."""
    assert signal.wave_timestamp is not None
    data = {"signal": signal.raw, "is_same": False}
    return _event("wave_duplicate_detected", signal.wave_timestamp, severity="WARNING", **data) | _whose(signal)


def refused(signal: WaveSignal) -> Event:
    """A signal that fits no wave is kept whole, for a person to look at."""
    data = {"signal": signal.raw, "faults": list(signal.faults)}
    return {"event_type": "wave_signal_refused", "event_data": data, "severity": "WARNING"} | _whose(signal)


def unstorable(signal: WaveSignal, error: Exception) -> Event:
    """A signal that the database refuses, kept as plain text."""
    text = ascii(dict(signal.raw))[:4000]
    reason = ascii(str(error))[:500]
    return {
        "event_type": "wave_signal_refused",
        "event_data": {"text": text},
        "severity": "ERROR",
        "error_message": reason,
    }


def update_failed(wave_time: datetime, exchange_id: int, error: Exception) -> Event:
    """The parameters of an exchange could not be applied; the wave goes on."""
    text = f"{type(error).__name__}: {error}"[:500]
    event = _event("params_update_failed", wave_time, severity="ERROR")
    return event | {"exchange": str(exchange_id), "error_message": text}


def of_change(wave_time: datetime, change: Change, ratio: Decimal) -> list[Event]:
    """What a change of parameters is worth saying: that it was, and that it was large."""
    if not change.applied:
        return []
    values = {name: [change.previous.get(name), value] for name, value in change.applied.items()}
    common: dict[str, Any] = {"changes": values, "wave_signal_id": change.wave_signal_id}
    updated = _event("params_updated", wave_time, **common)
    large = {name: share for name, share in change.relative.items() if share > ratio}
    found = [updated]
    if large:
        data = {"relative": {name: round(share, 4) for name, share in large.items()}, **common}
        found.append(_event("params_changed_significantly", wave_time, severity="WARNING", **data))
    return [event | {"exchange": str(change.exchange_id)} for event in found]


def overridden(row: Any, action: str, by: str) -> Event:
    """An operator has set or undone an override."""
    names = ("id", "field", "value", "reason", "set_by", "expires_at", "end_reason")
    data = {"action": action, "by": by, **{name: getattr(row, name) for name in names}}
    return {"event_type": "params_overridden", "event_data": data, "exchange": str(row.exchange_id)}


def history_row(change: Change) -> dict[str, Any]:
    """The row of `params_history`: values seen in their columns, and what of them was applied."""
    return {
        "exchange_id": change.exchange_id,
        **{name: change.seen.get(name) for name in PARAM_FIELDS},
        "wave_signal_id": change.wave_signal_id,
        "applied": dict(change.applied),
        "changed_fields": list(change.applied),
        "max_relative_change": change.max_relative,
    }


def key_of(signal: WaveSignal) -> tuple[int, str]:
    """Which signal of its wave."""
    return signal.exchange_id or 0, signal.signal_key


def version_of(signal: WaveSignal) -> tuple[Any, ...]:
    """What a signal says, as far as decisions go."""
    params: Mapping[str, Decimal] | None = signal.filter_params
    return signal.symbol, signal.action, signal.score_week, signal.score_month, dict(params) if params else None


def _event(event_type: str, wave_time: datetime, *, severity: str = "INFO", **data: Any) -> Event:
    return {
        "event_type": event_type,
        "event_data": {"wave_time": wave_time, **data},
        "correlation_id": f"wave {wave_time.isoformat()}",
        "severity": severity,
    }


def _whose(signal: WaveSignal) -> Event:
    return {
        "symbol": signal.symbol,
        "exchange": str(signal.exchange_id) if signal.exchange_id is not None else None,
    }
