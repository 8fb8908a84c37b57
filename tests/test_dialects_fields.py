"""Names, spellings and values of the wire."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from core.lifecycle import Kind
from tests.support_dialects import code_of, event_of, read


@pytest.mark.parametrize(
    ("wire", "kind"),
    [
        ("signal_created", Kind.SIGNAL_CREATED),
        ("mfe_update", Kind.MFE_UPDATE),
        ("be_triggered", Kind.BE_TRIGGERED),
        ("EXIT_BREAK_EVEN", Kind.EXIT_BE),
        ("EXIT_STOP_LOSS", Kind.EXIT_SL),
        ("signal_completed", Kind.EXIT_SL),
        ("EXIT_TAKE_PROFIT", Kind.EXIT_TP),
        ("EXIT_TARGET", Kind.EXIT_TP),
        ("EXIT_TP", Kind.EXIT_TP),
    ],
)
def test_a_kind_has_several_names(wire: str, kind: Kind) -> None:
    assert event_of(event_type=wire).kind is kind


@pytest.mark.parametrize(
    ("stage", "kind"),
    [
        ("SIGNAL_DETECTED", Kind.SIGNAL_CREATED),
        ("CONFIRMATION_DETECTED", Kind.ENTRY),
        ("TRADE_ACTIVATED", Kind.ENTRY),
        ("MFE_UPDATE", Kind.MFE_UPDATE),
        ("SIGNAL_CANCELLED", Kind.CANCELLED),
    ],
)
def test_a_stage_is_a_kind(stage: str, kind: Kind) -> None:
    (event,) = read({"automation_stage": stage, "trade_id": "T1"}).events
    assert event.kind is kind


@pytest.mark.parametrize(("how", "kind"), [("STOP_LOSS", Kind.EXIT_SL), ("BREAK_EVEN", Kind.EXIT_BE)])
def test_a_resolution_is_an_exit(how: str, kind: Kind) -> None:
    (event,) = read({"automation_stage": "TRADE_RESOLVED", "signal_id": "T1", "resolution_type": how}).events
    assert event.kind is kind


def test_a_trade_resolved_in_an_unknown_way_is_quarantined() -> None:
    assert code_of({"automation_stage": "TRADE_RESOLVED", "signal_id": "T1", "resolution_type": "LUCK"}) == "unknown"
    assert code_of({"automation_stage": "TRADE_RESOLVED", "signal_id": "T1"}) == "unknown"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"event_type": "PARTY", "trade_id": "T1"}, "unknown"),
        ({"trade_id": "T1"}, "missing"),
        ({"event_type": 7, "trade_id": "T1"}, "missing"),
        ({"event_type": "ENTRY"}, "missing"),
        ({"event_type": "ENTRY", "trade_id": None}, "missing"),
        ({"event_type": "ENTRY", "trade_id": 20251120}, "invalid"),
        ({"event_type": "ENTRY", "trade_id": "A", "signal_id": "B"}, "ambiguous"),
    ],
)
def test_without_kind_and_trade_there_is_no_event(body: dict[str, Any], code: str) -> None:
    assert code_of(body) == code


@pytest.mark.parametrize(
    "trade_id",
    [
        "2,025001112_154100_BULLISH",
        "",
        " T1",
        "T1\n",
        "x" * 101,
        "20251120_093000000_BULLISH\u0000",
        "2025\u0661120",
        "B\u0410RISH",
        "\uff12\uff10\uff12\uff15",
        "T\u202e1",
        "\ufb01",
        "a/b",
        "<b>",
    ],
)
def test_a_trade_id_is_never_guessed(trade_id: str) -> None:
    assert code_of({"event_type": "ENTRY", "trade_id": trade_id}) == "invalid"


@pytest.mark.parametrize("trade_id", ["x" * 100, "20251213_104200000_BULLISH", "a-b:c.d_E"])
def test_allowed_trade_ids_are_opaque(trade_id: str) -> None:
    assert event_of(trade_id=trade_id).trade_id == trade_id


@pytest.mark.parametrize("spelling", ["Bullish", "bullish", "BULLISH", "LONG", "long"])
def test_long_has_many_spellings(spelling: str) -> None:
    assert event_of(direction=spelling).direction == "long"


@pytest.mark.parametrize("spelling", ["Bearish", "bearish", "BEARISH", "SHORT", "short"])
def test_short_has_many_spellings(spelling: str) -> None:
    assert event_of(direction=spelling).direction == "short"


@pytest.mark.parametrize("spelling", ["up", "Neutral", 1, ["long"]])
def test_an_unknown_direction_is_null_and_flagged(spelling: Any) -> None:
    event = event_of(direction=spelling)
    assert event.direction is None
    assert {"direction_invalid", "direction_missing"} <= set(event.warnings)


@pytest.mark.parametrize("name", ["mae_global_r", "mae_global_R", "mae_R_global", "mae"])
def test_mae_has_four_names(name: str) -> None:
    assert event_of(event_type="MFE_UPDATE", **{name: -0.5}).mae_r == Decimal("-0.5")


def test_the_early_mae_r_is_never_read_as_mae() -> None:
    understanding = read({"event_type": "MFE_UPDATE", "trade_id": "T1", "mfe_R": 1.5, "mae_R": 1.7})
    (event,) = understanding.events
    assert (event.mae_r, event.be_mfe_r, event.no_be_mfe_r) == (None, Decimal("1.5"), None)
    assert understanding.fused is not None
    assert understanding.fused["mae_R"] == Decimal("1.7")


@pytest.mark.parametrize("name", ["be_mfe", "be_mfe_R", "mfe_R", "final_be_mfe"])
def test_the_be_mfe_has_four_names(name: str) -> None:
    assert event_of(event_type="EXIT_BE", **{name: 1.25}).be_mfe_r == Decimal("1.25")


@pytest.mark.parametrize("name", ["no_be_mfe", "no_be_mfe_R", "final_no_be_mfe", "mfe"])
def test_the_no_be_mfe_has_four_names(name: str) -> None:
    assert event_of(event_type="EXIT_SL", **{name: 1.25}).no_be_mfe_r == Decimal("1.25")


@pytest.mark.parametrize("name", ["stop_loss", "sl_price", "stop", "stop_loss_price"])
def test_the_stop_has_four_names(name: str) -> None:
    assert event_of(**{name: 20480.25}).stop_loss == Decimal("20480.25")


@pytest.mark.parametrize("name", ["entry_price", "entry", "actual_entry_price"])
def test_the_entry_has_three_names(name: str) -> None:
    assert event_of(**{name: 20500.25}).entry_price == Decimal("20500.25")


def test_the_best_name_with_a_value_counts() -> None:
    assert event_of(entry_price=None, entry=20500).entry_price == 20500
    assert event_of(event_type="MFE_UPDATE", mfe=9, no_be_mfe=1).no_be_mfe_r == 1


def test_final_mfe_belongs_to_the_leg_that_ends() -> None:
    be_exit = event_of(event_type="EXIT_BREAK_EVEN", be_mfe=1.2, no_be_mfe=3, final_mfe_R=1.2)
    stop = event_of(event_type="EXIT_STOP_LOSS", be_mfe=1.2, no_be_mfe=3, final_mfe_R=3)
    assert (be_exit.final_be_mfe_r, be_exit.final_no_be_mfe_r) == (Decimal("1.2"), None)
    assert (stop.final_be_mfe_r, stop.final_no_be_mfe_r) == (None, Decimal(3))


def test_final_mfe_means_nothing_before_an_exit() -> None:
    event = event_of(event_type="MFE_UPDATE", final_mfe_R=4)
    assert (event.final_be_mfe_r, event.final_no_be_mfe_r, event.no_be_mfe_r) == (None, None, None)


def test_the_risk_is_sent_or_computed() -> None:
    assert event_of(entry_price=100, stop_loss=90).risk_distance == 10
    assert event_of(entry_price=100, stop_loss=90, risk=9.5).risk_distance == Decimal("9.5")


def test_an_entry_at_its_stop_has_no_risk() -> None:
    event = event_of(entry_price=100, stop_loss=100)
    assert event.risk_distance is None
    assert "risk_distance_out_of_range" in event.warnings


def test_r_values_have_four_places_and_prices_at_most_six() -> None:
    event = event_of(be_mfe=0.12345678, entry_price=20500.123456789, stop_loss=20480.25)
    assert str(event.be_mfe_r) == "0.1235"
    assert str(event.entry_price) == "20500.123457"
    assert str(event.stop_loss) == "20480.25"


def test_excursions_of_the_wrong_sign_are_clamped_and_flagged() -> None:
    event = event_of(event_type="MFE_UPDATE", be_mfe=-0.1, no_be_mfe=-0.2, mae=0.3)
    assert (event.be_mfe_r, event.no_be_mfe_r, event.mae_r) == (0, 0, 0)
    assert {"be_mfe_clamped", "no_be_mfe_clamped", "mae_global_r_clamped"} <= set(event.warnings)


def test_zero_is_a_value() -> None:
    event = event_of(event_type="MFE_UPDATE", be_mfe=0, no_be_mfe=0, mae=0)
    assert (event.be_mfe_r, event.no_be_mfe_r, event.mae_r) == (0, 0, 0)
    assert event.warnings == ("event_time_missing",)


def test_a_be_leg_above_the_other_is_flagged() -> None:
    assert "be_mfe_above_no_be_mfe" in event_of(event_type="MFE_UPDATE", be_mfe=2, no_be_mfe=1).warnings


@pytest.mark.parametrize(
    ("value", "doubt"),
    [
        ("NaN", "not_finite"),
        ("-Infinity", "not_finite"),
        ("na", "not_finite"),
        (0, "out_of_range"),
        (-5, "out_of_range"),
        (1e12, "out_of_range"),
        (1e-9, "out_of_range"),
        ("1e999", "out_of_range"),
        (True, "invalid"),
        ("12,5", "invalid"),
        ("\u0661\u0662", "invalid"),
        ([1], "invalid"),
        ({}, "invalid"),
    ],
)
def test_an_unusable_price_is_null_and_flagged(value: Any, doubt: str) -> None:
    event = event_of(entry_price=value)
    assert event.entry_price is None
    assert {f"entry_price_{doubt}", "entry_price_missing"} <= set(event.warnings)


def test_a_number_may_come_as_text() -> None:
    assert event_of(entry_price=" 20500.25 ").entry_price == Decimal("20500.25")


def test_an_r_value_that_rounds_beyond_its_column_is_out_of_range() -> None:
    event = event_of(event_type="MFE_UPDATE", be_mfe=999999.99999)
    assert event.be_mfe_r is None
    assert "be_mfe_out_of_range" in event.warnings


@pytest.mark.parametrize(("value", "bars"), [(3, 3), (3.0, 3), (0, 0), (2.5, None), (-1, None), (2**31, None)])
def test_bars_are_counted_in_whole_numbers(value: float, bars: int | None) -> None:
    assert event_of(bars_to_confirmation=value).bars_to_confirmation == bars


def test_long_text_is_cut_and_flagged() -> None:
    event = event_of(symbol="M" * 300)
    assert event.symbol == "M" * 50
    assert "symbol_truncated" in event.warnings


def test_a_timeframe_may_be_a_number() -> None:
    assert event_of(timeframe=1).timeframe == "1"


def test_unknown_fields_are_kept_in_the_fused_event() -> None:
    understanding = read({"event_type": "ENTRY", "trade_id": "T1", "mood": {"today": "good"}, "sl_price": 90})
    assert understanding.fused is not None
    assert understanding.fused["mood"] == {"today": "good"}
    assert understanding.fused["stop_loss"] == 90
    assert "sl_price" not in understanding.fused


def test_the_session_is_computed_and_the_label_kept_beside_it() -> None:
    body = {"event_type": "ENTRY", "trade_id": "T1", "session": "ASIA", "timestamp": "2025-11-20T09:30:00"}
    understanding = read(body)
    assert understanding.fused is not None
    assert (understanding.fused["session"], understanding.fused["session_label"]) == ("NY AM", "ASIA")


def test_a_date_without_a_time_and_an_unreadable_time_are_kept_as_they_came() -> None:
    body = {"event_type": "ENTRY", "trade_id": "T1", "signal_date": "2025-11-20", "timestamp": "soon"}
    understanding = read(body)
    assert understanding.fused is not None
    assert (understanding.fused["signal_date"], understanding.fused["event_time"]) == ("2025-11-20", "soon")
