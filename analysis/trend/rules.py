"""The rules that confirm the start of a trend, each a sentence about the bar, the one before, and the candidates. Pure.

`c` is the bar being processed, `p` the one before. `peak` and `trough` are the candidates: the bar from which a
downtrend, or an uptrend, may have started, with the extremes of what came after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

EXHAUSTION_BARS = 6


class Candle(NamedTuple):
    """A bar with its number in the series, from 1 on."""

    number: int
    at: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal

    def holds(self, other: Candle) -> bool:
        """Whether another bar's range lies inside this one's."""
        return other.high <= self.high and other.low >= self.low


def higher(one: Candle | None, other: Candle | None) -> Candle | None:
    """The one with the higher high; the first of two that are level."""
    return one if other is None or (one is not None and one.high >= other.high) else other


def lower(one: Candle | None, other: Candle | None) -> Candle | None:
    """The one with the lower low; the first of two that are level."""
    return one if other is None or (one is not None and one.low <= other.low) else other


@dataclass(slots=True)
class Candidate:
    """A bar that may prove to be the start of a trend, and what is known of the bars around it.

    `highest` and `lowest` are the extreme bars after it, up to the last but one before the bar being processed.
    `between` is the extreme between the last confirmed start and it (a trough's highest, a peak's lowest);
    `since_peak` the lowest between the peak of the time and a trough.
    """

    bar: Candle
    before_high: Decimal | None = None
    highest: Candle | None = None
    lowest: Candle | None = None
    between: Candle | None = None
    since_peak: Candle | None = None

    def absorb(self, bar: Candle) -> None:
        """Take in a bar that lies behind now."""
        if bar.number > self.bar.number:
            self.highest, self.lowest = higher(self.highest, bar), lower(self.lowest, bar)

    def low_until(self, bar: Candle) -> Candle | None:
        """The lowest bar after it, `bar` included."""
        return lower(self.lowest, bar) if bar.number > self.bar.number else self.lowest

    def high_until(self, bar: Candle) -> Candle | None:
        """The highest bar after it, `bar` included."""
        return higher(self.highest, bar) if bar.number > self.bar.number else self.highest


def is_out_and_down(c: Candle, p: Candle) -> bool:
    """A bar that reaches beyond the one before on both sides and closes below its open."""
    return c.high > p.high and c.low < p.low and c.close < c.open


def up_rule(c: Candle, p: Candle, trough: Candidate, peak: Candidate | None) -> str | None:
    """The name of the first rule by which `c` confirms an uptrend from the trough; None if none does."""
    u, d = trough.bar, peak.bar if peak else None
    is_peak_later = d is not None and d.number > u.number
    is_below_peak = d is not None and c.low < d.low
    is_lower = c.low < p.low and c.high < p.high and c.close < p.close
    if is_lower and not is_below_peak and c.number - u.number <= EXHAUSTION_BARS:
        return "EXHAUSTION_REVERSAL"
    if d is not None and is_peak_later and is_below_peak and c.high <= d.high and c.close > p.close:
        return "LowUndercutHighRespect"
    if is_out_and_down(c, p):
        return "HigherHighLowerLowDownClose"
    closes_up = c.close > p.close and c.close > c.open
    if is_below_peak and c.high > p.high and c.low < p.low and closes_up:
        return "EngulfingUpPDSLowBreak"
    lowest = trough.low_until(p)
    is_low_kept = lowest is None or lowest.low >= u.low
    if d is not None and is_peak_later and is_low_kept and c.high > d.high and closes_up:
        return "BreakoutAfterFailedLowV2"
    return None


def down_rule(c: Candle, p: Candle, peak: Candidate) -> str | None:
    """The name of the first rule by which `c` confirms a downtrend from the peak; None if none does."""
    d = peak.bar
    highest, lowest = peak.high_until(p), peak.low_until(p)
    is_high_kept = highest is None or highest.high <= d.high
    is_low_broken = lowest is not None and lowest.low <= d.low
    closes_higher, is_above = c.close > p.close, c.high > p.high
    is_rally = is_high_kept and is_low_broken and closes_higher
    is_after_break = is_high_kept and p.low < d.low
    is_outside = is_above and c.low < p.low and closes_higher
    rules = (
        ("LowThenHigherClose_vs_PDSOpen", is_outside and is_high_kept and c.low < d.open),
        ("RallyLowBreaksPeakLow_A", is_rally and is_above and c.low < d.low),
        ("NewHighWeakAdvance_B", is_rally and c.low >= p.low and c.high > d.high),
        ("FailedRallyAfterLowBreak_F", is_after_break and is_above and c.close < p.close and c.close < c.open),
        ("HigherOHLCAfterLowBreak_G", is_after_break and is_above and c.low > p.low and closes_higher),
        ("OutsideBarStrongerClose_H", d.number == p.number and is_outside),
    )
    return next((name for name, holds in rules if holds), None)
