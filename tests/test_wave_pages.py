"""The parameter API and its pages: who may, what is said, what is refused by name."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from flask_openapi3 import OpenAPI

from core.clock import ManualClock
from core.errors import InvalidInputError
from database import params, users, waves
from database.engine import Database
from tests.support_http import PASSWORD, password_hash, words
from tests.support_waves import FOUR, QUARTER, RECEIVED, RULES, WAVE, signal
from waves.overrides import set_override, undo_override
from waves.processor import give_up, process_due, receive

NOW = RECEIVED + timedelta(hours=1)


@pytest.fixture
def app(app: OpenAPI) -> OpenAPI:
    app.config["WTF_CSRF_ENABLED"] = False
    clock = ManualClock(NOW)
    app.extensions["signalbook"].clock = clock
    object.__setattr__(app.extensions["waves"], "clock", clock)
    return app


@pytest.fixture
def seen(client: FlaskClient, operator: str, db: Database) -> FlaskClient:
    """A logged-in operator, two waves stored."""
    receive(db, [signal(1, 1, **FOUR), signal(2, 2, stop_loss_filter=3)], is_whole=True, now=RECEIVED)
    process_due(db, RECEIVED, RULES)
    later = [signal(3, 1, WAVE + QUARTER, stop_loss_filter=5)]
    receive(db, later, is_whole=True, now=RECEIVED + QUARTER)
    process_due(db, RECEIVED + QUARTER, RULES)
    client.post("/login", data={"name": operator, "password": PASSWORD})
    return client


def exchange(client: FlaskClient, exchange_id: int = 1) -> Any:
    return client.get(f"/api/params/{exchange_id}").get_json()["exchange"]


def override(client: FlaskClient, **changes: Any) -> Any:
    body = {"field": "stop_loss_filter", "value": 2.5, "reason": "news"} | changes
    return client.post("/api/params/1/overrides", json=body)


@pytest.mark.parametrize("path", ["/params", "/api/params", "/api/params/as-of?at=2025-10-27T18:00:00Z"])
def test_nothing_is_shown_without_a_login(client: FlaskClient, path: str) -> None:
    assert client.get(path, headers={"Accept": "application/json"}).status_code == 401


def test_a_viewer_sees_but_does_not_override(client: FlaskClient, db: Database) -> None:
    with db.transaction() as cur:
        users.add_user(cur, name="vic", password_hash=password_hash(), role="viewer")
    client.post("/login", data={"name": "vic", "password": PASSWORD})
    page = client.get("/params")
    assert page.status_code == 200
    assert b"Override a parameter" not in page.data
    assert override(client).status_code == 403


def test_the_override_masks_and_its_undoing_shows_the_latest_again(seen: FlaskClient, db: Database) -> None:
    answer = override(seen)
    assert answer.status_code == 201
    assert answer.get_json()["override"]["set_by"] == "ann"
    found = exchange(seen)
    assert (found["effective"]["stop_loss_filter"], found["latest"]["stop_loss_filter"]) == (2.5, 5)
    assert found["overrides"]["stop_loss_filter"]["reason"] == "news"
    number = answer.get_json()["override"]["id"]
    assert seen.post(f"/api/params/overrides/{number}/undo", json={"reason": "over"}).status_code == 200
    assert exchange(seen)["effective"]["stop_loss_filter"] == 5
    assert seen.post(f"/api/params/overrides/{number}/undo", json={}).status_code == 404
    events = seen.get("/api/params/events?event_type=params_overridden").get_json()["events"]
    assert [event["event_data"]["action"] for event in events] == ["undone", "set"]


@pytest.mark.parametrize(
    ("changes", "status", "field"),
    [
        ({"field": "colour"}, 422, "field"),
        ({"value": -1}, 422, "stop_loss_filter"),
        ({"value": "NaN"}, 422, "stop_loss_filter"),
        ({"field": "max_trades_filter", "value": 2.5}, 422, "max_trades_filter"),
        ({"reason": "  "}, 422, "reason"),
        ({"reason": None}, 400, "reason"),
        ({"expires_at": "2025-10-27T10:00:00Z"}, 422, "expires_at"),
        ({"expires_at": "2025-10-27T10:00:00"}, 400, "expires_at"),
        ({"colour": 1}, 400, "colour"),
    ],
)
def test_a_wrong_override_is_refused_by_the_name_of_its_field(
    seen: FlaskClient, changes: dict[str, Any], status: int, field: str
) -> None:
    answer = override(seen, **changes)
    assert answer.status_code == status
    assert answer.get_json()["errors"][0]["field"] == field


def test_an_exchange_that_is_not_known_has_no_override(seen: FlaskClient) -> None:
    body = {"field": "stop_loss_filter", "value": 2, "reason": "x"}
    assert seen.post("/api/params/99/overrides", json=body).status_code == 404
    assert seen.get("/api/params/99").status_code == 404


def test_as_of_tells_what_held_by_what_was_known(seen: FlaskClient, db: Database) -> None:
    set_override(
        db,
        exchange_id=1,
        field="max_trades_filter",
        value=1,
        reason="x",
        by="ann",
        now=RECEIVED,
        expires_at=RECEIVED + QUARTER,
    )
    at = (RECEIVED + timedelta(minutes=1)).isoformat().replace("+", "%2B")
    found = seen.get(f"/api/params/as-of?at={at}").get_json()["exchanges"][0]
    assert found["effective"]["stop_loss_filter"] == 4
    assert (found["effective"]["max_trades_filter"], found["recorded"]["max_trades_filter"]) == (1, 6)
    assert found["overridden"] == ["max_trades_filter"]
    assert seen.get("/api/params/as-of?at=2025-10-27T18:00:00").status_code == 400


def test_history_waves_and_signals_are_listed(seen: FlaskClient, db: Database) -> None:
    give_up(db, WAVE + 2 * QUARTER, detail="nothing came", now=NOW)
    history = seen.get("/api/params/1/history").get_json()["history"]
    assert [row["stop_loss_filter"] for row in history] == [5, 4]
    assert history[0]["changed_fields"] == ["stop_loss_filter"]
    found = seen.get("/api/params/waves").get_json()["waves"]
    assert [(row["status"], row["received"], row["delay_seconds"]) for row in found] == [
        ("not_found", 0, None),
        ("completed", 1, 300.0),
        ("completed", 2, 300.0),
    ]
    signals = seen.get("/api/params/waves/2025-10-27T18:30:00Z").get_json()["signals"]
    assert [(row["symbol"], row["verdict"]) for row in signals] == [
        ("COIN1USDT", "selected"),
        ("COIN2USDT", "selected"),
    ]
    assert seen.get("/api/params/waves/2025-10-27T12:30:00Z").status_code == 404


def test_the_page_shows_what_counts_and_says_that_no_order_is_sent(seen: FlaskClient) -> None:
    override(seen)
    text = seen.get("/params?at=2025-10-27T14:55").get_data(as_text=True)
    assert "2.50%" in text
    assert "5.00%" in text
    assert "No order is sent." in text
    assert "Binance" in text
    assert "Changes by more than 10.0%" in text
    assert "No signal server is set" in text


def test_the_waves_of_the_page_are_paged(seen: FlaskClient, db: Database) -> None:
    for number in range(2, 20):
        give_up(db, WAVE + number * QUARTER, detail="nothing came", now=NOW)
    page = seen.get("/params").get_data(as_text=True)
    assert "Older waves" in page
    assert "/params/waves/2025-10-27T18:30:00Z" not in page
    older = page.split('href="/params?before=')[1].split('"')[0]
    page = seen.get(f"/params?before={older}").get_data(as_text=True)
    assert "/params/waves/2025-10-27T18:30:00Z" in page
    assert "Older waves" not in page


def test_the_forms_of_the_page_override_and_undo(seen: FlaskClient, db: Database) -> None:
    form = {"exchange_id": "2", "field": "stop_loss_filter", "value": "2.75 %", "reason": "try", "expires": "4"}
    assert seen.post("/params/overrides", data=form).status_code == 303
    with db.transaction() as cur:
        row = params.active_overrides(cur, NOW)[2]["stop_loss_filter"]
    assert (float(row.value), row.expires_at) == (2.75, NOW + timedelta(hours=4))
    assert seen.post(f"/params/overrides/{row.id}/undo").status_code == 303
    with db.transaction() as cur:
        assert params.active_overrides(cur, NOW) == {}
    assert seen.post("/params/overrides", data=form | {"value": "many"}).status_code == 422


def test_the_page_of_a_wave_shows_its_signals(seen: FlaskClient, db: Database) -> None:
    give_up(db, WAVE + 2 * QUARTER, detail="nothing came", now=NOW)
    assert "COIN1USDT" in seen.get("/params/waves/2025-10-27T18:30:00Z").get_data(as_text=True)
    assert "did not come" in seen.get("/params/waves/2025-10-27T19:00:00Z").get_data(as_text=True)
    assert seen.get("/params/waves/2025-10-27T12:00:00Z").status_code == 404
    assert seen.get("/params/waves/yesterday").status_code == 422


def test_the_feed_is_called_dead_when_it_says_nothing_any_more(seen: FlaskClient, db: Database, app: OpenAPI) -> None:
    settings = app.extensions["waves"].settings
    object.__setattr__(settings, "signal_ws_url", "ws://127.0.0.1:9")
    for age, word in ((5, "Connected · logged in · heard "), (60, "No sign of life")):
        state = {"state": "connected", "detail": "logged in", "since": RECEIVED, "last_heard_at": RECEIVED}
        with db.transaction() as cur:
            waves.save_feed_state(cur, state, owner="a:1", now=NOW - timedelta(seconds=age))
        assert word in words(seen.get("/params"))


def test_a_reason_is_asked_for_and_kept_to_one_line(db: Database) -> None:
    given: dict[str, Any] = {"exchange_id": 1, "field": "max_trades_filter", "value": 3, "by": "ann", "now": NOW}
    with pytest.raises(InvalidInputError, match="reason"):
        set_override(db, reason="\0 \n", **given)
    row = set_override(db, reason="two\nlines\0", **given)
    assert row.reason == "two lines"
    assert undo_override(db, row.id, by="bob", now=NOW).ended_by == "bob"
