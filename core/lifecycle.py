"""One immutable fact of a signal's life, as every part of the service passes it on.

A `LifecycleEvent` is what the normaliser makes of a delivery, what hybrid sync appends as a repair, and what the fold
in `automated_signals_state.py` takes in. R values are multiples of the initial risk, MFE >= 0, MAE <= 0; prices are in
index points; times are aware UTC.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Any
from uuid import UUID

EVENT_KEY_VERSION = "1"
BAR = timedelta(minutes=1)
SLOT_TOLERANCE = timedelta(seconds=10)


class Kind(StrEnum):
    """What happened."""

    SIGNAL_CREATED = "SIGNAL_CREATED"
    ENTRY = "ENTRY"
    MFE_UPDATE = "MFE_UPDATE"
    BE_TRIGGERED = "BE_TRIGGERED"
    EXIT_BE = "EXIT_BE"
    EXIT_SL = "EXIT_SL"
    EXIT_TP = "EXIT_TP"
    CANCELLED = "CANCELLED"

    __hash__ = str.__hash__  # an enum's own is Python, and the fold looks things up by kind and source all the time


class Source(StrEnum):
    """Where a fact comes from, best first; `rank` orders them: 1 is the best."""

    rank: int

    LIVE = "live"
    IMPORT = "import"
    RECONCILED = "reconciled"
    INFERRED = "inferred"

    __hash__ = str.__hash__


for _rank, _source in enumerate(Source, start=1):
    _source.rank = _rank


@dataclass(frozen=True, slots=True, kw_only=True)
class LifecycleEvent:
    """One fact about one signal; `None` means that the source did not say."""

    stream: str
    trade_id: str
    kind: Kind
    received_at: datetime
    content_hash: str
    source: Source = Source.LIVE
    receipt_id: UUID | None = None
    slot: datetime | None = None

    direction: str | None = None
    symbol: str | None = None
    timeframe: str | None = None
    bias: str | None = None
    session_label: str | None = None
    event_time: datetime | None = None
    signal_time: datetime | None = None

    entry_price: Decimal | None = None
    stop_loss: Decimal | None = None
    current_price: Decimal | None = None
    exit_price: Decimal | None = None
    risk_distance: Decimal | None = None

    be_mfe_r: Decimal | None = None
    no_be_mfe_r: Decimal | None = None
    mae_r: Decimal | None = None
    final_be_mfe_r: Decimal | None = None
    final_no_be_mfe_r: Decimal | None = None

    confirmation_time: datetime | None = None
    bars_to_confirmation: int | None = None
    bars_pending: int | None = None
    reason: str | None = None
    cancelled_by: str | None = None

    targets: dict[str, Any] | None = None
    setup: dict[str, Any] | None = None
    market_state: dict[str, Any] | None = None
    htf_alignment: dict[str, Any] | None = None
    telemetry: dict[str, Any] | None = None

    sequence_number: int | None = None
    event_id: str | None = None
    warnings: tuple[str, ...] = ()
    confidence: Decimal | None = None
    reconciliation_reason: str | None = None

    @property
    def event_key(self) -> str:
        """SHA-256 hex of version, stream, trade id, kind and slot: which fact this is, whoever says it."""
        return _event_key(self.stream, self.trade_id, self.kind, self.slot)


@lru_cache(maxsize=8192)  # a repair is asked for it a dozen times on its way into the database
def _event_key(stream: str, trade_id: str, kind: Kind, slot: datetime | None) -> str:
    parts = (EVENT_KEY_VERSION, stream, trade_id, kind, slot.isoformat() if slot else "")
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()


def mfe_slot(received_at: datetime) -> datetime:
    """The minute (bar open, UTC) that an MFE update received at `received_at` speaks of.

    The alert of a bar arrives at its close; the wire's own time is often stale, so the receive time decides. The
    tolerance keeps a second of clock skew from moving an update into the neighbouring minute.
    """
    return (received_at + SLOT_TOLERANCE - BAR).replace(second=0, microsecond=0)
