"""From a journal record to what the writer stores: the delivery row, the events, the answer. Used live, at a drain, by
import and by replay, so that a delivery gives the same whenever it is understood.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from core.lifecycle import LifecycleEvent, Source
from database.deliveries import Delivery
from database.json_text import as_number, decimals_to_json
from database.storable import storable
from telemetry.dialects.records import Understanding
from telemetry.dialects.understand import understand
from telemetry.journal.record import Record

log = logging.getLogger(__name__)

MAX_TEXT = 200
BYTE_ORDER_MARK = "\ufeff"
SOURCES = {"webhook": Source.LIVE, "import": Source.IMPORT}


@dataclass(frozen=True, slots=True)
class Prepared:
    """One delivery, ready to be stored and answered."""

    delivery: Delivery
    events: tuple[LifecycleEvent, ...]
    is_understood: bool
    answer: dict[str, Any] = field(default_factory=dict)


def prepare(record: Record, started: float | None = None) -> Prepared:
    """Understand a record. `started` is the perf_counter() at which its request began."""
    understanding = understand_record(record)
    answer = _answer_of(understanding)
    elapsed = (time.perf_counter() - started) * 1000 if started is not None else 0.0
    delivery = Delivery(
        receipt_id=record.receipt_id,
        received_at=record.received_at,
        stream=record.stream,
        source=record.source,
        delivery_key=delivery_key(record.stream, record.body),
        raw_body=record.body,
        content_type=_clean(record.content_type),
        source_ip=_clean(record.source_ip),
        processing_time_ms=round(elapsed, 3),
        status="accepted" if understanding.understood else "quarantined",
        dialect=understanding.dialect,
        raw_payload=None if understanding.payload is None else text_of(record.body),
        fused_event=_to_json(understanding.fused),
        validation_error="; ".join(f"{e.field}: {e.detail}" if e.field else e.detail for e in understanding.errors[:5])
        or None,
        handler_result=_to_json(answer),
        repair=_to_json(understanding.repair.as_json()) if understanding.repair else None,
    )
    return Prepared(delivery, understanding.events, understanding.understood, answer)


def text_of(body: bytes) -> str:
    """The JSON text of a body that was understood."""
    return body.decode().removeprefix(BYTE_ORDER_MARK)


def delivery_key(stream: str, body: bytes) -> bytes:
    """SHA-256 of stream and body: the same bytes again?"""
    return hashlib.sha256(stream.encode() + b"\x1f" + body).digest()


def single_bodies(group: Sequence[Prepared]) -> dict[str, str]:
    """Receipt -> body as JSON text, of deliveries that hold just one event: kept beside it in `automated_signals`."""
    return {
        str(prepared.delivery.receipt_id): prepared.delivery.raw_payload
        for prepared in group
        if len(prepared.events) == 1 and prepared.delivery.raw_payload is not None
    }


def understand_record(record: Record, *, is_logged: bool = True) -> Understanding:
    """What the delivery says; without `is_logged` its events alone.

    A fault of ours while reading it must never cost the delivery: it is stored, not understood, and can be replayed once
    the fault is mended.
    """
    try:
        return understand(
            record.body,
            stream=record.stream,
            received_at=record.received_at,
            source=SOURCES[record.source],
            receipt_id=record.receipt_id,
            is_logged=is_logged,
        )
    except Exception:
        log.exception("understanding_failed", extra={"receipt_id": str(record.receipt_id)})
        return Understanding(dialect=None, message="Not understood: a fault of the service; it can be replayed")


def _answer_of(understanding: Understanding) -> dict[str, Any]:
    answer: dict[str, Any] = {"success": understanding.understood, "message": understanding.message}
    for name in ("trade_id", "event_type", "schema_version", "dialect"):
        value = getattr(understanding, name)
        if value is not None:
            answer[name] = value
    if understanding.applied + understanding.quarantined > 1:
        answer |= {"applied": understanding.applied, "quarantined": understanding.quarantined}
    if understanding.warnings:
        answer["warnings"] = list(understanding.warnings)
    if understanding.errors:
        answer["errors"] = [error.as_json() for error in understanding.errors]
        answer["error"] = understanding.message
    return answer


def _to_json(value: Any) -> str | None:
    return None if value is None else decimals_to_json(value, as_number)


def _clean(text: str) -> str:
    return storable(text)[:MAX_TEXT]
