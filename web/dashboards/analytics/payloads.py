"""What the analytics API takes."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import Field

from database.storable import NO_NUL
from web.dashboards.payloads import StreamQuery

Session = Literal["ASIA", "LONDON", "NY PRE", "NY AM", "NY LUNCH", "NY PM", "AFTER_HOURS"]


class AnalyticsQuery(StreamQuery):
    """Which completed trades, and under which exit rule."""

    session: Session | None = Field(None, description="only signals of this session")
    direction: Literal["long", "short"] | None = Field(None, description="only this direction")
    first: date | None = Field(None, alias="from", description="first New York day of the signal")
    last: date | None = Field(None, alias="to", description="last New York day of the signal, included")
    q: str | None = Field(None, max_length=100, pattern=NO_NUL, description="somewhere in trade id or symbol")
    target: int = Field(0, ge=0, le=20, description="leave at so many R; 0 takes results as recorded")

    def told(self) -> dict[str, str]:
        """The filters by the names of the page's address."""
        given = {
            "stream": self.stream, "session": self.session, "direction": self.direction, "from": self.first,
            "to": self.last, "q": self.q,
        }  # fmt: skip
        return {name: str(value) for name, value in given.items() if value is not None}
