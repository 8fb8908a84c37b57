"""Security headers stand on every answer: pages, redirects, errors, health and static files."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from flask_openapi3 import OpenAPI
from werkzeug.test import Client, TestResponse

from core.settings import Settings
from database.engine import Database
from tests.support_http import PASSWORD, csrf_token
from web.assets import Assets, vendor_faults, wrap_static
from web_server import create_app

POLICY_WORDS = (
    *("default-src 'none'", "object-src 'none'", "base-uri 'none'"),
    *("script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"),
)
PATHS = ("/login", "/", "/status", "/no-such-page", "/api/no-such-route", "/healthz", "/readyz", "/metrics")


def assert_guarded(answer: TestResponse) -> None:
    headers = answer.headers
    assert all(word in headers["Content-Security-Policy"] for word in POLICY_WORDS)
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "camera=()" in headers["Permissions-Policy"]
    assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_is_guarded(client: FlaskClient, path: str) -> None:
    answer = client.get(path, headers={"Origin": "https://evil.example"})
    assert_guarded(answer)
    assert answer.headers["Cache-Control"] == "private, no-cache"


def test_a_refused_method_is_guarded_too(client: FlaskClient) -> None:
    answer = client.open("/healthz", method="DELETE")
    assert answer.status_code >= 400
    assert_guarded(answer)


def test_plain_http_promises_no_transport_security(client: FlaskClient) -> None:
    assert "Strict-Transport-Security" not in client.get("/login").headers


def test_https_is_promised_for_a_year_and_cookies_are_bound_to_the_host(settings: Settings, db: Database) -> None:
    client = create_app(replace(settings, public_url="https://signals.example.com"), db).test_client()
    answer = client.get("/login", base_url="https://signals.example.com")
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-signalbook=")
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= {part.strip() for part in cookie.split(";")}
    assert "Domain" not in cookie


def test_behind_https_every_cookie_is_bound_to_the_host(settings: Settings, db: Database, operator: str) -> None:
    host = "https://signals.example.com"
    client = create_app(replace(settings, public_url=host), db).test_client()
    token = csrf_token(client, f"{host}/login")
    headers = {"Referer": f"{host}/login"}
    kept = []
    for path, form in (
        ("/preferences", {"theme": "light", "zone": "utc"}),
        ("/automated-signals/columns", {"column": "status"}),
        ("/login", {"name": operator, "password": PASSWORD}),
    ):
        answer = client.post(path, data=form | {"csrf_token": token}, headers=headers, base_url=host)
        assert answer.status_code == 303, path
        kept += answer.headers.getlist("Set-Cookie")
    assert len(kept) >= 5
    for cookie in kept:
        parts = [part.strip() for part in cookie.split(";")]
        assert parts[0].startswith("__Host-"), cookie
        assert {"Secure", "Path=/", "SameSite=Lax"} <= set(parts), cookie
    assert "theme" not in "".join(cookie for cookie in kept if "HttpOnly" in cookie)
    page = client.get("/status", base_url=host)
    assert 'data-theme="light"' in page.text
    assert 'data-cookies="__Host-"' in page.text


def static_client(app: OpenAPI) -> Client:
    return Client(wrap_static(app, app.wsgi_app))


def test_static_files_are_cached_for_ever_compressed_and_guarded(app: OpenAPI) -> None:
    assets: Assets = app.extensions["signalbook.assets"]
    with static_client(app).get(assets.url("css/base.css"), headers={"Accept-Encoding": "gzip"}) as answer:
        assert answer.status_code == 200
        assert "immutable" in answer.headers["Cache-Control"]
        assert answer.headers["Content-Encoding"] == "gzip"
        assert answer.headers["ETag"]
        assert_guarded(answer)


def test_a_static_url_of_another_version_is_not_found(app: OpenAPI) -> None:
    assert static_client(app).get("/static/000000000000/css/base.css").status_code == 404
    assert static_client(app).get("/static/../web_server.py").status_code == 404


def test_a_static_name_that_does_not_exist_fails_when_the_page_is_rendered(app: OpenAPI) -> None:
    with pytest.raises(KeyError, match=r"no-such\.css"):
        app.jinja_env.globals["asset"]("css/no-such.css")  # type: ignore[operator]


def test_any_change_of_a_file_changes_the_version(tmp_path: Any) -> None:
    (tmp_path / "a.css").write_text("a{}")
    before = Assets(tmp_path).version
    (tmp_path / "a.css").write_text("b{}")
    assert Assets(tmp_path).version != before


def test_old_versions_of_the_static_tree_are_dropped(tmp_path: Any) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    for number in range(6):
        (source / "a.txt").write_text(str(number))
        last = Assets(source).write_to(target)
    assert len(list(target.iterdir())) <= 4
    assert (last / "a.txt").read_text() == "5"
    assert Assets(source).write_to(target) == last


def test_vendored_files_match_their_manifest() -> None:
    assert vendor_faults() == []


def test_a_changed_or_unlisted_vendored_file_is_found(tmp_path: Any) -> None:
    (tmp_path / "lib.js").write_text("x")
    (tmp_path / "manifest.json").write_text('{"gone.js": "00"}')
    assert vendor_faults(tmp_path) == ["gone.js", "lib.js"]
