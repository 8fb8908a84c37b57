"""The page of the API in a real browser: for everyone, on every screen."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PHONE, Screen

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_the_api_page_is_for_everyone_on_every_screen(screen: Screen, operator: str, theme: str) -> None:
    screen.page.context.add_cookies([{"name": "view_theme", "value": theme, "url": screen.base}])
    page = screen.log_in()
    page.get_by_role("link", name="the API").click()
    expect(page).to_have_title("API · Signalbook")
    assert screen.violations() == []
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    assert not screen.scrolls_sideways()
    assert screen.violations() == []
