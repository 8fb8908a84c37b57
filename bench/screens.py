"""What a trader's browser pays: transfer, first paint, jumps and long tasks on slow 4G with a CPU four times slower.

Chromium on the app with 100,000 signals and a trade among 500 one-minute bars; each page is loaded anew, cache empty. Prints
a line of JSON and a line to read for each figure, with its budget beside it.
"""

from __future__ import annotations

import gzip
import statistics
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import waitress
from flask_openapi3 import OpenAPI
from playwright.sync_api import Browser, Page, Response, sync_playwright

from bench.signal_pages import PASSWORD, fill
from bench.support.figures import print_figure
from core.lifecycle import Kind
from core.records import Bar, Timeframe
from core.settings import load_settings
from database import bars, migrate
from database.bars import Contract
from database.embedded import EmbeddedServer
from database.engine import Database
from tests.browser.conftest import DESKTOP, FLAGS, PHONE, find_chromium
from tests.support_postgres import public_directory
from tests.support_signals import MINUTE, START, add, event, mfe
from web.assets import wrap_static
from web_server import create_app

ROUNDS = 3
report = partial(print_figure, "screens")
SLOW_4G = {"offline": False, "latency": 150, "downloadThroughput": 1_600_000 / 8, "uploadThroughput": 750_000 / 8}
SLOWER = 4
CONTRACT = Contract("CON.F.US.MNQ.Z25", "MNQZ5", "Micro E-mini Nasdaq-100", Decimal("0.25"))
BARS = 500
UPDATES = 40
PAGES = {  # path -> (what is there once it is whole, its budget of transfer without data in kB)
    "/automated-signals": ("[data-rows] tbody tr", 60),
    "/automated-signals-calendar?month=2025-12": (".month", 60),
    "/automated-signals-quality": (".column-main", 60),
    "/automated-signals-telemetry": (".page-head", 60),
    "/automated-signals-analytics": ("[data-analytics][data-is-ready]", 150),
    "/automated-signals/CHARTED": ("[data-picture][data-is-ready] canvas", 150),
    f"/market-data?contract={CONTRACT.contract_id}": ("[data-market][data-is-ready]", 150),
}
OBSERVE = """() => {
  window.seen = {lcp: 0, cls: 0, tasks: []};
  const observer = (take) => new PerformanceObserver((list) => list.getEntries().forEach(take));
  const watch = (type, take) => observer(take).observe({type, buffered: true});
  watch("largest-contentful-paint", (entry) => { seen.lcp = entry.startTime; });
  watch("layout-shift", (entry) => { if (!entry.hadRecentInput) seen.cls += entry.value; });
  watch("longtask", (entry) => seen.tasks.push(entry.duration));
}"""


def prepare(db: Database) -> None:
    """The signals of the other bench, a trade with its bars, and the market's last word."""
    fill(db)
    events = [mfe("CHARTED", minute, "0.5", "1.5") for minute in range(2, 370)]
    add(db, event("CHARTED", Kind.ENTRY, 1), *events, event("CHARTED", Kind.EXIT_SL, 380))
    rows = []
    for number in range(-60, BARS - 60):
        price = Decimal(20500 + number % 17)
        rows.append(
            Bar(contract_id=CONTRACT.contract_id, timeframe=Timeframe.parse("1m"), starts_at=START + number * MINUTE, open=price,
                high=price + 4, low=price - 3, close=price + 1, volume=40, source="history")
        )  # fmt: skip
    with db.transaction() as cur:
        bars.save_contract(cur, CONTRACT)
        bars.upsert_bars(cur, rows)


@contextmanager
def served(app: OpenAPI) -> Iterator[str]:
    server: Any = waitress.create_server(wrap_static(app, app.wsgi_app), host="127.0.0.1", port=0, threads=16)
    threading.Thread(target=server.run, daemon=True).start()
    yield f"http://127.0.0.1:{server.effective_port}"
    app.extensions["signalbook"].draining.set()


def logged_in(browser: Browser, base: str) -> Page:
    page = browser.new_context(viewport=DESKTOP).new_page()  # type: ignore[arg-type]
    page.goto(f"{base}/login?next=/overview")
    page.get_by_label("Login").fill("ann")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_load_state()
    return page


def slow_down(page: Page) -> None:
    tools = page.context.new_cdp_session(page)
    tools.send("Network.enable")
    tools.send("Network.setCacheDisabled", {"cacheDisabled": True})
    tools.send("Network.emulateNetworkConditions", SLOW_4G)
    tools.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
    page.add_init_script(f"({OBSERVE})()")


def weigh(answers: list[Response]) -> float:
    """kB of scripts, styles and the page itself, compressed; data do not count."""
    own = [each for each in answers if each.ok and not urlsplit(each.url).path.startswith("/api/")]
    return sum(len(gzip.compress(each.body())) for each in own) / 1000


