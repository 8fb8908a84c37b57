"""The hub's messages as ticks and quotes; whatever cannot be right is counted and dropped, one at a time."""

from __future__ import annotations

import math
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
NUMBERS = (float, int)  # by type, so that neither true nor false is a number
INFINITY = math.inf


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
    times = [at for at in (_time_us(record.get(name)) for name in TIME_FIELDS) if at is not None]
    return Quote(datetime.fromtimestamp(max(times) / 1e6, UTC) if times else None, price, bid, ask)


def _tick_of(found: object, tick_size: float) -> Tick | None:
    if not isinstance(found, dict):
        return None
    record = found if "price" in found else _inner(found)
    price, size = _price(record.get("price")), record.get("volume", record.get("size"))
    at_us = _time_us(record.get("timestamp")) or _time_us(record.get("lastUpdated"))
    if price is None or at_us is None or size is None or type(size) not in NUMBERS:
        return None
    exact = price / tick_size
    steps = round(exact)
    if abs(steps - exact) > OFF_TICK or not 0 < size <= LARGEST_SIZE or size != int(size):
        return None
    side = record.get("type")
    return Tick(at_us, steps, int(size), side if side in SIDES else -1)


def _inner(record: dict[str, Any]) -> dict[str, Any]:
    """The record itself, or what it wraps as `trade` or `quote`."""
    return next((record[name] for name in NESTED if isinstance(record.get(name), dict)), record)


def _time_us(text: object) -> int | None:
    """A time in microseconds; None where it is missing, unreadable, or the sentinel of the year 1."""
    if not isinstance(text, str):
        return None
    try:
        at = datetime.fromisoformat(text)
        seconds = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
    return round(seconds * 1_000_000) if seconds > 0 else None


def _price(value: Any) -> float | None:
    return float(value) if type(value) in NUMBERS and 0 < value < INFINITY else None
