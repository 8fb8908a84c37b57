"""Calendar, analytics, data quality and deletion in a real browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from core.lifecycle import Kind
from database.engine import Database
from tests.browser.conftest import DESKTOP, PHONE, Screen
from tests.support_signals import add, event
from tests.test_analytics import fill

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("operator")]
LIST = "/automated-signals"
GAP_OF_LEG = """({ firstElementChild: name, lastElementChild: value }) =>
  Math.round(value.getBoundingClientRect().left - name.getBoundingClientRect().right)"""
SPACE_BEFORE = """(element) => {
  const text = document.createRange();
  text.selectNode(element.previousSibling);
  return element.getBoundingClientRect().left - text.getBoundingClientRect().right;
}"""
LOOKS = (
    "/automated-signals-calendar?month=2025-12",
    "/automated-signals-analytics?target=2",
    "/automated-signals-quality",
)


def test_every_look_is_for_everyone_on_every_screen(screen: Screen, db: Database) -> None:
    fill(db)
    screen.log_in(to=LIST)
    for path in LOOKS:
        screen.page.set_viewport_size(DESKTOP)  # type: ignore[arg-type]
        screen.open(path)
        expect(screen.page.locator('.bar-nav [aria-current="page"]')).to_have_text("Signals")
        assert screen.violations() == [], path
        screen.page.set_viewport_size(PHONE)  # type: ignore[arg-type]
        assert not screen.scrolls_sideways(), path


def test_the_tabs_lead_to_every_look_and_back(screen: Screen, db: Database) -> None:
    fill(db)
    page = screen.log_in(to=LIST)
    for name in ("Calendar", "Analytics", "Data Quality"):
        page.locator(".tabs").get_by_role("link", name=name).click()
        expect(page.locator('.tabs [aria-current="page"]')).to_have_text(name)
    for name in ("Completed", "All Signals"):
        page.locator(".tabs").get_by_role("link", name=name).click()
        expect(page.locator('.tabs [aria-current="page"]')).to_contain_text(name)
        page.go_back()


def test_every_chart_of_the_analytics_is_drawn_and_follows_the_exit_rule(screen: Screen, db: Database) -> None:
    fill(db)
    page = screen.log_in(to="/automated-signals-analytics")
    page.get_by_label("Exit rule").select_option("2")  # a choice is shown at once
    page.wait_for_url("**target=2*")
    expect(page.locator("[data-analytics][data-is-ready]")).to_have_count(1, timeout=15_000)
    for box in page.locator("[data-plot]").all():
        assert box.locator("canvas").count() == 1
    expect(page.locator(".page-head")).to_contain_text("60 completed trades, exits out at +2R")


def test_a_day_of_the_month_leads_to_its_signals_and_keys_turn_the_pages(screen: Screen, db: Database) -> None:
    fill(db)
    page = screen.log_in(to=LOOKS[0])
    page.keyboard.press("[")
    expect(page.locator("h1")).to_have_text("November 2025")
    page.wait_for_load_state()
    page.keyboard.press("]")
    expect(page.locator("h1")).to_have_text("December 2025")
    page.get_by_title("The signals of 2025-12-12").click()
    expect(page.locator("[data-rows] tbody tr")).to_have_count(2)


def test_a_week_is_read_like_its_days(screen: Screen, db: Database) -> None:
    fill(db)
    page = screen.log_in(to=LOOKS[0])
    week = page.locator(".month .week", has_text="signals").first
    row = week.locator("xpath=..")
    expect(week.get_by_text("Week", exact=True)).to_be_hidden()  # the head of the column says it
    counts = row.locator("td").get_by_text("signal", exact=False)
    tops = {round(box["y"]) for box in (each.bounding_box() for each in counts.all()) if box}
    assert len(tops) == 1
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    gaps = {cell.locator(".leg").first.evaluate(GAP_OF_LEG) for cell in (row.locator("td:has(a)").first, week)}
    assert len(gaps) == 1


def test_signals_are_ticked_by_key_deleted_with_a_reason_and_restored(screen: Screen, db: Database) -> None:
    add(db, *(event(f"T{number}", Kind.ENTRY, number) for number in range(3)))
    page = screen.log_in(to=LIST)
    page.locator("summary", has_text="Delete").click()
    expect(page.get_by_role("button", name="Delete ticked signals")).to_be_disabled()
    page.keyboard.press("Escape")
    for key in ("j", "x", "j", "x"):
        page.keyboard.press(key)
    add(db, event("T2", Kind.BE_TRIGGERED, 9))  # a row that changes meanwhile stays ticked
    page.keyboard.press("r")
    expect(page.locator('tr[data-id="main/T2"]')).to_contain_text("BE_TRIGGERED")
    expect(page.locator("[data-picked]")).to_have_text("2")
    assert page.locator("[data-picked]").evaluate(SPACE_BEFORE) > 2
    page.locator("summary", has_text="Delete").click()
    page.get_by_label("Why").fill("fired twice")
    assert screen.violations() == []
    page.get_by_role("button", name="Delete ticked signals").click()
    expect(page.locator('[data-part="deleted"]')).to_contain_text("fired twice")
    screen.open(LIST)
    expect(page.locator("[data-rows] tbody tr")).to_have_count(1)
    screen.open(f"{LIST}/T2")
    expect(page.get_by_text("deleted this signal")).to_be_visible()
    assert screen.violations() == []
    page.get_by_role("button", name="Undo the deletion").click()
    screen.open(LIST)
    expect(page.locator("[data-rows] tbody tr")).to_have_count(2)
