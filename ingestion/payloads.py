"""What the market data API takes, checked at the door."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from database.storable import NO_NUL

MAX_BARS = 5_000


class BarsQuery(BaseModel):
    """A page of bars of one series, or what has changed since."""

    model_config = ConfigDict(extra="ignore")

    contract: str = Field(..., min_length=1, max_length=60, pattern=NO_NUL, description="contract id")
    timeframe: str = Field("1m", max_length=4, description="1m, 15m, 4h, 1d ...")
    before: float | None = Field(None, ge=0, le=1e10, description="Unix seconds: only bars that begin earlier")
    changed_since: float | None = Field(None, ge=0, le=1e10, description="Unix seconds: only bars stored since then")
    limit: int = Field(500, ge=1, le=MAX_BARS)


class CoverageQuery(BaseModel):
    """The coverage of one series."""

    model_config = ConfigDict(extra="ignore")

    contract: str = Field(..., min_length=1, max_length=60, pattern=NO_NUL)
    timeframe: str = Field("1m", max_length=4)
    days: int = Field(14, ge=1, le=60)


class FillBody(BaseModel):
    """Which series is to be filled from history."""

    contract: str = Field(..., min_length=1, max_length=60, pattern=NO_NUL)
    timeframe: str = Field(..., max_length=4)
    days: int = Field(14, ge=1, le=1_900, description="how far back")
