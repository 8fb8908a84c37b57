"""The trend analyzer: one step a bar, constant time whatever the history, the same live and in batch. Pure.

The state is the last two bars, the candidates for a peak and a trough, the last confirmed start and a box (a bar that
contains those after it). What a rule asks about older bars is kept as extremes beside them; these lag one bar behind,
because a candidate is often the bar before and must not count itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import Any

from analysis.analyzer import BEARISH, BULLISH, NEUTRAL, Found
from analysis.trend.rules import Candidate, Candle, down_rule, is_out_and_down, up_rule
from core.records import Bar

VERSION = 1
BOX_BARS = 5
UP, DOWN = "uptrend_start", "downtrend_start"


@dataclass(slots=True)
class Box:
    """A bar whose range holds all bars from number `start` on."""

    bar: Candle
    start: int


class TrendAnalyzer:
    """The state machine of confirmed trend starts. A signal's price is the low of an uptrend's first bar, the high of a
    downtrend's."""

    def __init__(self) -> None:
        self.trend = NEUTRAL
        self._bars: tuple[Candle, ...] = ()  # the last two, oldest first
        self._peak: Candidate | None = None
        self._trough: Candidate | None = None
        self._last: Candidate | None = None
        self._box: Box | None = None
        self._found: list[Found] = []

    def step(self, bar: Bar) -> list[Found]:
        """Take the next bar; the signals that it confirms, forced ones before those that force them."""
        number = self._bars[-1].number + 1 if self._bars else 1
        c = Candle(number, bar.starts_at, bar.open, bar.high, bar.low, bar.close)
        self._found = []
        if self._bars:
            self._process(c, self._bars[-1])
            for each in (self._peak, self._trough, self._last):
                if each is not None:
                    each.absorb(self._bars[-1])
        self._bars = (*self._bars[-1:], c)
        return self._found

    def _process(self, c: Candle, p: Candle) -> None:
        trough, peak = self._trough, self._peak
        if trough and trough.lowest and trough.lowest.low < trough.bar.low:
            trough = self._trough = None
        self._look_at_box(c, peak or trough)
        is_held = self._box is not None and c.number > self._box.start + BOX_BARS
        up = up_rule(c, p, trough, peak) if trough and not is_held else None
        down = down_rule(c, p, peak) if peak and not is_held else None
        if up and trough:
            self._confirm_up(c, p, trough, peak, up)
        if down and peak:
            self._confirm_down(c, peak, down)
        if self._box is None or self._box.start == c.number:
            self._look_for_candidates(c, p, is_up=up is not None, is_down=down is not None)

    def _look_at_box(self, c: Candle, reference: Candidate | None) -> None:
        if self._box and not self._box.bar.holds(c):
            self._box = None
        if self._box is None and reference and reference.bar.holds(c):
            self._box = Box(reference.bar, c.number)

    def _confirm_up(self, c: Candle, p: Candle, trough: Candidate, peak: Candidate | None, rule: str) -> None:
        start = trough.bar
        if self._last and self.trend == BULLISH and start.number > self._last.bar.number and trough.between:
            self._emit(DOWN, trough.between, c, f"FORCED_by_CUS_{rule}")
        self._emit(UP, start, c, rule)
        self._last, self.trend, self._trough = _started(trough), BULLISH, None
        if rule == "HigherHighLowerLowDownClose":
            self._offer_peak(Candidate(c, p.high, between=peak.low_until(p) if peak else None))
        elif rule != "EngulfingUpPDSLowBreak" and c.high <= start.high:
            self._offer_peak(
                Candidate(start, trough.before_high, trough.highest, trough.lowest, between=trough.since_peak)
            )

    def _confirm_down(self, c: Candle, peak: Candidate, rule: str) -> None:
        start = peak.bar
        if self._last and self.trend == BEARISH and start.number > self._last.bar.number and peak.between:
            self._emit(UP, peak.between, c, f"FORCED_by_CDS_{rule}")
        self._emit(DOWN, start, c, rule)
        self._last, self.trend = _started(peak), BEARISH
        if self._trough and self._trough.bar.number < start.number:
            self._trough = None
        if self._peak and self._peak.bar.number == start.number:
            self._peak = None

    def _look_for_candidates(self, c: Candle, p: Candle, *, is_up: bool, is_down: bool) -> None:
        last = self._last
        is_set = False
        if not is_down and c.high > p.high and c.close < c.open:
            is_set = self._offer_peak(Candidate(c, p.high, between=last.low_until(p) if last else None))
        if not is_down and not is_set and c.high <= p.high:
            before = self._bars[0].high if len(self._bars) > 1 else None
            self._offer_peak(Candidate(p, before, between=last.lowest if last else None))
        if not is_up and not is_set and (c.low >= p.low or is_out_and_down(c, p)):
            self._offer_trough(p)

    def _offer_peak(self, offered: Candidate) -> bool:
        if offered.before_high is not None and offered.bar.high < offered.before_high:
            return False
        if self._peak is not None and offered.bar.high <= self._peak.bar.high:
            return False
        self._peak = offered
        return True

    def _offer_trough(self, p: Candle) -> None:
        if self._trough is not None and p.low >= self._trough.bar.low:
            return
        before = self._bars[0].high if len(self._bars) > 1 else None
        peak, last = self._peak, self._last
        since_peak = peak.lowest if peak and peak.bar.number < p.number else None
        self._trough = Candidate(p, before, between=last.highest if last else None, since_peak=since_peak)

    def _emit(self, signal_type: str, bar: Candle, c: Candle, rule: str) -> None:
        is_up = signal_type == UP
        price = bar.low if is_up else bar.high
        self._found.append(Found(signal_type, BULLISH if is_up else BEARISH, bar.at, c.at, price, rule))

    # --- state -------------------------------------------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        """The state as JSON: bars as [number, label, open, high, low, close], prices as text."""
        return {
            "version": VERSION,
            "trend": self.trend,
            "bars": [_write(bar) for bar in self._bars],
            "peak": _write_candidate(self._peak),
            "trough": _write_candidate(self._trough),
            "last": _write_candidate(self._last),
            "box": self._box and [_write(self._box.bar), self._box.start],
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up what `dump` wrote. ValueError for another version."""
        if state["version"] != VERSION:
            raise ValueError(f"a state of version {state['version']}")
        self.trend = state["trend"]
        self._bars = tuple(_read(bar) for bar in state["bars"])
        self._peak, self._trough, self._last = (_read_candidate(state[name]) for name in ("peak", "trough", "last"))
        self._box = Box(_read(state["box"][0]), state["box"][1]) if state["box"] else None


def build(parameters: Mapping[str, Any]) -> TrendAnalyzer:
    """A new machine; it has no parameters. ValueError for any."""
    if parameters:
        raise ValueError(f"{next(iter(parameters))}: the trend analyzer has no parameters")
    return TrendAnalyzer()


def _started(candidate: Candidate) -> Candidate:
    """A confirmed start, with what came after it."""
    return Candidate(candidate.bar, highest=candidate.highest, lowest=candidate.lowest)


def _write(bar: Candle | None) -> list[Any] | None:
    return bar and [bar.number, bar.at.isoformat(), *map(str, bar[2:])]


def _read(told: list[Any]) -> Candle:
    open_, high, low, close = map(Decimal, told[2:])
    return Candle(told[0], datetime.fromisoformat(told[1]), open_, high, low, close)


def _write_candidate(candidate: Candidate | None) -> dict[str, Any] | None:
    if candidate is None:
        return None
    told = {field.name: getattr(candidate, field.name) for field in fields(candidate)}
    before = told.pop("before_high")
    return {name: _write(bar) for name, bar in told.items()} | {"before_high": None if before is None else str(before)}


def _read_candidate(told: Mapping[str, Any] | None) -> Candidate | None:
    if told is None:
        return None
    before = told["before_high"]
    around = {name: bar and _read(bar) for name, bar in told.items() if name not in ("before_high", "bar")}
    return Candidate(_read(told["bar"]), None if before is None else Decimal(before), **around)
