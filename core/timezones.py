"""New York and Chicago wall time, at the edges only; inside the service every instant is aware UTC.

The only module that knows pytz. A wall time without an offset can name two instants (the hour repeated in autumn) or
none (the hour skipped in spring); `attach` decides and always says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache

import pytz
from pytz.tzinfo import DstTzInfo

from core.errors import InvalidInputError


def _zone(name: str) -> DstTzInfo:
    zone = pytz.timezone(name)
    assert isinstance(zone, DstTzInfo)
    return zone


NEW_YORK = _zone("America/New_York")
CHICAGO = _zone("America/Chicago")


class WallTime(StrEnum):
    """How a wall time without an offset relates to real instants."""

    EXACT = "exact"
    AMBIGUOUS = "ambiguous"
    NONEXISTENT = "nonexistent"


@dataclass(frozen=True, slots=True)
class AttachedInstant:
    """A wall time made into an instant (UTC), with the doubt that remains."""

    instant: datetime
    wall_time: WallTime

    @property
    def is_certain(self) -> bool:
        return self.wall_time is WallTime.EXACT


def require_aware(instant: datetime) -> datetime:
    """The same instant; ValueError for a naive one, which would silently be read in the machine's own zone."""
    if instant.utcoffset() is None:
        raise ValueError(f"a naive datetime came where an instant is needed: {instant.isoformat()}")
    return instant


def to_utc(instant: datetime) -> datetime:
    """The instant in UTC. ValueError for a naive datetime."""
    return require_aware(instant).astimezone(UTC)


@lru_cache(maxsize=4096)  # one alert asks for the same few instants many times over
def to_new_york(instant: datetime) -> datetime:
    """The instant on the New York clock, aware. ValueError for a naive datetime."""
    return require_aware(instant).astimezone(NEW_YORK)


def new_york_date(instant: datetime) -> date:
    """The calendar date in New York (`signal_date`); the exchange's trade date is the trading calendar's business."""
    return to_new_york(instant).date()


def attach(naive: datetime, zone: DstTzInfo = NEW_YORK, *, near: datetime | None = None) -> AttachedInstant:
    """Read a wall time of `zone` as an instant in UTC.

    A repeated hour gives the instant closest to `near` (say, the receive time), without `near` the earlier one; it is
    marked AMBIGUOUS either way. A skipped hour is moved forward by the skip and marked NONEXISTENT.
    ValueError if the datetime already has an offset.
    """
    try:
        return AttachedInstant(to_utc(zone.localize(naive, is_dst=None)), WallTime.EXACT)
    except pytz.AmbiguousTimeError:
        candidates = [to_utc(zone.localize(naive, is_dst=is_dst)) for is_dst in (True, False)]
        target = candidates[0] if near is None else require_aware(near)
        closest = min(candidates, key=lambda candidate: abs(candidate - target))
        return AttachedInstant(closest, WallTime.AMBIGUOUS)
    except pytz.NonExistentTimeError:
        # Standard time is the offset in force before the skip, so the clock is simply taken to have run on.
        return AttachedInstant(to_utc(zone.localize(naive, is_dst=False)), WallTime.NONEXISTENT)


def parse_wall_time(text: str, zone: DstTzInfo = NEW_YORK, *, near: datetime | None = None) -> AttachedInstant:
    """Read ISO text without an offset (`2025-12-11T08:17:00`) as wall time of `zone`; `near` as in `attach`.

    InvalidInputError if the text is no ISO date and time, or carries an offset.
    """
    try:
        naive = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInputError(f"not an ISO date and time: {text!r}") from error
    if naive.tzinfo is not None:
        raise InvalidInputError(f"a wall time carries no offset: {text!r}")
    return attach(naive, zone, near=near)


def day_bounds(day: date, zone: DstTzInfo = NEW_YORK) -> tuple[datetime, datetime]:
    """The half-open span [start, end) of a wall-clock day in UTC: 23, 24 or 25 hours long."""
    midnight = datetime.combine(day, time())
    return attach(midnight, zone).instant, attach(midnight + timedelta(days=1), zone).instant
