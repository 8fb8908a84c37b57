"""What an analyzer is: a machine that takes one closed bar after the other and says what it has found. Pure.

An analyzer's state is small and can be written down and taken up again, so that a live series and a batch are one and
the same fold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

from core.records import Bar

BULLISH, BEARISH, NEUTRAL = "bullish", "bearish", "neutral"


@dataclass(frozen=True, slots=True)
class Found:
    """One signal: the bar it stands for, the bar that confirmed it (both by label), price in points, and the rule."""

    signal_type: str
    trend: str
    at: datetime
    trigger_at: datetime
    price: Decimal
    rule: str

    @property
    def key(self) -> tuple[datetime, str]:
        """What a series holds once."""
        return self.at, self.signal_type


class Analyzer(Protocol):
    """One series under analysis. `trend` is what holds after the last bar: bullish, bearish or neutral."""

    trend: str

    def step(self, bar: Bar) -> list[Found]:
        """Take the next closed bar; the signals that it confirms."""

    def dump(self) -> dict[str, Any]:
        """The state, ready for JSON."""

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up a state that `dump` wrote. KeyError, TypeError or ValueError if it is of another version."""


def fold(analyzer: Analyzer, bars: Iterable[Bar]) -> list[Found]:
    """The batch form: every signal of a history, by bar, downtrends first, each (bar, type) once."""
    first: dict[tuple[datetime, str], Found] = {}
    for bar in bars:
        for found in analyzer.step(bar):
            first.setdefault(found.key, found)
    return sorted(first.values(), key=lambda found: (found.at, found.trend != BEARISH, found.trigger_at))
