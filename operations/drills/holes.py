"""Which bars an outage touches, and which of them have been told whole since. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

Span = tuple[datetime, datetime]


def touched(start: datetime, end: datetime, length: timedelta) -> list[Span]:
    """The bars of this length, as [start, end), that any part of [start, end] lies in."""
    step = length.total_seconds()
    first = datetime.fromtimestamp(start.timestamp() // step * step, UTC)
    count = int((end - first) // length) + 1
    return [(first + number * length, first + (number + 1) * length) for number in range(count)]


def healed(bars: Iterable[Span], told: Sequence[Span]) -> int:
    """How many of the bars lie in time of which sources together have told everything; spans may touch and overlap."""
    spans = sorted(told)
    return sum(_is_told(bar, spans) for bar in bars)


def _is_told(bar: Span, spans: Sequence[Span]) -> bool:
    at, end = bar
    for starts_at, ends_at in spans:
        if starts_at <= at < ends_at:
            at = ends_at
    return at >= end
