"""Plain alerts are answered before Flask, and nobody can tell: answer, headers, log line and figures are the app's own."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask_openapi3 import OpenAPI
from prometheus_client import REGISTRY
from werkzeug.test import TestResponse

from core.settings import Settings
from database.engine import Database
from telemetry.dialects.body import MAX_BYTES
from telemetry.entrance.fast_lane import RULE, plain_token
from tests.support_intake import TOKEN, WEBHOOK, running_app

BODY = b'{"type":"ENTRY","signal_id":"S1","entry_price":20500,"sl_price":20490}'
KEPT = {"name", "msg", "method", "rule", "status", "address", "user", "receipt_id", "stored", "delivery_status"}
SLOW = {"X-Signalbook-Challenge": "not one"}  # what Flask must look at
OWN = {"receipt_id", "status", "duplicate", "first_receipt_id"}


@pytest.fixture
def running(settings: Settings, db: Database) -> Iterator[OpenAPI]:
    with running_app(settings, db) as app:
        yield app


@pytest.fixture
def flask_requests(running: OpenAPI) -> list[str]:
    """The paths of the requests that have come as far as Flask."""
    seen: list[str] = []
    app: Any = running.wsgi_app._app  # type: ignore[attr-defined]

    def watched(environ: dict[str, Any], start_response: Any) -> Any:
        seen.append(environ["PATH_INFO"])
        return app(environ, start_response)

    running.wsgi_app._app = watched  # type: ignore[attr-defined]
    return seen


def post(app: OpenAPI, path: str = WEBHOOK, body: bytes = BODY, **headers: str) -> TestResponse:
    return app.test_client().post(path, data=body, headers=headers, content_type="application/json")


def answered() -> float:
    return REGISTRY.get_sample_value(
        "signalbook_http_requests_total", {"rule": RULE, "method": "POST", "status": "200"}
    ) or 0.0  # fmt: skip


def test_a_plain_alert_is_answered_without_flask_and_just_as_flask_would(
    running: OpenAPI, flask_requests: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "request")
    before = answered()
    fast = post(running)
    assert flask_requests == []
    slow = post(running, **SLOW)
    assert flask_requests == [WEBHOOK]
    assert answered() == before + 2
    assert fast.json
    assert slow.json
    assert {k: v for k, v in fast.json.items() if k not in OWN} == {k: v for k, v in slow.json.items() if k not in OWN}
    assert slow.json["first_receipt_id"] == fast.json["receipt_id"]
    # Flask's session says that the answer may vary with a cookie; nothing of an alert's does.
    differing = {"X-Request-ID", "Content-Length", "Vary"}
    assert {k: v for k, v in fast.headers if k not in differing} == {
        k: v for k, v in slow.headers if k not in differing
    }
    assert re.fullmatch("[0-9a-f]{16}", fast.headers["X-Request-ID"])
    of_fast, of_slow = ({k: v for k, v in vars(line).items() if k in KEPT} for line in caplog.records)
    assert of_fast == of_slow | {"receipt_id": fast.json["receipt_id"], "delivery_status": "accepted"}
    assert TOKEN not in caplog.text


def test_what_is_not_understood_is_answered_422_and_kept(running: OpenAPI, flask_requests: list[str]) -> None:
    fast, slow = post(running, body=b"hello"), post(running, body=b"hello", **SLOW)
    assert fast.status_code == slow.status_code == 422
    assert fast.json
    assert (fast.json["stored"], fast.json["success"]) == ("db", False)
    assert flask_requests == [WEBHOOK]


def test_a_request_id_that_is_given_is_kept(running: OpenAPI) -> None:
    assert post(running, **{"X-Request-ID": "given-by-proxy"}).headers["X-Request-ID"] == "given-by-proxy"
    assert post(running, **{"X-Request-ID": "not fit"}).headers["X-Request-ID"] != "not fit"


def test_what_the_intake_refuses_may_be_sent_again(running: OpenAPI, flask_requests: list[str]) -> None:
    running.extensions["telemetry"].intake.stop()
    answer = post(running)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert flask_requests == []


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (f"{WEBHOOK}x", BODY, 404),
        (f"{WEBHOOK}/more", BODY, 404),
        (f"{WEBHOOK}%C3%A9", BODY, 404),
        ("/api/automated-signals/webhook/", BODY, 404),
        ("/api/automated-signals/webhook", b'{"token":"%s","type":"ENTRY"}' % TOKEN.encode(), 422),
        (WEBHOOK, b"x" * (MAX_BYTES + 1), 413),
    ],
)
def test_whatever_is_not_plain_goes_on_to_the_app(
    running: OpenAPI, flask_requests: list[str], path: str, body: bytes, status: int
) -> None:
    answer = post(running, path, body)
    assert answer.status_code == status
    assert len(flask_requests) == 1


def test_only_a_post_of_a_known_length_is_plain() -> None:
    plain = {"REQUEST_METHOD": "POST", "PATH_INFO": WEBHOOK, "CONTENT_LENGTH": "2"}
    assert plain_token(plain) == TOKEN
    for change in (
        {"REQUEST_METHOD": "GET"},
        {"CONTENT_LENGTH": ""},
        {"CONTENT_LENGTH": "-2"},
        {"CONTENT_LENGTH": str(MAX_BYTES + 1)},
        {"HTTP_X_SIGNALBOOK_RECEIVED_AT": "2026-01-01T00:00:00Z"},
        {"HTTP_X_SIGNALBOOK_CHALLENGE": "0" * 32},
    ):
        assert plain_token(plain | change) is None
