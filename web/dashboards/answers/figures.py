"""What the API answers about figures: the picture of a trade and the analytics. R values are multiples of the initial risk."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from database.payloads import Answer, Part
from web.dashboards.answers.models import Number

Seconds = int


class ContractName(Part):
    """Whose bars are drawn."""

    id: str
    name: str


class ChartBars(Part):
    """Bars as arrays, oldest first; `time` in Unix seconds of the label."""

    time: list[Seconds]
    open: list[float]
    high: list[float]
    low: list[float]
    close: list[float]
    volume: list[int]


class Level(Part):
    """A price line."""

    name: str
    price: float
    r: float
    kind: Literal["entry", "stop", "target", "reach"]


class Marker(Part):
    """An event on the candles."""

    time: Seconds
    event_type: str
    text: str
    source: Literal["live", "import", "reconciled", "inferred"]
    confidence: Number


class PathColumns(Part):
    """The excursions of both legs in R, minute by minute; null where a minute does not say."""

    time: list[Seconds]
    no_be: list[Number]
    be: list[Number]
    mae: list[Number]
    price: list[Number]


class ChartAnswer(Answer):
    """A trade as a picture; `bars` is null where none are stored, and `no_bars` says why."""

    trade_id: str
    stream: str
    direction: Literal["long", "short"] | None
    tick: float
    contract: ContractName | None
    timeframe: str | None
    bars: ChartBars | None
    no_bars: str | None
    levels: list[Level]
    markers: list[Marker]
    paths: PathColumns


class FigureRecord(Part):
    """A mean with its sample size and its 95 % bootstrap interval."""

    n: int
    mean: Number
    low: Number
    high: Number
    verdict: str


class Bucket(Part):
    """Trades of one bucket of a histogram."""

    bucket: str
    trades: int


class FallBucket(Part):
    """Trades of one bucket of the MAE, by whether they went to +1R."""

    bucket: str
    went_1r: int
    did_not: int


class History(Part):
    """The equity of a leg in R in the order of its exits, drawdowns and streaks."""

    times: list[Seconds]
    equity: list[float]
    trades: int
    total_r: float
    drawdown_r: float
    drawdown_from: Seconds | None
    drawdown_to: Seconds | None
    drawdown_now_r: float
    wins_in_row: int
    losses_in_row: int


class LegFigures(Part):
    """One leg under the exit rule."""

    expectancy_r: FigureRecord
    win_share: FigureRecord
    results: list[Bucket]
    mfe: list[Bucket]
    history: History


class TargetFigures(Part):
    """Every trade out at a target in R."""

    target: int
    be: FigureRecord
    no_be: FigureRecord


class TriggerFigures(Part):
    """The stop at the entry from a trigger in R on: the least and the most that can have come of it."""

    trigger: float
    target: int
    undecided: int
    followed: int = Field(description="trades that were followed bar by bar; the others are computed from MFE")
    worst: FigureRecord
    best: FigureRecord


class ScratchFigures(Part):
    """BE legs that ended at 0R, and how many of their trades went on to so many R."""

    trades: int
    went_on: dict[str, int]


class GroupFigures(Part):
    """Trades that have something in common."""

    name: str
    be: FigureRecord
    no_be: FigureRecord


class Analytics(Part):
    """The report."""

    computed_at: datetime
    target: int
    trades: int
    legs: dict[Literal["be", "no_be"], LegFigures]
    targets: list[TargetFigures]
    triggers: list[TriggerFigures]
    scratches: ScratchFigures
    mae: list[FallBucket]
    groups: dict[str, list[GroupFigures]]
    coverage: dict[str, int]


class AnalyticsAnswer(Answer):
    """Figures of completed trades."""

    analytics: Analytics
