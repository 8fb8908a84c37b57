"""The delivery log in a real browser: alerts appear by themselves, one opens beside the list, nothing jumps."""

from __future__ import annotations

import re

import pytest
from flask_openapi3 import OpenAPI
from playwright.sync_api import Page, Route, expect

from core.lifecycle import Kind
from database.engine import Database
from tests.browser.conftest import PHONE, Screen
from tests.support_deliveries import deliver
from tests.support_signals import add, event

pytestmark = pytest.mark.browser
LOG = "/automated-signals-telemetry"
STRAY_QUOTE = b'{"type":"ENTRY","signal_id":"T9","entry_price":24847"}'


def heartbeat(number: int) -> dict[str, object]:
    return {"event_type": "HEARTBEAT", "signal_count": number}


def newest(page: Page) -> str | None:
    return page.locator("[data-rows] tbody tr").first.get_attribute("data-id")


def test_an_alert_appears_by_itself_on_the_empty_log_and_then_on_top(
    screen: Screen, operator: str, db: Database
) -> None:
    page = screen.log_in(to=LOG)
    expect(page.get_by_text("Nothing has been delivered yet")).to_be_visible()
    (first,) = deliver(db, heartbeat(1))
    expect(page.locator(f'tr[data-id="{first}"]')).to_be_visible(timeout=8000)  # no key is pressed: it polls
    page.wait_for_load_state()
    (second,) = deliver(db, STRAY_QUOTE)
    page.keyboard.press("r")
    expect(page.locator("[data-rows] tbody tr").first).to_have_attribute("data-id", str(second))


def test_the_log_says_whether_it_is_live_and_hears_of_what_no_stream_tells(
    screen: Screen, operator: str, app: OpenAPI, db: Database
) -> None:
    deliver(db, heartbeat(1))
    page = screen.log_in(to=LOG)
    note = page.locator("[data-freshness]")
    expect(note).to_contain_text("live", timeout=15_000)
    (second,) = deliver(db, heartbeat(2))
    expect(page.locator(f'tr[data-id="{second}"]')).to_be_visible(timeout=8000)
    page.route("**/api/stream*", lambda route: route.abort())
    app.extensions["signalbook"].draining.set()
    expect(note).to_contain_text("reconnecting", timeout=15_000)


def test_what_the_reader_looks_at_stays_and_a_button_counts_what_is_new(
    screen: Screen, operator: str, db: Database
) -> None:
    deliver(db, *(heartbeat(number) for number in range(60)))
    page = screen.log_in(to=LOG)
    box = page.locator("[data-rows]")
    box.evaluate("(box) => { box.scrollTop = 300; }")
    before = newest(page)
    new = deliver(db, *(heartbeat(number) for number in range(100, 103)))
    page.keyboard.press("r")
    button = page.get_by_role("button", name="3 new")
    expect(button).to_be_visible()
    assert (newest(page), box.evaluate("(box) => box.scrollTop")) == (before, 300)
    assert screen.violations() == []
    button.click()
    expect(page.locator("[data-rows] tbody tr").first).to_have_attribute("data-id", str(new[-1]))
    expect(button).to_be_hidden()
    page.get_by_role("link", name="Older").click()
    expect(page.get_by_role("link", name="Newer")).to_be_visible()
    assert (
        len(
            set(new)
            & {int(row) for row in page.locator("tbody tr").evaluate_all("(rows) => rows.map((row) => row.dataset.id)")}
        )
        == 0
    )


def test_one_delivery_opens_beside_the_list_by_keys_and_closes(screen: Screen, operator: str, db: Database) -> None:
    (entry, _) = deliver(db, STRAY_QUOTE, heartbeat(1))
    page = screen.log_in(to=LOG)
    for key in ("j", "j", "Enter"):
        page.keyboard.press(key)
    panel = page.locator("[data-panel]")
    expect(panel.locator("del")).to_have_text('\N{MINUS SIGN}"')
    expect(page).to_have_url(re.compile(f"delivery={entry}$"))
    assert screen.violations() == []
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    page.go_back()
    expect(panel.get_by_role("heading", name=f"ENTRY #{entry}")).to_be_visible()
    panel.get_by_role("link", name="T9").click()
    expect(page).to_have_title("T9 · Signalbook")


