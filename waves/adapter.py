"""What a signal on the wire means. Pure.

Two families of fields are read: `pair_symbol`, `recommended_action`, `score_week` ... and the later `symbol`,
`direction`, `total_score`. Every field is judged alone: a bad one is left out with a warning that names it, and costs
nothing else.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from core.errors import InvalidInputError
from core.wave_records import PARAM_FIELDS, PERCENT_FIELDS, Params, WaveSignal
from waves.schedule import expected_wave, wave_time_of

MAX_TRADES = 1_000
LARGEST = Decimal("999999.9999")
STEP = Decimal("0.0001")
LARGEST_ID = 2**31 - 1
LARGEST_SIGNAL_ID = 2**63 - 1
SKEW = timedelta(minutes=5)
ACTIONS = {"BUY": "BUY", "LONG": "BUY", "SELL": "SELL", "SHORT": "SELL"}
_NUMBER = re.compile(r"[+-]?\d{1,12}(\.\d{1,12})?")
_YEARS = range(2000, 2100)


def adapt_signal(raw: Mapping[str, Any], received_at: datetime) -> WaveSignal:
    """The signal as the service understands it; never raises for what the wire may hold.

    The wave is the candle of the signal's own `timestamp`; without one, the wave that was expected when the signal was
    created. A time without a zone is UTC. A wave that lies after the receipt is a fault and leaves no wave.
    """
    warnings: list[str] = []
    created_at = _time(raw, "created_at", warnings)
    wave_timestamp = _wave_timestamp(raw, created_at, warnings)
    is_future = wave_timestamp is not None and wave_timestamp > received_at + SKEW
    filter_params, refused = _extract_filter_params(raw)
    symbol = _text(_first(raw, "pair_symbol", "symbol"))
    action = ACTIONS.get(str(_first(raw, "recommended_action", "direction", "action")).strip().upper())
    exchange_id = _id(raw.get("exchange_id"), LARGEST_ID)
    missing = {"timestamp": wave_timestamp, "exchange_id": exchange_id, "symbol": symbol, "action": action}
    faults = [f"{name}: missing or invalid" for name, value in missing.items() if value is None]
    if is_future:
        faults.append("timestamp: lies in the future")
    signal_id = _id(raw.get("id"), LARGEST_SIGNAL_ID)
    return WaveSignal(
        wave_timestamp=None if is_future else wave_timestamp,
        signal_key=str(signal_id) if signal_id is not None else _key_without_id(raw),
        signal_id=signal_id,
        exchange_id=exchange_id,
        symbol=symbol,
        action=action,
        score_week=_score(raw, ("score_week", "total_score"), warnings),
        score_month=_score(raw, ("score_month",), warnings),
        created_at=created_at,
        filter_params=filter_params,
        faults=tuple(faults),
        warnings=(*warnings, *refused),
        raw=raw,
    )


def _extract_filter_params(raw: Mapping[str, Any]) -> tuple[Params | None, tuple[str, ...]]:
    """The parameters that the flat fields of a signal hold, None when there is none; and a warning for each bad one."""
    found: dict[str, Decimal] = {}
    warnings: list[str] = []
    for name in PARAM_FIELDS:
        value = raw.get(name)
        if value is None:
            continue
        try:
            found[name] = parse_param(name, value)
        except InvalidInputError as error:
            warnings.append(error.message)
    return found or None, tuple(warnings)


def parse_param(name: str, value: Any) -> Decimal:
    """A parameter's value: whole trades, positive percent, or a score; four decimals are kept.

    InvalidInputError naming the field for anything else: booleans, NaN, infinities, text that is no number.
    """
    number = _number(value)
    if number is None:
        raise InvalidInputError(f"{name}: must be a number", field=name)
    if name == "max_trades_filter":
        if number != number.to_integral_value() or not 1 <= number <= MAX_TRADES:
            raise InvalidInputError(f"{name}: must be a whole number from 1 to {MAX_TRADES}", field=name)
        return Decimal(int(number))
    if abs(number) > LARGEST:
        raise InvalidInputError(f"{name}: must be at most {LARGEST}", field=name)
    rounded = number.quantize(STEP, ROUND_HALF_UP)
    if name in PERCENT_FIELDS and rounded <= 0:
        raise InvalidInputError(f"{name}: must be a percentage above 0", field=name)
    return rounded


def _number(value: Any) -> Decimal | None:
    """The finite decimal that a JSON number or decimal text stands for."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        return None
    if isinstance(value, str) and not _NUMBER.fullmatch(value.strip()):
        return None
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _wave_timestamp(raw: Mapping[str, Any], created_at: datetime | None, warnings: list[str]) -> datetime | None:
    at = _time(raw, "timestamp", warnings)
    if at is not None:
        return wave_time_of(at)
    if created_at is None:
        return None
    warnings.append("timestamp: taken from created_at")
    return expected_wave(created_at)


def _time(raw: Mapping[str, Any], name: str, warnings: list[str]) -> datetime | None:
    value = raw.get(name)
    if value is None:
        return None
    try:
        at = datetime.fromisoformat(value)
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        at = None
    if at is None or at.year not in _YEARS:
        warnings.append(f"{name}: not an ISO date and time")
        return None
    return at


def _score(raw: Mapping[str, Any], names: tuple[str, ...], warnings: list[str]) -> Decimal | None:
    value = _first(raw, *names)
    if value is None:
        return None
    number = _number(value)
    if number is None or abs(number) > LARGEST:
        warnings.append(f"{names[0]}: not a usable number")
        return None
    return number.quantize(STEP, ROUND_HALF_UP)


def _id(value: Any, largest: int) -> int | None:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return value if is_whole and 0 < value <= largest else None


def _text(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    cleaned = "".join(letter for letter in value if letter.isprintable()).strip()
    return cleaned[:50] or None


def _first(raw: Mapping[str, Any], *names: str) -> Any:
    return next((raw[name] for name in names if raw.get(name) is not None), None)


def _key_without_id(raw: Mapping[str, Any]) -> str:
    """A signal without an id is known by what it says."""
    said = repr(sorted((name, str(value)) for name, value in raw.items()))
    return "#" + hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:24]
