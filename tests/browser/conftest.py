"""A real browser on a real server: waitress on a free loopback port, Debian's Chromium, nothing from elsewhere.

Each page that a test opens is watched: script errors, refused content (CSP), failed loads and requests to another host
fail the test at its end.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import waitress
from flask_openapi3 import OpenAPI
from playwright.sync_api import Browser, BrowserContext, Page, Request, sync_playwright
from waitress import wasyncore

from tests.support_http import PASSWORD
from tests.support_needs import missing, node_package
from web.assets import wrap_static

CHROMIUMS = (Path("/usr/bin/chromium-headless-shell"), Path("/usr/bin/chromium"))
"""The same engine: the first without the windows around it, at a third of the time."""
NO_OTHER_HOST = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
FLAGS = (
    NO_OTHER_HOST,
    "--no-sandbox",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-dev-shm-usage",
    "--disable-gpu",
)
TOKEN = re.compile(r'name="csrf-token" content="([^"]+)"')
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
RUN_AXE = """async (tags) => (await axe.run(document, {runOnly: tags, resultTypes: ["violations"]})).violations.map(
  (found) => `${found.id}: ${found.nodes.map((node) => node.target.join(" ")).join(", ")}`)"""
DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}


@dataclass
class Screen:
    """One browser page on the service, and everything that went wrong on it."""

    page: Page
    base: str
    faults: list[str] = field(default_factory=list)

    def open(self, path: str) -> Page:
        """Load a path of the service and wait until its scripts have run."""
        self.page.goto(self.base + path)  # modules have run when the load event comes
        return self.page

    def log_in(self, name: str = "ann", *, to: str = "/overview") -> Page:
        """Log the browser in, without the login page, and load a path."""
        asked = self.page.request
        login = f"{self.base}/login"
        token = TOKEN.search(asked.get(login).text())
        assert token
        form = {"name": name, "password": PASSWORD, "csrf_token": token[1]}
        answer = asked.post(login, form=form, headers={"Referer": login}, max_redirects=0)
        assert answer.status == 303, answer.text()
        return self.open(to)

    def fill_login(self, name: str = "ann", password: str = PASSWORD, *, to: str = "/overview") -> Page:
        """Log in as a person does, with the form."""
        page = self.open(f"/login?next={to}")
        page.get_by_label("Login").fill(name)
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_load_state()
        return page

    def violations(self) -> list[str]:
        """What axe finds against WCAG 2.2 AA."""
        self.page.evaluate((node_package("axe-core") / "axe.min.js").read_text(encoding="utf-8"))
        found: list[str] = self.page.evaluate(RUN_AXE, WCAG)
        return found

    def scrolls_sideways(self) -> bool:
        """True if the page is wider than its window."""
        return bool(self.page.evaluate("() => document.scrollingElement.scrollWidth > window.innerWidth"))


def find_chromium() -> Path | None:
    """The browser of this machine."""
    return next(filter(Path.exists, CHROMIUMS), None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for the whole run."""
    found = find_chromium()
    if found is None:
        missing("needs Chromium: apt-get install --no-install-recommends chromium-headless-shell fonts-dejavu-core")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, headless=True, args=list(FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture
def live_server(app: OpenAPI) -> Iterator[str]:
    """The base URL of the app, served by waitress."""
    server: Any = waitress.create_server(wrap_static(app, app.wsgi_app), host="127.0.0.1", port=0, threads=4)
    thread = threading.Thread(target=server.run, name="live-server", daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.effective_port}"
    app.extensions["signalbook"].draining.set()  # ends open event streams
    with suppress(OSError):  # another pull may have closed everything, the trigger too, before this one is written
        server.trigger.pull_trigger(lambda: wasyncore.close_all(server._map))  # kept-alive connections included
    thread.join(timeout=5)
    server.task_dispatcher.shutdown()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A fresh browser profile in Berlin, so that local time is neither New York's nor UTC."""
    with browser.new_context(viewport=DESKTOP, timezone_id="Europe/Berlin", locale="en-US") as fresh:
        yield fresh


@pytest.fixture
def screen(context: BrowserContext, live_server: str) -> Iterator[Screen]:
    """A watched page; what went wrong on it fails the test."""
    found = Screen(context.new_page(), live_server)
    watch(found)
    yield found
    assert found.faults == []


def watch(screen: Screen) -> None:
    """Write down every script error, console error and request to another host; NO_OTHER_HOST lets none of those out.

    Listening, not routing: that would have every request wait for this process and turn the browser's cache off.
    """

    def on_request(request: Request) -> None:
        if urlsplit(request.url).netloc != urlsplit(screen.base).netloc and not request.url.startswith("data:"):
            screen.faults.append(f"foreign request: {request.url}")

    screen.page.on("request", on_request)
    screen.page.on("pageerror", lambda error: screen.faults.append(f"page error: {error}"))
    screen.page.on("console", lambda message: _on_console(screen, message.type, message.text))


def _on_console(screen: Screen, kind: str, text: str) -> None:
    # Chromium reports every answer of 400 and above; tests that ask for one look at its status themselves.
    if kind == "error" and not text.startswith("Failed to load resource"):
        screen.faults.append(f"console: {text}")
