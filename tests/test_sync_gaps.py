"""The rules of gaps: what should be known by now, and that a closed market is never a gap."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from core.trading_calendar import cme_equity_calendar
from hybrid_sync.gaps import CLASSIC, GAP_TYPES, Proof, judge, last_due
from hybrid_sync.outages import find_silences, find_silent_kinds, predict_throttle, usual_minutes

CALENDAR = cme_equity_calendar()
MINUTE = timedelta(minutes=1)
OPEN_AT = datetime(2025, 12, 10, 15, 0, tzinfo=UTC)
ENTERED = OPEN_AT - 30 * MINUTE


def state(**given: Any) -> Any:
    """A healthy open trade at OPEN_AT."""
    whole: dict[str, Any] = {
        "status": "ACTIVE", "session": "NY AM", "signal_date": date(2025, 12, 10), "htf_computed": True, "flags": [],
        "entry_price": 100, "stop_loss": 90, "targets_extended": True, "confirmation_time": ENTERED,
        "confirmation_time_from": "sent", "confidence": {}, "created_at": ENTERED - MINUTE, "entry_time": ENTERED,
        "mae_r": 0, "no_be_mfe_r": 0, "last_mfe_slot": OPEN_AT - 2 * MINUTE, "be_triggered_at": None, "be_exit_at": None,
        "exit_at": None,
    }  # fmt: skip
    return SimpleNamespace(**whole | given)


def gaps(now: datetime = OPEN_AT, proof: Proof | None = None, **given: Any) -> tuple[str, ...]:
    return judge(state(**given), last_due(now, CALENDAR), proof or Proof()).gaps


def test_a_trade_of_which_all_is_told_has_no_gap_and_zero_is_a_value() -> None:
    assert gaps() == ()


@pytest.mark.parametrize(
    ("gap", "given"),
    [
        ("no_mfe_update", {"last_mfe_slot": OPEN_AT - 9 * MINUTE}),
        ("no_entry_price", {"entry_price": None}),
        ("no_stop_loss", {"stop_loss": None}),
        ("no_mae", {"mae_r": None}),
        ("no_session", {"session": None}),
        ("no_signal_date", {"signal_date": None}),
        ("no_htf_alignment", {"htf_computed": False}),
        ("no_targets", {"targets_extended": None}),
        ("no_confirmation_time", {"confirmation_time": None}),
        ("no_confirmation_time", {"confirmation_time_from": "derived"}),
        ("no_entry", {"entry_time": None}),
        ("no_signal_created", {"created_at": None}),
        ("no_be_trigger", {"no_be_mfe_r": 1}),
        ("no_exit", {"mae_r": -1}),
        ("invalid_values", {"flags": ["phantom"]}),
        ("invalid_values", {"flags": ["mae_global_r_clamped"]}),
    ],
)
def test_each_missing_fact_is_the_gap_of_its_name(gap: str, given: dict[str, Any]) -> None:
    assert gaps(**given) == (gap,)


def test_a_derived_confirmation_time_on_record_is_no_gap() -> None:
    assert gaps(confirmation_time_from="derived", confidence={"confirmation_time": 0.95}) == ()


def test_what_bars_prove_and_nobody_told_is_a_gap() -> None:
    assert gaps(proof=Proof(be_trigger=True, exit=True)) == ("no_be_trigger", "no_exit")
    assert gaps(proof=Proof(cancellation=True), status="PENDING") == ("stale_pending",)


def test_a_pending_signal_owes_no_prices_and_a_new_trade_no_excursions_yet() -> None:
    assert gaps(status="PENDING", entry_price=None, stop_loss=None, entry_time=None, mae_r=None) == ()
    assert gaps(entry_time=OPEN_AT - 3 * MINUTE, last_mfe_slot=None, mae_r=None) == ()
    assert gaps(entry_time=OPEN_AT - 4 * MINUTE, last_mfe_slot=None, mae_r=None) == ("no_mfe_update", "no_mae")


def test_the_nine_types_that_earlier_installations_know_come_first() -> None:
    assert GAP_TYPES[:9] == CLASSIC
    judgement = judge(state(created_at=None, htf_computed=False), last_due(OPEN_AT, CALENDAR))
    assert judgement.gaps == ("no_htf_alignment", "no_signal_created")


def test_the_daily_break_the_weekend_and_a_holiday_are_no_gap() -> None:
    for close, reopen in (
        (datetime(2025, 12, 10, 22, tzinfo=UTC), datetime(2025, 12, 10, 23, tzinfo=UTC)),
        (datetime(2025, 12, 12, 22, tzinfo=UTC), datetime(2025, 12, 14, 23, tzinfo=UTC)),
        (datetime(2025, 12, 24, 18, 15, tzinfo=UTC), datetime(2025, 12, 25, 23, tzinfo=UTC)),
    ):
        last = CALENDAR.previous_close(reopen - MINUTE) - MINUTE
        assert last >= close - 2 * timedelta(hours=1)
        for now in (last + 5 * MINUTE, reopen - MINUTE, reopen + 2 * MINUTE):
            assert gaps(now, last_mfe_slot=last) == ()
        assert gaps(reopen + 4 * MINUTE, last_mfe_slot=last) == ("no_mfe_update",)


def test_a_gap_before_the_close_stays_one_while_the_market_is_closed() -> None:
    close = datetime(2025, 12, 10, 22, tzinfo=UTC)
    assert gaps(close + 30 * MINUTE, last_mfe_slot=close - 8 * MINUTE) == ("no_mfe_update",)


def year_of_arrivals(holes: list[tuple[datetime, int]]) -> list[datetime]:
    """One arrival at each close of an open minute of 2025, up to 16 seconds late, except in the holes."""
    dice = Random(5)
    silent = {start + n * MINUTE for start, minutes in holes for n in range(minutes)}
    arrivals = []
    for session in CALENDAR.sessions_between(datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)):
        at = session.opens_at
        while at < session.closes_at:
            if at not in silent:
                arrivals.append(at + MINUTE + timedelta(seconds=dice.randint(0, 16) if dice.random() < 0.08 else 0))
            at += MINUTE
    return arrivals


def random_holes(number: int, lengths: tuple[int, ...]) -> list[tuple[datetime, int]]:
    """Holes that lie inside sessions of 2025, at least an hour from one another and from open and close."""
    dice = Random(3)
    sessions = CALENDAR.sessions_between(datetime(2025, 1, 2, tzinfo=UTC), datetime(2025, 12, 30, tzinfo=UTC))
    long_ones = [session for session in sessions if session.closes_at - session.opens_at > timedelta(hours=3)]
    found = []
    for place, session in enumerate(dice.sample(long_ones, number)):
        span = (session.closes_at - session.opens_at - timedelta(hours=2)) // MINUTE
        minutes = lengths[place % len(lengths)] or dice.randint(4, 60)
        found.append((session.opens_at + timedelta(hours=1) + dice.randint(0, span - 60) * MINUTE, minutes))
    return sorted(found)


def test_every_hole_of_a_year_is_found_and_no_closed_market_is_taken_for_one() -> None:
    holes = random_holes(120, (7, 8, 10, 14, 24, 0))
    found = find_silences(year_of_arrivals(holes), datetime(2025, 12, 31, 12, tzinfo=UTC), CALENDAR)
    assert len(found) == len(holes)
    for outage, (start, minutes) in zip(found, holes, strict=True):
        assert start <= outage.starts_at <= start + timedelta(seconds=16)
        assert outage.ends_at is not None
        assert minutes <= outage.open_minutes <= minutes + 1.3


def heard(last: datetime, now: datetime) -> tuple[str, ...]:
    """The gaps of a trade of half an hour whose newest update is of the minute `last`."""
    return gaps(now, entry_time=last - 30 * MINUTE, last_mfe_slot=last)


def test_an_open_trade_lacks_its_update_in_every_hole_of_a_year_and_never_while_the_market_is_closed() -> None:
    for start, minutes in random_holes(120, (7, 8, 10, 14, 24, 0)):
        assert heard(start - MINUTE, start + 3 * MINUTE - timedelta(seconds=1)) == ()
        for late in range(3, minutes + 3):
            assert heard(start - MINUTE, start + late * MINUTE) == ("no_mfe_update",)
        assert heard(start + minutes * MINUTE, start + (minutes + 3) * MINUTE) == ()
    sessions = CALENDAR.sessions_between(datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))
    for session, following in pairwise(sessions):
        closed = following.opens_at - session.closes_at
        for share in range(100):
            assert heard(session.closes_at - MINUTE, session.closes_at + 3 * MINUTE + closed * share / 100) == ()


def test_a_hole_is_seen_within_three_minutes_of_its_first_missing_alert() -> None:
    arrivals = [OPEN_AT + n * MINUTE for n in range(-30, 1)]
    assert find_silences(arrivals, OPEN_AT + 3 * MINUTE, CALENDAR) == []
    (found,) = find_silences(arrivals, OPEN_AT + 4 * MINUTE, CALENDAR)
    assert (found.starts_at, found.ends_at) == (OPEN_AT, None)


def test_a_hole_that_reaches_into_the_break_counts_its_market_time_only() -> None:
    close = datetime(2025, 12, 10, 22, tzinfo=UTC)
    (found,) = find_silences([close - 10 * MINUTE], close + 3 * timedelta(hours=1), CALENDAR, 3)
    assert found.open_minutes == pytest.approx(10 + 120)
    assert find_silences([close], close + timedelta(hours=1), CALENDAR) == []


def test_a_sender_without_trades_is_given_the_time_that_is_its_habit() -> None:
    quarter_hours = [OPEN_AT + n * 15 * MINUTE for n in range(-20, 1)]
    assert usual_minutes(quarter_hours, CALENDAR) == pytest.approx(45)
    assert usual_minutes(quarter_hours[:3], CALENDAR) == 60


def test_a_kind_that_stays_away_while_others_arrive_is_told() -> None:
    now = OPEN_AT + timedelta(hours=4)
    batches = [now - n * MINUTE for n in range(600, -1, -1)]
    entries = [OPEN_AT - n * 10 * MINUTE for n in range(30, -1, -1)]
    (found,) = find_silent_kinds({"MFE_UPDATE": batches, "ENTRY": entries}, now, CALENDAR)
    assert (found.kind, found.detail, found.starts_at) == ("kind_silence", "ENTRY", OPEN_AT)
    assert find_silent_kinds({"MFE_UPDATE": batches}, now, CALENDAR) == []


def test_when_all_fall_silent_no_kind_is_blamed() -> None:
    batches = [OPEN_AT - n * MINUTE for n in range(600, -1, -1)]
    entries = [OPEN_AT - n * 10 * MINUTE for n in range(30, -1, -1)]
    assert (
        find_silent_kinds({"MFE_UPDATE": batches, "ENTRY": entries}, OPEN_AT + 5 * timedelta(hours=1), CALENDAR) == []
    )


def test_the_alert_limit_is_predicted_at_the_sixth_open_signal_unless_updates_are_batched() -> None:
    singles = [OPEN_AT - timedelta(seconds=n) for n in range(5)]
    assert predict_throttle(singles, 5, OPEN_AT, CALENDAR) is None
    found = predict_throttle(singles, 6, OPEN_AT, CALENDAR)
    assert found is not None
    assert "18 in 3 minutes" in found.detail
    assert predict_throttle([], 22, OPEN_AT, CALENDAR) is None
