"""The loss ledger: what became of every minute for which an update was due."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from core.records import instant_of, minute_of, open_minutes
from core.trading_calendar import cme_equity_calendar
from database import sync
from database.engine import Cursor
from database.sync import Ledger
from hybrid_sync.cycle import WINDOW
from hybrid_sync.gaps import last_due

FATES: Final = (
    ("delivered", "delivered"),
    ("late", "delivered late"),
    ("repeated", "delivered more than once"),
    ("mended", "malformed, repaired on arrival"),
    ("imported", "fired, not delivered: imported"),
    ("healed", "healed from bars"),
    ("rejected", "came, not understood"),
    ("not_fired", "never fired"),
    ("missing", "missing: not fired, or lost"),
)
"""Each expected minute has one of these; the last is what an alert log would tell."""
BAR_UNITS: Final = 30


def ledger_of(cur: Cursor, now: datetime, stream: str | None = None, window: timedelta = WINDOW) -> dict[str, Any]:
    """What became of every expected minute of the trades followed in the window, in all and by hour.

    A minute is expected where a trade was open and the market too; `closed` counts those the market was closed for.
    """
    calendar = cme_equity_calendar()
    until, since = minute_of(last_due(now, calendar)) + 1, minute_of(now - window)
    found = sync.ledger(cur, instant_of(since), stream)
    told = {(row.stream, row.trade_id, row.minute): row.fate for row in found.told}
    hours: defaultdict[datetime, Counter[str]] = defaultdict(Counter)
    closed = 0
    for trade in found.trades:
        start = max(since, minute_of(trade.entry_time) + 1)
        end = min(until, minute_of(trade.exit_at)) if trade.exit_at else until
        minutes = list(open_minutes(start, end, calendar))
        closed += max(0, end - start) - len(minutes)
        for minute in minutes:
            key = trade.stream, trade.trade_id, minute
            fate = told.get(key) or _loss(trade.stream, minute, found)
            if fate == "delivered" and key in found.repeated:
                fate = "repeated"
            hours[instant_of(minute - minute % 60)][fate] += 1
    return {
        "hours": [_hour_json(hour, hours[hour]) for hour in sorted(hours)],
        "expected": sum(count.total() for count in hours.values()),
        **{fate: sum(count[fate] for count in hours.values()) for fate, _ in FATES},
        "closed": closed,
        "deliveries": {name: int(value) for name, value in found.deliveries._asdict().items()},
    }


def _loss(stream: str, minute: int, found: Ledger) -> str:
    """Why nothing is known of a minute; its alert would have been fired at its close."""
    if (stream, minute) in found.rejected:
        return "rejected"
    closes_at = instant_of(minute + 1)
    is_covered = any(span.stream == stream and span.starts_at <= closes_at <= span.ends_at for span in found.spans)
    return "not_fired" if is_covered else "missing"


def _hour_json(hour: datetime, count: Mapping[str, int]) -> dict[str, Any]:
    return {"hour": hour.isoformat(), "expected": sum(count.values()), **{fate: count[fate] for fate, _ in FATES}}


def ledger_bars(ledger: Mapping[str, Any], height: int = 64) -> list[dict[str, Any]]:
    """The stacked bars of the ledger: fate, x, y and height in the units of the drawing, 30 an hour wide."""
    most = max(hour["expected"] for hour in ledger["hours"])
    bars = []
    for place, hour in enumerate(ledger["hours"]):
        y = float(height)
        for fate, _ in FATES:
            size = hour[fate] * height / max(most, 1)
            y -= size
            if size:
                bars.append({"fate": fate, "x": place * BAR_UNITS + 3, "y": round(y, 1), "height": round(size, 1)})
    return bars
