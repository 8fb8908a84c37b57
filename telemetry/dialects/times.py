"""Times of the wire -> aware UTC, with the lies it is known to tell put right and marked.

Epoch milliseconds are UTC; a time without offset is New York wall time; a time marked UTC that lies 4 to 7 whole hours
before its own arrival is the chart's wall time with a false `Z`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from core.records import EPOCH
from core.timezones import WallTime, attach
from telemetry.dialects.values import INVALID, OUT_OF_RANGE

FALSE_UTC = "false_utc"
IN_FUTURE = "in_future"

AMBIGUOUS = "ambiguous"
_WALL_TIME_DOUBTS = {WallTime.AMBIGUOUS: AMBIGUOUS, WallTime.NONEXISTENT: "nonexistent"}

HOUR = timedelta(hours=1)
FALSE_UTC_HOURS = range(4, 8)
FALSE_UTC_TOLERANCE = timedelta(minutes=10)
FUTURE_TOLERANCE = timedelta(minutes=5)
INSTANTS: tuple[str, ...] = ("event_time", "confirmation_time")
"""The times that are one value on the wire; a signal time may come as date and time of day."""
_TOLD = (*INSTANTS, "signal_time", "signal_date")
_PLAIN = frozenset({str, int, type(None)})  # types whose equal values are the same value

_YEARS = range(2000, 2100)
_EARLIEST_MS, _LATEST_MS = 946_684_800_000, 4_102_444_800_000
_LONGEST = 40
_MILLISECONDS = re.compile(r"[0-9]{12,13}")
_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?( ?Z|[+-][0-9:]+)?")
_CLOCK = re.compile(r"[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class _Reading(NamedTuple):
    instant: datetime | None
    doubt: str = ""
    is_marked_utc: bool = False


def read_times(known: dict[str, Any], received_at: datetime) -> tuple[dict[str, datetime], tuple[str, ...]]:
    """The times (by field, those that could be read) of one event that arrived at `received_at`, and the doubts."""
    told = tuple([(name, known[name]) for name in _TOLD if name in known])
    if all(type(value) in _PLAIN and (type(value) is not str or len(value) <= _LONGEST) for _, value in told):
        instants, doubts = _read_plain(told, received_at)
        return dict(instants), doubts
    return _read_all(known, received_at)


@lru_cache(maxsize=64)  # the members of a batch share their times
def _read_plain(
    told: tuple[tuple[str, str | int | None], ...], received_at: datetime
) -> tuple[dict[str, datetime], tuple[str, ...]]:
    return _read_all(dict(told), received_at)


def _read_all(known: dict[str, Any], received_at: datetime) -> tuple[dict[str, datetime], tuple[str, ...]]:
    readings = {name: _read(known[name], received_at) for name in INSTANTS if name in known}
    if "signal_time" in known:
        readings["signal_time"] = _read(_with_date(known["signal_time"], known.get("signal_date")), received_at)
    shift = _false_utc_shift(readings.get("event_time"), received_at)
    # A script that mislabels one time mislabels all; only the event's own time is near enough to the arrival to tell.
    if shift:
        readings = {name: _shifted(reading, shift) for name, reading in readings.items()}
    doubts = tuple(f"{name}_{reading.doubt}" for name, reading in readings.items() if reading.doubt)
    instants = {name: reading.instant for name, reading in readings.items() if reading.instant}
    if "event_time" in instants and instants["event_time"] - received_at > FUTURE_TOLERANCE:
        doubts = (*doubts, f"event_time_{IN_FUTURE}")
    return instants, doubts


def _false_utc_shift(event: _Reading | None, received_at: datetime) -> timedelta:
    if event is None or event.instant is None or not event.is_marked_utc:
        return timedelta()
    delay = received_at - event.instant
    hours = round(delay / HOUR)
    is_false = hours in FALSE_UTC_HOURS and abs(delay - hours * HOUR) <= FALSE_UTC_TOLERANCE
    return hours * HOUR if is_false else timedelta()


def _shifted(reading: _Reading, shift: timedelta) -> _Reading:
    if reading.instant is None or not reading.is_marked_utc:
        return reading
    return _Reading(reading.instant + shift, FALSE_UTC)


def _with_date(clock: Any, day: Any) -> Any:
    """A time of day joined with its date; anything else as it is."""
    if not isinstance(clock, str) or not _CLOCK.fullmatch(clock.strip()):
        return clock
    if not isinstance(day, str) or not _DATE.fullmatch(day.strip()):
        return None
    return f"{day.strip()}T{clock.strip()}"


def _read(value: Any, received_at: datetime) -> _Reading:
    if value is None or value == "":
        return _Reading(None)
    if isinstance(value, str):
        text = value.strip()
        if len(text) > _LONGEST:
            return _Reading(None, INVALID)
        return _from_milliseconds(int(text)) if _MILLISECONDS.fullmatch(text) else _from_iso(text, received_at)
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return _from_milliseconds(value)
    return _Reading(None, INVALID)


def _from_milliseconds(value: int | Decimal) -> _Reading:
    if not _EARLIEST_MS <= value < _LATEST_MS:
        return _Reading(None, OUT_OF_RANGE)
    return _Reading(EPOCH + timedelta(milliseconds=int(value)))


def _from_iso(text: str, received_at: datetime) -> _Reading:
    reading = _read_stamp(text)
    return _read_stamp(text, received_at) if reading.doubt == AMBIGUOUS else reading


@lru_cache(maxsize=1024)  # the members of a batch and the alerts of a minute share their stamps
def _read_stamp(text: str, near: datetime | None = None) -> _Reading:
    match = _ISO.fullmatch(text)
    stamp = _parsed(text) if match else None
    if match is None or stamp is None:
        return _Reading(None, INVALID)
    if stamp.year not in _YEARS:
        return _Reading(None, OUT_OF_RANGE)
    offset = stamp.utcoffset()
    if offset is not None:
        return _Reading(stamp.astimezone(UTC), "", offset == timedelta())
    attached = attach(stamp, near=near)
    return _Reading(attached.instant, _WALL_TIME_DOUBTS.get(attached.wall_time, ""))


def _parsed(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text.replace(" Z", "Z"))
    except ValueError:
        return None
