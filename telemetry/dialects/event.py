"""One object of the wire -> one lifecycle event (or heartbeat), whatever dialect it came in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from core.lifecycle import Kind, LifecycleEvent, Source
from core.sessions import session_of_wall_time
from core.timezones import to_new_york
from telemetry.dialects import fields, values
from telemetry.dialects.content_hash import content_hash
from telemetry.dialects.records import LEGACY, TELEMETRY, FieldError, Heartbeat
from telemetry.dialects.times import INSTANTS, read_times

_LEGACY_TARGETS = {"target_1r": "tp1_price", "target_2r": "tp2_price", "target_3r": "tp3_price"}


@dataclass(frozen=True, slots=True)
class Arrival:
    """How the delivery came.

    `slot` is the minute that an MFE update in it speaks of; `raw` is the body as it came if numbers had to be dropped
    to read it, else empty. Without `is_logged` only the events are wanted, not what the delivery log shows of them.
    """

    stream: str
    received_at: datetime
    source: Source
    receipt_id: UUID
    slot: datetime
    raw: bytes = b""
    is_logged: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """What one object gave: an event or a heartbeat, or the error that kept it from giving one."""

    event: LifecycleEvent | None = None
    heartbeat: Heartbeat | None = None
    error: FieldError | None = None
    fused: dict[str, Any]
    warnings: tuple[str, ...] = ()


def read_fact(
    wire: dict[str, Any], name: str | None, dialect: str, arrival: Arrival, doubts: tuple[str, ...] = ()
) -> Fact:
    """Read an object by what it says it is (`kind_name`); `doubts` are warnings that its event inherits."""
    if name in fields.HEARTBEATS:
        return _read_heartbeat(wire, arrival)
    kind = _kind(name, wire)
    if isinstance(kind, FieldError):
        return Fact(error=kind, fused=wire)
    return read_event(wire, kind, dialect, arrival, doubts)


def kind_name(wire: dict[str, Any]) -> str | None:
    """What an object says it is, in capitals: the first name that is known, else the first that came."""
    names = [wire[key].strip().upper() for key in fields.KIND_NAMES if isinstance(wire.get(key), str)]
    return next((name for name in names if name in fields.KIND_WORDS), names[0] if names else None)


def read_event(wire: dict[str, Any], kind: Kind, dialect: str, arrival: Arrival, doubts: tuple[str, ...] = ()) -> Fact:
    """Read an object as an event of a kind that is known already."""
    trade_id = _trade_id(wire)
    if isinstance(trade_id, FieldError):
        return Fact(error=trade_id, fused=wire)
    known, rest = fields.rename(wire, kind)
    digest = content_hash(kind.value, known | {"trade_id": trade_id}, rest, arrival.raw)
    if dialect == LEGACY:
        known = _with_legacy_habits(known, rest)
    found, warnings = _read_values(known)
    times, time_doubts = read_times(known, arrival.received_at)
    found |= _with_signal_candle(times, kind, dialect)
    missing = [f"{name}_missing" for name in fields.EXPECTED[kind] if found.get(name) is None]
    event = LifecycleEvent(
        stream=arrival.stream,
        trade_id=trade_id,
        kind=kind,
        received_at=arrival.received_at,
        content_hash=digest,
        source=arrival.source,
        receipt_id=arrival.receipt_id,
        slot=arrival.slot if kind is Kind.MFE_UPDATE else None,
        warnings=(*doubts, *warnings, *time_doubts, *missing),
        telemetry=wire if dialect == TELEMETRY else None,
        **{fields.ATTRIBUTES[name]: value for name, value in found.items()},
    )
    if not arrival.is_logged:
        return Fact(event=event, fused={}, warnings=event.warnings)
    sent = {name: known[name] for name in fields.TIMES if name in known}
    fused = {"event_type": kind.value, "trade_id": trade_id, **rest, **sent, **found, **_edge_times(found)}
    return Fact(event=event, fused=fused, warnings=event.warnings)


def _read_heartbeat(wire: dict[str, Any], arrival: Arrival) -> Fact:
    known, rest = fields.rename(wire, None)
    digest = content_hash("HEARTBEAT", known, rest, arrival.raw)
    warnings: list[str] = []
    if rest.get("signal_count") is not None:
        rest["signal_count"], doubt = values.count(rest["signal_count"])
        warnings += [f"signal_count_{doubt}"] if doubt else []
    times, time_doubts = read_times(known, arrival.received_at)
    heartbeat = Heartbeat(times.get("event_time"), rest.get("signal_count"), digest)
    fused = {"event_type": "HEARTBEAT", **rest, **_edge_times(times)}
    return Fact(heartbeat=heartbeat, fused=fused, warnings=(*warnings, *time_doubts))


def _kind(name: str | None, wire: dict[str, Any]) -> Kind | FieldError:
    if name is None:
        return FieldError("event_type", "missing", "the alert does not say what happened")
    if name != fields.RESOLVED:
        return fields.KINDS.get(name) or FieldError("event_type", "unknown", f"{name[:50]!r} is no known kind of event")
    resolution = wire.get(fields.RESOLUTION)
    kind = fields.RESOLUTIONS.get(resolution.strip().upper()) if isinstance(resolution, str) else None
    return kind or FieldError(fields.RESOLUTION, "unknown", "the trade was resolved, but not how")


def _trade_id(wire: dict[str, Any]) -> str | FieldError:
    found = [wire[name] for name in fields.TRADE_ID_NAMES if wire.get(name) is not None]
    if not found:
        return FieldError("trade_id", "missing", "the alert names no trade")
    trade_id = found[0]
    if not isinstance(trade_id, str) or not fields.TRADE_ID.fullmatch(trade_id):
        return FieldError("trade_id", "invalid", "a trade id has 1 to 100 of the characters 0-9 A-Z a-z _ - : .")
    if found[-1] != trade_id:
        return FieldError("trade_id", "ambiguous", "trade_id and signal_id name different trades")
    return trade_id


def _with_legacy_habits(known: dict[str, Any], rest: dict[str, Any]) -> dict[str, Any]:
    """The legacy script calls the direction bias, and sends three targets side by side (taken out of `rest`)."""
    targets = {name: rest.pop(key) for key, name in _LEGACY_TARGETS.items() if key in rest}
    supplement = {"direction": known.get("bias"), "targets": targets or None}
    return {name: value for name, value in supplement.items() if value is not None} | known


def _read_values(known: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    found: dict[str, Any] = {}
    warnings: list[str] = []
    for name, value in known.items():
        read = fields.READERS.get(name)
        if read is None:
            continue
        found[name], doubt = read(value)
        if doubt:
            warnings.append(f"{name}_{doubt}")
    entry_price, stop_loss = found.get("entry_price"), found.get("stop_loss")
    if entry_price and stop_loss and found.get("risk_distance") is None:
        found["risk_distance"], doubt = values.price(abs(entry_price - stop_loss))
        warnings += [f"risk_distance_{doubt}"] if doubt else []
    be_mfe, no_be_mfe = found.get("be_mfe"), found.get("no_be_mfe")
    if be_mfe is not None and no_be_mfe is not None and be_mfe > no_be_mfe:
        warnings.append("be_mfe_above_no_be_mfe")
    return found, warnings


def _with_signal_candle(times: dict[str, datetime], kind: Kind, dialect: str) -> dict[str, datetime]:
    """Without a signal time of its own, the creation of a signal, and a telemetry ENTRY, is stamped with its candle."""
    is_candle = kind is Kind.SIGNAL_CREATED or (kind is Kind.ENTRY and dialect == TELEMETRY)
    candle = times.get("event_time") if is_candle else None
    return {"signal_time": candle} | times if candle else times


def _edge_times(found: dict[str, Any]) -> dict[str, str]:
    """The times as they are shown: instants in UTC, signal date, signal time and session in New York."""
    shown: dict[str, str] = {name: found[name].isoformat() for name in INSTANTS if name in found}
    signal_time = found.get("signal_time")
    if signal_time:
        shown["signal_date"], shown["signal_time"], shown["session"] = _in_new_york(signal_time)
    elif "event_time" in found:
        shown["session"] = _in_new_york(found["event_time"])[2]
    return shown


@lru_cache(maxsize=1024)  # the members of a batch share their times
def _in_new_york(instant: datetime) -> tuple[str, str, str]:
    wall_time = to_new_york(instant)
    return wall_time.date().isoformat(), wall_time.time().isoformat(), session_of_wall_time(wall_time.time())
