"""How the stream of alerts is: its age against the market's hours, and how near TradingView's throttle it is. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.trading_calendar import TradingCalendar

FIRE_WINDOW = timedelta(minutes=3)
MOST_FIRES = 15  # TradingView stops a script's alert that fires more often within the window
NEAR_FIRES = 12
SILENT_MINUTES = 3.0  # an open trade is spoken of every bar
QUIET_MINUTES = 60.0


@dataclass(frozen=True, slots=True)
class Pulse:
    """The pill of the stream: `status` is pass, warn or quiet; the sentence says why."""

    status: str
    word: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Meter:
    """The alerts of one stream within the window."""

    stream: str
    fires: int

    @property
    def status(self) -> str:
        """fail beyond the limit, warn near it, pass below."""
        if self.fires > MOST_FIRES:
            return "fail"
        return "warn" if self.fires >= NEAR_FIRES else "pass"


def pulse(last_alert_at: datetime | None, open_trades: int, now: datetime, calendar: TradingCalendar) -> Pulse:
    """Whether alerts come as they should. A closed market is never stale; only open-market minutes count as silence."""
    if not calendar.is_open(now):
        return Pulse("quiet", "Market closed", "No alerts are expected while the market is closed.")
    if last_alert_at is None:
        return Pulse("quiet", "Market open", "No live alert has come yet.")
    silence = calendar.open_minutes_between(last_alert_at, now)
    patience = SILENT_MINUTES if open_trades else QUIET_MINUTES
    if silence <= patience:
        return Pulse("pass", "Receiving", "The market is open and alerts come.")
    why = "although trades are open" if open_trades else "and no trade is open"
    return Pulse("warn", "Silent", f"The market is open, {why}: {int(silence)} market minutes without an alert.")


def meters(streams: list[str], fires: Mapping[str, int]) -> list[Meter]:
    """A meter a stream, in their order."""
    return [Meter(stream, fires.get(stream, 0)) for stream in streams]