def load(page: Page, base: str, path: str, whole: str) -> dict[str, float]:
    """The figures of one load."""
    answers: list[Response] = []

    def note(answer: Response) -> None:
        answers.append(answer)

    page.on("response", note)
    page.goto(base + path)
    page.locator(whole).first.wait_for(state="attached", timeout=60_000)
    drawn = page.evaluate("() => performance.now()")
    page.wait_for_timeout(1500)  # long tasks and shifts that follow
    seen = page.evaluate("() => seen")
    page.remove_listener("response", note)
    return {
        "transfer_kb": weigh(answers), "lcp_ms": seen["lcp"], "drawn_ms": drawn, "cls": seen["cls"],
        "long_tasks_ms": sum(seen["tasks"]),
    }  # fmt: skip


def loads(page: Page, base: str) -> None:
    for path, (whole, kilobytes) in PAGES.items():
        found = [load(page, base, path, whole) for _ in range(ROUNDS)]
        median = {name: statistics.median(each[name] for each in found) for name in found[0]}
        report(f"{path} transfer, compressed, without data", median["transfer_kb"], "kB", f"<= {kilobytes} kB")
        report(f"{path} LCP", median["lcp_ms"], "ms", "<= 1500 ms")
        if kilobytes > 60:
            report(f"{path} until the charts stand", median["drawn_ms"], "ms", "<= 2500 ms")
        report(f"{path} CLS", median["cls"], "of the screen", "<= 0.02")
        report(f"{path} tasks over 50 ms at the first load", median["long_tasks_ms"], "ms", "<= 900 ms")
        page.set_viewport_size(PHONE)  # type: ignore[arg-type]
        wide = page.evaluate("() => document.scrollingElement.scrollWidth - window.innerWidth")
        page.set_viewport_size(DESKTOP)  # type: ignore[arg-type]
        report(f"{path} wider than a phone of 390 px", max(0, wide), "px", "0 px")


def updates(page: Page, base: str, app: OpenAPI) -> None:
    """What one live bar costs the page between two moments, by the number of bars told: its scripts, which the budget is
    about, and all work of its main thread, of which the larger part is Chromium painting without a graphics card."""
    path = f"/market-data?contract={CONTRACT.contract_id}"
    page.goto(base + path)
    page.locator(PAGES[path][0]).wait_for(state="attached", timeout=60_000)
    page.locator(".is-live").first.wait_for(timeout=60_000)
    page.wait_for_timeout(2000)
    tools = page.context.new_cdp_session(page)
    tools.send("Performance.enable")
    tasks, start = page.evaluate("() => seen.tasks.length"), work_of(tools)
    page.wait_for_timeout(250 * UPDATES)
    middle, at = work_of(tools), (START + timedelta(minutes=BARS)).timestamp()
    for number in range(UPDATES):
        bar = [at, 20500, 20510 + number / 4, 20490, 20500 + number / 4, number]
        told = {"contract_id": CONTRACT.contract_id, "forming": {"1m": bar}, "quote": {"last": 20500}}
        app.extensions["signalbook.hub"].publish("forming", told, CONTRACT.contract_id)
        page.wait_for_timeout(250)
    end = work_of(tools)
    script, whole = (
        max(0.0, last - 2 * mid + first) * 1000 / UPDATES / SLOWER
        for first, mid, last in zip(start, middle, end, strict=True)
    )
    report("scripts for one live bar", script, "ms", "<= 5 ms")
    report("main thread for one live bar, painting included", whole, "ms", "for comparison")
    report("long tasks while live", page.evaluate("() => seen.tasks.length") - tasks, "tasks", "0")


def work_of(tools: Any) -> tuple[float, float]:
    """Seconds that the page has run scripts, and that its main thread has worked, so far."""
    metrics = {each["name"]: each["value"] for each in tools.send("Performance.getMetrics")["metrics"]}
    return float(metrics["ScriptDuration"]), float(metrics["TaskDuration"])


def bars_json(page: Page, base: str) -> None:
    body = page.request.get(
        f"{base}/api/market-data/bars?contract={CONTRACT.contract_id}&timeframe=1m&limit={BARS}"
    ).body()
    report(f"JSON of {BARS} bars, compressed", len(gzip.compress(body)) / 1000, "kB", "<= 20 kB")


def main() -> None:
    with (
        TemporaryDirectory() as data,
        public_directory() as held,
        EmbeddedServer(held / "var", run_dir=held / "run") as server,
        sync_playwright() as playwright,
    ):
        db = Database(server.url)
        migrate.upgrade(db)
        prepare(db)
        app = create_app(load_settings({"DATA_DIR": str(Path(data)), "TESTING": "1"}), db)
        browser = playwright.chromium.launch(executable_path=find_chromium(), headless=True, args=list(FLAGS))
        with served(app) as base:
            page = logged_in(browser, base)
            slow_down(page)
            loads(page, base)
            updates(page, base, app)
            bars_json(page, base)
        browser.close()
        db.close()


if __name__ == "__main__":
    main()
