"""The hub's messages as ticks and quotes; whatever cannot be right is counted and dropped, one at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from operator import itemgetter
from typing import Any

from core.records import EPOCH, Tick, microseconds

TIME_FIELDS = ("timestamp", "lastUpdated")
NESTED = ("trade", "quote")
SIDES = frozenset((0, 1))
USUAL = itemgetter("timestamp", "price", "volume", "type")
OFF_TICK = 1e-4
LARGEST_SIZE = 10_000_000
NUMBERS = (float, int)  # by type, so that neither true nor false is a number
INFINITY = math.inf
new_tick = tuple.__new__


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
    records = data if isinstance(data, list) else [data]
    usual = _usual_ticks(records, size)
    if usual is not None:
        return usual, 0
    ticks = [tick for tick in [_tick_of(record, size) for record in records] if tick is not None]
    return ticks, len(records) - len(ticks)


def parse_quote(data: object) -> Quote | None:
    """A GatewayQuote, which may name only some fields; None if it is no object."""
    if not isinstance(data, dict):
        return None
    record = _inner(data)
    price, bid, ask = (_price(record.get(name)) for name in ("lastPrice", "bestBid", "bestAsk"))
    times = [at for at in (_time_us(record.get(name)) for name in TIME_FIELDS) if at is not None]
    return Quote(datetime.fromtimestamp(max(times) / 1e6, UTC) if times else None, price, bid, ask)


def _usual_ticks(records: list[Any], tick_size: float) -> list[Tick] | None:
    """The ticks of records that are all as the gateway writes them, column by column, because every trade passes here;
    None if one of them needs a closer look."""
    try:
        times, prices, sizes, sides = zip(*map(USUAL, records), strict=True)
        past = [at - EPOCH for at in map(datetime.fromisoformat, times)]
        steps = [_steps(price, tick_size) for price in prices]
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    at_us = [(since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds for since in past]
    are_right = min(at_us) > 0 and all(steps) and set(map(type, sizes)) | set(map(type, sides)) == {int}
    if not are_right or not 0 < min(sizes) <= max(sizes) <= LARGEST_SIZE or not SIDES.issuperset(sides):
        return None
    return [new_tick(Tick, values) for values in zip(at_us, steps, sizes, sides, strict=True)]


def _tick_of(found: object, tick_size: float) -> Tick | None:
    if not isinstance(found, dict):
        return None
    record = found if "price" in found else _inner(found)
    size, side = _size(record.get("volume", record.get("size"))), record.get("type")
    at_us = _time_us(record.get("timestamp")) or _time_us(record.get("lastUpdated"))
    try:
        steps = _steps(record.get("price"), tick_size)
    except TypeError:  # a list or an object
        return None
    if not steps or at_us is None or not 0 < size <= LARGEST_SIZE:
        return None
    return Tick(at_us, steps, size, side if side in (0, 1) else -1)


@lru_cache(maxsize=8_192, typed=True)
def _steps(price: object, tick_size: float) -> int:
    """A price in tick sizes; 0 for what is none. The same prices come again and again."""
    points = _price(price)
    if points is None:
        return 0
    exact = points / tick_size
    steps = round(exact)
    return steps if abs(steps - exact) <= OFF_TICK else 0


def _size(value: Any) -> int:
    """A number of contracts, 2 or 2.0; 0 for what is none."""
    return int(value) if type(value) in NUMBERS and value == value // 1 else 0


def _inner(record: dict[str, Any]) -> dict[str, Any]:
    """The record itself, or what it wraps as `trade` or `quote`."""
    return next((record[name] for name in NESTED if isinstance(record.get(name), dict)), record)


def _time_us(text: object) -> int | None:
    """A time in microseconds; None where it is missing, unreadable, or the sentinel of the year 1."""
    if not isinstance(text, str):
        return None
    try:
        at = datetime.fromisoformat(text)
        at_us = microseconds(at if at.tzinfo else at.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        return None
    return at_us if at_us > 0 else None


def _price(value: Any) -> float | None:
    return float(value) if type(value) in NUMBERS and 0 < value < INFINITY else None
