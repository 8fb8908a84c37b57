"""The real log of December 2025: its holes are found, the daily break inside it is none."""

from __future__ import annotations

import csv
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.trading_calendar import cme_equity_calendar
from hybrid_sync.outages import find_silences

CHECKOUT = Path(__file__).parent.parent
DATA = Path(os.environ.get("SIGNALBOOK_DATA", CHECKOUT.parent / "shared" / "data"))
LOG = DATA / "alerts" / "2025-12-11_batch.csv"
pytestmark = pytest.mark.skipif(not LOG.is_file(), reason="the real alert logs are not here (SIGNALBOOK_DATA)")


def test_the_holes_of_seven_minutes_and_more_are_found_and_the_break_is_none() -> None:
    with LOG.open(newline="", encoding="utf-8") as rows:
        times = sorted(datetime.fromisoformat(row["Time"]) for row in csv.DictReader(rows))
    found = find_silences(times, times[-1], cme_equity_calendar())
    close, reopen = datetime(2025, 12, 10, 22, tzinfo=UTC), datetime(2025, 12, 10, 23, tzinfo=UTC)
    assert times[0] < close
    assert times[-1] > reopen
    assert [one for one in found if close <= one.starts_at < reopen] == []
    assert [round(one.open_minutes) for one in found if one.open_minutes >= 7] == [9, 8, 24, 10]
