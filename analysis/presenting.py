"""Signals and decisions as the page and the API show them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from core.records import Timeframe, Unit, microseconds
from database.bars import Contract

WORDS: Mapping[str, str] = {
    "uptrend_start": "Uptrend start",
    "downtrend_start": "Downtrend start",
    "bullish_cross": "Bullish cross",
    "bearish_cross": "Bearish cross",
}
SIDES: Mapping[str, str] = {"bullish": "up", "bearish": "down"}
TREND_WORDS: Mapping[str, str] = {"bullish": "Bullish", "bearish": "Bearish", "neutral": "Neutral"}


def word(signal_type: str) -> str:
    """A signal type as people read it; one that we have no word for with its own."""
    return WORDS.get(signal_type, signal_type.replace("_", " ").capitalize())


def date_label(row: Any) -> str | None:
    """The exchange's date by which a bar of days or longer is named; None for shorter bars, which begin at an instant."""
    is_dated = row.timeframe is not None and Timeframe.parse(row.timeframe).unit >= Unit.DAY
    return f"{row.at:%Y-%m-%d}" if is_dated else None


def lag_seconds(row: Any) -> float:
    """From the label of a start's bar to the instant at which it was known."""
    return float((row.known_at - row.at).total_seconds())


def place_of_signal(row: Any) -> str:
    """The cursor after a detected signal."""
    return f"{microseconds(row.known_at)}-{row.signal_id}"


def place_of_decision(row: Any) -> str:
    """The cursor after a coordinated signal."""
    return f"{microseconds(row.decided_at)}-{row.coordinated_id}"


def page_of(rows: Sequence[Any], size: int, place_of: Callable[[Any], str]) -> tuple[Sequence[Any], str | None]:
    """(the rows of a page, the cursor of the next one; None on the last) of what was read: one row more than a page."""
    shown = rows[:size]
    return shown, place_of(shown[-1]) if len(rows) > len(shown) else None


def signal_json(row: Any) -> dict[str, Any]:
    """A detected signal for programs; instants ISO in UTC, price in points."""
    return {
        "id": row.signal_id,
        "analyzer": row.analyzer_id,
        "contract": row.contract_id,
        "timeframe": row.timeframe,
        "type": row.signal_type,
        "trend": row.trend,
        "bar_at": row.at,
        "bar_time": int(row.at.timestamp()),
        "trigger_at": row.trigger_at,
        "known_at": row.known_at,
        "price": row.price,
        "rule": row.rule,
        "revision": row.revision,
    }


def coordinated_json(row: Any) -> dict[str, Any]:
    """A coordinated signal for programs."""
    return {
        "id": row.coordinated_id,
        "rule": row.rule,
        "contract": row.contract_id,
        "type": row.signal_type,
        "trend": row.trend,
        "decided_at": row.decided_at,
        "score": row.score,
        "primary": {
            "signal_id": row.primary_signal_id,
            "timeframe": row.timeframe,
            "bar_at": row.at,
            "price": row.price,
        },
        "confirming_signal_id": row.confirming_signal_id,
        **row.details,
    }


def matrix(states: Iterable[Any], analyzer_id: str) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """(timeframes, smallest first; contract -> timeframe -> state) of one analyzer."""
    rows = [row for row in states if row.analyzer_id == analyzer_id]
    by_contract: dict[str, dict[str, Any]] = {}
    for row in rows:
        by_contract.setdefault(row.contract_id, {})[row.timeframe] = row
    return in_order({row.timeframe for row in rows}), by_contract


def in_order(timeframes: Iterable[str]) -> list[str]:
    """Timeframes, smallest first."""
    return [str(frame) for frame in sorted(Timeframe.parse(each) for each in timeframes)]


def names_of(contracts: Sequence[Contract]) -> dict[str, str]:
    """Contract id -> short name."""
    return {each.contract_id: each.name for each in contracts}


def ticks_of(contracts: Sequence[Contract]) -> dict[str, Any]:
    """Contract id -> tick size."""
    return {each.contract_id: each.tick_size for each in contracts}
