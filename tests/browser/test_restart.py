"""Pages outlive their server: a restart is noticed, said, and overcome without a reload; so is a database that is away."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, expect

from core.lifecycle import Kind
from database import users
from database.engine import Database
from tests.browser.conftest import Screen
from tests.support_http import password_hash
from tests.support_service import service, turn_off, turn_on
from tests.support_signals import add, event

pytestmark = pytest.mark.browser
LIST = "/automated-signals"


def test_a_page_is_live_again_after_a_restart_and_says_when_the_database_is_away(
    browser: Browser, postgres: str, database_url: str
) -> None:
    db = Database(database_url)
    with db.transaction() as cur:
        users.add_user(cur, name="ann", password_hash=password_hash(), role="operator")
    add(db, event("FIRST", Kind.ENTRY))
    with service(DATABASE_URL=database_url) as running, browser.new_context() as context:
        running.wait_for("database_ready")
        page = Screen(context.new_page(), running.url).log_in(to=LIST)
        note = page.locator("[data-freshness]")
        expect(note).to_contain_text("live", timeout=15_000)
        running.kill()
        expect(note).to_contain_text(re.compile("reconnecting|stale since"), timeout=15_000)
        running.start()
        running.wait_for("database_ready", count=2)
        expect(note).to_contain_text("live", timeout=20_000)
        add(db, event("SECOND", Kind.ENTRY, 5))
        expect(page.locator('tr[data-id="main/SECOND"]')).to_have_count(1, timeout=20_000)
        db.close()
        turn_off(postgres, database_url)
        page.keyboard.press("r")
        expect(note).to_contain_text("stale since", timeout=20_000)
        expect(page.locator("[data-rows] tbody tr")).to_have_count(2)  # what is known stays in sight
        turn_on(postgres, database_url)
        page.wait_for_function("() => !document.querySelector('[data-freshness].stale')", timeout=40_000)
