"""The paths of a trade's excursions in R, minute by minute, as its updates and its exits tell them. Pure.

A minute that nobody told of is no point of the path: it is left out, never filled in. The BE leg's path ends with the leg.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from web.dashboards.life import bar_of, rank_of
from web.dashboards.presenting import thinned

MOST_POINTS = 1_500
_EXITS = ("EXIT_BE", "EXIT_SL", "EXIT_TP")
_FURTHER = {"no_be": max, "be": max, "mae": min}
Point = dict[str, Decimal | None]


def paths(state: Any, events: Iterable[Any]) -> dict[str, list[Any]]:
    """Columns `time` (Unix seconds), `no_be`, `be`, `mae` and `price`, all in R; None where a minute does not say."""
    points = list(_running(state, _believed(events)))
    kept = thinned(points, MOST_POINTS)  # loses no extreme, because extremes only grow
    columns: dict[str, list[Any]] = {"time": [int(at.timestamp()) for at, _ in kept]}
    for name in (*_FURTHER, "price"):
        columns[name] = [_number(point[name]) for _, point in kept]
    return columns


def _believed(events: Iterable[Any]) -> list[tuple[datetime, list[Any]]]:
    """Each minute with what told of its excursions, by the best source: its update and the exits that fell into it."""
    best: dict[tuple[str, datetime | None], tuple[int, Any]] = {}
    for event in events:
        if event.revoked_at is None and (event.event_type == "MFE_UPDATE" or _is_telling_exit(event)):
            key = event.event_type, bar_of(event) if event.event_type == "MFE_UPDATE" else None
            rank = rank_of(event)
            if key not in best or rank < best[key][0]:
                best[key] = (rank, event)
    told = defaultdict[datetime, list[Any]](list)
    for _rank, event in best.values():
        told[bar_of(event)].append(event)
    return sorted(told.items())


def _is_telling_exit(event: Any) -> bool:
    return event.event_type in _EXITS and any(value is not None for _, value in _excursions(event))


def _excursions(event: Any) -> tuple[tuple[str, Decimal | None], ...]:
    return (
        ("no_be", event.no_be_mfe), ("be", event.be_mfe), ("mae", event.mae_global_r),
        ("no_be", event.final_no_be_mfe), ("be", event.final_be_mfe),
    )  # fmt: skip


def _running(state: Any, told: list[tuple[datetime, list[Any]]]) -> Iterable[tuple[datetime, Point]]:
    """Each minute with the extremes so far: an excursion never shrinks, whatever a late alert says."""
    best: Point = dict.fromkeys(_FURTHER)
    for at, events in told:
        for name, value in (each for event in events for each in _excursions(event)):
            if value is not None:
                held = best[name]
                best[name] = value if held is None else _FURTHER[name](held, value)
        is_over = state.be_exit_at is not None and at > state.be_exit_at
        price = next((event.current_price for event in events if event.current_price is not None), None)
        yield at, best | {"be": None if is_over else best["be"], "price": _in_r(state, price)}


def _in_r(state: Any, price: Decimal | None) -> Decimal | None:
    """How far a price is from the entry, in R; None where price, entry or a stop on the losing side is not known."""
    if price is None or not state.targets_extended:
        return None
    moved: Decimal = (price - state.entry_price) / (state.entry_price - state.stop_loss)
    return moved


def _number(value: Decimal | None) -> float | None:
    return None if value is None else round(float(value), 4)
