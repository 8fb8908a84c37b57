"""When signals of several timeframes make one. Pure, and by event time: the same whatever order the signals came in.

For a signal of the primary timeframe each confirming timeframe may add its weight: by the last signal it had when the
primary one became known, if that points the same way and lies within the window, else by the first one within the
window after it. The decision falls when the sum reaches the minimum, and nothing later changes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from analysis.config import Filter, Rule


@dataclass(frozen=True, slots=True)
class Seen:
    """A detected signal as rules see it. `known_at`: close of its trigger bar; `position`: place within that bar."""

    signal_id: int
    timeframe: str
    signal_type: str
    trend: str
    at: datetime
    known_at: datetime
    position: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """One coordinated signal: who started it, who completed it, when, and everybody who took part."""

    primary: Seen
    confirming: Seen
    decided_at: datetime
    score: float
    details: dict[str, Any]


def decide(rule: Rule, signals: Iterable[Seen], since: datetime) -> list[Decision]:
    """The decisions on primary signals known from `since` on, in the order of these."""
    by_timeframe = _that_hold(signals)
    primaries = [each for each in by_timeframe.get(rule.primary, ()) if each.known_at >= since]
    decisions = [_decide(rule, primary, by_timeframe) for primary in primaries]
    return [decision for decision in decisions if decision is not None]


def _that_hold(signals: Iterable[Seen]) -> dict[str, list[Seen]]:
    """By timeframe, in order of time, the last signal of each bar: others of that bar (forced starts of the past, or
    starts that were overtaken at once) do not say what holds after it."""
    last: dict[tuple[str, datetime], Seen] = {}
    for each in sorted(signals, key=lambda seen: (seen.known_at, seen.position)):
        last[each.timeframe, each.known_at] = each
    found: dict[str, list[Seen]] = {}
    for each in last.values():
        found.setdefault(each.timeframe, []).append(each)
    return found


def _decide(rule: Rule, primary: Seen, by_timeframe: dict[str, list[Seen]]) -> Decision | None:
    if rule.signal_types and primary.signal_type not in rule.signal_types:
        return None
    score, taken = rule.weights[rule.primary], []
    for each in _confirmations(rule, primary, by_timeframe):
        score += rule.weights[each.timeframe]
        taken.append(each)
        decided_at = max(each.known_at, primary.known_at)
        if score >= rule.minimum_score:
            filters = {one.name: _trend_at(by_timeframe.get(one.timeframe, ()), decided_at) for one in rule.filters}
            if not all(_passes(one, filters[one.name], primary.trend) for one in rule.filters):
                return None
            details = {"confirmed_by": [_told(one) for one in taken], "filters": filters}
            return Decision(primary, each, decided_at, score, details)
    return None


def _confirmations(rule: Rule, primary: Seen, by_timeframe: dict[str, list[Seen]]) -> list[Seen]:
    """At most one signal of each confirming timeframe, in the order in which they count."""
    found = []
    for timeframe in rule.weights:
        if timeframe != rule.primary:
            near = [
                each for each in by_timeframe.get(timeframe, ()) if abs(each.known_at - primary.known_at) <= rule.window
            ]
            found += _confirmation(primary, near)
    return sorted(found, key=lambda each: (max(each.known_at, primary.known_at), -rule.weights[each.timeframe]))


def _confirmation(primary: Seen, near: Sequence[Seen]) -> list[Seen]:
    earlier = [each for each in near if each.known_at <= primary.known_at]
    later = [each for each in near if each.known_at > primary.known_at]
    agreeing = [each for each in (*earlier[-1:], *later) if each.trend == primary.trend]
    return agreeing[:1]


def _trend_at(signals: Sequence[Seen], at: datetime) -> str | None:
    """The trend that the signals of a timeframe had set by an instant; None before the first."""
    return next((each.trend for each in reversed(signals) if each.known_at <= at), None)


def _passes(one: Filter, trend: str | None, wanted: str) -> bool:
    return trend == wanted or (one.mode == "not_against" and trend is None)


def _told(seen: Seen) -> dict[str, Any]:
    return {"timeframe": seen.timeframe, "signal_id": seen.signal_id, "at": seen.at, "known_at": seen.known_at}
