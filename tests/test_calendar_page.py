"""The month calendar: New York days in weeks, totals of either leg, a day leads to its signals."""

from __future__ import annotations

import re
from datetime import date, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from flask.testing import FlaskClient
from flask_openapi3 import OpenAPI

from core.clock import ManualClock
from core.lifecycle import Kind
from database.engine import Database
from tests.support_http import get, listed, words
from tests.support_signals import START, add, event, fill
from web.dashboards.calendar import grid

PAGE = "/automated-signals-calendar"


def row(day: int, signals: int = 1, be: int | None = None) -> Any:
    return SimpleNamespace(
        signal_date=date(2025, 11, day), signals=signals, trades=1, completed=1, cancelled=0, be_results=0 if be is None else 1,
        be_total_r=be, no_be_results=1, no_be_total_r=-1,
    )  # fmt: skip


def test_weeks_run_from_sunday_and_hold_every_day_of_the_month_once() -> None:
    found = grid.weeks(date(2025, 11, 1), date(2025, 12, 1), [])
    days = [day.date for week in found for day in week.days if day.is_of_month]
    assert days == [date(2025, 11, 1) + timedelta(days=number) for number in range(30)]
    assert {week.days[0].date.isoweekday() for week in found} == {7}
    assert [week.total for week in found] == [None] * len(found)


def test_a_week_adds_up_what_is_known_and_leaves_other_months_out() -> None:
    other = row(3, 9)
    other.signal_date = date(2025, 12, 1)
    found = grid.weeks(date(2025, 11, 1), date(2025, 12, 1), [row(3, 2, 1), row(5, 3), row(30), other])
    assert found[1].total is not None
    assert (found[1].total["signals"], found[1].total["be_total_r"], found[1].total["no_be_total_r"]) == (5, 1, -2)
    assert found[5].total is not None
    assert found[5].total["signals"] == 1


def test_a_month_shows_counts_and_r_totals_of_either_leg(reader: FlaskClient, db: Database) -> None:
    fill(db)
    said = words(get(reader, f"{PAGE}?month=2025-12"))
    assert "December 2025 5 signals 3 trades 2 completed 1 cancelled" in said
    assert re.search("10 5 signals 3 trades BE \N{MINUS SIGN}1.00R No-BE \N{MINUS SIGN}2.00R", said)


def test_a_day_leads_to_its_signals(reader: FlaskClient, db: Database) -> None:
    fill(db)
    add(db, event("OTHER", Kind.ENTRY, 2 * 24 * 60))
    link = re.search(
        r'href="(/automated-signals\?[^"]*from=2025-12-10[^"]*)"', get(reader, f"{PAGE}?month=2025-12").text
    )
    assert link
    assert len(listed(get(reader, link[1].replace("&amp;", "&")))) == 5


def test_without_a_month_it_is_the_present_one_in_new_york(app: OpenAPI, reader: FlaskClient) -> None:
    app.extensions["signalbook"].clock = ManualClock(START.replace(month=12, day=1, hour=3))  # still November there
    said = words(get(reader, PAGE))
    assert "November 2025 No signals in this month" in said
    assert "30 today" in said


@pytest.mark.parametrize("month", ["2025-13", "2025-00", "x", "0000-01", "2999-01"])
def test_a_month_that_is_none_is_named(reader: FlaskClient, month: str) -> None:
    answer = get(reader, f"{PAGE}?month={month}")
    assert answer.status_code == 422
    assert "month: must" in answer.text


def test_a_stream_restricts_the_month(reader: FlaskClient, db: Database) -> None:
    fill(db)
    add(db, event("S", Kind.ENTRY, stream="second"))
    assert "December 2025 1 signals" in words(get(reader, f"{PAGE}?month=2025-12&stream=second"))
    assert "December 2025 6 signals" in words(get(reader, f"{PAGE}?month=2025-12"))
