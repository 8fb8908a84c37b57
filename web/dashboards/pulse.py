"""How alerts, market data and health are, against the market's hours, and how near TradingView's throttle is. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from core.sync.health import CRITICAL_GAPS, CRITICAL_SCORE, WARNING_GAPS, WARNING_SCORE
from core.trading_calendar import TradingCalendar

FIRE_WINDOW = timedelta(minutes=3)
MOST_FIRES = 15  # TradingView stops a script's alert that fires more often within the window
NEAR_FIRES = 12
SILENT_MINUTES = 3.0  # an open trade is spoken of every bar
QUIET_MINUTES = 60.0
FEED_REPORTS = timedelta(seconds=30)  # a feed that lives says so every second
TICKS_COME = timedelta(minutes=1)
CYCLE_LATE = timedelta(minutes=10)  # of hybrid sync, which looks every two minutes


@dataclass(frozen=True, slots=True)
class Pulse:
    """One pill of the header: `status` is pass, warn, fail or quiet; the sentence says why, `path` leads to more."""

    status: str
    word: str
    sentence: str
    path: str = ""


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


def feed(
    told: tuple[Mapping[str, Any], datetime] | None, now: datetime, calendar: TradingCalendar, *, has_feed: bool
) -> Pulse:
    """Whether prices come from the market data feed, by what it last told of itself and when."""
    if not has_feed:
        return _of_feed("quiet", "No feed", "No market data gateway is configured.")
    state, told_at = told or ({}, None)
    tick_at = state.get("last_tick_at")
    is_told = told_at is not None and now - told_at <= FEED_REPORTS
    if is_told and tick_at is not None and now - datetime.fromisoformat(str(tick_at)) <= TICKS_COME:
        return _of_feed("pass", "Feed live", "Trades of the market come in.")
    if not calendar.is_open(now):
        return _of_feed("quiet", "Feed closed", "No trades are expected while the market is closed.")
    if not is_told:
        return _of_feed("fail", "Feed away", "The market is open, and no process speaks for the feed.")
    if not state.get("is_connected"):
        return _of_feed("fail", "Feed away", "The market is open, and the feed is not connected to its gateway.")
    return _of_feed("warn", "Feed silent", "The feed is connected, but no trade has come for a minute.")


def _of_feed(status: str, word: str, sentence: str) -> Pulse:
    return Pulse(status, word, sentence, "/market-data")


def health(cycle: Any | None, now: datetime) -> Pulse:
    """What the last cycle of hybrid sync concluded of all signals; its gaps are those of open-market time."""
    if cycle is None:
        return _of_health("quiet", "Health —", "Hybrid sync has not looked yet.")
    if now - cycle.started_at > CYCLE_LATE:
        return _of_health("warn", "Health unknown", "Hybrid sync has not looked for more than ten minutes.")
    score, gaps = cycle.health_after, int(cycle.report["gaps_after"])
    if score is None:
        return _of_health(
            "quiet", "Health —", "No signal that is open or has changed in 24 hours has been looked at yet."
        )
    is_bad = score < CRITICAL_SCORE or gaps > CRITICAL_GAPS
    is_doubtful = score < WARNING_SCORE or gaps > WARNING_GAPS
    sentence = f"Score {score} of 100 over the signals of 24 hours, {gaps} open gaps."
    word = f"Health {score}, {gaps} gaps" if gaps > WARNING_GAPS else f"Health {score}"
    return _of_health("fail" if is_bad else "warn" if is_doubtful else "pass", word, sentence)


def _of_health(status: str, word: str, sentence: str) -> Pulse:
    return Pulse(status, word, sentence, "/hybrid-sync")


def meters(streams: list[str], fires: Mapping[str, int]) -> list[Meter]:
    """A meter a stream, in their order."""
    return [Meter(stream, fires.get(stream, 0)) for stream in streams]
