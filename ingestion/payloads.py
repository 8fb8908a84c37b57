"""What the market data API takes, checked at the door, and what it answers."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from database.payloads import Answer, Part
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


class ContractRecord(Part):
    """A contract that is or was followed."""

    id: str
    name: str
    description: str
    tick_size: float
    is_active: bool


class ContractsAnswer(Answer):
    """Every contract."""

    contracts: list[ContractRecord]


class BarColumns(Part):
    """Bars as arrays, oldest first; `time` in Unix seconds of the label."""

    time: list[int]
    open: list[float]
    high: list[float]
    low: list[float]
    close: list[float]
    volume: list[int]
    source: list[str] = Field(description="history, live or import; partial or gap where a bar is not whole")


class BarsAnswer(Answer):
    """Bars, and the one that is forming."""

    bars: BarColumns
    forming: list[float] | None = Field(description="time, open, high, low, close, volume")
    now: float


class CoverageHour(Part):
    """One hour of a series."""

    time: int
    state: Literal["closed", "stored", "filled", "partly", "missing"]


class CoverageAnswer(Answer):
    """A cell an hour."""

    hours: list[CoverageHour]


class FeedAnswer(Answer):
    """How the feed is; `figures` are those of the process that has it."""

    status: Literal["pass", "warn", "fail", "off"]
    detail: str
    figures: dict[str, Any]
    now: float


class FillAnswer(Answer):
    """What the history brought."""

    pages: int
    bars: int
    changed: int
