"""Facts of the front that hold for every answer or cookie, whatever the page: types, methods, redirects, signatures."""

from __future__ import annotations

import gzip
import logging
from dataclasses import replace
from datetime import timedelta

import itsdangerous
import pytest
from flask.testing import FlaskClient
from flask_openapi3 import OpenAPI

from core.settings import Settings
from database import users
from database.engine import Database
from telemetry.history.upload import MAX_UNPACKED
from tests.support_http import PAGE, PASSWORD, csrf_token, log_in, password_hash
from tests.test_auth import is_logged_in
from tests.test_policy import path_of, requests_of
from web import auth
from web.auth import SESSION_LIFETIME
from web.headers import COOKIE_LIFETIME
from web_server import create_app


@pytest.fixture
def reader(client: FlaskClient, operator: str) -> FlaskClient:
    log_in(client, operator)
    return client


def test_every_answer_names_its_type_and_every_text_its_charset(app: OpenAPI, reader: FlaskClient) -> None:
    asked = 0
    for rule, method in requests_of(app):
        if method == "GET" and rule.rule != "/api/stream":
            for accept in ("text/html", "application/json"):
                answer = reader.get(path_of(rule), headers={"Accept": accept})
                if answer.data:
                    asked += 1
                    kind = answer.headers["Content-Type"]
                    assert kind.partition("/")[0] != "text" or "charset=utf-8" in kind, f"{rule}: {kind}"
                    assert ("json" in kind) == answer.data.lstrip()[:1].startswith((b"{", b"[")), f"{rule}: {kind}"
    assert asked >= 60


@pytest.mark.parametrize("method", ["TRACE", "TRACK", "CONNECT", "DEBUG", "PROPFIND"])
def test_methods_that_no_route_names_are_refused(reader: FlaskClient, method: str) -> None:
    for path in ("/login", "/healthz", "/api/automated-signals/stats", "/no-such-page"):
        answer = reader.open(path, method=method, headers={"X-Echo": "canary"})
        assert answer.status_code in (403, 404, 405)
        assert "canary" not in answer.text


@pytest.mark.parametrize(
    "path",
    [
        *("/.git/HEAD", "/.env", "/.svn/entries", "/web_server.py", "/requirements.txt", "/config/settings.yaml"),
        *("/static/", "/static", "/static/js/", "/static/../web_server.py", "/docs/", "/var/", "/templates/base.html"),
    ],
)
def test_no_source_no_data_and_no_listing_is_served(reader: FlaskClient, path: str) -> None:
    assert reader.get(path).status_code == 404


def test_an_upload_is_bounded_as_it_comes_and_unpacked(reader: FlaskClient) -> None:
    token = csrf_token(reader, "/status")
    for body in (gzip.compress(bytes(MAX_UNPACKED + 1), mtime=0), bytes(1024 * 1024 + 1)):
        answer = reader.post("/api/automated-signals/import", data=body, headers={"X-CSRFToken": token})
        assert (answer.status_code, answer.get_json()["code"]) in (
            (413, "too_large"),
            (413, "request_entity_too_large"),
        )


def test_plain_http_is_not_led_to_https(settings: Settings, db: Database) -> None:
    client = create_app(replace(settings, public_url="https://signals.example.com"), db).test_client()
    for path in ("/api/automated-signals/stats", "/healthz", "/login", "/metrics"):
        assert "https" not in client.get(path).headers.get("Location", ""), path
    answer = client.post("/api/automated-signals/webhook/no-such-token", data=b"{}")
    assert (answer.status_code, answer.headers.get("Location")) == (404, None)


def test_a_field_of_the_address_does_not_stand_in_for_one_of_the_form(client: FlaskClient, operator: str) -> None:
    form = {"csrf_token": csrf_token(client)}
    assert client.post(f"/login?name={operator}&password={PASSWORD.replace(' ', '%20')}", data=form).status_code == 401
    twice = {"name": [operator, "nobody"], "password": [PASSWORD, "x"], **{name: [text] for name, text in form.items()}}
    assert client.post("/login", data=twice).status_code == 303  # of several the first counts, everywhere


def signed(app: OpenAPI, content: dict[str, object], *, age: timedelta = timedelta(), key: str | None = None) -> str:
    """A session cookie as the app signs it, or as somebody with another key would, made `age` ago."""
    made = app.session_interface.get_signing_serializer(app)  # type: ignore[attr-defined]
    if key:
        made.secret_keys = [key.encode()]

    class Earlier(itsdangerous.TimestampSigner):
        def get_timestamp(self) -> int:
            return super().get_timestamp() - int(age.total_seconds())

    made.signer = Earlier
    return str(made.dumps(content))


