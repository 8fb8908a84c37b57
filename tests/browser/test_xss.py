"""Whatever an alert says is shown as text: sixty hostile strings through the webhook, looked at on every page."""

from __future__ import annotations

import json

import pytest
from flask.testing import FlaskClient
from markupsafe import escape

from core.settings import Settings
from database import deletions
from database.engine import Database
from tests.browser.conftest import Screen
from tests.support_intake import WEBHOOK, await_stored, running_app
from tests.support_signals import START
from tests.xss_corpus import CORPUS

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("operator")]
WATCH = """() => {
  const all = (wanted, is) => [...document.querySelectorAll(wanted)].filter(is).length;
  const leads = (found) => [found.src, found.href, found.action].some((way) => String(way ?? "").includes("evil.example"));
  return [
    window.pwned ?? 0,
    all("iframe, object, base, meta[http-equiv]", () => true),
    all("script, link, form, a, style", leads),
    all("script", (found) => found.textContent.includes("alert(1)")),
    all("*", (found) => [...found.attributes].some(({ name }) => /^on/i.test(name))),
    all("a[href]", (found) => /^(javascript|data):/i.test(found.getAttribute("href").trim())),
  ];
}"""
LIST_PAGES = (
    "/automated-signals",
    "/automated-signals?status=cancelled",
    "/automated-signals-calendar?month=2025-12",
    "/automated-signals-analytics",
    "/automated-signals-quality",
    "/automated-signals-telemetry",
)


def alert(number: int, text: str) -> dict[str, object]:
    """A telemetry alert whose every free text is hostile."""
    kinds = ("ENTRY", "SIGNAL_CREATED", "CANCELLED", "EXIT_STOP_LOSS")
    return {
        "schema_version": "1.0.0", "engine_version": text, "strategy_name": text, "strategy_id": text,
        "trade_id": f"20251210_09{number % 60:02}00000_BULLISH", "event_type": kinds[number % 4],
        "event_timestamp": "2025-12-10T09:31:00", "symbol": text, "exchange": text, "timeframe": text, "session": text,
        "bias": text, "direction": "Bullish", "entry_price": 20500.5, "stop_loss": 20490, "be_mfe": 0, "no_be_mfe": 0,
        "mae_global_r": 0, "exit_reason": text, "cancel_reason": text, "cancelled_by": text, text: text,
        "setup": {"setup_family": text, "setup_variant": text, "setup_id": text},
        "market_state": {"trend_regime": text, "volatility_regime": text},
        "htf_alignment": {"daily": text, "h4": "Bullish", "m5": text, "all_bullish": False, "all_bearish": False},
    }  # fmt: skip


def send(settings: Settings, db: Database) -> None:
    """The whole corpus through the webhook: in alerts that are understood and in bodies that are not."""
    with running_app(settings, db) as sender:
        client = sender.test_client()
        for number, text in enumerate(CORPUS):
            for body in (json.dumps(alert(number, text)), f"no json {text}"):
                answer = client.post(WEBHOOK, data=body.encode())
                assert answer.status_code in (200, 422), answer.text
        await_stored(sender)


def test_no_page_runs_what_an_alert_says(screen: Screen, settings: Settings, db: Database) -> None:
    assert len(set(CORPUS)) == 60
    send(settings, db)
    with db.transaction() as cur:
        found = deletions.delete_signals(
            cur, [("main", "20251210_095900000_BULLISH")], reason=CORPUS[0], by="ann", now=START
        )
        cur.execute("SELECT trade_id FROM trade_states ORDER BY trade_id")
        signals = [row.trade_id for row in cur.fetchall()]
        cur.execute("SELECT id FROM telemetry_automated_signals_log ORDER BY id")
        deliveries = [row.id for row in cur.fetchall()]
    assert (len(found), len(signals), len(deliveries)) == (1, 59, 120)
    screen.log_in()
    pages = [*LIST_PAGES, "/automated-signals/20251210_095900000_BULLISH"]
    pages += [f"/automated-signals/{name}" for name in signals[::12]]
    pages += [f"/automated-signals-telemetry?delivery={number}" for number in deliveries[::20]]
    for path in pages:
        screen.open(path)
        assert screen.page.evaluate(WATCH) == [0] * 6, path


def test_every_string_is_shown_as_the_text_that_it_is(settings: Settings, db: Database, reader: FlaskClient) -> None:
    send(settings, db)
    pages = [reader.get(f"/automated-signals/20251210_09{number:02}00000_BULLISH").text for number in range(60)]
    for text, page in zip(CORPUS, pages, strict=True):
        assert str(escape(text)) in page or str(escape(text.strip())) in page
        assert text not in page or "<" not in text
