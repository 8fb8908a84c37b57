"""Results in the order of their exits: the equity curve in R, its drawdowns, and streaks. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from web.dashboards.presenting import thinned

MOST_POINTS = 400


@dataclass(frozen=True, slots=True)
class Curve:
    """One leg's history. Drawdowns are R below the highest point so far (>= 0); times are Unix seconds.

    A streak is of wins or of losses in a row; a result of 0R neither lengthens nor ends it.
    """

    times: tuple[int, ...]
    equity: tuple[float, ...]
    trades: int
    total_r: float
    drawdown_r: float
    drawdown_from: int | None
    drawdown_to: int | None
    drawdown_now_r: float
    wins_in_row: int
    losses_in_row: int


def curve(times: Sequence[int], results: Sequence[float | None]) -> Curve:
    """The curve of a leg; results that are not known are left out."""
    known = [(at, result) for at, result in zip(times, results, strict=True) if result is not None]
    equity = peak = worst = 0.0
    peak_at: int | None = None
    fall: tuple[int | None, int | None] = (None, None)
    points: list[tuple[int, float]] = []
    for at, result in known:
        equity += result
        if equity >= peak:
            peak, peak_at = equity, at
        elif peak - equity > worst:
            worst, fall = peak - equity, (peak_at, at)
        points.append((at, round(equity, 4)))
    shown = thinned(points, MOST_POINTS)
    wins, losses = _streaks(result for _, result in known)
    return Curve(
        tuple(at for at, _ in shown), tuple(value for _, value in shown), len(known), round(equity, 4), round(worst, 4),
        *fall, round(peak - equity, 4), wins, losses,
    )  # fmt: skip


def _streaks(results: Iterable[float]) -> tuple[int, int]:
    """(most wins in a row, most losses in a row)."""
    longest = {True: 0, False: 0}
    side, length = True, 0
    for result in results:
        if result == 0:
            continue
        length = length + 1 if (result > 0) is side else 1
        side = result > 0
        longest[side] = max(longest[side], length)
    return longest[True], longest[False]
