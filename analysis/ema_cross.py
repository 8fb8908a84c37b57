"""Crossings of a fast and a slow exponential moving average of the closes. Pure; parameters `fast` and `slow`, in bars."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.analyzer import BEARISH, BULLISH, NEUTRAL, Found
from core.records import Bar

LONGEST = 1_000


class EmaCross:
    """Silent for the first `slow` bars; then each change of side is a signal of that very bar, at its close."""

    def __init__(self, fast: int, slow: int) -> None:
        self.trend = NEUTRAL
        self._fast, self._slow = fast, slow
        self._seen = 0
        self._averages = (0.0, 0.0)

    def step(self, bar: Bar) -> list[Found]:
        """Take the next bar."""
        close = float(bar.close)
        if not self._seen:
            self._averages = (close, close)
        fast, slow = self._averages
        self._averages = fast + (close - fast) * 2 / (self._fast + 1), slow + (close - slow) * 2 / (self._slow + 1)
        self._seen += 1
        before, self.trend = self.trend, self._side()
        if self.trend in (before, NEUTRAL) or before == NEUTRAL:
            return []
        name = f"{self.trend}_cross"
        return [Found(name, self.trend, bar.starts_at, bar.starts_at, bar.close, f"EMA_{self._fast}_{self._slow}")]

    def _side(self) -> str:
        fast, slow = self._averages
        if self._seen < self._slow or fast == slow:
            return self.trend
        return BULLISH if fast > slow else BEARISH

    def dump(self) -> dict[str, Any]:
        """The state as JSON."""
        return {"trend": self.trend, "seen": self._seen, "averages": list(self._averages)}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up what `dump` wrote."""
        self.trend, self._seen = state["trend"], state["seen"]
        fast, slow = state["averages"]
        self._averages = (fast, slow)


def build(parameters: Mapping[str, Any]) -> EmaCross:
    """A new machine; ValueError naming the parameter that is wrong."""
    given = {"fast": 9, "slow": 21, **parameters}
    for name, value in given.items():
        if name not in ("fast", "slow"):
            raise ValueError(f"{name}: unknown; an EMA cross takes fast and slow")
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LONGEST:
            raise ValueError(f"{name}: must be a number of bars from 1 to {LONGEST}")
    if given["fast"] >= given["slow"]:
        raise ValueError("fast: must be shorter than slow")
    return EmaCross(given["fast"], given["slow"])
