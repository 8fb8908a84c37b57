"""What a background job is: a name, a period, and one safe-to-repeat pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any


@dataclass(frozen=True, slots=True)
class Report:
    """What one pass did. `counts` goes into the log line and the job_runs row."""

    message: str = ""
    counts: dict[str, int | float | str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Job:
    """One scheduled job. `run(db, now)` makes one pass and may be repeated safely.

    `every` divides time since the epoch into slots; each slot is run once over all processes.
    `grace` is how late a slot may still start; a slot later than that is recorded as missed, never dropped silently.
    """

    name: str
    every: timedelta
    run: Callable[[Any, datetime], Report]
    grace: timedelta = timedelta(minutes=10)

    def slot_of(self, now: datetime) -> datetime:
        """The start of the slot that contains `now` (aware UTC)."""
        period = self.every.total_seconds()
        start = now.timestamp() // period * period
        return datetime.fromtimestamp(start, tz=now.tzinfo)
