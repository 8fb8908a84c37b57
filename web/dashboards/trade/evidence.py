"""What a signal's page rests on: the bodies that were delivered, the gaps that were found, and what filled them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from core.sync.words import action_word, gap_word
from web.dashboards.life import delay_of

MOST_BODIES = 40


@dataclass(frozen=True, slots=True)
class Body:
    """One delivery as it came: what it said of this signal, how long after its bar, and its bytes as text."""

    receipt_id: UUID
    kinds: str
    received_at: datetime
    delay: timedelta | None
    source: str
    size: int | None
    text: str | None


@dataclass(frozen=True, slots=True)
class Gap:
    """A fact that should have been known; `closed_at` None while it still is not."""

    words: str
    first_seen_at: datetime
    closed_at: datetime | None
    closed_by: str


@dataclass(frozen=True, slots=True)
class Repair:
    """What was done about gaps, by which evidence, and how far it can be trusted (0 to 1)."""

    at: datetime
    words: str
    field: str
    old: Any
    new: Any
    source: str
    confidence: Decimal | None
    reason: str


def receipts_of(lines: Iterable[Any]) -> list[UUID]:
    """The receipts behind the newest of the listed events, each once, newest first; folded runs name none."""
    found = [line.receipt_id for line in lines if getattr(line, "receipt_id", None)]
    return list(dict.fromkeys(reversed(found)))[:MOST_BODIES]


def bodies(rows: Iterable[Any], events: Sequence[Any]) -> list[Body]:
    """Deliveries with what their events say of this signal, newest first."""
    said: dict[UUID, list[Any]] = {}
    for event in events:
        said.setdefault(event.receipt_id, []).append(event)
    return [_body(row, said.get(row.receipt_id, [])) for row in rows]


def _body(row: Any, events: Sequence[Any]) -> Body:
    raw = bytes(row.raw_body) if row.raw_body is not None else None
    return Body(
        receipt_id=row.receipt_id,
        kinds=", ".join(dict.fromkeys(event.event_type for event in events)),
        received_at=row.received_at,
        delay=delay_of(events[0]) if events else None,
        source=row.source,
        size=None if raw is None else len(raw),
        text=None if raw is None else text_of(raw),
    )


def text_of(raw: bytes) -> str:
    """Bytes as text that hides none of them: what is no UTF-8, and NUL, is written as `\\xff`."""
    return raw.decode(errors="backslashreplace").replace("\x00", "\\x00")


def gaps(rows: Iterable[Any]) -> list[Gap]:
    """The gaps of a signal in words, the open ones first, each kind newest first."""
    found = [
        Gap(gap_word(row.gap_type), row.first_seen_at, row.resolved_at, (row.resolved_by or "").replace("_", " "))
        for row in rows
    ]
    return sorted(found, key=lambda gap: (gap.closed_at is not None, -gap.first_seen_at.timestamp()))


def repairs(rows: Iterable[Any]) -> list[Repair]:
    """What the audit log tells of a signal, in its order."""
    return [
        Repair(
            at=row.action_timestamp,
            words=action_word(row.action_type),
            field=(row.field or "").replace("_", " "),
            old=row.old_value,
            new=row.new_value,
            source=row.data_source or "",
            confidence=row.confidence_score,
            reason=(row.reason or "").replace("_", " "),
        )
        for row in rows
    ]
