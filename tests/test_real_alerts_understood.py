"""Every alert of the real logs is understood; the logs stay where they are."""

from __future__ import annotations

import csv
import os
from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest

from core.lifecycle import Kind
from telemetry.dialects import Understanding
from telemetry.dialects.fields import TRADE_ID
from tests.support_dialects import read

CHECKOUT = Path(__file__).parent.parent
ALERTS = Path(os.environ.get("SIGNALBOOK_DATA", CHECKOUT.parent / "shared" / "data")) / "alerts"
pytestmark = pytest.mark.skipif(not ALERTS.is_dir(), reason="the real alert logs are not here (SIGNALBOOK_DATA)")


@pytest.fixture(scope="module")
def understood() -> list[Understanding]:
    found = []
    for path in sorted(ALERTS.glob("*.csv")):
        with path.open(newline="", encoding="utf-8") as rows:
            for row in csv.DictReader(rows):
                found.append(read(row["Description"], datetime.fromisoformat(row["Time"])))
    return found


def test_nothing_real_is_quarantined_but_ids_with_separators(understood: list[Understanding]) -> None:
    assert len(understood) > 2_800
    for understanding in understood:
        assert understanding.understood or understanding.errors[0].field == "trade_id"
        assert understanding.quarantined == 0 or understanding.errors[0].code == "invalid"


def test_every_malformed_entry_is_recovered_with_its_prices(understood: list[Understanding]) -> None:
    recovered = [understanding.events[0] for understanding in understood if understanding.repair]
    assert len(recovered) >= 6
    for event in recovered:
        assert event.kind is Kind.ENTRY
        assert event.entry_price
        assert event.stop_loss
        assert event.risk_distance == abs(event.entry_price - event.stop_loss)
        assert event.direction is not None
        assert event.direction == ("long" if event.trade_id.endswith("BULLISH") else "short")


def test_directions_agree_with_the_ids(understood: list[Understanding]) -> None:
    sides = Counter(
        (event.direction, event.trade_id.rpartition("_")[2])
        for found in understood
        for event in found.events
        if event.direction
    )
    assert set(sides) == {("long", "BULLISH"), ("short", "BEARISH")}


def test_event_times_lie_shortly_before_the_arrival(understood: list[Understanding]) -> None:
    """Times without offset read as New York time land within the 79 minutes that the script is known to lag."""
    for found in understood:
        for event in found.events:
            assert event.event_time is not None
            assert 0 < (event.received_at - event.event_time).total_seconds() < 90 * 60


def test_no_update_of_a_trade_shares_its_minute_with_another(understood: list[Understanding]) -> None:
    updates = [event for found in understood for event in found.events if event.kind is Kind.MFE_UPDATE]
    assert len({event.event_key for event in updates}) == len(updates) > 10_000


def test_ids_are_what_the_pattern_allows(understood: list[Understanding]) -> None:
    assert all(TRADE_ID.fullmatch(event.trade_id) for found in understood for event in found.events)
