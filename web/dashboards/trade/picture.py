"""What the picture of a trade consists of: which bars, which levels, which markers. Pure.

Times are Unix seconds of a bar's label, prices are points, R values multiples of the initial risk.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from core.lifecycle import BAR
from core.records import Bar, Timeframe, Unit
from web.dashboards.life import bar_of, rank_of

MARGIN_BARS = 60
MOST_BARS = 1_500
SHOWN_TARGETS = 3
_WORDS = {
    "SIGNAL_CREATED": "Signal",
    "ENTRY": "Entry",
    "BE_TRIGGERED": "BE",
    "EXIT_BE": "BE exit",
    "EXIT_SL": "Stop",
    "EXIT_TP": "Target",
    "CANCELLED": "Cancelled",
}


@dataclass(frozen=True, slots=True)
class Series:
    """Bars of one contract and timeframe, and how many of them there are around a trade."""

    contract_id: str
    timeframe: Timeframe
    bars: int


def span_of(state: Any) -> tuple[datetime, datetime] | None:
    """From the signal to the last that is known of it; None where no time is known at all."""
    first = [state.signal_time, state.created_at, state.entry_time, state.first_received_at]
    last = [state.exit_at, state.cancelled_at, state.be_exit_at, state.last_mfe_slot, state.entry_time]
    start = next((at for at in first if at is not None), None)
    if start is None:
        return None
    return start, max([at for at in last if at is not None] or [start], default=start)


def choose_series(held: Iterable[Series], start: datetime, end: datetime) -> Series | None:
    """The series to draw: minutes rather than seconds, the shortest that shows the trade whole, the fullest contract."""
    seconds = (end - start).total_seconds()
    fitting = [
        each
        for each in held
        if each.timeframe.unit <= Unit.HOUR and seconds / each.timeframe.seconds + 2 * MARGIN_BARS <= MOST_BARS
    ]
    return min(fitting, key=_preference, default=None)


def _preference(series: Series) -> tuple[bool, int, int]:
    length = series.timeframe.seconds
    is_shorter = length < BAR.total_seconds()
    return is_shorter, -length if is_shorter else length, -series.bars


def window(start: datetime, end: datetime, timeframe: Timeframe) -> tuple[datetime, datetime]:
    """The span to draw: sixty bars before and after."""
    margin = timedelta(seconds=MARGIN_BARS * timeframe.seconds)
    return start - margin, end + margin


def columns(bars: Sequence[Bar]) -> dict[str, list[Any]]:
    """Bars as arrays, oldest first."""
    return {
        "time": [int(bar.starts_at.timestamp()) for bar in bars],
        **{name: [float(getattr(bar, name)) for bar in bars] for name in ("open", "high", "low", "close")},
        "volume": [bar.volume for bar in bars],
    }


def levels(state: Any) -> list[dict[str, Any]]:
    """Price lines: name, price, distance in R and kind; only entry and stop where the stop is on no side to trust."""
    entry, stop = state.entry_price, state.stop_loss
    found = [_level("Stop", stop, -1, "stop"), _level("Entry", entry, 0, "entry")]
    if state.be_triggered_at:
        found[1]["name"] = "Entry, BE stop"
    if None in (entry, stop) or not state.targets_extended:
        return [level for level in found if level["price"] is not None]
    for number in range(1, SHOWN_TARGETS + 1):
        name = f"{number}R, BE trigger" if number == 1 else f"{number}R"
        found.append(_level(name, Decimal(str(state.targets_extended[f"{number}R"])), number, "target"))
    for name, reach in (("No-BE MFE", state.no_be_mfe_r), ("MAE", state.mae_r)):
        if reach:
            found.append(_level(name, entry + reach * (entry - stop), reach, "reach"))
    return found


def _level(name: str, price: Decimal | None, r: Decimal | int, kind: str) -> dict[str, Any]:
    return {"name": name, "price": price, "r": r, "kind": kind}


def markers(events: Iterable[Any], timeframe: Timeframe) -> list[dict[str, Any]]:
    """A marker for each one-time event that counts: the bar it belongs to, its word, and its source where repaired."""
    best: dict[str, Any] = {}
    for event in events:
        held = best.get(event.event_type)
        if event.event_type in _WORDS and event.revoked_at is None and (held is None or _rank(event) < _rank(held)):
            best[event.event_type] = event
    found = [_marker(event, timeframe) for event in best.values()]
    return sorted(found, key=lambda marker: (marker["time"], list(_WORDS).index(marker["event_type"])))


def _rank(event: Any) -> tuple[int, datetime]:
    return rank_of(event), event.received_at


def _marker(event: Any, timeframe: Timeframe) -> dict[str, Any]:
    at = int(bar_of(event).timestamp())
    is_repair = event.data_source not in ("live", "import")
    text = _WORDS[event.event_type] + (f" ({event.data_source})" if is_repair else "")
    return {
        "time": at - at % timeframe.seconds,
        "event_type": event.event_type,
        "text": text,
        "source": event.data_source,
        "confidence": event.confidence_score,
    }
