"""What the parameter API takes, checked at the door, and what it answers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from database.payloads import Answer, Part
from database.storable import MAX_ID


def _in_utc(instant: datetime) -> datetime:
    if not 2000 <= instant.year <= 2100:
        raise ValueError("must lie between 2000 and 2100")
    return instant.astimezone(UTC)


Instant = Annotated[AwareDatetime, AfterValidator(_in_utc)]
"""ISO 8601 with an offset."""


class ExchangePath(BaseModel):
    """One exchange."""

    exchange_id: int = Field(..., ge=1, le=2**31 - 1)


class OverridePath(BaseModel):
    """One override."""

    override_id: int = Field(..., ge=1, le=MAX_ID)


class WavePath(BaseModel):
    """One wave, named by the open of its candle."""

    wave_time: Instant


class HistoryQuery(BaseModel):
    """A page of the history of an exchange, newest wave first."""

    limit: int = Field(100, ge=1, le=1000)
    before: Instant | None = Field(None, description="only waves before this instant: the next page")
    all_versions: bool = Field(False, description="what was believed before a correction, too")


class WavesQuery(BaseModel):
    """A page of waves, newest first."""

    limit: int = Field(50, ge=1, le=500)
    before: Instant | None = Field(None, description="only waves before this instant: the next page")


class AsOfQuery(BaseModel):
    """Which parameters held, by whose knowledge."""

    at: Instant = Field(..., description="the instant at which, say, a signal fired")
    known_at: Instant | None = Field(None, description="by what was known then; without it, by what was known at `at`")


class EventsQuery(BaseModel):
    """The newest events of waves and parameters."""

    limit: int = Field(50, ge=1, le=500)
    event_type: str | None = Field(None, max_length=50, pattern="^[a-z_]+$")


class OverrideBody(BaseModel):
    """Mask a parameter."""

    model_config = ConfigDict(extra="forbid")

    field: str = Field(..., max_length=40)
    value: float | str
    reason: str = Field(..., max_length=1000)
    expires_at: Instant | None = None


class UndoBody(BaseModel):
    """Take a mask back."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field("undone", max_length=1000)


class OverrideRecord(Part):
    """An override with its audit."""

    id: int
    exchange_id: int
    field: str
    value: float | None
    reason: str
    set_by: str
    set_at: datetime
    expires_at: datetime | None
    ended_at: datetime | None
    ended_by: str | None
    end_reason: str | None


class ExchangeRecord(Part):
    """The parameters of one exchange; null where nothing is known."""

    exchange_id: int
    name: str
    effective: dict[str, float | None]
    latest: dict[str, float | None]
    overrides: dict[str, OverrideRecord]
    updated_at: datetime


class ExchangesAnswer(Answer):
    """Every exchange."""

    exchanges: list[ExchangeRecord]


class ExchangeAnswer(Answer):
    """One exchange."""

    exchange: ExchangeRecord


class HistoryRecord(BaseModel):
    """What one wave said of an exchange; columns of an older table stand beside."""

    model_config = ConfigDict(extra="allow")

    id: int
    exchange_id: int
    wave_timestamp: datetime
    changed_at: datetime
    superseded_at: datetime | None
    max_trades_filter: int | None
    stop_loss_filter: float | None
    trailing_activation_filter: float | None
    trailing_distance_filter: float | None
    score_week_filter: float | None
    score_month_filter: float | None
    applied: dict[str, Any]
    changed_fields: list[str]
    max_relative_change: float | None
    source: str
    signal_id: int | None
    symbol: str | None


class HistoryAnswer(Answer):
    """The history of an exchange."""

    history: list[HistoryRecord]


class AsOfRecord(Part):
    """The parameters of one exchange at an instant."""

    exchange_id: int
    name: str
    wave_time: datetime | None
    recorded: dict[str, float | None]
    effective: dict[str, float | None]
    overridden: list[str]


class AsOfAnswer(Answer):
    """Which parameters held."""

    at: datetime
    known_at: datetime
    exchanges: list[AsOfRecord]


class WaveRecord(Part):
    """One wave with its counts; the delay in seconds from the close of the candle."""

    wave_time: datetime
    status: str
    first_received_at: datetime | None
    completed_at: datetime | None
    needs_processing: bool
    repeats: int
    failures: int
    delay_seconds: float | None
    received: int
    valid: int
    selected: int
    exchanges: int
    changed: int


class WavesAnswer(Answer):
    """A page of waves."""

    waves: list[WaveRecord]


class WaveSignalRecord(Part):
    """One signal of a wave with its verdict."""

    id: int
    signal_id: int | None
    exchange_id: int | None
    symbol: str | None
    action: Literal["BUY", "SELL"] | None
    score_week: float | None
    score_month: float | None
    created_at: datetime | None
    received_at: datetime
    filter_params: Any
    faults: list[str]
    warnings: list[str]
    rank: int | None
    verdict: Literal["selected", "skipped"] | None
    reason: str


class WaveAnswer(Answer):
    """The signals of one wave."""

    signals: list[WaveSignalRecord]


class EventRow(Part):
    """One row of monitoring.events."""

    id: int
    event_type: str
    event_data: Any
    correlation_id: str | None
    symbol: str | None
    exchange: str | None
    severity: str | None
    error_message: str | None
    created_at: datetime


class EventsAnswer(Answer):
    """The newest events."""

    events: list[EventRow]


class OverrideAnswer(Answer):
    """The override as it stands now."""

    override: OverrideRecord
