"""The account page in a real browser: turn the second factor on, log in with it, and read what was done."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyotp
import pytest
from flask_openapi3 import OpenAPI
from playwright.sync_api import expect

from tests.browser.conftest import DESKTOP, PHONE, Screen
from tests.support_http import PASSWORD

pytestmark = pytest.mark.browser


class FixedClock:
    """A clock that stands still until it is moved, so that no code runs out under the test."""

    def __init__(self) -> None:
        self.instant = datetime(2025, 11, 20, 15, 6, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self.instant

    def monotonic(self) -> float:
        return self.instant.timestamp()


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_from_a_password_to_a_second_factor(screen: Screen, app: OpenAPI, operator: str, size: dict[str, int]) -> None:
    clock = FixedClock()
    app.extensions["signalbook"].clock = clock
    screen.page.set_viewport_size(size)  # type: ignore[arg-type]
    page = screen.log_in(to="/account")
    assert screen.violations() == []
    page.get_by_role("button", name="Set it up").click()
    secret = page.locator("#secret").inner_text()
    expect(page.locator(".factor svg")).to_be_visible()
    page.wait_for_load_state()
    assert not screen.scrolls_sideways()
    assert screen.violations() == []
    factor = page.get_by_role("region", name="Second factor")
    factor.get_by_label("Code").fill(pyotp.TOTP(secret).at(clock.now()))
    factor.get_by_label("Password").fill(PASSWORD)
    factor.get_by_role("button", name="Turn it on").click()
    expect(page.get_by_text("On", exact=True)).to_be_visible()
    page.wait_for_load_state()
    assert screen.violations() == []
    page.get_by_role("button", name="Log out").click()
    clock.instant += timedelta(minutes=2)
    page = screen.fill_login(to="/audit")
    expect(page.get_by_role("heading", name="Enter the code")).to_be_visible()
    assert screen.violations() == []
    page.get_by_label("The six digits").fill(pyotp.TOTP(secret).at(clock.now()))
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("cell", name="pages.account.confirm")).to_be_visible()
    page.wait_for_load_state()
    assert not screen.scrolls_sideways()
    assert screen.violations() == []


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_another_password(screen: Screen, operator: str, size: dict[str, int]) -> None:
    screen.page.set_viewport_size(size)  # type: ignore[arg-type]
    page = screen.log_in(to="/account")
    for new, said in (("signalbook2025", "would be guessed"), ("blue lantern over the bay", "is changed")):
        page.get_by_label("Present password").fill(PASSWORD)
        page.get_by_label("New password, 10 to 200 characters").fill(new)
        page.get_by_label("New password once more").fill(new)
        page.get_by_role("button", name="Change it").click()
        expect(page.get_by_text(said)).to_be_visible()
        page.wait_for_load_state()
        assert not screen.scrolls_sideways()
        assert screen.violations() == []