def content_of(client: FlaskClient) -> dict[str, object]:
    with client.session_transaction() as session:
        return dict(session)


def test_cookies_are_signed_by_sha_256(app: OpenAPI) -> None:
    serializer = app.session_interface.get_signing_serializer(app)  # type: ignore[attr-defined]
    signer = serializer.make_signer(serializer.salt)
    assert len(signer.get_signature(b"x")) == 43  # 256 bits in base64
    assert len(_browser_signer_of(app).make_signer().get_signature(b"x")) == 43


def _browser_signer_of(app: OpenAPI) -> itsdangerous.URLSafeTimedSerializer:
    with app.app_context():
        return auth._browser_signer()


def test_a_session_ends_two_weeks_after_its_login(app: OpenAPI, reader: FlaskClient) -> None:
    assert timedelta(days=14) == SESSION_LIFETIME
    for age, is_good in ((SESSION_LIFETIME - timedelta(hours=1), True), (SESSION_LIFETIME + timedelta(hours=1), False)):
        reader.set_cookie("signalbook", signed(app, content_of(reader), age=age))
        assert is_logged_in(reader) is is_good
        if is_good:
            assert "signalbook" not in "".join(reader.get("/status", headers=PAGE).headers.getlist("Set-Cookie"))


def test_a_cookie_that_somebody_else_has_signed_or_changed_opens_nothing(app: OpenAPI, reader: FlaskClient) -> None:
    whole, content = signed(app, content_of(reader)), content_of(reader)
    payload, stamp, signature = whole.split(".") if whole.count(".") == 2 else whole.rsplit(".", 2)
    forged = (
        signed(app, content, key="another key of thirty-two characters"),
        f"{payload}.{stamp}.{signature[::-1]}",
        f"{payload}.{stamp}.",
        payload,
        f"{payload[::-1]}.{stamp}.{signature}",
        itsdangerous.URLSafeSerializer("", salt="cookie-session").dumps(content),
    )
    for cookie in forged:
        reader.set_cookie("signalbook", str(cookie))
        assert not is_logged_in(reader), cookie
    reader.set_cookie("signalbook", whole)
    assert is_logged_in(reader)


def test_what_is_signed_for_one_purpose_serves_no_other(app: OpenAPI, reader: FlaskClient, operator: str) -> None:
    key = str(app.secret_key)
    content = content_of(reader)
    assert COOKIE_LIFETIME > SESSION_LIFETIME
    marks = [reader.get_cookie("signalbook_browser"), None]
    for cookie in (
        marks[0].value if marks[0] else "",
        _browser_signer_of(app).dumps(content),
        itsdangerous.URLSafeTimedSerializer(key, salt="wtf-csrf-token").dumps(content),
    ):
        reader.set_cookie("signalbook", str(cookie))
        assert not is_logged_in(reader)


def test_an_awaited_code_opens_no_page(app: OpenAPI, client: FlaskClient, operator: str) -> None:
    with app.app_context():
        client.set_cookie("signalbook", signed(app, {"awaited": (1, 1, 0.0)}))
    assert not is_logged_in(client)


def test_a_refusal_stands_in_the_log_with_who_from_where_and_what(
    app: OpenAPI, db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with db.transaction() as cur:
        users.add_user(cur, name="vera", password_hash=password_hash(), role="viewer")
    viewer, nobody = app.test_client(), app.test_client()
    for visitor in (viewer, nobody):
        visitor.environ_base["REMOTE_ADDR"] = "203.0.113.9"
    log_in(viewer, "vera", address="203.0.113.9")
    token = csrf_token(viewer, "/status")
    asked = {"headers": {"Accept": "application/json"}}
    with caplog.at_level(logging.INFO, "request"):
        caplog.clear()
        viewer.post("/connect/rotate", data={"csrf_token": token}, **asked)
        viewer.post("/connect/rotate", **asked)
        nobody.get("/api/automated-signals/stats", **asked)
        nobody.get("/api/automated-signals/stats", headers={"Authorization": "Bearer x", "Accept": "application/json"})
        viewer.get("/api/automated-signals/daily-calendar?month=13", **asked)
    told = [
        (line.method, line.rule, line.status, line.user, line.address)  # type: ignore[attr-defined]
        for line in caplog.records
        if line.name == "request"
    ]
    stats = "/api/automated-signals/stats"
    assert told == [
        ("POST", "/connect/rotate", 403, "vera", "203.0.113.9"),
        ("POST", "/connect/rotate", 403, None, "203.0.113.9"),  # the form's token is asked before the login
        ("GET", stats, 401, None, "203.0.113.9"),
        ("GET", stats, 401, None, "203.0.113.9"),
        ("GET", "/api/automated-signals/daily-calendar", 400, "vera", "203.0.113.9"),
    ]
