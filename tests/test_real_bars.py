"""The gateway's own bars: its higher timeframes are the roll-up of its lower ones, but for known glitches.

The file stays where it is; without it these tests say so and are skipped.
"""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from core.records import Bar, Timeframe, values_of
from ingestion.bars.files import parse_bars
from ingestion.bars.roll_up import roll_up
from tests.support_market import CALENDAR, Key, Values, at

DATA = Path(os.environ.get("SIGNALBOOK_DATA", Path(__file__).parents[2] / "shared" / "data"))
FILE = DATA / "bars" / "mes_m25_2025_5m_15m_1h_4h_1d.csv"
HOUR_GLITCHES = {at("2025-04-04 13:00"), at("2025-05-01 15:00")}
STORED_PARTIAL = {at("2025-05-13 02:00"), at("2025-05-13 18:00")}

pytestmark = pytest.mark.skipif(not FILE.exists(), reason="the gateway's real bars (SIGNALBOOK_DATA) are not here")


@pytest.fixture(scope="module")
def stored() -> list[Bar]:
    with FILE.open(newline="") as file:
        bars = [replace(bar, source="history") for bar in parse_bars(file)]
    return sorted(bars, key=lambda bar: bar.starts_at)


def compare(stored: list[Bar], lower: str, higher: str) -> tuple[dict[Key, Values], dict[Key, Values]]:
    """(rolled up, the gateway's own) where the gateway has a bar whose whole span the lower bars cover."""
    frame = Timeframe.parse(higher)
    parts = [bar for bar in stored if str(bar.timeframe) == lower]
    rolled = {(bar.timeframe, bar.starts_at): values_of(bar) for bar in roll_up(parts, frame, CALENDAR)}
    own = {(frame, bar.starts_at): values_of(bar) for bar in stored if bar.timeframe == frame}
    inside = {key for key in own if parts[0].starts_at <= key[1] <= parts[-1].starts_at}
    return {key: rolled.get(key, ()) for key in inside}, {key: own[key] for key in inside}  # type: ignore[misc]


GLITCHES: dict[str, set[datetime]] = {
    "15m": set(),
    "1h": HOUR_GLITCHES,
    "4h": {at("2025-04-04 10:00"), at("2025-05-01 14:00")} | STORED_PARTIAL,
    "1d": {at("2025-04-04 00:00"), at("2025-05-01 00:00")},
}


@pytest.mark.parametrize(
    ("higher", "same_prices", "same", "total"),
    [("15m", 3774, 3774, 3774), ("1h", 941, 941, 943), ("4h", 243, 242, 246), ("1d", 39, 38, 40)],
)
def test_five_minutes_rolled_up_equal_the_gateways_own_bars(
    stored: list[Bar], higher: str, same_prices: int, same: int, total: int
) -> None:
    rolled, own = compare(stored, "5m", higher)
    different = {start for frame, start in own if rolled[frame, start] != own[frame, start]}
    assert len(own) == total
    assert len(own) - len(different) == same
    assert sum(rolled[key][:4] == own[key][:4] for key in own) == same_prices
    assert different <= GLITCHES[higher]
