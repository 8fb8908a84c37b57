"""When the sender went silent, a kind of event stayed away, or an alert is about to be stopped for firing too often. Pure.

Market time counts: what falls silent at the close has not failed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import Final

from core.trading_calendar import TradingCalendar

SILENT_MINUTES: Final = 3.0
SLACK: Final = timedelta(seconds=20)  # the latest alert of a bar comes 16 s after its close
ALERTS_ALLOWED: Final = 15
ALERT_WINDOW: Final = timedelta(minutes=3)
LEAST_ARRIVALS: Final = 5
LEAST_FOR_A_HABIT: Final = 20
HABIT_FACTOR: Final = 8.0
QUIET_HABIT_FACTOR: Final = 3.0


@dataclass(frozen=True, slots=True)
class Outage:
    """A silence or a danger. `ends_at` None: it lasts. `open_minutes`: its market time."""

    kind: str
    starts_at: datetime
    ends_at: datetime | None
    open_minutes: float
    detail: str = ""


def find_silences(
    arrivals: Iterable[datetime],
    until: datetime,
    calendar: TradingCalendar,
    allowed_minutes: float = SILENT_MINUTES,
) -> list[Outage]:
    """Stretches of more than so many open-market minutes without any arrival, the last one up to `until`.

    `arrivals` in time order, of a sender that should be heard every minute (or as often as `allowed_minutes` says).
    """
    shortest = timedelta(minutes=allowed_minutes) + SLACK
    found = []
    times = [*arrivals, until]
    for number, (last, following) in enumerate(pairwise(times), start=2):
        if following - last <= shortest:
            continue
        minutes = calendar.open_minutes_between(last, following)
        if minutes > shortest / timedelta(minutes=1):
            is_over = number < len(times)
            found.append(Outage("silence", last, following if is_over else None, round(minutes, 1)))
    return found


def usual_minutes(arrivals: Sequence[datetime], calendar: TradingCalendar) -> float:
    """How long a sender without open trades may be silent: three times its usual pause, at least three minutes."""
    pauses = [calendar.open_minutes_between(one, other) for one, other in pairwise(arrivals)]
    pauses = [pause for pause in pauses if pause > 0]
    if len(pauses) < LEAST_ARRIVALS:
        return 60.0
    longest_usual = sorted(pauses)[int(0.95 * (len(pauses) - 1))]
    return max(SILENT_MINUTES, QUIET_HABIT_FACTOR * longest_usual)


def find_silent_kinds(
    arrivals: Mapping[str, Sequence[datetime]], until: datetime, calendar: TradingCalendar
) -> list[Outage]:
    """Kinds of event that have stayed away far longer than is their habit, while others still arrive.

    A kind has a habit once it has come more than `LEAST_FOR_A_HABIT` times; it is silent after eight of its usual pauses
    and twice its longest one.
    """
    found = []
    heard = [times[-1] for times in arrivals.values() if times]
    for kind, times in sorted(arrivals.items()):
        pauses = [calendar.open_minutes_between(one, other) for one, other in pairwise(times)]
        if len(pauses) < LEAST_FOR_A_HABIT:
            continue
        limit = max(HABIT_FACTOR * median(pauses), 2 * max(pauses), SILENT_MINUTES)
        # Only what was silent while others spoke: a silence of all is an outage of the sender, told as such.
        minutes = calendar.open_minutes_between(times[-1], min(until, max(heard)))
        if minutes > limit:
            found.append(Outage("kind_silence", times[-1], None, round(minutes, 1), kind))
    return found


def predict_throttle(
    single_updates: Sequence[datetime], open_trades: int, until: datetime, calendar: TradingCalendar
) -> Outage | None:
    """Whether an alert for each open trade and minute is about to pass TradingView's 15 in 3 minutes.

    `single_updates`: arrivals of updates that came one alert a trade. A sender that batches is never in danger.
    """
    recent = [at for at in single_updates if until - ALERT_WINDOW < at <= until]
    expected = open_trades * (ALERT_WINDOW // timedelta(minutes=1))
    if not recent or expected <= ALERTS_ALLOWED or not calendar.is_open(until):
        return None
    detail = f"{open_trades} open trades, one alert each: {expected} in 3 minutes"
    return Outage("throttle", recent[0].replace(second=0, microsecond=0), None, 0.0, detail)


def by_kind(arrivals: Iterable[tuple[datetime, str | None]]) -> dict[str, list[datetime]]:
    """Arrival times by kind of event, those without one left out."""
    found: defaultdict[str, list[datetime]] = defaultdict(list)
    for at, kind in arrivals:
        if kind:
            found[kind].append(at)
    return dict(found)
