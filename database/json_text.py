"""Python values as JSON text for jsonb columns, fast: orjson, and the standard library for integers beyond 64 bits."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import orjson

LARGEST_EXACT = 10**15


def to_json(value: Any, decimals: Callable[[Decimal], Any] = str) -> str:
    """JSON text; `decimals` says what a Decimal becomes: text that keeps every digit (default), or a number."""

    def plain(found: Any) -> Any:
        if isinstance(found, Decimal):
            return decimals(found)
        if isinstance(found, tuple):  # a named one: orjson takes plain tuples only
            return tuple(found)
        return sorted(found) if isinstance(found, set | frozenset) else str(found)

    try:
        return orjson.dumps(value, default=plain).decode()
    except TypeError:
        return json.dumps(value, default=plain, separators=(",", ":"))


def decimals_to_json(value: Any, decimals: Callable[[Decimal], Any] = str) -> str:
    """The same, in half the time, of a value in which only Decimals are foreign to JSON.

    Dates, times and UUIDs are at home in it; sets and named tuples are not.
    """
    try:
        return orjson.dumps(value, default=decimals).decode()
    except TypeError:
        return to_json(value, decimals)


def as_number(value: Decimal) -> int | float:
    """The shortest number that reads back as this decimal."""
    number = float(value)
    return int(value) if number.is_integer() and -LARGEST_EXACT < number < LARGEST_EXACT and number == value else number
