"""What the analysis API takes, checked at the door, and what it answers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from database.analysis import Choice
from database.payloads import Answer, Part
from database.storable import NO_NUL

MAX_ROWS = 1_000
PLACE = r"^\d{1,17}-\d{1,18}$"


class _Page(BaseModel):
    model_config = ConfigDict(extra="ignore")

    contract: str | None = Field(None, min_length=1, max_length=60, pattern=NO_NUL, description="contract id")
    trend: Literal["bullish", "bearish"] | None = Field(None, description="only signals that point this way")
    since: float | None = Field(None, ge=0, le=1e10, description="Unix seconds: only what is known since then")
    until: float | None = Field(None, ge=0, le=1e10, description="Unix seconds: only what was known before")
    before: str | None = Field(None, pattern=PLACE, description="the next_cursor of the page before")
    limit: int = Field(100, ge=1, le=MAX_ROWS)

    def _choice(self, **more: str | None) -> Choice:
        since, until = (None if at is None else datetime.fromtimestamp(at, UTC) for at in (self.since, self.until))
        return Choice(
            contract_id=self.contract, trend=self.trend, since=since, until=until, place=read_place(self.before), **more
        )


class SignalsQuery(_Page):
    """A page of detected signals, newest first."""

    timeframe: str | None = Field(None, max_length=4, pattern=NO_NUL, description="15m, 1h, 4h ...")
    analyzer: str | None = Field(None, max_length=40, pattern=NO_NUL, description="name of the analyzer")

    @property
    def choice(self) -> Choice:
        return self._choice(timeframe=self.timeframe, analyzer_id=self.analyzer)


class CoordinatedQuery(_Page):
    """A page of coordinated signals, newest first."""

    rule: str | None = Field(None, max_length=60, pattern=NO_NUL, description="name of the rule")

    @property
    def choice(self) -> Choice:
        return self._choice(rule=self.rule)


class StateQuery(BaseModel):
    """What holds now, or what held."""

    model_config = ConfigDict(extra="ignore")

    contract: str | None = Field(None, min_length=1, max_length=60, pattern=NO_NUL, description="contract id")
    analyzer: str = Field("trend", max_length=40, pattern=NO_NUL, description="whose trends; with a contract")
    at: float | None = Field(None, ge=0, le=1e10, description="Unix seconds: the trends as of then; now when not given")


class PageQuery(BaseModel):
    """The filters of the page; what is empty does not restrict."""

    model_config = ConfigDict(extra="ignore")

    view: Literal["detected", "coordinated"] = "detected"
    contract: str = Field("", max_length=60, pattern=NO_NUL)
    timeframe: str = Field("", max_length=4, pattern=NO_NUL)
    analyzer: str = Field("", max_length=40, pattern=NO_NUL)
    rule: str = Field("", max_length=60, pattern=NO_NUL)
    trend: Literal["", "bullish", "bearish"] = ""
    before: str = Field("", pattern=r"^(\d{1,17}-\d{1,18})?$")

    @property
    def choice(self) -> Choice:
        is_detected = self.view == "detected"
        return Choice(
            contract_id=self.contract or None,
            trend=self.trend or None,
            timeframe=(is_detected and self.timeframe) or None,
            analyzer_id=(is_detected and self.analyzer) or None,
            rule=(not is_detected and self.rule) or None,
            place=read_place(self.before or None),
        )

    @property
    def fields(self) -> dict[str, str]:
        """What restricts the list, without its place."""
        told = self.model_dump(exclude={"before", "view"})
        return {name: value for name, value in told.items() if value}


class DetectedRecord(Part):
    """A detected signal; `price` in points, instants in UTC."""

    id: int
    analyzer: str
    contract: str
    timeframe: str
    type: str
    trend: str | None
    bar_at: datetime
    bar_time: int = Field(description="Unix seconds of the label")
    trigger_at: datetime | None
    known_at: datetime
    price: float | None
    rule: str | None
    revision: int


class DetectedAnswer(Answer):
    """A page of detected signals."""

    signals: list[DetectedRecord]
    count: int
    next_cursor: str | None


class PrimarySignal(Part):
    """The signal that a decision is about."""

    signal_id: int | None
    timeframe: str | None
    bar_at: datetime | None
    price: float | None


class CoordinatedRecord(BaseModel):
    """A coordinated signal; whatever else its rule tells stands beside."""

    model_config = ConfigDict(extra="allow")

    id: int
    rule: str
    contract: str
    type: str
    trend: str | None
    decided_at: datetime
    score: float
    primary: PrimarySignal
    confirming_signal_id: int | None
    confirmed_by: list[dict[str, Any]] = []
    filters: dict[str, str | None] = {}


class CoordinatedAnswer(Answer):
    """A page of coordinated signals."""

    coordinated: list[CoordinatedRecord]
    count: int
    next_cursor: str | None


class SeriesState(Part):
    """How far an analyzer has got with a series, and what holds there."""

    analyzer_id: str
    contract_id: str
    timeframe: str
    last_bar_at: datetime | None
    updated_at: datetime
    trend: str | None
    since: datetime | None


class TrendState(Part):
    """The trend of a timeframe at the instant that was asked for."""

    timeframe: str
    trend: str
    since: datetime
    bar_timestamp: datetime | None


class LastDecision(Part):
    """The last coordinated signal of a contract."""

    contract_id: str
    coordinated_id: int
    rule: str
    signal_type: str
    trend: str | None
    decided_at: datetime
    score: float


class StateAnswer(Answer):
    """What holds."""

    at: datetime
    series: list[SeriesState]
    trends: list[TrendState]
    last_coordinated: list[LastDecision]


def read_place(text: str | None) -> tuple[datetime, int] | None:
    """(instant, id) of a cursor `microseconds-id`; None for none."""
    if not text:
        return None
    micros, _, row_id = text.partition("-")
    return datetime.fromtimestamp(int(micros) / 1e6, UTC), int(row_id)
