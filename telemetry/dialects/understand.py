"""The way into the normaliser: the bytes of one delivery -> everything that can be concluded from them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from core.lifecycle import Kind, Source, mfe_slot
from telemetry.dialects import fields
from telemetry.dialects.body import Body, BodyRefusedError, parse_body
from telemetry.dialects.event import Arrival, Fact, kind_name, read_event, read_fact
from telemetry.dialects.records import (
    BATCH,
    DIRECT,
    EVENT_BATCH,
    HEARTBEAT,
    LEGACY,
    STAGE,
    TELEMETRY,
    FieldError,
    Understanding,
)

MAX_LISTED = 100

_ENVELOPES = {fields.MFE_BATCH: BATCH, fields.EVENT_BATCH: EVENT_BATCH} | dict.fromkeys(fields.HEARTBEATS, HEARTBEAT)
_MARKS = (("schema_version", TELEMETRY), ("automation_stage", STAGE), ("event_type", DIRECT), ("type", LEGACY))
_MEMBERS = {BATCH: "signals", EVENT_BATCH: "events"}
_MESSAGES = {
    LEGACY: "Legacy payload processed (existing handler)",
    DIRECT: "Event {} processed",
    STAGE: "Stage event {} processed",
    TELEMETRY: "Telemetry event {} processed",
}


def understand(
    body: bytes, *, stream: str, received_at: datetime, source: Source, receipt_id: UUID, is_logged: bool = True
) -> Understanding:
    """Conclude what one delivery says. Never fails: what cannot be understood comes back with its errors.

    Without `is_logged` it goes faster, for those who want the events alone: `fused` holds nothing to rely on.
    """
    try:
        parsed = parse_body(body)
    except BodyRefusedError as refusal:
        error = FieldError(refusal.field, refusal.code, refusal.detail)
        return Understanding(dialect=None, message=_not_understood(error), errors=(error,), quarantined=1)
    if not isinstance(parsed.value, dict):
        error = FieldError("", "not_an_object", "the body is JSON, but not an object")
        return _quarantined(parsed, error)
    raw = body if parsed.lost else b""
    arrival = Arrival(stream, received_at, source, receipt_id, mfe_slot(received_at), raw, is_logged)
    wire = _unwrap(parsed.value)
    name = kind_name(wire)
    dialect = _dialect(wire, name)
    if dialect is None:
        return _quarantined(parsed, FieldError("event_type", "missing", "the alert does not say what happened"))
    if dialect in _MEMBERS:
        return _understand_batch(parsed, wire, dialect, arrival)
    return _understand_one(parsed, wire, name, dialect, arrival)


def _unwrap(value: dict[str, Any]) -> dict[str, Any]:
    """The alert inside `{"message": "", "attributes": {...}}`, with what else the envelope carries."""
    attributes = value.get("attributes")
    if not isinstance(attributes, dict) or kind_name(value) is not None:
        return value
    envelope = {key: item for key, item in value.items() if key not in ("attributes", "message")}
    return envelope | attributes


def _dialect(wire: dict[str, Any], name: str | None) -> str | None:
    marked = (dialect for key, dialect in _MARKS if wire.get(key) is not None)
    return _ENVELOPES.get(name or "") or next(marked, None)


def _understand_one(
    parsed: Body, wire: dict[str, Any], name: str | None, dialect: str, arrival: Arrival
) -> Understanding:
    doubts = _doubts(parsed)
    fact = read_fact(wire, name, dialect, arrival, doubts)
    if fact.error:
        return _quarantined(parsed, fact.error, dialect, fact.fused)
    event = fact.event
    return Understanding(
        dialect=dialect,
        message=_MESSAGES[dialect].format(event.kind.value) if event else "Heartbeat received",
        events=(event,) if event else (),
        heartbeat=fact.heartbeat,
        payload=parsed.payload,
        fused=fact.fused,
        warnings=fact.warnings if event else (*doubts, *fact.warnings),
        repair=parsed.repair,
        applied=1,
        trade_id=event.trade_id if event else None,
        event_type=event.kind.value if event else "HEARTBEAT",
        schema_version=_schema_version(wire),
    )


def _understand_batch(parsed: Body, wire: dict[str, Any], dialect: str, arrival: Arrival) -> Understanding:
    key = _MEMBERS[dialect]
    members = wire.get(key)
    if not isinstance(members, list) or not members:
        error = FieldError(key, "empty" if members == [] else "invalid", f"a batch has a list of {key}")
        return _quarantined(parsed, error, dialect, wire)
    facts = list(_read_members(wire, members, dialect, arrival))
    errors = [_at(f"{key}/{place}", fact.error) for place, fact in enumerate(facts) if fact.error]
    warnings = [f"{key}/{place}/{warning}" for place, fact in enumerate(facts) for warning in fact.warnings]
    applied = len(facts) - len(errors)
    counts = f"{applied} of {len(facts)} members"
    return Understanding(
        dialect=dialect,
        message=f"Batch processed: {counts}" if applied else _not_understood(errors[0]),
        events=tuple(fact.event for fact in facts if fact.event),
        heartbeat=next((fact.heartbeat for fact in facts if fact.heartbeat), None),
        payload=parsed.payload,
        fused={**wire, key: [fact.fused for fact in facts]},
        errors=tuple(errors[:MAX_LISTED]),
        warnings=(*_doubts(parsed), *warnings[:MAX_LISTED]),
        repair=parsed.repair,
        applied=applied,
        quarantined=len(errors),
        event_type=fields.MFE_BATCH if dialect == BATCH else fields.EVENT_BATCH,
        schema_version=_schema_version(wire),
    )


def _read_members(wire: dict[str, Any], members: list[Any], dialect: str, arrival: Arrival) -> Iterator[Fact]:
    known, _ = fields.rename(wire, None)
    # Under the last of its names, so that any name the member itself uses comes before it.
    inherited = {field.wire_names[-1]: known[field.name] for field in fields.INHERITED if field.name in known}
    for member in members:
        if not isinstance(member, dict):
            yield Fact(error=FieldError("", "invalid", "a member is an object"), fused={"value": member})
        elif dialect == BATCH:
            yield read_event(inherited | member, Kind.MFE_UPDATE, dialect, arrival)
        else:
            yield read_fact(inherited | member, kind_name(member), dialect, arrival)


def _at(place: str, error: FieldError) -> FieldError:
    return FieldError(f"{place}/{error.field}".rstrip("/"), error.code, error.detail)


def _quarantined(
    parsed: Body, error: FieldError, dialect: str | None = None, fused: dict[str, Any] | None = None
) -> Understanding:
    return Understanding(
        dialect=dialect,
        message=_not_understood(error),
        payload=parsed.payload,
        fused=fused,
        errors=(error,),
        warnings=_doubts(parsed),
        repair=parsed.repair,
        quarantined=1,
        schema_version=_schema_version(fused or {}),
    )


def _doubts(parsed: Body) -> tuple[str, ...]:
    lost = (f"{fields.name_inside(key)}_{reason}" for key, reason in parsed.lost)
    return (*parsed.warnings, *dict.fromkeys(lost))[:MAX_LISTED]


def _schema_version(wire: dict[str, Any]) -> str | None:
    version = wire.get("schema_version")
    return str(version)[:20] if isinstance(version, str | int) and not isinstance(version, bool) else None


def _not_understood(error: FieldError) -> str:
    return f"Not understood: {error.detail}"
