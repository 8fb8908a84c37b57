"""Tick sizes and rounding to them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InvalidInputError
from core.instruments import root_of, round_to_tick, tick_size

KNOWN = {
    "MNQ1!": "0.25",
    "CME_MINI:MNQ1!": "0.25",
    "cme_mini:nq2!": "0.25",
    "MNQZ2025": "0.25",
    "MESM5": "0.25",
    "NQH26": "0.25",
    "CON.F.US.MES.M25": "0.25",
    "F.US.ENQ": "0.25",
    "EP": "0.25",
    "CME_MINI:RTY1!": "0.1",
    "M2KU2026": "0.1",
    "CBOT_MINI:MYM1!": "1",
    "YMZ5": "1",
    "COMEX:GC1!": "0.1",
    "MGCZ2025": "0.1",
    "NYMEX:MCL1!": "0.01",
    "CLF26": "0.01",
    "CME:6E1!": "0.00005",
    "CON.F.US.EU6.Z25": "0.00005",
    "EU6": "0.00005",
}


@pytest.mark.parametrize(("symbol", "tick"), KNOWN.items())
def test_every_way_of_writing_a_future_leads_to_its_tick_size(symbol: str, tick: str) -> None:
    assert tick_size(symbol) == Decimal(tick)


@pytest.mark.parametrize("symbol", ["", "AAPL", "BINANCE:BTCUSDT", "Z25", "1!", "MNQ1!!", "CON.F.US.XYZ.M25"])
def test_an_unknown_symbol_has_no_tick_size_rather_than_a_guessed_one(symbol: str) -> None:
    assert tick_size(symbol) is None


def test_the_root_is_what_remains_without_exchange_and_expiry() -> None:
    assert [root_of(s) for s in ("CME_MINI:MNQ1!", "6EZ2025", "CON.F.US.EU6.Z25")] == ["MNQ", "6E", "EU6"]


@pytest.mark.parametrize(
    ("price", "tick", "expected"),
    [
        (25238.3, "0.25", "25238.25"),
        (25238.375, "0.25", "25238.50"),
        (-0.125, "0.25", "-0.25"),
        (2045.0500000000002, "0.1", "2045.1"),
        (1.23457, "0.00005", "1.23455"),
        (Decimal("44321.4"), "1", "44321"),
    ],
)
def test_a_price_goes_to_the_nearest_tick(price: float | Decimal, tick: str, expected: str) -> None:
    assert str(round_to_tick(price, Decimal(tick))) == expected


@given(st.integers(-4_000_000, 4_000_000), st.sampled_from(["0.25", "0.1", "0.00005", "0.0078125", "1"]))
def test_a_price_that_came_as_a_float_finds_back_to_its_own_tick(ticks: int, tick: str) -> None:
    price = ticks * Decimal(tick)
    assert round_to_tick(float(price), Decimal(tick)) == price


@pytest.mark.parametrize(("price", "tick"), [(float("nan"), "0.25"), (float("inf"), "0.25"), (1.0, "0"), (1.0, "-1")])
def test_a_price_that_is_no_number_or_a_tick_that_is_no_step_is_refused(price: float, tick: str) -> None:
    with pytest.raises(InvalidInputError):
        round_to_tick(price, Decimal(tick))
