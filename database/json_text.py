"""Python values as JSON text for jsonb columns, fast: orjson, and the standard library for integers beyond 64 bits."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import orjson

LARGEST_EXACT = Decimal(10) ** 15


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
    return int(value) if value == value.to_integral_value() and abs(value) < LARGEST_EXACT else float(value)
