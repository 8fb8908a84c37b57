"""The pages that belong to no feature, seen and used in Chromium."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from flask_openapi3 import OpenAPI
from playwright.sync_api import Page, expect

from core.settings import Settings
from tests.browser.conftest import PHONE, Screen
from web.services import Check, Services

pytestmark = pytest.mark.browser

PAGES = ("/overview", "/status", "/about/licences", "/no-such-page")
Time = re.compile


@pytest.fixture
def checks(app: OpenAPI) -> dict[str, Callable[[], Check]]:
    """The readiness checks of the app, one of each state to begin with."""
    services: Services = app.extensions["signalbook"]
    services.checks.update(
        journal=lambda: Check("pass", "writable, 0 records pending"),
        scheduler=lambda: Check("warn", "prune_job_runs is 4 minutes late"),
    )
    return services.checks


def root(page: Page, name: str) -> str | None:
    return page.locator("html").get_attribute(f"data-{name}")


def test_login_leads_to_the_page_that_was_asked_for(screen: Screen, operator: str) -> None:
    page = screen.open("/status")
    expect(page).to_have_title("Log in · Signalbook")
    screen.page.get_by_label("Login").fill(operator)
    screen.page.get_by_label("Password").fill("correct horse battery")
    screen.page.keyboard.press("Enter")
    expect(page).to_have_title("Status · Signalbook")
    expect(page.get_by_text(operator)).to_be_visible()


def test_a_wrong_password_is_said_and_the_name_is_kept(screen: Screen, operator: str) -> None:
    page = screen.fill_login(operator, "wrong password")
    expect(page.get_by_role("alert")).to_have_text("That login and password do not match.")
    expect(page.get_by_label("Login")).to_have_value(operator)
    expect(page.get_by_label("Password")).to_be_focused()
    assert screen.violations() == []


def test_logout_ends_the_session(screen: Screen, operator: str) -> None:
    page = screen.log_in()
    page.get_by_role("button", name="Log out").click()
    expect(page).to_have_title("Log in · Signalbook")
    screen.open("/overview")
    expect(page).to_have_title("Log in · Signalbook")


@pytest.mark.usefixtures("operator", "checks")
@pytest.mark.parametrize(
    ("theme", "palette", "paths"),
    [
        ("dark", "teal", PAGES),
        ("light", "teal", ("/status",)),
        ("dark", "blue", ("/status",)),
        ("light", "blue", PAGES),
    ],
)
def test_every_page_is_accessible_in_every_colour(
    screen: Screen, theme: str, palette: str, paths: tuple[str, ...]
) -> None:
    cookies = {"view_theme": theme, "view_palette": palette}
    screen.page.context.add_cookies(
        [{"name": name, "value": value, "url": screen.base} for name, value in cookies.items()]
    )
    screen.open("/login")
    assert screen.violations() == []
    screen.log_in()
    for path in paths:
        page = screen.open(path)
        assert root(page, "theme") == theme
        page.locator(".menu summary").click()
        assert screen.violations() == [], path


def test_nothing_scrolls_sideways_on_a_phone(screen: Screen, operator: str, checks: object) -> None:
    screen.page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    screen.open("/login")
    assert not screen.scrolls_sideways()
    screen.log_in()
    for path in PAGES:
        page = screen.open(path)
        assert not screen.scrolls_sideways(), path
        page.locator(".menu summary").click()
        assert not screen.scrolls_sideways(), f"{path} with its menu open"
        assert screen.violations() == [], path


def test_what_a_check_says_is_read_whole_on_a_phone(
    screen: Screen, operator: str, checks: dict[str, Callable[[], Check]]
) -> None:
    checks["disk"] = lambda: Check("warn", "less than a tenth of the disk of the data directory is free")
    screen.page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    page = screen.log_in(to="/status")
    box = page.get_by_role("region", name="Checks")
    assert box.evaluate("(box) => box.scrollWidth - box.clientWidth") == 0


def test_the_theme_changes_at_once_and_is_kept_by_the_server(screen: Screen, operator: str) -> None:
    page = screen.log_in()
    dark = page.evaluate("() => getComputedStyle(document.body).color")
    page.locator(".menu summary").click()
    page.get_by_role("button", name="Light").click()
    assert root(page, "theme") == "light"
    assert page.evaluate("() => getComputedStyle(document.body).color") != dark
    answer = page.request.get(f"{screen.base}/overview")
    assert 'data-theme="light"' in answer.text()


def test_the_display_menu_works_without_scripts(screen: Screen, operator: str) -> None:
    screen.page.route("**/*.js", lambda route: route.abort())
    page = screen.log_in()
    page.get_by_role("button", name="UTC").click()
    page.wait_for_load_state()
    assert root(page, "zone") == "utc"
    expect(page).to_have_title("Overview · Signalbook")
    expect(page.locator("[data-clock]")).to_have_text(Time(r"^\d\d:\d\d:\d\d UTC$"))


def test_the_zone_switch_rewrites_every_time(screen: Screen, operator: str) -> None:
    page = screen.log_in(to="/status")
    at = page.locator("[data-freshness] time")
    expect(at).to_have_text(Time(r"^\d\d:\d\d:\d\d E[SD]T$"))
    page.get_by_role("button", name="UTC").click()
    expect(at).to_have_text(Time(r"^\d\d:\d\d:\d\d UTC$"))
    page.get_by_role("button", name="Local").click()
    expect(at).to_have_text(Time(r"^\d\d:\d\d:\d\d GMT\+[12]$"))
    page.keyboard.press("t")
    expect(page.get_by_role("button", name="UTC")).to_have_attribute("aria-pressed", "true")
    page.reload()
    expect(at).to_have_text(Time(r"^\d\d:\d\d:\d\d UTC$"))


def test_a_time_tells_its_instant_and_age_when_pointed_at(screen: Screen, operator: str) -> None:
    page = screen.log_in(to="/status")
    at = page.locator("[data-freshness] time")
    at.hover()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z · \d+s ago", at.get_attribute("title") or "")


def test_the_keyboard_help_lists_what_works_here_and_closes_with_escape(screen: Screen, operator: str) -> None:
    page = screen.log_in(to="/status")
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keyboard")
    expect(dialog).to_be_visible()
    expect(dialog.locator("kbd")).to_have_text(["t", "?", "r"])
    assert screen.violations() == []
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_the_status_page_keeps_itself_current(
    screen: Screen, operator: str, checks: dict[str, Callable[[], Check]]
) -> None:
    page = screen.log_in(to="/status")
    expect(page.locator(".page-head .state")).to_contain_text("something needs attention")
    checks["journal"] = lambda: Check("fail", "disk full")
    page.keyboard.press("r")
    expect(page.locator(".page-head .state")).to_have_text("Alerts cannot be stored right now.")
    expect(page.locator("tbody tr").first).to_contain_text("disk full")


def test_the_status_page_says_when_it_is_stale(screen: Screen, operator: str) -> None:
    page = screen.log_in(to="/status")
    page.route("**/status", lambda route: route.abort())
    page.keyboard.press("r")
    expect(page.locator("[data-freshness]")).to_have_text(Time(r"^stale since \d\d:\d\d:\d\d E[SD]T$"))


def test_a_page_that_has_not_changed_says_that_it_was_checked(screen: Screen, operator: str) -> None:
    page = screen.log_in(to="/status")
    at = page.locator("[data-freshness] time")
    for _ in range(2):  # the browser has kept the page by the second time
        before = at.get_attribute("datetime") or ""
        page.keyboard.press("r")
        expect(at).not_to_have_attribute("datetime", before)


def test_the_focus_stays_while_a_page_renews_itself(
    screen: Screen, operator: str, checks: dict[str, Callable[[], Check]]
) -> None:
    page = screen.log_in(to="/status")
    for number, focused in enumerate((page.get_by_label("Checks"), page.get_by_role("button", name="Send a test"))):
        focused.focus()
        checks["journal"] = lambda number=number: Check("fail", f"disk full {number}")  # type: ignore[misc]
        page.keyboard.press("r")
        expect(page.locator("tbody tr").first).to_contain_text(f"disk full {number}")
        expect(focused).to_be_focused()


def test_a_missing_page_says_so_with_its_request_number(screen: Screen, operator: str) -> None:
    screen.log_in()
    page = screen.open("/no-such-page")
    expect(page.get_by_role("heading", name="Not Found")).to_be_visible()
    assert re.fullmatch(r"[0-9a-f]{16}", page.locator(".hint code").inner_text())


def test_a_page_stays_below_its_transfer_budget(screen: Screen, operator: str, settings: Settings) -> None:
    screen.log_in()
    screen.open("/status")
    sizes = screen.page.evaluate(
        "() => performance.getEntries().map((entry) => entry.transferSize || entry.encodedBodySize || 0)"
    )
    assert sum(sizes) < 60_000


def test_the_banners_are_shown_when_they_must_be(
    screen: Screen, operator: str, checks: dict[str, Callable[[], Check]]
) -> None:
    page = screen.log_in()
    expect(page.get_by_text("Database away")).to_have_count(0)
    checks["database"] = lambda: Check("warn", "cannot be reached")
    screen.open("/overview")
    expect(page.get_by_text("Database away")).to_be_visible()
    assert screen.violations() == []
