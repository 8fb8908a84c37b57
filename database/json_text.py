"""Python values as JSON text for jsonb columns, fast: orjson, and the standard library for integers beyond 64 bits."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import orjson

LARGEST_EXACT = 1e15


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


def as_number(value: Decimal) -> int | float:
    """The shortest number that reads back as this decimal."""
    number = float(value)
    return int(number) if number.is_integer() and abs(number) < LARGEST_EXACT else number
