"""The buttons of the outage drill: what they say, and what is read aloud while it runs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from playwright.sync_api import Route, expect

from core.settings import Settings
from tests.browser.conftest import Screen

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("operator")]
DETAIL = "the database is taken away for {} s more: 3 alerts accepted"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """A demo, which alone has the drill."""
    return replace(settings, demo=True)


def test_a_button_can_be_pressed_again_after_an_answer_that_did_not_come(screen: Screen) -> None:
    page = screen.log_in(to="/status")
    page.route("**/status/drill", lambda route: route.abort())
    button = page.get_by_role("button", name="Take the feed away for 60 s")
    button.click()
    expect(page.locator("[data-drill-says]")).to_have_text("No answer from the service; try again.")
    expect(button).to_be_enabled()


def test_the_countdown_of_a_drill_is_not_read_aloud(screen: Screen) -> None:
    left = iter(range(60, 0, -1))

    def ready(route: Route) -> None:
        route.fulfill(json={"checks": {"drill": {"status": "warn", "detail": DETAIL.format(next(left))}}})

    screen.page.route("**/readyz", ready)
    page = screen.log_in(to="/status")
    expect(page.locator("[data-drill-figures]")).to_have_text("for 58 s more: 3 alerts accepted")
    expect(page.get_by_role("status").filter(has_text="taken away")).to_have_text("the database is taken away")
