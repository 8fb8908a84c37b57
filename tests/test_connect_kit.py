"""What the connection page offers: a test of the way, the sender, texts for the alert dialog, and the alert limits."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from flask_openapi3 import OpenAPI
from werkzeug.test import TestResponse

from core.lifecycle import Kind, Source
from core.settings import Settings
from database.engine import Database
from telemetry.dialects.understand import understand
from telemetry.kit.templates import TEMPLATES, Template
from tests.pine.support_pine import SENDER
from tests.support_http import PAGE, csrf_token, get, words
from tests.support_intake import running_app, stored_bodies

FILLED_IN = {
    "{{ticker}}": "MNQ1!",
    "{{interval}}": "1",
    "{{time}}": "2025-11-20T15:05:00Z",
    "{{close}}": "20519.25",
    '{{plot("Stop")}}': "20500",
    '{{plot("Signal id")}}': "4711",
}


@pytest.fixture
def app(settings: Settings, db: Database) -> Iterator[OpenAPI]:
    with running_app(settings, db) as running:
        yield running


def post(client: FlaskClient, path: str, **form: str) -> TestResponse:
    return client.post(path, data=form | {"csrf_token": csrf_token(client, "/connect")}, headers=PAGE)


def fresh_token(answer: TestResponse) -> str:
    found = re.search(r'name="token" value="([^"]+)"', answer.text)
    assert found
    return html.unescape(found[1])


def test_the_test_of_a_new_address_is_judged_by_the_door_and_stored(reader: FlaskClient, db: Database) -> None:
    token = fresh_token(post(reader, "/connect/rotate", stream="nq-1"))
    answer = post(reader, "/connect/test", token=token, since="0")
    assert "The test arrived Stream nq-1" in words(answer)
    assert "was left out" not in words(answer)
    assert answer.headers["Cache-Control"] == "no-store"
    assert fresh_token(answer) == token
    assert [b"HEARTBEAT" in body for body in stored_bodies(db)] == [True]


def test_later_the_stream_is_tested_and_the_page_says_what_was_left_out(reader: FlaskClient) -> None:
    post(reader, "/connect/rotate", stream="nq-1")
    said = words(post(reader, "/connect/test", stream="nq-1"))
    assert "The test arrived Stream nq-1" in said
    assert "The check of the token was left out" in said


@pytest.mark.parametrize("form", [{"token": "no-such-token"}, {"stream": "no-such-stream"}, {}])
def test_what_has_no_valid_address_cannot_be_tested(reader: FlaskClient, db: Database, form: dict[str, str]) -> None:
    assert post(reader, "/connect/test", **form).status_code == 404
    assert not stored_bodies(db)


def test_a_test_is_not_taken_for_the_first_alert_of_tradingview(reader: FlaskClient) -> None:
    token = fresh_token(post(reader, "/connect/rotate", stream="main"))
    post(reader, "/connect/test", token=token)
    heard = "/api/automated-signals/connection?stream=main"
    assert reader.get(heard).json == {"success": True, "alert": None}
    assert "Waiting for your first alert" in words(get(reader, "/connect"))
    reader.post(f"/api/automated-signals/webhook/{token}", data=b'{"event_type":"HEARTBEAT"}')
    found = reader.get(heard).json
    assert found
    assert found["alert"]["stored_after_seconds"] >= 0


def test_the_script_of_the_page_is_the_one_that_is_tested(reader: FlaskClient) -> None:
    answer = reader.get("/connect/signalbook_sender.pine")
    assert answer.text == SENDER.read_text(encoding="utf-8")
    assert answer.mimetype == "text/plain"
    assert 'filename="signalbook_sender.pine"' in answer.headers["Content-Disposition"]
    shown = re.search(r'id="sender"[^>]*>(.*?)</pre>', get(reader, "/connect").text, re.DOTALL)
    assert shown
    assert html.unescape(shown[1]) == answer.text.removesuffix("\n") or html.unescape(shown[1]) == answer.text


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: str(template.title))
def test_every_template_gives_a_fact_once_tradingview_has_filled_it_in(template: Template) -> None:
    text = template.text
    for name, value in FILLED_IN.items():
        text = text.replace(name, value)
    assert "{{" not in text
    read = understand(
        text.encode(),
        stream="main",
        received_at=datetime(2025, 11, 20, 15, 6, 1, tzinfo=UTC),
        source=Source.LIVE,
        receipt_id=UUID(int=1),
    )
    assert (read.errors, read.warnings) == ((), ())
    if read.heartbeat is None:
        assert read.events[0].trade_id == "4711_BULLISH"
        assert read.events[0].kind in {Kind.SIGNAL_CREATED, Kind.ENTRY, Kind.EXIT_SL}


def test_the_page_tells_how_many_alerts_are_too_many(reader: FlaskClient) -> None:
    said = words(get(reader, "/connect"))
    assert "6 one alert for each trade 28 1250 TradingView stops the alert" in said
    assert re.search(r"40 Signalbook sender 1[0-5] 3\d{3} fits", said)
