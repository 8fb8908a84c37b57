"""Readers of single values: what came on the wire -> (the value inside or None, the doubt or "").

None with a doubt means that the value is unusable; it is never replaced by a default.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import Any

INVALID = "invalid"
NOT_FINITE = "not_finite"
OUT_OF_RANGE = "out_of_range"
TRUNCATED = "truncated"
CLAMPED = "clamped"

Reading = tuple[Any, str]
Reader = Callable[[Any], Reading]

R_STEP = Decimal("0.0001")
PRICE_PLACES = 6
PRICE_STEP = Decimal("0.000001")
_NOTHING = Decimal(0)
_ZERO_R = Decimal("0.0000")
_MAX_R = Decimal(1_000_000)
_MAX_PRICE = Decimal(1_000_000_000)
_MAX_WHOLE = 2**63 - 1
_MAX_COUNT = 2**31 - 1

_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,4})?")
_NO_NUMBER = re.compile(r"[+-]?(?:nan|na|inf|infinity)", re.IGNORECASE)
_DIRECTIONS = {"bullish": "long", "long": "long", "bearish": "short", "short": "short"}


def number(value: Any) -> tuple[Decimal | None, str]:
    """A number, also one that came as text (`"25000.5"`)."""
    if isinstance(value, Decimal):
        return value, ""
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value), ""
    if isinstance(value, str):
        text = value.strip()
        if _NUMBER.fullmatch(text):
            return Decimal(text), ""
        if _NO_NUMBER.fullmatch(text):
            return None, NOT_FINITE
    return None, INVALID


def price(value: Any) -> Reading:
    """A price or a distance in index points, > 0, at most 6 places."""
    found, doubt = number(value)
    if found is None:
        return None, doubt
    if not _NOTHING < found < _MAX_PRICE:
        return None, OUT_OF_RANGE
    exponent = found.as_tuple().exponent
    if not isinstance(exponent, int) or exponent >= -PRICE_PLACES:
        return found, ""
    found = found.quantize(PRICE_STEP)
    return (found, "") if _NOTHING < found < _MAX_PRICE else (None, OUT_OF_RANGE)


def _r_multiple(value: Any) -> tuple[Decimal | None, str]:
    found, doubt = number(value)
    return (None, doubt) if found is None else _in_steps(found)


@lru_cache(maxsize=8192)  # running extremes mostly stay as they are
def _in_steps(found: Decimal) -> tuple[Decimal | None, str]:
    if not -_MAX_R < found < _MAX_R:
        return None, OUT_OF_RANGE
    rounded = found.quantize(R_STEP)
    return (rounded or _ZERO_R, "") if -_MAX_R < rounded < _MAX_R else (None, OUT_OF_RANGE)


def mfe(value: Any) -> Reading:
    """A favourable excursion in R, 4 places; a negative one is clamped to 0."""
    found, doubt = _r_multiple(value)
    return (_ZERO_R, CLAMPED) if found is not None and found < 0 else (found, doubt)


def mae(value: Any) -> Reading:
    """An adverse excursion in R, 4 places; a positive one is clamped to 0."""
    found, doubt = _r_multiple(value)
    return (_ZERO_R, CLAMPED) if found is not None and found > 0 else (found, doubt)


def _whole(value: Any, limit: int) -> Reading:
    found, doubt = number(value)
    if found is None:
        return None, doubt
    if not 0 <= found <= limit:
        return None, OUT_OF_RANGE
    return (int(found), "") if found == found.to_integral_value() else (None, INVALID)


def count(value: Any) -> Reading:
    """A whole number from 0 to 2^31 - 1."""
    return _whole(value, _MAX_COUNT)


def sequence(value: Any) -> Reading:
    """A whole number from 0 to 2^63 - 1."""
    return _whole(value, _MAX_WHOLE)


def direction(value: Any) -> Reading:
    """`long` or `short`, from any spelling that is in use."""
    if not isinstance(value, str):
        return None, INVALID
    spelling = value.strip().lower()
    found = _DIRECTIONS.get(spelling)
    return (None, INVALID) if spelling and not found else (found, "")


def text(limit: int) -> Reader:
    """A reader of text of at most `limit` characters; longer text is cut, empty text is absent."""

    def read(value: Any) -> Reading:
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str):
            return None, INVALID
        found = value.strip()
        return (found[:limit], TRUNCATED) if len(found) > limit else (found or None, "")

    return read


def table(value: Any) -> Reading:
    """A JSON object, as it came."""
    return (value, "") if isinstance(value, dict) else (None, INVALID)
