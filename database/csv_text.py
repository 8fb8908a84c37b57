"""Values as cells of a CSV file: UTC ISO times, plain decimals, and no text that a spreadsheet would run. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from core.timezones import to_utc

_RUNS = ("=", "+", "-", "@", "\t", "\r", "\n")


def cell(value: Any) -> str:
    """A value as text; text that a spreadsheet takes for a formula gets an apostrophe, numbers keep their sign."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return to_utc(value).isoformat().replace("+00:00", "Z")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal | int | float):
        return format(value, "f") if isinstance(value, Decimal) else str(value)
    is_words = isinstance(value, list | tuple) and all(isinstance(word, str) for word in value)
    text = " ".join(value) if is_words else as_text(value)
    return f"'{text}" if text.lstrip(" ").startswith(_RUNS) else text


def as_text(value: Any) -> str:
    """A text as it is, anything else that a document may hold as JSON."""
    if isinstance(value, Mapping | list | tuple | int | float | Decimal):
        return json.dumps(value, ensure_ascii=False, sort_keys=True, default=_plain)
    return str(value)


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else str(value)
