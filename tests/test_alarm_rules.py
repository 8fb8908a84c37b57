"""Alarms as pure rules: each fault gives one right alarm and one recovery, and not knowing gives neither."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.trading_calendar import cme_equity_calendar
from operations.alarms.plan import Held, Notice, plan
from operations.alarms.rules import (
    CHECKS,
    RULES,
    BarFacts,
    Facts,
    FeedFacts,
    JobFacts,
    JournalFacts,
    KindFacts,
    StreamFacts,
    judge,
)

CALENDAR = cme_equity_calendar()
WEDNESDAY = datetime(2025, 12, 10, 15, 0, tzinfo=UTC)  # 10:00 in New York
SATURDAY = datetime(2025, 12, 13, 15, 0, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
GOOD_JOURNAL = JournalFacts(True, 0, 0.0, True)


def fine(now: datetime) -> Facts:
    """A service in which everything is as it should be."""
    return Facts(
        now=now,
        watched_since=now - 30 * DAY,
        streams=(StreamFacts("main", now - MINUTE, fires=2, trades=3), StreamFacts("other", now - MINUTE, trades=1)),
        kinds=(KindFacts("main", "HEARTBEAT", now - MINUTE, 6), KindFacts("main", "ENTRY", now - HOUR, 6)),
        feed=FeedFacts(True, now),
        bars=(BarFacts("MNQ", 1, now - MINUTE), BarFacts("MES", 1, now - MINUTE)),
        jobs=(JobFacts("close_bars", MINUTE, now - MINUTE), JobFacts("prune_job_runs", HOUR, now - HOUR)),
        journal=GOOD_JOURNAL,
        health_score=97.0,
        open_gaps=3,
        disk_free=0.5,
        calendar_days_left=400,
    )


def silent(stream: str, minutes: int, trades: int = 3) -> Callable[[Facts], Facts]:
    def change(facts: Facts) -> Facts:
        kept = tuple(each for each in facts.streams if each.stream != stream)
        quiet = StreamFacts(stream, facts.now - minutes * MINUTE, trades=trades)
        return replace(facts, streams=(*kept, quiet))

    return change


def having(**given: Callable[[datetime], Any]) -> Callable[[Facts], Facts]:
    return lambda facts: replace(facts, **{name: make(facts.now) for name, make in given.items()})


FAULTS: dict[str, tuple[str, Callable[[Facts], Facts]]] = {
    "stream_silent:main": ("warning", silent("main", 4)),
    "stream_silent:other": ("critical", silent("other", 11)),
    "kind_silent:main:HEARTBEAT": (
        "warning",
        having(kinds=lambda now: (KindFacts("main", "HEARTBEAT", now - 20 * MINUTE, 6),)),
    ),
    "kind_silent:main:ENTRY": ("warning", having(kinds=lambda now: (KindFacts("main", "ENTRY", now - 2 * DAY, 5),))),
    "kind_silent:main:EXIT_SL": (
        "warning",
        having(kinds=lambda now: (KindFacts("main", "EXIT_SL", now - 3 * DAY, 4),)),
    ),
    "throttle_danger:main": (
        "warning",
        having(streams=lambda now: (StreamFacts("main", now, fires=13), StreamFacts("other", now))),
    ),
    "throttle_danger:other": (
        "critical",
        having(streams=lambda now: (StreamFacts("other", now, fires=16), StreamFacts("main", now))),
    ),
    "feed_down": ("critical", having(feed=lambda now: FeedFacts(False, now))),
    "bars_late:MNQ": (
        "warning",
        having(bars=lambda now: (BarFacts("MNQ", 1, now - 8 * MINUTE), BarFacts("MES", 1, now - MINUTE))),
    ),
    "bars_late:MES": (
        "critical",
        having(bars=lambda now: (BarFacts("MES", 1, now - 30 * MINUTE), BarFacts("MNQ", 1, now - MINUTE))),
    ),
    "health_low": ("warning", having(health_score=lambda _: 79.4)),
    "gaps_many": ("critical", having(open_gaps=lambda _: 101)),
    "journal_pending": ("warning", having(journal=lambda _: JournalFacts(True, 7, 45.0, True))),
    "journal_broken": ("critical", having(journal=lambda _: JournalFacts(False, 0, 0.0, True))),
    "journal_not_kept": ("warning", having(journal=lambda _: JournalFacts(True, 0, 0.0, False))),
    "job_overdue:close_bars": (
        "warning",
        having(
            jobs=lambda now: (JobFacts("close_bars", MINUTE, now - 9 * MINUTE), JobFacts("prune_job_runs", HOUR, now))
        ),
    ),
    "job_overdue:prune_job_runs": (
        "warning",
        having(jobs=lambda now: (JobFacts("prune_job_runs", HOUR, None), JobFacts("close_bars", MINUTE, now))),
    ),
    "disk_low": ("critical", having(disk_free=lambda _: 0.03)),
    "durability_off:fsync": ("critical", having(durability_off=lambda _: {"fsync": "off"})),
    "calendar_ending": ("warning", having(calendar_days_left=lambda _: 59)),
}


class Run:
    """Passes one after the other, every 30 seconds."""

    def __init__(self, now: datetime = WEDNESDAY) -> None:
        self.now = now
        self.held: dict[str, Held] = {}
        self.notices: list[Notice] = []

    def passes(self, count: int, change: Callable[[Facts], Facts] = lambda facts: facts) -> None:
        for _ in range(count):
            self.now += timedelta(seconds=30)
            changes = plan(self.held, judge(change(fine(self.now)), CALENDAR), self.now)
            self.held = {cause: held for cause, held in self.held.items() if cause not in changes.gone}
            self.held |= {held.cause: held for held in changes.held}
            self.notices += changes.notices

    def told(self) -> list[tuple[str, str]]:
        return [(notice.kind, notice.cause) for notice in self.notices]


@pytest.mark.parametrize("cause", FAULTS)
def test_a_fault_gives_one_right_alarm_and_one_recovery(cause: str) -> None:
    severity, change = FAULTS[cause]
    run = Run()
    run.passes(3)
    run.passes(6, change)
    run.passes(6)
    assert run.told() == [("raised", cause), ("recovered", cause)]
    assert run.notices[0].severity == severity
    assert run.held == {}


def test_twenty_faults_one_after_the_other_give_twenty_alarms_and_twenty_recoveries() -> None:
    run = Run()
    for _, change in FAULTS.values():
        run.passes(4, change)
        run.passes(3)
    assert len(FAULTS) == 20
    assert run.told() == [(kind, cause) for cause in FAULTS for kind in ("raised", "recovered")]


def test_every_rule_but_the_sentrys_has_a_fault_here() -> None:
    assert {cause.partition(":")[0] for cause in FAULTS} == set(CHECKS) == set(RULES) - {"database_away"}


def test_a_fault_that_grows_worse_is_not_told_again() -> None:
    run = Run()
    for minutes in (4, 8, 11, 20):
        run.passes(1, silent("main", minutes))
    assert run.told() == [("raised", "stream_silent:main")]
    assert run.held["stream_silent:main"].severity == "critical"


def test_what_is_gone_before_its_patience_is_over_is_never_told() -> None:
    run = Run()
    for _ in range(5):
        run.passes(1, FAULTS["feed_down"][1])
        run.passes(1)
    assert run.told() == []


def test_while_the_market_is_closed_nothing_about_it_is_told() -> None:
    in_market = {cause: change for cause, (_, change) in FAULTS.items() if RULES[cause.partition(":")[0]].in_market}
    run = Run(SATURDAY)
    for change in in_market.values():
        run.passes(4, change)
        run.passes(2)
    assert in_market
    assert run.told() == []


def test_an_alarm_raised_before_the_close_is_over_only_when_the_market_says_so() -> None:
    run = Run(datetime(2025, 12, 12, 21, 50, tzinfo=UTC))  # Friday 16:50 in New York
    run.passes(4, silent("main", 5))
    run.now = SATURDAY
    run.passes(4)
    assert run.told() == [("raised", "stream_silent:main")]
    run.now = datetime(2025, 12, 15, 15, 0, tzinfo=UTC)
    run.passes(1)
    assert run.told()[-1] == ("recovered", "stream_silent:main")


def test_three_weeks_with_holidays_and_breaks_give_no_false_alarm() -> None:
    """A heartbeat a minute while the market is open; the job looks every five minutes."""
    now, end = datetime(2025, 12, 15, tzinfo=UTC), datetime(2026, 1, 5, tzinfo=UTC)
    last, held, told = now - HOUR, {}, []
    while now < end:
        now += 5 * MINUTE
        if CALENDAR.is_open(now):
            last = now - timedelta(seconds=50)
        facts = replace(
            fine(now),
            streams=(StreamFacts("main", last, trades=2),),
            kinds=(KindFacts("main", "HEARTBEAT", last, 5),),
            bars=(BarFacts("MNQ", 1, last - MINUTE),),
        )
        changes = plan(held, judge(facts, CALENDAR), now)
        held = {each.cause: each for each in changes.held}
        told += changes.notices
    assert told == []


@pytest.mark.parametrize("minutes", [7, 8, 10, 14, 24])
def test_a_hole_in_a_stream_is_told_within_three_minutes_and_a_half(minutes: int) -> None:
    run = Run()
    for half in range(2 * minutes):
        run.passes(1, silent("main", half // 2 + 1))
    first = run.notices[0].at - WEDNESDAY
    assert first <= timedelta(minutes=3, seconds=30)
    run.passes(1)
    assert run.told() == [("raised", "stream_silent:main"), ("recovered", "stream_silent:main")]


def test_after_a_start_silence_is_neither_told_nor_forgiven_before_it_could_be_heard() -> None:
    def restarted(facts: Facts) -> Facts:
        return replace(silent("main", 90)(facts), watched_since=facts.now - MINUTE)

    run = Run()
    run.passes(4, restarted)
    assert run.told() == []
    run.passes(1, silent("main", 90))
    run.passes(4, restarted)
    assert run.told() == [("raised", "stream_silent:main")]


def test_a_stream_that_only_sends_signals_may_be_quiet_for_hours() -> None:
    run = Run()
    quiet = having(kinds=lambda now: (KindFacts("main", "ENTRY", now - HOUR, 6),))
    run.passes(3, lambda facts: quiet(silent("main", 200, trades=0)(facts)))
    assert run.told() == []
    run.passes(1, lambda facts: quiet(silent("main", 250, trades=0)(facts)))
    assert run.told() == [("raised", "stream_silent:main")]


def test_late_bars_are_the_feeds_alarm_while_the_feed_is_down() -> None:
    run = Run()
    both = having(feed=lambda now: FeedFacts(False, now), bars=lambda now: (BarFacts("MNQ", 1, now - HOUR),))
    run.passes(6, both)
    assert run.told() == [("raised", "feed_down")]


def test_what_nobody_measures_is_no_alarm_and_no_recovery() -> None:
    run = Run()
    run.passes(1, FAULTS["health_low"][1])
    run.passes(3, having(health_score=lambda _: None, open_gaps=lambda _: None, journal=lambda _: None))
    assert run.told() == [("raised", "health_low")]


def test_a_stream_whose_token_is_revoked_ends_its_alarm() -> None:
    run = Run()
    run.passes(1, silent("main", 5))
    run.passes(1, having(streams=lambda now: (StreamFacts("other", now, trades=1),)))
    assert run.told() == [("raised", "stream_silent:main"), ("recovered", "stream_silent:main")]
