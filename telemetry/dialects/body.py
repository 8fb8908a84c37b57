"""Bytes to a JSON value, within limits that no sender can lift.

Strict where the standard library is lax: UTF-8 only, no repeated keys, bounded size, depth and digits, no NaN.
Fractions are `Decimal`, so a price is what was sent.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

from telemetry.dialects.repair import Repair, plan_repair
from telemetry.dialects.values import NOT_FINITE, OUT_OF_RANGE

MAX_BYTES = 64 * 1024
MAX_DEPTH = 64
MAX_DIGITS = 40
MAX_EXPONENT = 40
MAX_NAME = 100

NOT_STORABLE = "payload_not_storable"
REPAIRED = "repaired"

_BOM = b"\xef\xbb\xbf"
_BRACKETS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class BodyRefusedError(ValueError):
    """The body cannot be read with certainty; `field` is the key at fault, if there is one."""

    def __init__(self, code: str, detail: str, field: str = "") -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.field = field


class _ExtremeNumberError(ValueError):
    """A number that is JSON, but beyond every column."""


@dataclass(frozen=True, slots=True)
class Body:
    """A body that could be read.

    `value` is safe to store; `payload` is the same if the body as sent is JSON and fits jsonb, else None. `lost` names
    the keys whose numbers had to be dropped, with the reason.
    """

    value: Any
    payload: Any
    warnings: tuple[str, ...] = ()
    lost: tuple[tuple[str, str], ...] = ()
    repair: Repair | None = None


def parse_body(raw: bytes) -> Body:
    """Read a body. BodyRefusedError says why it cannot be read."""
    text, warnings = _decode(raw)
    try:
        return _read(text, warnings)
    except json.JSONDecodeError as error:
        repair = plan_repair(raw)
        if repair is None:
            raise _malformed(error) from None
        return _read_repaired(raw, repair, warnings, error)


def _decode(raw: bytes) -> tuple[str, tuple[str, ...]]:
    if len(raw) > MAX_BYTES:
        raise BodyRefusedError("too_large", f"the body is larger than {MAX_BYTES} bytes")
    if not raw.strip():
        raise BodyRefusedError("empty", "the body is empty")
    has_bom = raw.startswith(_BOM)
    try:
        return raw.removeprefix(_BOM).decode(), ("byte_order_mark",) if has_bom else ()
    except UnicodeDecodeError as error:
        raise BodyRefusedError("not_utf8", f"the body is not UTF-8 at byte {error.start}") from None


def _read(text: str, warnings: tuple[str, ...]) -> Body:
    _check_depth(text)
    try:
        value = _PLAIN.decode(text)
        is_plain = "\\u" not in text
    except _ExtremeNumberError:
        value = _MARKING.decode(text)
        is_plain = False
    if is_plain:
        return Body(value, value, warnings)
    lost: list[tuple[str, str]] = []
    clean = _storable(value, "", lost)
    if not lost:
        return Body(value, value, warnings)
    numbers = tuple((_name(key), reason) for key, reason in lost if reason == OUT_OF_RANGE)
    return Body(clean, None, (*warnings, NOT_STORABLE), numbers)


def _read_repaired(raw: bytes, repair: Repair, warnings: tuple[str, ...], error: json.JSONDecodeError) -> Body:
    text, _ = _decode(repair.apply(raw))
    try:
        body = _read(text, warnings)
    except json.JSONDecodeError:
        raise _malformed(error) from None
    not_finite = tuple((_name(edit.field), NOT_FINITE) for edit in repair.edits if edit.reason == NOT_FINITE)
    return Body(body.value, None, (*body.warnings, REPAIRED), (*body.lost, *not_finite), repair)


def _malformed(error: json.JSONDecodeError) -> BodyRefusedError:
    place = f" at character {error.pos}" if error.doc else ""
    return BodyRefusedError("malformed_json", error.msg + place)


def _check_depth(text: str) -> None:
    if text.count("{") + text.count("[") <= MAX_DEPTH:
        return
    depth = 0
    for token in _BRACKETS.finditer(text):
        if token[0] in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise BodyRefusedError("too_deep", f"the body is nested deeper than {MAX_DEPTH} levels")
        elif token[0] in "]}":
            depth -= 1


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        repeated = Counter(key for key, _ in pairs).most_common(1)[0][0]
        name = _name(repeated)
        raise BodyRefusedError("duplicate_key", f"the key {name!r} comes more than once", name)
    return found


def _name(key: str) -> str:
    """A key of the sender's, fit to be shown and stored in a warning or an error."""
    return _UNSTORABLE.sub("\ufffd", key)[:MAX_NAME]


def _too_long() -> BodyRefusedError:
    return BodyRefusedError("number_too_long", f"a number has more than {MAX_DIGITS} digits")


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise _too_long()
    return int(text)


@lru_cache(maxsize=8192)  # minute after minute most numbers of a batch are what they were
def _fraction(text: str) -> Decimal:
    if len(text) > MAX_DIGITS:
        raise _too_long()
    number = Decimal(text)
    if number and abs(number.adjusted()) > MAX_EXPONENT:
        raise _ExtremeNumberError(text)
    return number


def _fraction_or_mark(text: str) -> Decimal:
    try:
        return _fraction(text)
    except _ExtremeNumberError:
        return Decimal("Infinity")


def _no_constant(name: str) -> None:
    raise json.JSONDecodeError(f"{name} is not JSON", "", 0)


def _decoder(parse_float: Callable[[str], Decimal]) -> json.JSONDecoder:
    return json.JSONDecoder(
        parse_float=parse_float, parse_int=_integer, parse_constant=_no_constant, object_pairs_hook=_object
    )


_PLAIN = _decoder(_fraction)
_MARKING = _decoder(_fraction_or_mark)


def _storable(value: Any, key: str, lost: list[tuple[str, str]]) -> Any:
    """A copy that jsonb can hold: extreme numbers become None, NUL and lone surrogates U+FFFD; `lost` says where."""
    if isinstance(value, dict):
        return {_storable(name, name, lost): _storable(item, name, lost) for name, item in value.items()}
    if isinstance(value, list):
        return [_storable(item, key, lost) for item in value]
    if isinstance(value, str) and _UNSTORABLE.search(value):
        lost.append((key, NOT_STORABLE))
        return _UNSTORABLE.sub("\ufffd", value)
    if isinstance(value, Decimal) and not value.is_finite():
        lost.append((key, OUT_OF_RANGE))
        return None
    return value
