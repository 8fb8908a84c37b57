"""Pages that keep themselves current: what goes wrong meanwhile, and what appears that was not there at first."""

from __future__ import annotations

import pytest
from playwright.sync_api import Route, expect

from core.lifecycle import Kind
from database.engine import Database
from tests.browser.conftest import Screen
from tests.support_signals import add, event

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("operator")]
PAGE = "/automated-signals/T1"
CALENDAR = "/automated-signals-calendar"


def cut_off(route: Route) -> None:
    """Pass the whole answer's headers on, but not most of its body."""
    asked = {name: value for name, value in route.request.headers.items() if name != "if-none-match"}
    answer = route.fetch(headers=asked)
    route.fulfill(status=answer.status, headers={"ETag": answer.headers["etag"]}, body=answer.text()[:200])


def test_a_page_that_was_cut_off_on_its_way_is_asked_for_again(screen: Screen, db: Database) -> None:
    add(db, event("T1", Kind.ENTRY))
    page = screen.log_in(to=PAGE)
    expect(page.locator("[data-picture][data-is-ready]")).to_have_count(1)
    page.route(f"**{PAGE}", cut_off)
    add(db, event("T1", Kind.EXIT_SL, 9))
    page.keyboard.press("r")
    expect(page.locator("[data-freshness]")).to_contain_text("stale since")
    page.unroute(f"**{PAGE}")
    page.keyboard.press("r")
    expect(page.locator('[data-part="marks"]')).to_contain_text("EXIT_SL")


def test_nothing_moves_when_a_page_says_that_it_is_live(screen: Screen) -> None:
    screen.page.route("**/*.js", lambda route: route.abort())
    page = screen.log_in(to=CALENDAR)
    head = page.locator(".page-head-end")
    before = head.bounding_box()
    page.unroute("**/*.js")
    screen.open(CALENDAR)
    expect(page.locator("[data-freshness].is-live")).to_have_count(1)
    assert head.bounding_box() == before


def test_what_a_signal_gains_while_its_page_is_open_appears_on_it(screen: Screen, db: Database) -> None:
    add(db, event("T1", Kind.SIGNAL_CREATED))
    page = screen.log_in(to=PAGE)
    expect(page.get_by_role("heading", name="Legs")).to_have_count(0)
    add(db, event("T1", Kind.ENTRY, 3), event("T1", Kind.EXIT_SL, 9), event("T1", Kind.CANCELLED, 12))
    page.keyboard.press("r")
    for title in ("Legs", "Flags"):
        expect(page.get_by_role("heading", name=title)).to_be_visible()
    page.get_by_text("Targets, 1R to 20R").click()
    add(db, event("T1", Kind.EXIT_BE, 8))
    page.keyboard.press("r")
    expect(page.locator('[data-part="marks"]')).to_contain_text("EXIT_BE")
    expect(page.locator(".targets li").first).to_be_visible()
    assert screen.violations() == []
