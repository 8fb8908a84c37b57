"""The pages of signals in a real browser: walked by keys, current without jumping, usable by everyone."""

from __future__ import annotations

import re

import pytest
from flask_openapi3 import OpenAPI
from playwright.sync_api import Page, Response, expect

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
    expect(page).to_have_title(re.compile(rf"^(\(\d+\) )?{title} · Signalbook$"))
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
def test_the_title_counts_open_trades_and_stays_current(screen: Screen, db: Database) -> None:
    page = screen.log_in(to=LIST)
    expect(page).to_have_title("(2) Signals · Signalbook")
    add(db, event("MORE", Kind.ENTRY, 95))
    page.keyboard.press("r")
    expect(page).to_have_title("(3) Signals · Signalbook")


@pytest.mark.usefixtures("lives")
def test_a_list_that_gets_no_answer_says_since_when(screen: Screen) -> None:
    page = screen.log_in(to=LIST)
    page.route("**/automated-signals*", lambda route: route.abort())
    page.keyboard.press("r")
    expect(page.locator("[data-freshness]")).to_contain_text("stale since")


@pytest.mark.usefixtures("lives")
def test_a_change_that_the_stream_tells_of_appears_at_once(screen: Screen, app: OpenAPI, db: Database) -> None:
    page = screen.log_in(to=LIST)
    expect(page.locator("[data-freshness]")).to_contain_text("live", timeout=15_000)
    add(db, event("NEW", Kind.SIGNAL_CREATED, 90))
    app.extensions["signalbook.hub"].publish("signals", [["main", "NEW"]])
    # While the stream is live the page asks by itself only every 30 seconds.
    expect(page.locator('tr[data-id="main/NEW"]')).to_have_count(1, timeout=15_000)


@pytest.mark.usefixtures("lives")
def test_tabs_share_one_stream_and_the_next_takes_over(screen: Screen, app: OpenAPI, db: Database) -> None:
    hub = app.extensions["signalbook.hub"]
    first = screen.log_in(to=LIST)
    live = "[data-freshness].is-live"
    expect(first.locator(live)).to_have_count(1, timeout=15_000)
    second = first.context.new_page()
    second.goto(screen.base + LIST)
    expect(second.locator(live)).to_have_count(1, timeout=15_000)
    assert hub.count() == 1
    first.close()
    add(db, event("NEW", Kind.SIGNAL_CREATED, 90))
    hub.publish("signals", [["main", "NEW"]])
    expect(second.locator('tr[data-id="main/NEW"]')).to_have_count(1, timeout=20_000)
    expect(second.locator(live)).to_have_count(1, timeout=15_000)


@pytest.mark.usefixtures("lives")
def test_without_a_stream_the_list_asks_by_itself_and_is_answered_in_full_only_when_something_changed(
    screen: Screen, db: Database
) -> None:
    screen.page.route("**/api/stream*", lambda route: route.fulfill(status=503))
    page = screen.log_in(to=LIST)
    note = page.locator("[data-freshness]")
    expect(note).to_contain_text("asks every 5 s · checked")
    sizes: list[tuple[int, int]] = []

    def on_response(answer: Response) -> None:
        if answer.url == screen.base + LIST:
            sizes.append((answer.status, answer.request.sizes()["responseBodySize"]))

    page.on("response", on_response)
    for _ in range(2):  # the first answer brings the tag along
        with page.expect_response(lambda answer: answer.url == screen.base + LIST, timeout=20_000):
            page.keyboard.press("r")
    with page.expect_response(lambda answer: answer.status == 304, timeout=20_000):
        pass  # no key is pressed: it asks by itself
    assert (304, 0) in sizes
    add(db, event("NEW", Kind.SIGNAL_CREATED, 90))
    expect(page.locator('tr[data-id="main/NEW"]')).to_have_count(1, timeout=20_000)
    expect(note).to_contain_text("asks every 5 s · checked")
    page.route("**/automated-signals", lambda route: route.abort())
    expect(note).to_contain_text("stale since", timeout=20_000)
    page.unroute("**/automated-signals")
    expect(note).to_contain_text("checked", timeout=20_000)


