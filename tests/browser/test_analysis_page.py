"""The analysis page in Chromium, and the marks on the candles."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from analysis.config import parse_plan
from core.records import Bar
from database.bars import Contract
from database.engine import Database
from tests.browser.conftest import PHONE, Screen
from tests.support_analysis import run_all, save, save_contract, series_of, simulated_bars

pytestmark = pytest.mark.browser
PLAN = parse_plan({})


@pytest.fixture
def market(db: Database) -> tuple[Contract, list[Bar]]:
    contract, batches = simulated_bars()
    save_contract(db, contract)
    given = [bar for batch in batches for bar in batch]
    save(db, given)
    run_all(db, PLAN, series_of(given))
    return contract, given


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_the_lists_are_accessible_and_fit_a_phone(
    screen: Screen, market: tuple[Contract, list[Bar]], theme: str
) -> None:
    screen.page.context.add_cookies([{"name": "view_theme", "value": theme, "url": screen.base}])
    page = screen.log_in(to="/analysis")
    expect(page.get_by_role("row").nth(1)).to_contain_text(market[0].name)
    for view in ("Detected", "Coordinated"):
        page.set_viewport_size({"width": 1440, "height": 900})
        page.get_by_role("link", name=view, exact=True).click()
        page.wait_for_load_state()
        assert page.locator("[data-rows] tbody tr").count() > 5
        assert screen.violations() == []
        assert not screen.scrolls_sideways()
        page.set_viewport_size(PHONE)  # type: ignore[arg-type]
        assert not screen.scrolls_sideways()
        assert screen.violations() == []


@pytest.mark.usefixtures("operator")
def test_a_new_signal_appears_by_itself(screen: Screen, db: Database, market: tuple[Contract, list[Bar]]) -> None:
    page = screen.log_in(to="/analysis?timeframe=1h")
    before = page.locator("[data-rows] tbody tr").count()
    with db.transaction() as cur:
        cur.execute(
            "INSERT INTO detected_signals (analyzer_id, contract_id, timeframe, signal_type, trend, timestamp,"
            " trigger_timestamp, known_at, affects_from, signal_price, rule)"
            " SELECT 'trend', contract_id, '1h', 'uptrend_start', 'bullish', now(), now(), now(), now(), 1, 'EXHAUSTION_REVERSAL'"
            " FROM contracts LIMIT 1"
        )
    expect(page.locator("[data-rows] tbody tr")).to_have_count(before + 1, timeout=20_000)


@pytest.mark.usefixtures("operator")
def test_signals_are_marked_on_the_candles(screen: Screen, market: tuple[Contract, list[Bar]]) -> None:
    page = screen.log_in(to="/market-data?timeframe=15m")
    region = page.locator("[data-market]")
    expect(region).to_have_attribute("data-marks", str(marks_of(market[1], "15m")), timeout=20_000)


def marks_of(given: list[Bar], timeframe: str) -> int:
    """Every start of that timeframe; the rule's primary timeframe is another one."""
    watch = PLAN.watches[0].build()
    own = [bar for bar in given if str(bar.timeframe) == timeframe and not bar.is_partial]
    return len({found.key for bar in own for found in watch.step(bar)})
