"""Every page of signals with none, with one, with two hundred, and with the database stopped: whole, for everyone, no wider
than a phone."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from core.lifecycle import Kind, LifecycleEvent
from database.engine import Database
from tests.browser.conftest import DESKTOP, PHONE, Screen
from tests.support_deliveries import deliver
from tests.support_service import turn_off, turn_on
from tests.support_signals import add, event, measure, mfe

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("operator")]
LIST = "/automated-signals"
MONTH = f"{LIST}-calendar?month=2025-12"
PAGES = (LIST, f"{LIST}?status=cancelled", MONTH, f"{LIST}-analytics", f"{LIST}-quality", f"{LIST}-telemetry")
PANELS = """() => [...document.querySelectorAll("main section, main .table-box, [data-plot], .chart")]
    .filter((each) => each.checkVisibility() && !each.innerText.trim() && !each.querySelector("canvas, svg"))
    .map((each) => each.outerHTML.slice(0, 120))"""
"""Panels that can be seen and hold nothing."""


def life(number: int) -> list[LifecycleEvent]:
    """One signal: completed, running, cancelled or pending, in turn."""
    name, at = f"S{number:03}", number * 3
    created, entry = event(name, Kind.SIGNAL_CREATED, at), event(name, Kind.ENTRY, at + 1)
    return [
        [entry, mfe(name, at + 2, "0.75", "1.5"), event(name, Kind.EXIT_SL, at + 9)],
        [created, entry, mfe(name, at + 2, "0.5", "0.5")],
        [created, event(name, Kind.CANCELLED, at + 4, reason="opposite_signal_appeared", cancelled_by="X")],
        [created],
    ][number % 4]


def fill(db: Database, count: int) -> None:
    """So many signals with their lives and the log of deliveries beside them."""
    add(db, *(each for number in range(count) for each in life(number)))
    deliver(db, *({"event_type": "HEARTBEAT", "signal_count": number} for number in range(count)))
    if count:
        measure(db, "S000", "no_mae")


def is_drawn(page: Page) -> None:
    """Wait for charts, where the page has any."""
    if page.locator("[data-analytics]").count():
        expect(page.locator("[data-analytics][data-is-ready]")).to_have_count(1, timeout=20_000)
    if page.locator("[data-picture]").count():
        expect(page.locator("[data-picture][data-is-ready]")).to_have_count(1, timeout=20_000)


@pytest.mark.parametrize(("count", "rows"), [(0, 0), (1, 1), (200, 100)])
def test_every_page_is_whole_with_so_many_signals(screen: Screen, db: Database, count: int, rows: int) -> None:
    fill(db, count)
    page = screen.log_in(to=LIST)
    expect(page.locator("[data-rows] tbody tr")).to_have_count(rows)
    for path in (*PAGES, *([f"{LIST}/S000"] if count else [])):
        page.set_viewport_size(DESKTOP)  # type: ignore[arg-type]
        screen.open(path)
        is_drawn(page)
        assert page.evaluate(PANELS) == [], path
        if count < 200:  # what is right for one row is right for its repeats, and looking at each takes long
            assert screen.violations() == [], path
        page.set_viewport_size(PHONE)  # type: ignore[arg-type]
        assert not screen.scrolls_sideways(), path


def test_two_hundred_signals_are_walked_page_by_page(screen: Screen, db: Database) -> None:
    fill(db, 200)
    page = screen.log_in(to=LIST)
    expect(page.locator('.tabs [data-key="1"]')).to_contain_text("200")
    page.get_by_role("link", name="Older").click()
    expect(page.locator("[data-rows] tbody tr").last).to_have_attribute("data-id", "main/S000")
    page.get_by_role("link", name="Newest").click()
    expect(page.locator("[data-rows] tbody tr").first).to_have_attribute("data-id", "main/S199")
    page.get_by_role("link", name="Health", exact=True).click()
    expect(page.locator("[data-rows] tbody tr").first).to_have_attribute("data-id", "main/S000")


def test_with_the_database_stopped_every_page_says_so_and_the_list_keeps_what_it_knows(
    screen: Screen, postgres: str, database_url: str, db: Database
) -> None:
    fill(db, 1)
    page = screen.log_in(to=LIST)
    db.close()
    turn_off(postgres, database_url)
    page.keyboard.press("r")
    expect(page.locator("[data-freshness]")).to_contain_text("stale since", timeout=20_000)
    expect(page.locator("[data-rows] tbody tr")).to_have_count(1)
    assert screen.violations() == []
    for path in (LIST, MONTH, f"{LIST}-analytics", f"{LIST}/S000"):
        page.set_viewport_size(DESKTOP)  # type: ignore[arg-type]
        screen.open(path)
        expect(page.locator(".fault")).to_contain_text("Service Unavailable")
        assert screen.violations() == [], path
        page.set_viewport_size(PHONE)  # type: ignore[arg-type]
        assert not screen.scrolls_sideways(), path
    turn_on(postgres, database_url)
    screen.open(LIST)
    expect(page.locator("[data-rows] tbody tr")).to_have_count(1, timeout=20_000)
