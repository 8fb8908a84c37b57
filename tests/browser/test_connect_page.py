"""The connection page in a real browser: from a new address over the first posted alert to its end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask_openapi3 import OpenAPI
from playwright.sync_api import expect
from prometheus_client import CollectorRegistry

from telemetry.parts import Telemetry
from tests.browser.conftest import DESKTOP, PHONE, Screen

pytestmark = pytest.mark.browser


@pytest.fixture
def intake(app: OpenAPI) -> Iterator[Telemetry]:
    """The running intake of the app: alerts that are posted get stored."""
    parts: Telemetry = app.extensions["telemetry"]
    parts.start(CollectorRegistry())
    yield parts
    parts.stop()


@pytest.mark.usefixtures("intake")
def test_from_a_new_address_to_the_first_alert(screen: Screen, operator: str) -> None:
    page = screen.log_in(to="/connect")
    expect(page.get_by_text("TradingView cannot use the address")).to_be_visible()
    page.get_by_label("Stream").fill("nq-1")
    page.get_by_role("button", name="Create address").click()
    address = page.locator("#webhook-url").inner_text()
    expect(page.get_by_text("Waiting for your first alert on stream nq-1")).to_be_visible()
    assert screen.violations() == []
    answer = page.request.post(address, data='{"event_type":"HEARTBEAT","signal_count":0}')
    assert answer.status == 200
    expect(page.get_by_text("The first alert is here.")).to_be_visible(timeout=6000)
    expect(page.locator("[data-hearing]")).to_contain_text("after the address was made, stored")
    assert screen.violations() == []
    page.get_by_role("link", name="Look at it").click()
    expect(page.get_by_role("heading", name="HEARTBEAT")).to_be_visible()
    screen.open("/connect")
    expect(page.locator("body")).not_to_contain_text(address.rsplit("/", 1)[1])


@pytest.mark.usefixtures("intake")
def test_a_revocation_is_asked_about_first(screen: Screen, operator: str) -> None:
    page = screen.log_in(to="/connect")
    page.get_by_role("button", name="Create address").click()
    expect(page.locator("#webhook-url")).to_be_visible()
    page.wait_for_load_state()
    page.get_by_role("button", name="Revoke").click()
    dialog = page.get_by_role("dialog", name="Revoke this address?")
    expect(dialog).to_contain_text("of stream main")
    assert screen.violations() == []
    page.keyboard.press("Escape")
    expect(page.get_by_text("valid", exact=True)).to_be_visible()
    page.get_by_role("button", name="Revoke").click()
    dialog.get_by_role("button", name="Revoke").click()
    expect(page.get_by_role("button", name="Revoke")).to_have_count(0)
    expect(page.get_by_role("cell", name="revoked", exact=True)).to_be_visible()


@pytest.mark.usefixtures("intake")
def test_connecting_works_on_a_phone_and_in_light(screen: Screen, operator: str) -> None:
    cookie = {"name": "view_theme", "value": "light", "url": screen.base}
    screen.page.context.add_cookies([cookie])  # type: ignore[list-item]
    screen.page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    page = screen.log_in(to="/connect")
    page.get_by_role("button", name="Create address").click()
    expect(page.locator("#webhook-url")).to_be_visible()
    page.wait_for_load_state()
    assert not screen.scrolls_sideways()
    assert screen.violations() == []


@pytest.mark.usefixtures("intake")
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_way_is_tested_and_the_kit_unfolds(screen: Screen, operator: str, size: dict[str, int]) -> None:
    screen.page.set_viewport_size(size)  # type: ignore[arg-type]
    page = screen.log_in(to="/connect")
    page.get_by_role("button", name="Create address").click()
    page.get_by_role("button", name="Send a test").click()
    expect(page.get_by_text("The test arrived")).to_be_visible()
    expect(page.get_by_text("Waiting for your first alert on stream main")).to_be_visible()
    for summary in page.locator("details.more > summary").all():
        summary.click()
    expect(page.get_by_role("region", name="The Pine script")).to_contain_text("//@version=6")
    expect(page.get_by_role("button", name="Copy the script")).to_be_visible()
    expect(page.get_by_role("cell", name="TradingView stops the alert").first).to_be_visible()
    assert not screen.scrolls_sideways()
    assert screen.violations() == []
