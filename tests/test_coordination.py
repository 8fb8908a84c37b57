"""When signals of several timeframes make one: windows, weights, filters, and whatever order they are told in."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from analysis.config import Rule, parse_plan
from analysis.coordination.rules import Decision, Seen, decide
from tests.support_analysis import ALWAYS

NOON = datetime(2025, 5, 13, 12, 0, tzinfo=UTC)


def rule(**changes: Any) -> Rule:
    given = {"primary": "1h", "confirming": ["15m"], "window_minutes": 60, **changes}
    return parse_plan({"rules": {"one": given}}).rules[0]


def seen(number: int, timeframe: str, minutes: int, trend: str = "bullish", position: int = 0) -> Seen:
    known_at = NOON + timedelta(minutes=minutes)
    kind = "uptrend_start" if trend == "bullish" else "downtrend_start"
    return Seen(number, timeframe, kind, trend, known_at - timedelta(hours=2), known_at, position)


def ids(decisions: list[Decision]) -> list[tuple[int, int, int]]:
    """(primary, confirming, minutes after noon)"""
    return [
        (each.primary.signal_id, each.confirming.signal_id, int((each.decided_at - NOON) / timedelta(minutes=1)))
        for each in decisions
    ]


@pytest.mark.parametrize(("minutes", "decided"), [(-60, 0), (-15, 0), (0, 0), (15, 15), (60, 60)])
def test_the_window_reaches_both_ways_and_the_later_of_two_decides(minutes: int, decided: int) -> None:
    assert ids(decide(rule(), [seen(1, "1h", 0), seen(2, "15m", minutes)], ALWAYS)) == [(1, 2, decided)]


@pytest.mark.parametrize("minutes", [-61, 61])
def test_outside_the_window_nothing_agrees(minutes: int) -> None:
    assert decide(rule(), [seen(1, "1h", 0), seen(2, "15m", minutes)], ALWAYS) == []


def test_a_timeframe_that_has_turned_meanwhile_no_longer_confirms() -> None:
    turned = [seen(1, "1h", 0), seen(2, "15m", -30), seen(3, "15m", -15, "bearish")]
    assert decide(rule(), turned, ALWAYS) == []
    assert ids(decide(rule(), [*turned, seen(4, "15m", 30)], ALWAYS)) == [(1, 4, 30)]


def test_of_several_signals_of_one_bar_the_last_counts() -> None:
    forced_and_real = [seen(2, "15m", -15, "bearish", 0), seen(3, "15m", -15, "bullish", 1)]
    assert ids(decide(rule(), [seen(1, "1h", 0), *forced_and_real], ALWAYS)) == [(1, 3, 0)]
    overtaken = [seen(1, "1h", 0, "bullish", 0), seen(4, "1h", 0, "bearish", 1)]
    assert decide(rule(), [*overtaken, *forced_and_real], ALWAYS) == []


def test_the_decision_falls_when_the_weights_reach_the_minimum() -> None:
    weighed = rule(confirming=["15m", "5m", "4h"], weights={"1h": 1, "15m": 1, "5m": 0.5, "4h": 2}, minimum_score=2.5)
    told = [seen(1, "1h", 0), seen(2, "5m", -5), seen(3, "15m", 30)]
    assert ids(decide(weighed, told, ALWAYS)) == [(1, 3, 30)]
    assert decide(weighed, told, ALWAYS)[0].score == 2.5
    assert ids(decide(weighed, [*told, seen(4, "4h", 10)], ALWAYS)) == [(1, 4, 10)]
    assert decide(weighed, told[:2], ALWAYS) == []


def test_filters_ask_for_the_trend_at_the_decision() -> None:
    told = [seen(1, "1h", 0), seen(2, "15m", 30)]
    against, along = seen(3, "4h", 15, "bearish"), seen(4, "4h", 15)
    late = seen(5, "4h", 45, "bearish")
    for mode, nothing, opposed, same in (("not_against", 1, 0, 1), ("agrees", 0, 0, 1)):
        strict = rule(strategic={"timeframe": "4h", "mode": mode})
        assert [len(decide(strict, [*told, *more], ALWAYS)) for more in ([late], [against], [along, late])] == [
            nothing, opposed, same,
        ]  # fmt: skip


def test_only_the_types_of_the_rule_are_looked_at() -> None:
    told = [seen(1, "1h", 0), seen(2, "15m", 0), seen(3, "1h", 600, "bearish"), seen(4, "15m", 600, "bearish")]
    assert ids(decide(rule(signal_types=["downtrend_start"]), told, ALWAYS)) == [(3, 4, 600)]


def test_the_order_in_which_signals_are_told_does_not_matter() -> None:
    dice = random.Random(3)
    told = [
        seen(
            number,
            dice.choice(["1h", "15m", "4h"]),
            15 * dice.randrange(200),
            dice.choice(["bullish", "bearish"]),
            number,
        )
        for number in range(150)
    ]
    guarded = rule(strategic={"timeframe": "4h"})
    wanted = decide(guarded, told, ALWAYS)
    assert len(wanted) > 5
    for _ in range(20):
        dice.shuffle(told)
        assert decide(guarded, told, ALWAYS) == wanted


def test_a_rule_that_is_switched_off_decides_nothing() -> None:
    assert parse_plan({"rules": {"one": {"primary": "1h", "confirming": ["15m"], "enabled": False}}}).rules == ()
