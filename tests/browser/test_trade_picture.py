"""The picture of a trade in a real browser: candles where bars are stored, the paths in R where none are."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from core.lifecycle import Kind
from database.engine import Database
from tests.browser.conftest import PHONE, Screen
from tests.support_deliveries import deliver
from tests.support_signals import add, event, measure, mfe
from tests.test_trade_picture import bar, store, trade

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("operator")]
PAGE = "/automated-signals/T1"
CHART = "**/api/automated-signals/trade/T1/chart*"
TOP_LEFT = "(part) => { const { x, y } = part.getBoundingClientRect(); return [x, y]; }"
READY = "[data-picture][data-is-ready]"


def test_a_trade_with_bars_shows_candles_and_paths(screen: Screen, db: Database) -> None:
    trade(db)
    store(db, *(bar(minute) for minute in range(-70, 80)))
    page = screen.log_in(to=PAGE)
    expect(page.locator(READY)).to_have_count(1)
    assert page.locator("[data-candles] canvas").count() > 0
    expect(page.locator("[data-candle-note]")).to_contain_text("128 bars of 1m, MNQZ5. Levels: Stop 20490.00")
    expect(page.locator("[data-path-note]")).to_contain_text("No-BE MFE +2.00R, BE MFE +1.20R, MAE \N{MINUS SIGN}0.25R")
    page.get_by_text("Paths as a table").click()
    expect(page.locator("[data-path-table] tr").first).to_contain_text("2025-12-10 09:34 EST")
    page.keyboard.press("t")  # the clock of the table follows the reader's
    page.keyboard.press("t")
    expect(page.locator("[data-path-table] tr").first).to_contain_text("2025-12-10 14:34 UTC")
    assert screen.violations() == []
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    assert not screen.scrolls_sideways()


def test_what_is_said_below_the_charts_stands_there_before_they_do(screen: Screen, db: Database) -> None:
    trade(db)
    store(db, *(bar(minute) for minute in range(-70, 80)))
    page = screen.log_in(to=PAGE)
    expect(page.locator(READY)).to_have_count(1)
    notes = ("[data-candle-note]", "[data-path-note]")
    drawn = [page.locator(note).inner_text() for note in notes]
    page.route("**/*.js", lambda route: route.abort())
    screen.open(PAGE)
    assert [page.locator(note).inner_text() for note in notes] == drawn
    assert drawn[0].startswith("128 bars of 1m, MNQZ5. Levels: Stop 20490.00")


def test_the_head_of_a_trade_stands_where_it_stays(screen: Screen, db: Database) -> None:
    trade(db)
    screen.page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    page = screen.log_in(to=PAGE)
    expect(page.get_by_role("button", name="Copy id")).to_be_visible()
    parts = (".head-marks", ".columns")
    shown = [page.locator(part).evaluate(TOP_LEFT) for part in parts]
    page.route("**/*.js", lambda route: route.abort())
    screen.open(PAGE)
    expect(page.get_by_role("button", name="Copy id")).to_be_hidden()
    assert [page.locator(part).evaluate(TOP_LEFT) for part in parts] == shown


def test_without_bars_the_paths_stand_alone_and_grow_as_the_trade_does(screen: Screen, db: Database) -> None:
    add(db, event("T1", Kind.ENTRY, symbol="ES1!"), mfe("T1", 3, "0.5", "0.5"))
    page = screen.log_in(to=PAGE)
    expect(page.locator("[data-picture-note]")).to_have_text(
        "No contract of ES1! is followed, so there are no bars to draw."
    )
    expect(page.locator("[data-candles]")).to_be_hidden()
    expect(page.locator("[data-path-note]")).to_contain_text("1 minute told. No-BE MFE +0.50R")
    expect(page.locator("[data-paths]")).to_be_hidden()  # one point is no path
    add(db, mfe("T1", 4, "0.75", "0.75"))
    page.keyboard.press("r")
    expect(page.locator("[data-path-note]")).to_contain_text("2 minutes told. No-BE MFE +0.75R")
    assert page.locator("[data-paths] canvas").count() == 1


def test_a_signal_that_was_never_entered_has_no_paths(screen: Screen, db: Database) -> None:
    add(db, event("T1", Kind.SIGNAL_CREATED))
    page = screen.log_in(to=PAGE)
    expect(page.locator(READY)).to_have_count(1)
    expect(page.locator("[data-path-part]")).to_be_hidden()
    expect(page.locator("[data-picture-note]")).to_contain_text("no bars to draw")


def test_a_picture_that_stayed_the_same_is_not_called_old_after_an_outage(screen: Screen, db: Database) -> None:
    add(db, event("T1", Kind.ENTRY, symbol="ES1!"), mfe("T1", 3, "0.5", "0.5"))
    page = screen.log_in(to=PAGE)
    expect(page.locator(READY)).to_have_count(1)
    page.route(CHART, lambda route: route.abort())
    measure(db, "T1", "no_mae")
    page.keyboard.press("r")
    note = page.locator("[data-picture-note]")
    expect(note).to_have_text("The picture may be old: no answer from the service.")
    page.unroute(CHART)
    expect(note).to_contain_text("No contract of ES1! is followed", timeout=15_000)


def test_a_body_that_is_unfolded_stays_so_while_others_arrive_and_its_receipt_is_copied(
    screen: Screen, db: Database
) -> None:
    entry = {"type": "ENTRY", "signal_id": "T1", "bias": "Bullish", "entry_price": 20500.5, "sl_price": 20490}
    deliver(db, entry)
    measure(db, "T1", "no_mae")
    screen.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = screen.log_in(to=PAGE)
    page.get_by_text("Raw deliveries, the newest 1").click()
    page.locator(".raw-delivery summary").click()
    expect(page.locator(".raw-delivery pre")).to_contain_text('"entry_price": 20500.5')
    receipt = page.locator(".raw-delivery button")
    name = receipt.inner_text()
    receipt.click()
    page.wait_for_function("async (name) => (await navigator.clipboard.readText()) === name", arg=name)
    expect(receipt).to_have_text(name)  # after a moment of "Copied"
    assert screen.violations() == []
    deliver(db, {"type": "BE_TRIGGERED", "signal_id": "T1", "be_hit": True})
    page.keyboard.press("r")
    expect(page.get_by_text("Raw deliveries, the newest 2")).to_be_visible(timeout=20_000)
    expect(page.locator(".raw-delivery pre").filter(has_text="20500.5")).to_be_visible()
    expect(page.locator(".raw-delivery pre").filter(has_text="be_hit")).to_be_hidden()
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    assert not screen.scrolls_sideways()
    assert screen.violations() == []
