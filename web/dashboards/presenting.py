"""Signals as their pages show them: tabs, words for states, price steps, how instants are written. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from core.errors import InvalidInputError
from core.instruments import tick_size
from core.sync.health import CRITICAL_SCORE, WARNING_SCORE

DEFAULT_TICK = Decimal("0.25")
Point = TypeVar("Point")


@dataclass(frozen=True, slots=True)
class View:
    """One tab of the signal list: the statuses it holds (all of them when empty)."""

    name: str
    title: str
    statuses: tuple[str, ...] = ()


VIEWS = (
    View("all", "All Signals"),
    View("active", "Active", ("ACTIVE", "BE_PROTECTED", "BE_EXITED")),
    View("completed", "Completed", ("COMPLETED",)),
    View("cancelled", "Cancelled", ("CANCELLED",)),
    View("pending", "Pending", ("PENDING",)),
)
STATUS_WORDS = {
    "PENDING": "Pending",
    "ACTIVE": "Active",
    "BE_PROTECTED": "Active",
    "BE_EXITED": "Active",
    "COMPLETED": "Completed",
    "CANCELLED": "Cancelled",
}
STATUS_TITLES = {
    "PENDING": "The triangle has appeared and waits for its confirmation.",
    "ACTIVE": "Entered; both legs run.",
    "BE_PROTECTED": "Entered; +1R was reached, so the BE leg's stop is at the entry.",
    "BE_EXITED": "The BE leg has ended at the entry; the No-BE leg runs on.",
    "COMPLETED": "The No-BE leg has ended, and with it the trade.",
    "CANCELLED": "The opposite triangle came before the confirmation.",
}
SIDES = {"long": "Bullish", "short": "Bearish"}


def view_named(name: str) -> View:
    """The tab of that name. Raises InvalidInputError."""
    for view in VIEWS:
        if view.name == name:
            return view
    raise InvalidInputError("status: must be one of " + ", ".join(view.name for view in VIEWS), field="status")


def view_counts(counts: dict[str, int]) -> dict[str, int]:
    """How many signals each tab holds, phantoms left out."""
    return {
        view.name: sum(total for status, total in counts.items() if not view.statuses or status in view.statuses)
        for view in VIEWS
    }


def health_word(score: int) -> str:
    """How a health score is marked: pass, warn or fail."""
    return "pass" if score >= WARNING_SCORE else "warn" if score >= CRITICAL_SCORE else "fail"


def tick_of(symbol: str | None) -> Decimal:
    """The price step to write prices with; that of the index futures where the symbol is not known."""
    return (tick_size(symbol) if symbol else None) or DEFAULT_TICK


def clock_after(signal_time: datetime | None, at: datetime | None) -> str:
    """How to write an instant beside its signal time: by the clock alone while that can mean only one day."""
    is_near = signal_time is not None and at is not None and timedelta() <= at - signal_time < timedelta(hours=24)
    return "clock" if is_near else "minute"


def thinned(points: list[Point], most: int) -> list[Point]:
    """At most so many points of a line: of every few the last, and the last of all."""
    step = -(-len(points) // most) or 1
    return points[::-1][::step][::-1]


def is_trade(state: Any) -> bool:
    """True once the signal was entered, whether or not its ENTRY was received."""
    return state.status not in ("PENDING", "CANCELLED")
