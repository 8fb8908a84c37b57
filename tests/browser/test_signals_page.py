"""The pages of signals in a real browser: walked by keys, current without jumping, usable by everyone."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from core.lifecycle import Kind
from database.engine import Database
from tests.browser.conftest import PHONE, Screen
from tests.support_signals import add, event, mfe

pytestmark = pytest.mark.browser
LIST = "/automated-signals"


@pytest.fixture
def lives(db: Database, operator: str) -> None:
    """Sixty pending signals, one that runs, one whose BE result is unknown."""
    add(db, *(event(f"P{number:02}", Kind.SIGNAL_CREATED, number) for number in range(60)))
    add(db, event("RUN", Kind.ENTRY, 61), *(mfe("RUN", 61 + minute, "0.5", "1.5") for minute in range(1, 30)))
    add(db, event("ODD", Kind.ENTRY, 62), mfe("ODD", 63, "0.3", "0.3"), event("ODD", Kind.EXIT_BE, 64))


def arrived(page: Page, title: str) -> None:
    """Wait for a page and its scripts."""
    expect(page).to_have_title(f"{title} · Signalbook")
    page.wait_for_load_state()


@pytest.mark.usefixtures("lives")
def test_keys_walk_the_list_open_a_signal_and_lead_back(screen: Screen) -> None:
    page = screen.log_in(to=LIST)
    for key in ("j", "j", "j", "k"):
        page.keyboard.press(key)
    expect(page.locator('tr[aria-selected="true"]')).to_have_attribute("data-id", "main/RUN")
    for key, title in (("Enter", "RUN"), ("[", "P59"), ("]", "RUN"), ("Escape", "Signals")):
        page.keyboard.press(key)
        arrived(page, title)
    page.keyboard.press("5")
    expect(page.locator('.tabs [aria-current="page"]')).to_contain_text("Pending")


@pytest.mark.usefixtures("lives")
def test_a_change_appears_while_what_is_looked_at_stays_in_its_place(screen: Screen, db: Database) -> None:
    page = screen.log_in(to=LIST)
    box, row = page.locator("[data-rows]"), page.locator('tr[data-id="main/P30"]')
    row.locator("a").focus()
    box.evaluate("(box) => { box.scrollTop = 700; }")
    place = row.bounding_box()
    add(db, event("NEW", Kind.SIGNAL_CREATED, 90), mfe("P10", 91, "2.25", "2.25"))
    page.keyboard.press("r")
    expect(page.locator('tr[data-id="main/NEW"]')).to_have_count(1)
    expect(page.locator('tr[data-id="main/P10"]')).to_contain_text("+2.25R")
    assert row.bounding_box() == place
    expect(row.locator("a")).to_be_focused()
    expect(page.locator(".tabs a").first).to_contain_text("63")


@pytest.mark.usefixtures("lives")
def test_a_list_that_gets_no_answer_says_since_when(screen: Screen) -> None:
    page = screen.log_in(to=LIST)
    page.route("**/automated-signals*", lambda route: route.abort())
    page.keyboard.press("r")
    expect(page.locator("[data-freshness]")).to_contain_text("stale: no answer since")


@pytest.mark.usefixtures("lives")
@pytest.mark.parametrize(("theme", "palette"), [("dark", "teal"), ("light", "blue")])
def test_signals_are_for_everyone_on_every_screen(screen: Screen, theme: str, palette: str) -> None:
    views = {"view_theme": theme, "view_palette": palette}
    screen.page.context.add_cookies(
        [{"name": name, "value": value, "url": screen.base} for name, value in views.items()]
    )
    screen.log_in(to=LIST)
    for path in (LIST, f"{LIST}/ODD", f"{LIST}/RUN?events=all"):
        screen.page.set_viewport_size({"width": 1440, "height": 900})
        screen.open(path)
        assert screen.violations() == [], path
        screen.page.set_viewport_size(PHONE)  # type: ignore[arg-type]
        assert not screen.scrolls_sideways(), path
