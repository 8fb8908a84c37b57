"""What the signal API answers. Prices in points, R values in multiples of the initial risk, instants ISO 8601 in UTC."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

from pydantic import Field

from database.payloads import Answer, Part

Status = Literal["COMPLETED", "BE_EXITED", "BE_PROTECTED", "ACTIVE", "CANCELLED", "PENDING"]
Number = float | None
Instant = datetime | None
Document = dict[str, Any] | None


class SignalRecord(Part):
    """One signal of a list; what is not known is null, zero is a value."""

    stream: str
    trade_id: str
    symbol: str | None
    timeframe: str | None
    direction: Literal["Bullish", "Bearish"] | None
    status: Status
    signal_time: Instant
    signal_date: date | None = Field(description="the day in New York")
    session: str | None = Field(description="computed from the signal time")
    session_label: str | None = Field(description="what the sender called it")
    htf_alignment: Document
    htf_computed: bool
    is_confirmed: bool
    is_cancelled: bool
    confirmation_time: Instant
    confirmation_time_from: str | None
    bars_to_confirmation: int | None
    entry_time: Instant
    entry_price: Number
    stop_loss: Number
    risk_distance: Number
    be_mfe: Number
    no_be_mfe: Number
    mae: Number
    be_triggered_time: Instant
    be_exit_time: Instant
    exit_time: Instant
    exit_kind: str | None
    exit_price: Number
    be_result_r: Number
    no_be_result_r: Number
    cancellation_time: Instant
    cancel_reason: str | None
    cancelled_by: str | None
    bars_pending: int | None
    latest_event: str | None
    last_received_at: Instant
    health_score: int | None = Field(description="0 to 100; null where hybrid sync has not looked yet")
    flags: list[str]


class EventRecord(Part):
    """One event of a trade."""

    event_type: str
    received_at: datetime
    event_time: Instant
    mfe_minute: Instant
    data_source: Literal["live", "import", "reconciled", "inferred"]
    confidence_score: Number
    receipt_id: str | None
    is_revoked: bool
    entry_price: Number
    stop_loss: Number
    current_price: Number
    exit_price: Number
    be_mfe: Number
    no_be_mfe: Number
    mae: Number
    reason: str | None
    warnings: list[str]


class TradeRecord(SignalRecord):
    """One signal whole."""

    gaps: list[str] = Field(description="what should be known by now and is not")
    created_time: Instant
    last_mfe_minute: Instant
    targets: dict[str, float] | None = Field(description="price at 1R to 20R")
    targets_as_sent: Document
    setup: Document
    market_state: Document
    sources: dict[str, str] = Field(description="of the facts that did not come live")
    confidence: dict[str, float] | None
    events: list[EventRecord]


class Summary(Part):
    """How many signals there are and what became of them; phantoms are not counted."""

    total: int
    confirmed: int
    cancelled: int
    pending: int
    confirmation_rate: Number = Field(description="percent of all signals")


class Legs(Part):
    """Results of either leg with their sample size."""

    be_results: int
    be_total_r: Number
    no_be_results: int
    no_be_total_r: Number


class Stats(Summary, Legs):
    """The figures of the dashboard."""

    active: int
    completed: int
    signals_today: int


class DayCounts(Legs):
    """What happened in a span of days."""

    signals: int
    trades: int
    completed: int
    cancelled: int


class DayRecord(DayCounts):
    """One New York day."""

    day: date = Field(alias="date")


class DeletionRecord(Part):
    """One deletion."""

    id: int
    stream: str
    trade_id: str
    was: dict[str, Any]
    reason: str
    deleted_by: str
    deleted_at: datetime
    restored_by: str | None
    restored_at: Instant
    events_since: int


class KeyRecord(Part):
    """Which signal."""

    stream: str
    trade_id: str


class DashboardAnswer(Answer):
    """Open, pending and the newest completed trades."""

    stats: Stats
    streams: list[str]
    active_trades: list[SignalRecord]
    pending_signals: list[SignalRecord]
    completed_trades: list[SignalRecord]


class StatsAnswer(Answer):
    """The figures alone."""

    stats: Stats


class TradeAnswer(Answer):
    """A trade in each stream that knows its id."""

    trade_id: str
    streams: list[str]
    trades: list[TradeRecord]
    count: int


class SignalsAnswer(Answer):
    """A page of signals; the summary is of all pages."""

    signals: list[SignalRecord]
    count: int
    next_cursor: str | None
    summary: Summary


class CalendarAnswer(Answer):
    """The days of a month that have signals."""

    month: str
    days: list[DayRecord]
    totals: DayCounts


class DeletionsAnswer(Answer):
    """The newest deletions."""

    deletions: list[DeletionRecord]


class DeletedAnswer(Answer):
    """What was deleted just now."""

    deleted: list[KeyRecord]


class RestoredAnswer(Answer):
    """What was restored just now."""

    restored: list[KeyRecord]
