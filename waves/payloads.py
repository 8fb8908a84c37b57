"""What the parameter API takes, checked at the door."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field


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

    override_id: int = Field(..., ge=1, le=2**63 - 1)


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
