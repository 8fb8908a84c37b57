"""The page of hybrid sync in a browser: a cycle and an import by hand, and what a trader would not accept."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask_openapi3 import OpenAPI
from playwright.sync_api import expect

from core.clock import ManualClock
from database.engine import Database
from simulator.alert_text import alert_log
from tests.browser.conftest import PHONE, Screen
from tests.support_sync import AGO, World, rows, store_torn, world

pytestmark = pytest.mark.browser


@pytest.fixture
def torn(db: Database, app: OpenAPI) -> World:
    """A stream with parts missing, and a clock that stands just after it."""
    found = world(minutes=180)
    store_torn(db, found)
    app.extensions["signalbook"].clock = ManualClock(found.end + AGO)
    return found


def said(screen: Screen, pattern: str) -> str:
    """What the page says of its work, once it fits the pattern."""
    screen.page.wait_for_function(
        "(pattern) => new RegExp(pattern).test(document.querySelector('[data-said]').textContent)", arg=pattern
    )
    return screen.page.locator("[data-said]").inner_text()


def test_a_cycle_by_hand_says_what_it_did_and_the_page_shows_it(
    screen: Screen, operator: str, torn: World, db: Database
) -> None:
    page = screen.log_in(operator, to="/hybrid-sync")
    page.get_by_role("button", name="Dry run").click()
    assert "minutes healed" in said(screen, "^Dry run, nothing written: gaps")
    assert rows(db, "SELECT * FROM sync_cycles") == []
    page.get_by_role("button", name="Reconcile now").click()
    assert "minutes healed" in said(screen, "^gaps ")
    expect(page.get_by_text("own bars").first).to_be_visible()  # the page asks by itself
    assert screen.violations() == []
    assert not screen.scrolls_sideways()


def test_an_alert_log_is_imported_by_the_page_and_an_import_again_adds_nothing(
    screen: Screen, operator: str, torn: World, tmp_path: Path
) -> None:
    log = tmp_path / "log.csv"
    log.write_text(alert_log((one.sent_at, one.body) for one in torn.alerts), encoding="utf-8", newline="")
    page = screen.log_in(operator, to="/hybrid-sync")
    page.locator("#sync-stream").fill("main")
    page.locator("[data-file]").set_input_files(log)
    first = said(screen, "rows:")
    assert f"{len(torn.alerts)} rows:" in first
    page.reload()
    page.locator("#sync-stream").fill("main")
    page.locator("[data-file]").set_input_files(log)
    assert f"0 new, {len(torn.alerts)} known" in said(screen, "rows:")


def test_the_page_fits_a_phone_and_its_empty_parts_say_what_will_be_there(screen: Screen, operator: str) -> None:
    screen.page.set_viewport_size(PHONE)
    page = screen.log_in(operator, to="/hybrid-sync")
    assert page.get_by_text("Nothing is missing").is_visible()
    assert screen.violations() == []
    assert not screen.scrolls_sideways()
    for name in ("Action", "Signal", "Stream"):  # a field stands beside its name
        field = page.get_by_label(name, exact=True)
        assert field.evaluate("(field) => field.parentElement.offsetHeight - field.offsetHeight") == 0, name


def test_gaps_are_counted_in_sight_on_a_phone(screen: Screen, operator: str, torn: World) -> None:
    screen.page.set_viewport_size(PHONE)
    page = screen.log_in(operator, to="/hybrid-sync")
    page.locator("[data-run]").first.click()
    said(screen, "gaps")
    names = page.locator('[data-part="gaps"] tbody th')
    expect(names.first).to_be_visible()
    assert max(names.evaluate_all("(cells) => cells.map((cell) => cell.offsetWidth)")) < PHONE["width"] / 2
