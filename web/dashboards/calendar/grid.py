"""A month of days in weeks from Sunday to Saturday, as futures trade, with a total for each week. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from web.dashboards.records import totals

DAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Day:
    """One cell; `row` holds its counts and R totals, None on a day without signals."""

    date: date
    row: Any
    is_of_month: bool


@dataclass(frozen=True, slots=True)
class Week:
    """Seven days, and what the days of the month among them amount to; None without signals."""

    days: tuple[Day, ...]
    total: dict[str, Any] | None


def weeks(first: date, after: date, rows: Sequence[Any]) -> list[Week]:
    """The weeks that hold the days from `first` up to but without `after`."""
    by_day = {row.signal_date: row for row in rows}
    at = first - first.isoweekday() % 7 * _DAY
    found = []
    while at < after:
        days = tuple(_day(at + number * _DAY, first, after, by_day) for number in range(7))
        held = [day.row for day in days if day.row is not None]
        found.append(Week(days, totals(held) if held else None))
        at += 7 * _DAY
    return found


def _day(at: date, first: date, after: date, by_day: dict[date, Any]) -> Day:
    is_of_month = first <= at < after
    return Day(at, by_day.get(at) if is_of_month else None, is_of_month)


def month_before(first: date) -> str:
    """The month before, written `YYYY-MM`."""
    return f"{first - _DAY:%Y-%m}"
