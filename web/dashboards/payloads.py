"""What the signal API takes: query strings and paths, checked at the door."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from database.storable import NO_NUL

DEFAULT_LIMIT = 100
MAX_LIMIT = 500
MONTH = r"^[12]\d{3}-(0[1-9]|1[0-2])$"


class StreamQuery(BaseModel):
    """Which stream is asked about."""

    model_config = ConfigDict(extra="ignore")

    stream: str | None = Field(None, min_length=1, max_length=64, pattern=NO_NUL, description="only this stream")


class LimitQuery(StreamQuery):
    """How many signals of each kind."""

    limit: int = Field(DEFAULT_LIMIT, description="1 to 500; 0 and less give 100, more gives 500")

    @property
    def page_size(self) -> int:
        return DEFAULT_LIMIT if self.limit <= 0 else min(self.limit, MAX_LIMIT)


class PageQuery(LimitQuery):
    """A page of signals, newest first."""

    before: str | None = Field(None, max_length=400, description="the next_cursor of the page before")


class SignalQuery(PageQuery):
    """A page of signals that stand alike."""

    status: Literal["all", "active", "completed", "cancelled", "pending"] = Field("all", description="only these")


class MonthQuery(StreamQuery):
    """A month of New York days."""

    month: str | None = Field(None, pattern=MONTH, description="YYYY-MM; the present month when not given")


class TradePath(BaseModel):
    """One trade id."""

    trade_id: str = Field(..., max_length=200, pattern=NO_NUL, description="the id of the signal")
