"""How sure a mean is: bootstrap intervals over histograms, and the verdict they allow. Pure.

Each distinct result gets a Poisson weight around its count, which is the bootstrap for counts; so a hundred thousand trades
cost no more than thirty.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

LEAST_FOR_VERDICT = 30
ROUNDS = 400
TAIL = 0.025
_LARGE = 25
Histogram = Mapping[float, int]


class Draws(Protocol):
    """A source of random numbers; seeded, so that the same data give the same interval."""

    def random(self) -> float: ...

    def gauss(self, mu: float, sigma: float) -> float: ...


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean with its sample size and its 95 % bootstrap interval; None where there is no sample."""

    n: int
    mean: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def verdict(self) -> str:
        """What may be concluded: nothing below 30 trades, nothing where the interval holds zero."""
        if self.n < LEAST_FOR_VERDICT or self.low is None or self.high is None:
            return f"no verdict below {LEAST_FOR_VERDICT}"
        if self.low > 0:
            return "above zero"
        return "below zero" if self.high < 0 else "not told from zero"


def mean_of(values: Histogram) -> float | None:
    """The mean of a histogram (value -> count); None of nothing."""
    total = sum(values.values())
    return sum(value * count for value, count in values.items()) / total if total else None


def figure(values: Histogram, draws: Draws) -> Figure:
    """The mean of a histogram with its interval."""
    n = sum(values.values())
    if not n:
        return Figure(0)
    means = sorted(found for _ in range(ROUNDS) if (found := mean_of(_resampled(values, draws))) is not None)
    place = int(TAIL * len(means))
    return Figure(n, mean_of(values), means[place], means[-1 - place])


def share(values: Histogram, draws: Draws) -> Figure:
    """The share of values above zero, with its interval."""
    won = sum(count for value, count in values.items() if value > 0)
    return figure({1.0: won, 0.0: sum(values.values()) - won}, draws)


def _resampled(values: Histogram, draws: Draws) -> dict[float, int]:
    return {value: _poisson(count, draws) for value, count in values.items() if count}


def _poisson(mean: int, draws: Draws) -> int:
    """A Poisson number; for large means the normal one next to it."""
    if mean >= _LARGE:
        return max(0, round(draws.gauss(mean, math.sqrt(mean))))
    limit, product, count = math.exp(-mean), draws.random(), 0
    while product > limit:
        product *= draws.random()
        count += 1
    return count
