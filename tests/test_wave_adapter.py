"""What a wave signal on the wire means, field by field."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from core.wave_records import PARAM_FIELDS
from tests.support_waves import FOUR, RECEIVED, WAVE, raw_signal, signal
from waves.adapter import _extract_filter_params, adapt_signal


def test_all_parameters_become_filter_params() -> None:
    found = signal(**FOUR, score_week_filter=65, score_month_filter=60.5)
    assert found.filter_params == {
        "max_trades_filter": Decimal(6),
        "stop_loss_filter": Decimal("4.0"),
        "trailing_activation_filter": Decimal("2.0"),
        "trailing_distance_filter": Decimal("0.5"),
        "score_week_filter": Decimal(65),
        "score_month_filter": Decimal("60.5"),
    }
    assert found.is_valid
    assert found.warnings == ()


def test_some_parameters_become_those_alone() -> None:
    found = signal(stop_loss_filter=2.5, max_trades_filter=None)
    assert found.filter_params == {"stop_loss_filter": Decimal("2.5")}
    assert found.warnings == ()


def test_a_signal_without_parameters_stays_as_it_was() -> None:
    found = signal()
    assert found.filter_params is None
    assert (found.symbol, found.action, found.score_week) == ("COIN1USDT", "BUY", Decimal("75.5"))
    assert found.raw == raw_signal()


@pytest.mark.parametrize("exchange_id", [1, 2, 7, 2_147_483_647])
def test_the_exchange_is_kept_known_or_not(exchange_id: int) -> None:
    assert signal(exchange_id=exchange_id, **FOUR).exchange_id == exchange_id


@pytest.mark.parametrize("exchange_id", [0, -1, True, "1", 1.5, None, 2**31])
def test_an_exchange_that_is_none_is_a_fault_and_not_mapped_to_another(exchange_id: Any) -> None:
    found = adapt_signal(raw_signal() | {"exchange_id": exchange_id}, RECEIVED)
    assert found.exchange_id is None
    assert found.faults == ("exchange_id: missing or invalid",)


@pytest.mark.parametrize("name", PARAM_FIELDS)
@pytest.mark.parametrize(
    "bad", [True, False, float("nan"), float("inf"), -float("inf"), "six", "", [], {}, "1e9", 1e12]
)
def test_a_bad_parameter_costs_itself_alone_and_is_named(name: str, bad: Any) -> None:
    given = {**FOUR, "score_week_filter": 65, "score_month_filter": 60}
    found, warnings = _extract_filter_params(raw_signal(**given | {name: bad}))
    assert set(found or {}) == set(given) - {name}
    assert len(warnings) == 1
    assert warnings[0].startswith(f"{name}: ")


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("max_trades_filter", 0),
        ("max_trades_filter", -3),
        ("max_trades_filter", 6.5),
        ("max_trades_filter", 1001),
        ("stop_loss_filter", 0),
        ("stop_loss_filter", -2.0),
        ("trailing_activation_filter", 0.00001),
        ("trailing_distance_filter", 1_000_000),
    ],
)
def test_a_parameter_out_of_its_range_is_refused(name: str, bad: Any) -> None:
    found, warnings = _extract_filter_params({name: bad})
    assert found is None
    assert warnings[0].startswith(f"{name}: must be")


def test_numbers_keep_four_decimals_and_their_exact_value() -> None:
    assert signal(stop_loss_filter=0.1).filter_params == {"stop_loss_filter": Decimal("0.1")}
    assert signal(stop_loss_filter="2.5").filter_params == {"stop_loss_filter": Decimal("2.5")}
    assert signal(stop_loss_filter=2.00005).filter_params == {"stop_loss_filter": Decimal("2.0001")}
    assert signal(max_trades_filter=6.0).filter_params == {"max_trades_filter": Decimal(6)}


@pytest.mark.parametrize(
    ("text", "wave"),
    [
        ("2025-10-27T18:30:00", WAVE),
        ("2025-10-27T18:30:00Z", WAVE),
        ("2025-10-27T18:30:00.1234567+00:00", WAVE),
        ("2025-10-27T14:44:59-04:00", WAVE),
        ("2025-10-27 18:37:12", WAVE),
    ],
)
def test_the_wave_is_the_candle_of_the_signals_own_time(text: str, wave: datetime) -> None:
    assert adapt_signal(raw_signal() | {"timestamp": text}, RECEIVED).wave_timestamp == wave


def test_without_a_time_of_its_own_the_wave_expected_at_its_creation_is_taken() -> None:
    found = adapt_signal(raw_signal() | {"timestamp": None}, RECEIVED)
    assert found.wave_timestamp == WAVE
    assert found.warnings == ("timestamp: taken from created_at",)


@pytest.mark.parametrize("value", ["tomorrow", 12, [], "0001-01-01T00:00:00", "9999-12-31T23:59:59-10:00", True])
def test_a_time_that_is_none_leaves_no_wave(value: Any) -> None:
    found = adapt_signal(raw_signal() | {"timestamp": value, "created_at": value}, RECEIVED)
    assert found.wave_timestamp is None
    assert "timestamp: missing or invalid" in found.faults


def test_a_wave_of_the_future_is_refused_or_it_would_block_every_later_one() -> None:
    found = adapt_signal(raw_signal(wave=RECEIVED + timedelta(days=1)), RECEIVED)
    assert found.wave_timestamp is None
    assert found.faults == ("timestamp: lies in the future",)


def test_the_later_family_of_fields_is_read_too() -> None:
    later = {
        "id": 9,
        "symbol": "ETHUSDT",
        "direction": "SHORT",
        "total_score": 81.25,
        "rsi": 71.2,
        "patterns": ["x"],
        "timestamp": "2026-02-03T10:15:00+00:00",
        "exchange_id": 2,
        "stop_loss_filter": 3,
    }
    found = adapt_signal(later, datetime(2026, 2, 3, 10, 36, tzinfo=UTC))
    assert (found.symbol, found.action, found.score_week) == ("ETHUSDT", "SELL", Decimal("81.25"))
    assert found.is_valid


def test_signals_without_an_id_are_told_apart_by_what_they_say() -> None:
    one, other = ({k: v for k, v in raw_signal(n).items() if k != "id"} for n in (1, 2))
    assert adapt_signal(one, RECEIVED).signal_key == adapt_signal(dict(one), RECEIVED).signal_key
    assert adapt_signal(one, RECEIVED).signal_key != adapt_signal(other, RECEIVED).signal_key


def test_no_json_value_in_any_field_raises() -> None:
    random.seed(9)
    names = [*raw_signal(**FOUR), "symbol", "direction", "total_score", "score_week_filter"]
    values: list[Any] = [None, True, 0, -1, 1e308, 10**400, float("nan"), "", "\0", "\ud800", "x" * 999, [], {}, [[1]]]
    values += ["2025-13-45", "9" * 12, "BUY", Decimal("NaN"), Decimal("1E+500"), Decimal("-0")]
    for _ in range(5_000):
        raw = raw_signal(**FOUR) | {name: random.choice(values) for name in random.sample(names, 5)}
        found = adapt_signal(raw, RECEIVED)
        assert all(value.is_finite() for value in (found.filter_params or {}).values())
        assert json.dumps(found.faults + found.warnings)
