"""The rules of a signal's life, one by one."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest

from automated_signals_state import TradeState, derive, facts_from_json, facts_to_json, fold, state_hash
from core.lifecycle import Kind, LifecycleEvent, Source, mfe_slot

START = datetime(2025, 12, 11, 12, 0, tzinfo=UTC)  # 07:00 in New York
TRADE = "20251211_065900000_BULLISH"
LONG = {"direction": "long", "entry_price": Decimal("25000"), "stop_loss": Decimal("24990"), "symbol": "MNQ1!"}


def at(minute: float) -> datetime:
    return START + timedelta(minutes=minute)


def told(kind: Kind, minute: float, source: Source = Source.LIVE, **values: Any) -> LifecycleEvent:
    """An event received `minute` minutes after the start; R values and prices may be given as text."""
    read = {
        name: Decimal(value) if isinstance(value, str) and name.endswith(("_r", "_price", "_loss")) else value
        for name, value in values.items()
    }
    slot = mfe_slot(at(minute)) if kind is Kind.MFE_UPDATE else None
    digest = read.pop("content_hash", f"{kind} {minute}")
    return LifecycleEvent(
        stream="main",
        trade_id=TRADE,
        kind=kind,
        received_at=at(minute),
        content_hash=digest,
        source=source,
        slot=slot,
        **read,
    )


def created(minute: float = 0, **values: Any) -> LifecycleEvent:
    return told(Kind.SIGNAL_CREATED, minute, **{"direction": "long", "be_mfe_r": "0", "mae_r": "0"} | values)


def entry(minute: float = 2, **values: Any) -> LifecycleEvent:
    return told(Kind.ENTRY, minute, **LONG | values)


def mfe(minute: float, be: str, no_be: str | None = None, source: Source = Source.LIVE) -> LifecycleEvent:
    return told(Kind.MFE_UPDATE, minute, source, be_mfe_r=be, no_be_mfe_r=no_be or be)


def state(*events: LifecycleEvent, trade_id: str = TRADE) -> TradeState:
    return derive(fold(events), "main", trade_id)


TRIGGER = told(Kind.BE_TRIGGERED, 5, be_mfe_r="1.1", no_be_mfe_r="1.1")
EXIT_BE = told(Kind.EXIT_BE, 6)
EXIT_SL = told(Kind.EXIT_SL, 8, exit_price="24990")


@pytest.mark.parametrize(
    ("events", "status"),
    [
        ([], "PENDING"),
        ([created()], "PENDING"),
        ([created(), told(Kind.CANCELLED, 3)], "CANCELLED"),
        ([told(Kind.CANCELLED, 3), entry()], "ACTIVE"),
        ([mfe(3, "0")], "ACTIVE"),
        ([entry(), TRIGGER], "BE_PROTECTED"),
        ([TRIGGER, EXIT_BE, mfe(9, "1.1", "2")], "BE_EXITED"),
        ([EXIT_SL], "COMPLETED"),
        ([entry(), told(Kind.EXIT_TP, 9)], "COMPLETED"),
    ],
)
def test_the_status_is_the_first_that_holds(events: list[LifecycleEvent], status: str) -> None:
    assert state(*events).status == status


@pytest.mark.parametrize(
    ("events", "be", "no_be", "flag"),
    [
        ([entry(), mfe(3, "0.5")], None, None, None),
        ([entry(), mfe(3, "0.5"), EXIT_SL], "-1", "-1", None),
        ([entry(), TRIGGER, EXIT_BE], "0", None, None),
        ([entry(), TRIGGER, EXIT_BE, EXIT_SL], "0", "-1", None),
        ([entry(), TRIGGER, EXIT_SL], "0", "-1", "exit_be_missing"),
        ([entry(), mfe(3, "1"), EXIT_SL], "0", "-1", "exit_be_missing"),
        ([entry(), mfe(3, "0.9999"), EXIT_BE], None, None, "exit_be_without_1r"),
        ([entry(), mfe(3, "0.3"), EXIT_BE, EXIT_SL], None, "-1", "exit_be_without_1r"),
        ([entry(), mfe(3, "0.3"), EXIT_BE, mfe(9, "0.3", "4")], None, None, "exit_be_without_1r"),
        ([entry(), EXIT_BE], "0", None, None),
        ([entry(), told(Kind.EXIT_TP, 9, exit_price="25025")], "2.5", "2.5", None),
        ([entry(), TRIGGER, EXIT_BE, told(Kind.EXIT_TP, 9, exit_price="25025")], "0", "2.5", None),
        ([entry(), told(Kind.EXIT_TP, 9)], None, None, None),
    ],
)
def test_each_leg_has_its_own_result(
    events: list[LifecycleEvent], be: str | None, no_be: str | None, flag: str | None
) -> None:
    seen = state(*events)
    expected = tuple(result and Decimal(result) for result in (be, no_be))
    assert (seen.be_result_r, seen.no_be_result_r) == expected
    odd = {"exit_be_missing", "exit_be_without_1r"} & set(seen.flags)
    assert odd == ({flag} if flag else set())


def test_a_healed_excursion_never_beats_a_later_live_one() -> None:
    seen = state(mfe(4, "3.0"), mfe(3, "3.4", source=Source.RECONCILED))
    assert seen.be_mfe_r == Decimal("3.0")
    assert seen.sources == {}


def test_a_healed_excursion_counts_where_the_sender_has_fallen_silent() -> None:
    seen = state(mfe(4, "3.0"), mfe(6, "3.4", source=Source.RECONCILED), mfe(5, "9", source=Source.INFERRED))
    assert (seen.be_mfe_r, seen.last_mfe_slot) == (Decimal("3.4"), at(5))
    assert seen.sources == {"be_mfe_r": "reconciled", "no_be_mfe_r": "reconciled"}


def test_a_healed_mae_counts_where_the_sender_never_speaks_of_mae() -> None:
    healed = told(Kind.MFE_UPDATE, 3, Source.RECONCILED, mae_r="-0.4")
    assert state(entry(), mfe(9, "1"), healed).mae_r == Decimal("-0.4")


def test_excursions_of_the_sender_never_step_back_whether_live_or_imported() -> None:
    seen = state(mfe(3, "2"), mfe(4, "1.5", source=Source.IMPORT), mfe(5, "1.7"))
    assert (seen.be_mfe_r, seen.last_mfe_slot) == (Decimal("2"), at(4))


def test_the_be_leg_stays_as_the_sender_froze_it() -> None:
    seen = state(entry(), TRIGGER, EXIT_BE, mfe(7, "1.1", "1.6"), mfe(8, "1.1", "2.2"))
    assert (seen.be_mfe_r, seen.no_be_mfe_r) == (Decimal("1.1"), Decimal("2.2"))
    assert "be_mfe_above_no_be_mfe" in state(mfe(3, "2", "1")).flags


def test_final_values_of_an_exit_are_excursions() -> None:
    last = told(Kind.EXIT_SL, 8, final_be_mfe_r="1.2", final_no_be_mfe_r="2.4")
    assert (state(mfe(3, "1"), last).be_mfe_r, state(mfe(3, "1"), last).no_be_mfe_r) == (Decimal("1.2"), Decimal("2.4"))


def test_zero_is_a_value_and_absent_is_none() -> None:
    assert state(mfe(3, "0")).be_mfe_r == 0
    assert state(created()).be_mfe_r is None
    assert state(entry()).mae_r is None


def test_a_one_shot_fact_fired_many_times_happened_the_first_time() -> None:
    again = [told(Kind.BE_TRIGGERED, minute, be_mfe_r="1.2") for minute in (9, 4, 7)]
    assert state(*again).be_triggered_at == at(3)


def test_the_sender_outranks_a_repair_and_a_repair_keeps_the_time_of_its_evidence() -> None:
    repair = told(Kind.EXIT_SL, 90, Source.RECONCILED, event_time=at(5))
    assert (state(repair).exit_at, state(repair).sources) == (at(5), {"EXIT_SL": "reconciled"})
    assert state(repair, told(Kind.EXIT_SL, 200)).exit_at == at(199)


def test_event_times_come_from_the_receipt_because_stamps_are_stale() -> None:
    seen = state(created(event_time=at(-1)), entry(20.05, event_time=at(-70)))
    assert (seen.signal_time, seen.entry_time) == (at(-1), at(19))
    assert (seen.confirmation_time, seen.confirmation_time_from, seen.bars_to_confirmation) == (at(19), "derived", 20)


def test_a_confirmation_that_the_sender_states_goes_before_the_derived_one() -> None:
    seen = state(created(), entry(5, confirmation_time=at(3), bars_to_confirmation=0))
    assert (seen.confirmation_time, seen.confirmation_time_from, seen.bars_to_confirmation) == (at(3), "sent", 0)


def test_an_entry_posted_late_keeps_the_candle_it_names() -> None:
    candle = datetime(2025, 11, 20, 14, 30, tzinfo=UTC)
    seen = state(entry(30_000, event_time=candle), trade_id="T1")
    assert (seen.signal_date, seen.signal_time_ny, seen.session) == (date(2025, 11, 20), time(9, 30), "NY AM")
    assert seen.bars_to_confirmation is None


def test_a_created_stamp_far_from_its_receipt_is_not_believed() -> None:
    for stamp in (at(-3_000), at(5)):
        assert state(created(0, event_time=stamp)).signal_time == at(-1)
    assert state(created(0, event_time=at(-18))).signal_time == at(-18)


@pytest.mark.parametrize(
    ("trade_id", "instant", "source"),
    [
        ("20250711_093000000_BULLISH", datetime(2025, 7, 11, 13, 30, tzinfo=UTC), "id"),
        ("20251341_093000000_BULLISH", None, None),
        ("anything-else", None, None),
    ],
)
def test_the_id_is_the_last_resort_for_the_signal_time(
    trade_id: str, instant: datetime | None, source: str | None
) -> None:
    seen = state(mfe(3, "0"), trade_id=trade_id)
    assert (seen.signal_time, seen.signal_time_from) == (instant, source)
    assert ("signal_time_from_id" in seen.flags) == (source == "id")
    assert state(entry(), trade_id="anything-else").signal_time == at(1)


def test_the_session_is_computed_and_the_label_kept_beside_it() -> None:
    seen = state(created(session_label="ASIA"))
    assert (seen.session, seen.session_label) == ("NY PRE", "ASIA")


def test_targets_lie_on_the_tick_grid_of_the_instrument() -> None:
    short = state(entry(direction="short", entry_price="25000", stop_loss="25010.25"))
    assert short.targets_extended is not None
    assert (short.targets_extended["1R"], short.targets_extended["20R"]) == (Decimal("24989.75"), Decimal("24795"))
    off_grid = state(entry(entry_price="25000.1", stop_loss="24990")).targets_extended
    assert off_grid is not None
    assert off_grid["1R"] == Decimal("25010.25")
    assert state(entry(stop_loss=None)).targets_extended is None


def test_impossible_prices_are_flagged_and_give_no_targets() -> None:
    equal, wrong = state(created(), entry(stop_loss="25000")), state(created(direction=None), entry(direction="short"))
    assert (equal.flags, equal.targets_extended) == (("entry_equals_stop",), None)
    assert (wrong.flags, wrong.targets_extended) == (("stop_on_wrong_side",), None)


def test_risk_is_the_distance_to_the_stop_and_a_stated_one_only_stands_in() -> None:
    assert state(entry(risk_distance=Decimal(7))).risk_distance == 10
    assert state(entry(stop_loss=None, risk_distance=Decimal(7))).risk_distance == 7


def test_a_phantom_points_against_the_trend_and_is_never_entered() -> None:
    bearish = created(market_state={"trend_regime": "Bearish"})
    assert "phantom" in state(bearish).flags
    assert "phantom" in state(bearish, told(Kind.CANCELLED, 3)).flags
    assert "phantom" not in state(bearish, entry()).flags
    assert "phantom" not in state(created(market_state={"trend_regime": "Neutral"})).flags


def test_what_is_missing_or_contradictory_is_flagged() -> None:
    assert state(mfe(3, "1")).flags == ("direction_missing", "entry_missing", "orphan", "signal_time_from_id")
    assert state(created(), entry(entry_price=None)).flags == ("entry_price_missing",)
    contrary = state(created(), entry(), entry(3, direction="short", entry_price="25001"))
    assert contrary.flags == ("direction_conflict", "entry_price_conflict")
    assert (contrary.direction, contrary.entry_price) == ("long", Decimal("25000"))
    assert state(created(entry_price="24999"), entry()).flags == (), "a price before the entry is provisional"
    assert state(created(), entry(), EXIT_SL, told(Kind.EXIT_TP, 9)).flags == ("two_exits",)
    assert state(created(warnings=("be_mfe_clamped",))).flags == ("be_mfe_clamped",)


def test_alignment_comes_from_telemetry_first_and_uncomputed_ones_give_way() -> None:
    vague = {"m1": "Bullish", "all_bullish": True, "all_bearish": True}
    inside = entry(telemetry={"htf_alignment": {"m1": "Bullish"}}, htf_alignment={"m1": "Neutral"})
    assert (state(inside).htf_alignment, state(inside).htf_computed) == ({"m1": "Bullish"}, True)
    assert (state(entry(htf_alignment=vague)).htf_alignment, state(entry(htf_alignment=vague)).htf_computed) == (
        vague,
        False,
    )
    healed = told(Kind.SIGNAL_CREATED, 9, Source.RECONCILED, htf_alignment={"m1": "Bearish"})
    assert state(entry(htf_alignment=vague), healed).htf_alignment == {"m1": "Bearish"}
    assert state(entry(htf_alignment={})).htf_alignment is None


def test_a_cancellation_keeps_its_reason() -> None:
    seen = state(created(), told(Kind.CANCELLED, 4, reason="opposite", bars_pending=0, cancelled_by="T2"))
    assert (seen.cancelled_at, seen.cancel_reason, seen.bars_pending, seen.cancelled_by) == (at(3), "opposite", 0, "T2")


def test_receipts_are_remembered() -> None:
    repair = told(Kind.SIGNAL_CREATED, 9, Source.RECONCILED, htf_alignment={"m1": "Bearish"})
    seen = state(entry(), mfe(7, "1"), created(), repair)  # a repair is no news of the sender's
    assert (seen.first_received_at, seen.last_received_at, seen.last_kind) == (at(0), at(7), "MFE_UPDATE")


def test_the_hash_looks_at_the_domain_only() -> None:
    live, imported = state(entry(), mfe(3, "1.50")), state(mfe(3.05, "1.5", source=Source.IMPORT), entry(2.01))
    assert state_hash([live]) == state_hash([imported])
    assert state_hash([live]) != state_hash([state(entry(), mfe(3, "1.51"))])
    other = state(entry(), trade_id="T2")
    assert state_hash([live, other]) == state_hash([other, live])


def test_facts_are_written_in_one_form_and_another_version_is_refused() -> None:
    document = facts_to_json(fold([mfe(3, "100.0000")]))
    assert document["excursions"]["sent"]["be_mfe_r"] == ["2025-12-11T12:02:00+00:00", "100"]
    assert facts_to_json(fold([mfe(3, "1E+2")])) == document
    with pytest.raises(ValueError, match="rebuild"):
        facts_from_json(document | {"version": 0})
