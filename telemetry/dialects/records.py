"""What the normaliser concludes from one delivery."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core.lifecycle import LifecycleEvent
from telemetry.dialects.repair import Repair

LEGACY = "legacy"
DIRECT = "direct"
STAGE = "stage"
TELEMETRY = "telemetry"
BATCH = "batch"
EVENT_BATCH = "event_batch"
HEARTBEAT = "heartbeat"


@dataclass(frozen=True, slots=True)
class FieldError:
    """Why a delivery, or one member of a batch, gave nothing.

    `field` is a pointer such as `trade_id` or `signals/3/trade_id`, empty for the body as a whole; `code` is stable.
    """

    field: str
    code: str
    detail: str

    def as_json(self) -> dict[str, str]:
        return {"field": self.field, "code": self.code, "detail": self.detail}


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The script is alive: what it says of its own time (aware UTC) and how many signals it follows."""

    sent_at: datetime | None
    signal_count: int | None
    content_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Understanding:
    """All that could be concluded from one delivery.

    `payload` is the body as JSON and fits a jsonb column; it is None if the body is no JSON, or JSON that the column
    cannot hold (then a warning says so). `fused` holds the canonical fields and everything else that came.
    `applied` and `quarantined` count the events or members that were and were not understood.
    """

    dialect: str | None
    message: str
    events: tuple[LifecycleEvent, ...] = ()
    heartbeat: Heartbeat | None = None
    payload: Any = None
    fused: dict[str, Any] | None = None
    errors: tuple[FieldError, ...] = ()
    warnings: tuple[str, ...] = ()
    repair: Repair | None = None
    applied: int = 0
    quarantined: int = 0
    trade_id: str | None = None
    event_type: str | None = None
    schema_version: str | None = None

    @property
    def understood(self) -> bool:
        """Something could be derived; otherwise the delivery is quarantined."""
        return bool(self.events) or self.heartbeat is not None