@pytest.mark.usefixtures("lives")
def test_a_stream_that_breaks_is_said_to_reconnect(screen: Screen, app: OpenAPI) -> None:
    page = screen.log_in(to=LIST)
    note = page.locator("[data-freshness]")
    expect(note).to_contain_text("live", timeout=15_000)
    page.route("**/api/stream*", lambda route: route.abort())
    app.extensions["signalbook"].draining.set()
    expect(note).to_contain_text("reconnecting", timeout=15_000)
    app.extensions["signalbook"].draining.clear()
    page.unroute("**/api/stream*")
    expect(note).to_contain_text("live", timeout=20_000)


@pytest.mark.usefixtures("lives")
def test_the_filter_bar_and_the_columns_work_by_hand(screen: Screen) -> None:
    page = screen.log_in(to=LIST)
    page.keyboard.press("/")
    page.keyboard.type("run")
    page.keyboard.press("Enter")
    expect(page.locator("[data-rows] tbody tr")).to_have_count(1)
    page.get_by_role("link", name="Clear").click()
    page.wait_for_url("**?status=all")
    page.wait_for_load_state()
    page.get_by_role("combobox", name="Session").select_option("NY LUNCH")  # a choice filters at once
    expect(page.get_by_text("signals here")).to_be_visible()
    page.get_by_role("link", name="Clear the filter").click()
    page.get_by_role("link", name="No-BE MFE").click()
    expect(page.locator("[data-rows] tbody tr").first).to_have_attribute("data-id", "main/RUN")
    page.locator("summary", has_text="Columns").click()
    page.get_by_role("checkbox", name="Symbol").uncheck()
    page.get_by_role("button", name="Show these").click()
    expect(page.get_by_role("columnheader", name="Symbol")).to_have_count(0)
    assert screen.violations() == []


def test_a_long_name_leaves_half_of_a_phone_to_the_other_columns(screen: Screen, operator: str, db: Database) -> None:
    add(db, event("20251210_093000000_BULLISH", Kind.SIGNAL_CREATED))
    screen.page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    page = screen.log_in(to=LIST)
    name, box = page.locator("tbody th"), page.locator("[data-rows]")
    assert name.evaluate("(cell) => cell.offsetWidth") <= box.evaluate("(box) => box.clientWidth / 2")
    assert name.evaluate("(cell) => cell.offsetHeight") < 50  # two lines
    assert screen.violations() == []


def test_the_pills_of_the_head_are_of_one_height(screen: Screen, operator: str, db: Database) -> None:
    add(db, event("T1", Kind.ENTRY))
    page = screen.log_in(to=LIST)
    pills = page.locator(".head-facts .pill")
    assert pills.count() > 1
    assert len(set(pills.evaluate_all("(pills) => pills.map((pill) => pill.offsetHeight)"))) == 1


@pytest.mark.usefixtures("lives")
@pytest.mark.parametrize(("theme", "palette"), [("dark", "teal"), ("light", "blue")])
def test_signals_are_for_everyone_on_every_screen(screen: Screen, theme: str, palette: str) -> None:
    views = {"view_theme": theme, "view_palette": palette}
    screen.page.context.add_cookies(
        [{"name": name, "value": value, "url": screen.base} for name, value in views.items()]
    )
    screen.log_in(to=LIST)
    for path in (LIST, f"{LIST}?status=cancelled&q=x&from=2025-12-10", f"{LIST}/ODD", f"{LIST}/RUN?events=all"):
        screen.page.set_viewport_size({"width": 1440, "height": 900})
        screen.open(path)
        assert screen.violations() == [], path
        screen.page.set_viewport_size(PHONE)  # type: ignore[arg-type]
        assert not screen.scrolls_sideways(), path
