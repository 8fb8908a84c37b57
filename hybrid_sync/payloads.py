"""What the API of hybrid sync takes, checked at the door, and what it answers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from database.payloads import Answer, Part
from database.storable import MAX_ID, NO_NUL
from hybrid_sync.gaps import GAP_TYPES

ACTIONS = (
    *("gap_detected", "gap_filled_mfe_mae", "gap_filled_metadata", "gap_filled_htf_alignment"),
    *("gap_filled_confirmation_time", "gap_filled_targets", "missed_exit_inserted", "cancellation_inferred"),
    *("event_imported", "reconciliation_attempted", "reconciliation_failed", "repair_revoked"),
)


def _known_gap(name: str) -> str:
    if name not in GAP_TYPES:
        raise ValueError("must be one of " + ", ".join(GAP_TYPES))
    return name


def _known_action(name: str) -> str:
    if name not in ACTIONS:
        raise ValueError("must be one of " + ", ".join(ACTIONS))
    return name


class StreamQuery(BaseModel):
    """One stream, or all of them."""

    stream: str | None = Field(
        None, max_length=64, pattern=NO_NUL, description="the stream of a script; all without it"
    )


class GapsQuery(StreamQuery):
    """A page of gaps, newest first."""

    limit: int = Field(50, ge=1, le=500)
    before_id: int | None = Field(None, ge=1, le=MAX_ID, description="only gaps with a smaller id: the next page")
    gap_type: Annotated[str, AfterValidator(_known_gap)] | None = None
    resolved: bool = Field(False, description="those that are closed, instead of the open ones")


class AuditQuery(StreamQuery):
    """A page of the audit log, newest first."""

    limit: int = Field(50, ge=1, le=500)
    before_id: int | None = Field(None, ge=1, le=MAX_ID, description="only rows with a smaller id: the next page")
    action_type: Annotated[str, AfterValidator(_known_action)] | None = None
    trade_id: str | None = Field(None, max_length=100, pattern=NO_NUL)


class RunBody(BaseModel):
    """A cycle on demand."""

    model_config = ConfigDict(extra="forbid")

    tiers: list[Annotated[int, Field(ge=0, le=4)]] = Field([0, 1, 2, 3, 4], min_length=1, max_length=5)
    dry_run: bool = Field(False, description="tell what would be done, and take it back")
    all_signals: bool = Field(False, description="look at every signal, however old")


class RevokeBody(BaseModel):
    """Which repairs of a signal to take back."""

    model_config = ConfigDict(extra="forbid")

    stream: str = Field("main", max_length=64, pattern=NO_NUL)
    trade_id: str = Field(..., min_length=1, max_length=100, pattern=NO_NUL)
    ids: list[Annotated[int, Field(ge=1, le=MAX_ID)]] | None = Field(
        None, max_length=500, description="none: all of it"
    )


class GapCount(Part):
    """Open gaps of one type by age."""

    total: int
    oldest_at: datetime
    fresh: int = Field(description="younger than 10 minutes")
    within_hour: int
    within_day: int
    older: int


class CycleRecord(Part):
    """A finished cycle."""

    id: int
    started_at: datetime
    finished_at: datetime
    actor: str
    tiers: list[int]
    report: dict[str, Any]
    health_after: int | None


class OutageRecord(Part):
    """A silence of a stream, or a limit that was near."""

    stream: str
    kind: Literal["silence", "kind_silence", "throttle"]
    detail: str
    starts_at: datetime
    ends_at: datetime | None
    first_seen_at: datetime
    resolved_at: datetime | None
    open_minutes: float


class TrendHour(Part):
    """The system score of one hour."""

    hour: datetime
    lowest: int | None
    last: int | None


class Fates(Part):
    """What became of expected minutes; each has one fate."""

    expected: int
    delivered: int
    late: int
    repeated: int
    mended: int
    imported: int
    healed: int
    rejected: int
    not_fired: int
    missing: int


class LedgerHour(Fates):
    """What became of the minutes that were expected in an hour."""

    hour: datetime


class Ledger(Fates):
    """What became of every expected minute of the last day."""

    hours: list[LedgerHour]
    closed: int
    deliveries: dict[str, int]


class StatusAnswer(Answer):
    """The gap report."""

    severity: Literal["ok", "warning", "critical"]
    health_score: int | None
    signals: int
    signals_below_80: int
    signals_below_50: int
    open_gaps: int
    open_gaps_classic: int
    by_type: dict[str, GapCount]
    missing_minutes: int
    thresholds: dict[str, dict[str, int]]
    targets: dict[str, int]
    on_target: bool
    last_cycle: CycleRecord | None
    outages: list[OutageRecord]
    trend: list[TrendHour]
    ledger: Ledger


class SyncPage(Answer):
    """A page of rows."""

    count: int
    next_before_id: int | None = Field(description="the before_id of the next page; null on the last")


class GapRecord(Part):
    """One gap."""

    id: int
    stream: str
    trade_id: str
    gap_type: str
    first_seen_at: datetime
    resolved_at: datetime | None
    resolved_by: str | None
    status: str | None
    health_score: int | None


class GapsAnswer(SyncPage):
    """A page of gaps."""

    gaps: list[GapRecord]


class AuditRecord(Part):
    """One line of the audit log."""

    id: int
    action_timestamp: datetime
    stream: str
    trade_id: str | None
    action_type: str
    gap_type: str | None
    field: str | None
    old_value: Any
    new_value: Any
    data_source: str | None
    confidence_score: float | None
    reason: str | None
    evidence: dict[str, Any] | None
    tier: int | None
    actor: str


class AuditAnswer(SyncPage):
    """A page of the audit log."""

    audit: list[AuditRecord]


class CalibrationRecord(Part):
    """How well a method heals gaps of a length."""

    method: str
    gap_minutes: int
    measured_at: datetime
    hidden: int
    healed: int
    median_error_r: float | None
    p95_error_r: float | None
    median_error_ticks: float | None
    p95_error_ticks: float | None
    coverage: float
    confidence: float


class CalibrationAnswer(Answer):
    """The newest figures of each method."""

    calibration: list[CalibrationRecord]


class CycleFigures(Part):
    """What a cycle did."""

    scanned: int
    attempted: int
    written: int
    withdrawn: int
    gaps_before: int
    gaps_after: int
    by_type_before: dict[str, int]
    by_type_after: dict[str, int]
    fills: dict[str, int]
    minutes_healed: int
    health_before: int | None
    health_after: int | None
    improvement: int
    dry_run: bool


class RunAnswer(Answer):
    """The report of the cycle."""

    report: CycleFigures


class RevokeAnswer(Answer):
    """How many repairs were taken back."""

    revoked: int
