"""The exits of one trade under given parameters, and figures over many. Pure.

A path is known by the minute: the price at its close, and the running extremes (MFE and MAE in R). Within a minute the
worse is taken to have come first, so that a replay never flatters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from statistics import fmean

THIN = 30
SAMPLES = 1_000
CONFIDENCE = 0.95
Minute = tuple[float | None, float | None, float | None]
"""Price at the close, MFE in R so far, MAE in R so far (<= 0); None where the alert did not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TradePath:
    """One entered trade. `risk` is |entry - stop| in price; one R is that much."""

    symbol: str | None
    direction: str
    entry_time: datetime
    entry_price: float
    risk: float
    minutes: Sequence[Minute]
    is_over: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a trade would have made, in R and in percent of its entry price, and what ended it."""

    r: float
    percent: float
    ended_by: str


@dataclass(frozen=True, slots=True)
class Figures:
    """Over many outcomes: mean R with its bootstrap interval, mean percent, share of winners."""

    trades: int
    mean_r: float | None
    low_r: float | None
    high_r: float | None
    mean_percent: float | None
    winners: float | None

    @property
    def is_thin(self) -> bool:
        """True when there are too few trades to conclude anything."""
        return self.trades < THIN


def replay(path: TradePath, params: Mapping[str, Decimal]) -> Outcome | None:
    """The outcome under stop and trailing percentages; None for a path that says nothing, or a trade still open."""
    to_r = path.entry_price / 100 / path.risk
    stop, activation, distance = (
        float(params[name]) * to_r if name in params else None
        for name in ("stop_loss_filter", "trailing_activation_filter", "trailing_distance_filter")
    )
    side = 1 if path.direction == "long" else -1
    peak = worst = 0.0
    last: float | None = None
    for price, mfe, mae in path.minutes:
        close = side * (price - path.entry_price) / path.risk if price is not None else None
        low = mae if mae is not None and mae < worst else close
        worst = min(worst, mae or 0.0)
        level, kind = _level(peak, stop, activation, distance)
        if low is not None and level is not None and low <= level:
            return _outcome(path, level, kind)
        peak = max(peak, mfe or 0.0, close or 0.0)
        level, kind = _level(peak, stop, activation, distance)  # activated within this minute: its close decides
        if close is not None and level is not None and close <= level:
            return _outcome(path, level, kind)
        last = close if close is not None else last
    return _outcome(path, last, "end") if path.is_over and last is not None else None


def figures(outcomes: Sequence[Outcome], choose: Callable[[Sequence[float], int], Sequence[float]]) -> Figures:
    """Means and the bootstrap interval of the mean R; `choose(values, n)` draws n of them with replacement."""
    if not outcomes:
        return Figures(0, None, None, None, None, None)
    values = [outcome.r for outcome in outcomes]
    means = sorted(fmean(choose(values, len(values))) for _ in range(SAMPLES))
    edge = (1 - CONFIDENCE) / 2
    return Figures(
        trades=len(values),
        mean_r=fmean(values),
        low_r=means[int(edge * SAMPLES)],
        high_r=means[int((1 - edge) * SAMPLES) - 1],
        mean_percent=fmean(outcome.percent for outcome in outcomes),
        winners=sum(value > 0 for value in values) / len(values),
    )


def _level(
    peak: float, stop: float | None, activation: float | None, distance: float | None
) -> tuple[float | None, str]:
    """Where the trade would end now, in R, and by what: the stop, or the trailing stop once it is active."""
    trail = peak - distance if activation is not None and distance is not None and peak >= activation else None
    fixed = -stop if stop is not None else None
    if trail is not None and (fixed is None or trail > fixed):
        return trail, "trail"
    return fixed, "stop"


def _outcome(path: TradePath, r: float, kind: str) -> Outcome:
    return Outcome(r, r * path.risk / path.entry_price * 100, kind)
