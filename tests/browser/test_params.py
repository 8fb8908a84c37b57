"""The page of waves and parameters in Chromium, filled by a day of the simulator."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import expect

from core.clock import SystemClock
from database import waves
from database.engine import Database
from simulator.wave_market import WaveMarket
from tests.browser.conftest import PHONE, Screen
from tests.support_waves import RULES
from waves.adapter import adapt_signal
from waves.overrides import set_override
from waves.processor import give_up, process_due, receive
from waves.schedule import CANDLE, wave_time_of

pytestmark = pytest.mark.browser

SHOTS = os.environ.get("SCREENSHOTS")


@pytest.fixture
def filled(db: Database) -> Database:
    """Six hours of waves, one of them missing, and an override."""
    now = SystemClock().now()
    market = WaveMarket(seed=5, signals_per_exchange=6, oddities=0.2)
    wave = wave_time_of(now) - 26 * CANDLE
    for _ in range(24):
        received = wave + CANDLE + timedelta(minutes=5, seconds=wave.minute)
        found = [adapt_signal(raw, received) for raw in market.signals_of(wave)]
        if found:
            receive(db, found, is_whole=True, now=received)
            process_due(db, received, RULES)
        else:
            give_up(db, wave, detail="connected: nothing came", now=received)
        wave += CANDLE
    give_up(db, wave, detail="connected: nothing came", now=now)
    for name, value in (("stop_loss_filter", "2.5"), ("max_trades_filter", 3)):
        set_override(
            db,
            exchange_id=1,
            field=name,
            value=value,
            reason="Wide spreads around the Fed statement",
            by="ann",
            now=now,
            expires_at=now + timedelta(hours=4) if name == "stop_loss_filter" else None,
        )
    with db.transaction() as cur:
        state = {"state": "connected", "detail": "logged in", "since": now, "last_heard_at": now}
        waves.save_feed_state(cur, state, owner="a:1", now=now)
    return db


def shoot(screen: Screen, name: str) -> None:
    if SHOTS:
        screen.page.screenshot(path=str(Path(SHOTS) / f"{name}.png"), full_page=True)


@pytest.mark.usefixtures("operator", "filled")
def test_the_pages_are_accessible_and_never_scroll_sideways(screen: Screen, db: Database) -> None:
    page = screen.log_in(to="/params")
    with db.transaction() as cur:
        wave = next(row.wave_time for row in waves.list_waves(cur, limit=9) if row.received)
    paths = ("/params?at=2030-01-01T10:00", f"/params/waves/{wave:%Y-%m-%dT%H:%M:%SZ}", "/params/evaluation?days=7")
    for number, path in enumerate(paths):
        page.set_viewport_size({"width": 1440, "height": 900})
        screen.open(path)
        shoot(screen, f"params_{number}_desktop")
        assert screen.violations() == [], path
        assert not screen.scrolls_sideways()
        page.set_viewport_size(PHONE)  # type: ignore[arg-type]
        screen.open(path)
        shoot(screen, f"params_{number}_phone")
        assert not screen.scrolls_sideways()
        assert screen.violations() == [], path
    page.context.add_cookies([{"name": "view_theme", "value": "light", "url": screen.base}])
    page.set_viewport_size({"width": 1440, "height": 900})
    screen.open("/params")
    shoot(screen, "params_light")
    assert screen.violations() == []


@pytest.mark.usefixtures("operator")
def test_an_empty_page_says_what_will_come(screen: Screen) -> None:
    page = screen.log_in(to="/params")
    expect(page.get_by_text("No wave yet", exact=True)).to_be_visible()
    shoot(screen, "params_empty")
    assert screen.violations() == []


@pytest.mark.usefixtures("operator", "filled")
def test_an_operator_overrides_and_undoes(screen: Screen) -> None:
    page = screen.log_in(to="/params")
    page.locator("select[name=exchange_id]").select_option("2")
    page.locator("select[name=field]").select_option("trailing_distance_filter")
    page.get_by_label("Value", exact=True).fill("0.35")
    page.get_by_label("Reason", exact=True).fill("quiet market")
    page.get_by_role("button", name="Override", exact=True).click()
    box = page.get_by_role("region", name="Parameters of Bybit")
    row = box.get_by_role("row").filter(has_text="Trailing distance")
    expect(row.locator(".masked")).to_have_text("0.35%")
    page.get_by_role("button", name="Undo the override of Trailing distance, Bybit").click()
    expect(row.locator(".masked")).to_have_count(0)


@pytest.mark.usefixtures("operator", "filled")
def test_the_page_takes_in_what_has_changed_and_leaves_the_form_alone(screen: Screen, db: Database) -> None:
    page = screen.log_in(to="/params")
    page.get_by_label("Reason", exact=True).fill("half a sen")
    now = SystemClock().now()
    set_override(db, exchange_id=2, field="stop_loss_filter", value=1, reason="x", by="bob", now=now)
    page.evaluate("() => document.activeElement.blur()")
    page.keyboard.press("r")
    box = page.get_by_role("region", name="Parameters of Bybit")
    expect(box.locator(".masked")).to_have_text("1.00%")
    expect(page.get_by_label("Reason", exact=True)).to_have_value("half a sen")
