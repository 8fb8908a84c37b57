"""A stopped trade followed bar by bar: how far it went from each break-even trigger on before it came back. Pure.

R values are multiples of the initial risk. Where one bar touches two levels the order inside it is unknown, so each question
gets a worst and a best answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

SLACK = 1e-9  # prices are multiples of a tick, so this only absorbs binary fractions


class Range(NamedTuple):
    """The extremes of one minute (since 1970) in points."""

    minute: int
    high: float
    low: float


@dataclass(frozen=True, slots=True)
class Path:
    """For each trigger how far the trade went, None where the trigger was never reached; and the minute of the stop."""

    worst_r: tuple[float | None, ...]
    best_r: tuple[float | None, ...]
    stopped_at: int | None


@dataclass(slots=True)
class _Course:
    """One trigger: the furthest reach since, until the entry was touched again."""

    trigger: float
    worst: float | None = field(default=None, init=False)
    best: float | None = field(default=None, init=False)
    is_worst_over: bool = field(default=False, init=False)
    is_best_over: bool = field(default=False, init=False)

    def step(self, high_r: float, low_r: float) -> None:
        is_back, is_stopped = low_r <= SLACK, low_r <= -1 + SLACK
        if not self.is_worst_over:
            self._step_worst(high_r, is_back=is_back, is_stopped=is_stopped)
        if not self.is_best_over:
            self._step_best(high_r, is_back=is_back)

    def _step_worst(self, high_r: float, *, is_back: bool, is_stopped: bool) -> None:
        """The unfavourable touch came first: the stop before the trigger, the entry before a new high."""
        if self.worst is not None:
            self.worst = self.worst if is_back else max(self.worst, high_r)
            self.is_worst_over = is_back
        elif high_r >= self.trigger - SLACK and not is_stopped:
            self.worst = self.trigger if is_back else high_r
            self.is_worst_over = is_back

    def _step_best(self, high_r: float, *, is_back: bool) -> None:
        """The favourable touch came first, and what is below the entry in the bar of the trigger came before it."""
        if self.best is not None:
            self.best = max(self.best, high_r)
            self.is_best_over = is_back
        elif high_r >= self.trigger - SLACK:
            self.best = high_r


def follow(entry: float, stop: float, bars: Iterable[Range], triggers: Sequence[float]) -> Path:
    """Follow a trade through the bars after its entry, in their order, until one touches its stop."""
    sign, risk = (1, entry - stop) if entry > stop else (-1, stop - entry)
    courses = [_Course(trigger) for trigger in triggers]
    stopped_at = None
    for bar in bars:
        far, near = (bar.high, bar.low) if sign > 0 else (bar.low, bar.high)
        high_r, low_r = (far - entry) * sign / risk, (near - entry) * sign / risk
        for course in courses:
            course.step(high_r, low_r)
        if low_r <= -1 + SLACK:
            stopped_at = bar.minute
            break
    return Path(tuple(course.worst for course in courses), tuple(course.best for course in courses), stopped_at)
