"""Bars, coverage and the feed's state as the page and the API show them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from core.records import Bar, Timeframe, microseconds
from core.trading_calendar import TradingCalendar
from database.bars import Covered
from ingestion.bars.spans import Span, common, union, without

HOUR = timedelta(hours=1)
STALE = timedelta(seconds=10)
QUIET = timedelta(minutes=1)
STORED, FILLED, PARTLY, MISSING, CLOSED = "stored", "filled", "partly", "missing", "closed"


def columns(bars: Sequence[Bar]) -> dict[str, list[Any]]:
    """Bars as arrays: time in Unix seconds of the label, prices, volume, and what each is worth."""
    return {
        "time": [int(bar.starts_at.timestamp()) for bar in bars],
        "open": [float(bar.open) for bar in bars],
        "high": [float(bar.high) for bar in bars],
        "low": [float(bar.low) for bar in bars],
        "close": [float(bar.close) for bar in bars],
        "volume": [bar.volume for bar in bars],
        "source": [_worth(bar) for bar in bars],
    }


def _worth(bar: Bar) -> str:
    if bar.is_partial:
        return "partial"
    return "gap" if bar.gap_seconds > 0 else bar.source


def coverage(
    covered: Iterable[Covered], hours: Mapping[datetime, tuple[int, int]], start: datetime, end: datetime,
    calendar: TradingCalendar,
) -> list[dict[str, Any]]:  # fmt: skip
    """A cell for each hour of [start, end): its label and whether the market was closed or its bars stored (heard live),
    filled (from history), there in part, or missing. `hours`: hour -> (bars, of them not live)."""
    spans = list(covered)
    heard = union(_span(each) for each in spans if each.source == "live")
    told = union(_span(each) for each in spans)
    cells, at = [], start
    while at < end:
        sessions = calendar.sessions_between(at, min(at + HOUR, end))
        span = microseconds(at), microseconds(min(at + HOUR, end))
        opened = common([span], [(microseconds(each.opens_at), microseconds(each.closes_at)) for each in sessions])
        cells.append({"time": int(at.timestamp()), "state": _state(opened, heard, told, hours.get(at))})
        at += HOUR
    return cells


def _state(opened: list[Span], heard: list[Span], told: list[Span], held: tuple[int, int] | None) -> str:
    """What an hour is, of which `opened` is market time."""
    if not opened:
        return CLOSED if held is None else FILLED if held[1] else STORED
    if not without(opened, told):
        return FILLED if without(opened, heard) else STORED
    return MISSING if held is None and not common(opened, told) else PARTLY


def _span(covered: Covered) -> Span:
    return microseconds(covered.starts_at), microseconds(covered.ends_at)


def feed_facts(
    state: Mapping[str, Any] | None, updated_at: datetime | None, now: datetime, *, is_open: bool, has_feed: bool
) -> dict[str, Any]:
    """How the feed is, in one word and one sentence, with its figures."""
    if state is None or updated_at is None:
        detail = "The feed has not reported yet." if has_feed else "No gateway is configured."
        return {"status": "warn" if has_feed else "off", "detail": detail, "figures": {}}
    state = dict(state) | {"reconnects": max(0, int(state.get("connections", 0)) - 1)}
    if now - updated_at > STALE:
        return {"status": "fail", "detail": "The feed does not report any more.", "figures": dict(state)}
    if not state.get("is_connected"):
        return {"status": "warn", "detail": str(state.get("detail", "")), "figures": dict(state)}
    told_at = state.get("last_tick_at")
    is_trading = told_at is not None and now - datetime.fromisoformat(str(told_at)) <= QUIET
    detail = "Connected." if is_open or is_trading else "Connected; the market is closed."
    return {"status": "pass", "detail": detail, "figures": dict(state)}


def timeframes_of(series: Iterable[Any], contract_id: str, wanted: Sequence[Timeframe]) -> list[Timeframe]:
    """The timeframes to choose from: those that are followed and those that are stored, smallest first."""
    held = {Timeframe(row.timeframe_unit, row.timeframe_value) for row in series if row.contract_id == contract_id}
    return sorted(held | set(wanted))