def test_a_replay_says_what_came_of_it(screen: Screen, operator: str, db: Database) -> None:
    (broken,) = deliver(db, b"\xff no text")
    page = screen.log_in(to=f"{LOG}?delivery={broken}")
    page.get_by_role("button", name="Replay").click()
    expect(page.get_by_text("0 of 1 understood now.")).to_be_visible()


@pytest.mark.parametrize(("theme", "palette"), [("dark", "blue"), ("light", "teal")])
def test_deliveries_are_for_everyone_on_every_screen(
    screen: Screen, operator: str, db: Database, theme: str, palette: str
) -> None:
    (entry, broken) = deliver(db, STRAY_QUOTE, b"\xff no text")
    views = {"view_theme": theme, "view_palette": palette}
    screen.page.context.add_cookies(
        [{"name": name, "value": value, "url": screen.base} for name, value in views.items()]
    )
    screen.log_in(to=LOG)
    for path in (LOG, f"{LOG}?delivery={entry}", f"{LOG}?status=quarantined&delivery={broken}"):
        screen.page.set_viewport_size({"width": 1440, "height": 900})
        screen.open(path)
        assert screen.violations() == [], path
        screen.page.set_viewport_size(PHONE)  # type: ignore[arg-type]
        assert not screen.scrolls_sideways(), path


def test_a_backfill_says_what_it_did_and_shows_its_rows(screen: Screen, operator: str, db: Database) -> None:
    deliver(db, STRAY_QUOTE)
    add(db, *(event(f"OLD-{number}", Kind.ENTRY, number) for number in range(3)))
    page = screen.log_in(to=LOG)
    expect(page.locator("tbody tr")).to_have_count(1)
    button = page.locator(".as-telemetry-actions #as-telemetry-backfill-btn")
    expect(page.locator(".as-telemetry-actions a")).to_have_text(["Refresh", "Back"])
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/telemetry/backfill", hold)
    button.click()
    expect(button).to_have_text("Running backfill...")
    expect(button).to_be_disabled()
    while not held:
        page.wait_for_timeout(20)
    held[0].continue_()
    expect(page.locator("[data-backfill-result]")).to_have_text("3 inserted, 3 scanned, 0 already in the log")
    expect(button).to_be_enabled()
    expect(button).to_have_text("Run Backfill (from automated_signals)")
    expect(page.locator("tbody tr")).to_have_count(4)
    assert screen.violations() == []
    page.unroute("**/telemetry/backfill")
    expect(page.locator("tbody tr").first).to_contain_text("backfill")
    page.locator("tbody tr").first.click()
    expect(page.locator("[data-panel]")).to_contain_text("no alert of this event was delivered")
    expect(page.locator("[data-panel]").get_by_role("heading", name="ENTRY #")).to_be_visible()
    page.keyboard.press("Escape")
    button.click()
    expect(page.locator("[data-backfill-result]")).to_have_text("0 inserted, 0 scanned, 3 already in the log")
    expect(page.locator("tbody tr")).to_have_count(4)


def test_a_backfill_into_an_empty_log_shows_the_log_and_what_it_did(
    screen: Screen, operator: str, db: Database
) -> None:
    add(db, event("OLD", Kind.ENTRY))
    page = screen.log_in(to=LOG)
    page.locator("#as-telemetry-backfill-btn").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("[data-backfill-result]")).to_have_text("1 inserted, 1 scanned, 0 already in the log")


def test_a_backfill_that_fails_says_why(screen: Screen, operator: str, db: Database) -> None:
    page = screen.log_in(to=LOG)
    with db.transaction() as cur:
        cur.execute("DROP TABLE automated_signals")
    page.locator("#as-telemetry-backfill-btn").click()
    said = "Backfill failed: The table automated_signals does not exist."
    expect(page.locator("[data-backfill-result]")).to_have_text(said)
    expect(page.locator("#as-telemetry-backfill-btn")).to_be_enabled()
