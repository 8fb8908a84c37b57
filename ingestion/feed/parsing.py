"""The hub's messages as ticks and quotes; whatever cannot be right is counted and dropped, one at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from core.records import Tick

TIME_FIELDS = ("timestamp", "lastUpdated")
NESTED = ("trade", "quote")
SIDES = (0, 1)
OFF_TICK = 1e-4
LARGEST_SIZE = 10_000_000


@dataclass(frozen=True, slots=True)
class Quote:
    """What a quote message changes; fields that it does not name are None. Prices in points."""

    at: datetime | None
    last_price: float | None
    bid: float | None
    ask: float | None


def parse_trades(data: object, tick_size: Decimal) -> tuple[list[Tick], int]:
    """(ticks, how many records were refused) of the data of a GatewayTrade: one object or a list of them."""
    size = float(tick_size)
    ticks, refused = [], 0
    for record in data if isinstance(data, list) else [data]:
        tick = _tick_of(record, size)
        if tick is None:
            refused += 1
        else:
            ticks.append(tick)
    return ticks, refused


def parse_quote(data: object) -> Quote | None:
    """A GatewayQuote, which may name only some fields; None if it is no object."""
    if not isinstance(data, dict):
        return None
    record = _inner(data)
    price, bid, ask = (_price(record.get(name)) for name in ("lastPrice", "bestBid", "bestAsk"))
    times = [at for at in (_time_us(record, name) for name in TIME_FIELDS) if at is not None]
    return Quote(datetime.fromtimestamp(max(times) / 1e6, UTC) if times else None, price, bid, ask)


def _tick_of(found: object, tick_size: float) -> Tick | None:
    if not isinstance(found, dict):
        return None
    record = _inner(found)
    price, size = _price(record.get("price")), record.get("volume", record.get("size"))
    at_us = next(_times(record), None)
    if price is None or at_us is None or isinstance(size, bool) or not isinstance(size, int | float):
        return None
    steps = round(price / tick_size)
    if abs(steps - price / tick_size) > OFF_TICK or not 0 < size <= LARGEST_SIZE or size != int(size):
        return None
    side = record.get("type", -1)
    return Tick(at_us, steps, int(size), side if side in SIDES else -1)


def _inner(record: dict[str, Any]) -> dict[str, Any]:
    """The record itself, or what it wraps as `trade` or `quote`."""
    return next((record[name] for name in NESTED if isinstance(record.get(name), dict)), record)


def _times(record: dict[str, Any]) -> Iterator[int]:
    return (at for at in (_time_us(record, name) for name in TIME_FIELDS) if at is not None)


def _time_us(record: dict[str, Any], name: str) -> int | None:
    """A time field in microseconds; None where it is missing, unreadable, or the sentinel of the year 1."""
    text = record.get(name)
    if not isinstance(text, str):
        return None
    try:
        at = datetime.fromisoformat(text)
        seconds = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
    return round(seconds * 1_000_000) if seconds > 0 else None


def _price(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        return None
    return float(value)
