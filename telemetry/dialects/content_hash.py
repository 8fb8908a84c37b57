"""The content hash: equal for two spellings of one fact, so that ties between candidates break alike everywhere."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from decimal import Decimal
from functools import lru_cache
from typing import Any

import orjson

VOLATILE_KEYS = frozenset({"timenow", "sent_at", "message", "token", "secret"})
"""Keys that differ between two deliveries of one fact, or say how it travelled and not what happened."""


def content_hash(event_type: str, known: dict[str, Any], rest: dict[str, Any], raw: bytes = b"") -> str:
    """SHA-256 hex over the canonical form of one event or heartbeat.

    `known` are the fields under their names inside, as they came; `rest` is everything else. Keys are sorted, texts
    are NFC, numbers are their shortest decimals. If part of the body had to be dropped to read it, `raw` (the bytes as
    they came) is hashed as well, because the canonical form alone would no longer tell such bodies apart.
    """
    content = {key: value for key, value in rest.items() if key not in VOLATILE_KEYS}
    content |= known
    content["event_type"] = event_type
    form = _dump(content)
    if not form.isascii():
        form = _dump(_composed(content))
    return hashlib.sha256(raw + form).hexdigest()


def _shortest(number: object) -> int | str:
    """Fractions become their shortest decimal text; a whole number is the same number with or without a point."""
    if not isinstance(number, Decimal):
        raise TypeError(f"no JSON value: {type(number).__name__}")
    return _spelled(number)


@lru_cache(maxsize=8192)  # minute after minute most numbers of a batch are what they were
def _spelled(number: Decimal) -> int | str:
    return int(number) if number == number.to_integral_value() else str(number.normalize())


_spell = json.JSONEncoder(
    sort_keys=True, ensure_ascii=False, check_circular=False, separators=(",", ":"), default=_shortest
).encode


def _dump(content: Any) -> bytes:
    """Both writers spell alike; orjson is several times faster, but knows no integers beyond 64 bits."""
    try:
        return orjson.dumps(content, default=_shortest, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return _spell(content).encode("utf-8", "surrogatepass")


def _composed(value: Any) -> Any:
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value)
    if isinstance(value, dict):
        return {_composed(key): _composed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_composed(item) for item in value]
    return value
