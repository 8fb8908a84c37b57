"""The market data page in Chromium: candles, the feed, the coverage map."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from decimal import Decimal

import pytest
from flask_openapi3 import OpenAPI
from playwright.sync_api import Page, Route, expect

from core.clock import SystemClock
from core.records import Bar, Timeframe
from database import bars
from database.bars import Contract
from database.engine import Database
from tests.browser.conftest import PHONE, Screen
from tests.support_feed import wait_for

pytestmark = pytest.mark.browser

CONTRACT = "CON.F.US.MNQ.Z26"
MINUTE = Timeframe.parse("1m")


@pytest.fixture
def market(db: Database) -> None:
    end = SystemClock().now().replace(second=0, microsecond=0)
    given = []
    for number in range(900):
        price = Decimal(25_000 + number % 40)
        given.append(
            Bar(
                contract_id=CONTRACT, timeframe=MINUTE, starts_at=end - timedelta(minutes=900 - number), open=price,
                high=price + 3, low=price - 3, close=price + 1, volume=10 + number % 7, source="history",
            )
        )  # fmt: skip
    forming = [end.timestamp(), 25_001, 25_004.25, 25_000, 25_004.25, 12]
    state = {"is_connected": True, "ticks": 1234, "last_tick_at": end, "forming": {CONTRACT: {"1m": forming}}}
    with db.transaction() as cur:
        bars.save_contract(cur, Contract(CONTRACT, "MNQZ6", "Micro E-mini Nasdaq-100", Decimal("0.25")))
        bars.upsert_bars(cur, given)
        bars.add_span(cur, CONTRACT, MINUTE, source="history", start=given[0].starts_at, end=end)
        bars.save_feed_state(cur, "market", state)


def opened(screen: Screen, path: str = "/market-data") -> Page:
    page = screen.log_in(to=path)
    page.wait_for_selector("[data-market][data-is-ready]")
    return page


@pytest.mark.usefixtures("operator", "market")
def test_the_page_shows_candles_the_forming_bar_and_the_feed(screen: Screen) -> None:
    page = opened(screen)
    expect(page.locator("[data-last]")).to_have_text("25004.25")
    expect(page.locator("[data-summary]")).to_contain_text("601 bars")
    expect(page.locator("[data-feed-state]")).to_contain_text("Connected")
    expect(page.locator('[data-figure="ticks"]')).to_have_text(re.compile(r"^1.234$"))
    assert page.locator("[data-chart] canvas").count() > 0
    assert page.locator("[data-coverage] td").count() > 24 * 14


@pytest.mark.usefixtures("operator", "market")
def test_without_a_stream_a_new_price_moves_the_candle_all_the_same(screen: Screen, db: Database) -> None:
    screen.page.route("**/api/stream?*", lambda route: route.fulfill(status=503))
    page = opened(screen)
    expect(page.locator("[data-way]")).to_have_text("asking every second")
    at = SystemClock().now().replace(second=0, microsecond=0).timestamp()
    forming = {CONTRACT: {"1m": [at, 25_001, 25_010, 25_000, 25_009.75, 13]}}
    with db.transaction() as cur:
        bars.save_feed_state(cur, "market", {"is_connected": True, "forming": forming})
    expect(page.locator("[data-last]")).to_have_text("25009.75", timeout=15_000)


@pytest.mark.usefixtures("operator", "market")
def test_the_stream_moves_candle_and_quote_and_the_page_asks_for_no_bars(screen: Screen, app: OpenAPI) -> None:
    page = opened(screen)
    hub = app.extensions["signalbook.hub"]
    wait_for(lambda: hub.count() == 1)
    expect(page.locator("[data-way]")).to_have_text("live")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    at = SystemClock().now().replace(second=0, microsecond=0).timestamp()
    for close in (25_010.25, 25_011.5):
        told = {
            "forming": {"1m": [at, 25_001, 25_012, 25_000, close, 14]},
            "quote": {"bid": close - 0.25, "ask": close},
        }
        hub.publish_notification("forming", json.dumps({"contract_id": CONTRACT} | told))
        expect(page.locator("[data-last]")).to_have_text(f"{close:.2f}")
        expect(page.locator("[data-bid]")).to_have_text(f"{close - 0.25:.2f}")
    assert not [url for url in asked if "/bars" in url]
    page.get_by_role("button", name="UTC").click()
    expect(page.locator("[data-summary]")).to_contain_text("UTC")
    with page.expect_request(lambda request: "changed_since" in request.url):
        told = {"contract_id": CONTRACT, "bars": [["1m", "2026-11-18T15:00:00+00:00", 0]]}
        hub.publish_notification("bars", json.dumps(told))


@pytest.mark.usefixtures("operator", "market")
def test_an_answer_that_was_on_its_way_takes_no_newer_price_back(screen: Screen, app: OpenAPI) -> None:
    page = opened(screen)
    hub = app.extensions["signalbook.hub"]
    expect(page.locator("[data-way]")).to_have_text("live")
    waiting: list[Route] = []

    def hold(route: Route) -> None:
        waiting.append(route)

    page.route(re.compile("changed_since"), hold)
    hub.publish_notification("bars", json.dumps({"contract_id": CONTRACT, "bars": [["1m", "any", 0]]}))
    wait_for(lambda: page.wait_for_timeout(20) or waiting)  # the page's events are handled while we wait for it
    older = waiting[0].fetch()
    assert "25004.25" in older.text()
    at = SystemClock().now().replace(second=0, microsecond=0).timestamp()
    told = {"forming": {"1m": [at, 25_001, 25_012, 25_000, 25_011.5, 14]}, "quote": {}}
    hub.publish_notification("forming", json.dumps({"contract_id": CONTRACT} | told))
    expect(page.locator("[data-last]")).to_have_text("25011.50")
    with page.expect_response(re.compile("changed_since")):
        waiting[0].fulfill(response=older)
    page.wait_for_timeout(500)
    expect(page.locator("[data-last]")).to_have_text("25011.50")


@pytest.mark.usefixtures("operator", "market")
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_the_page_is_accessible_and_fits_a_phone(screen: Screen, theme: str) -> None:
    screen.page.context.add_cookies([{"name": "view_theme", "value": theme, "url": screen.base}])
    page = opened(screen)
    assert screen.violations() == []
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    assert not screen.scrolls_sideways()
    assert screen.violations() == []


@pytest.mark.usefixtures("operator")
def test_without_a_contract_the_page_says_what_to_do(screen: Screen) -> None:
    page = screen.log_in(to="/market-data")
    expect(page.get_by_text("No contract is followed yet")).to_be_visible()
    assert screen.violations() == []
