"""Who may call what: every rule of the URL map, asked by every kind of caller, against the table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from flask import Blueprint
from flask.testing import FlaskClient
from flask_openapi3 import OpenAPI
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from core.settings import Settings
from database import users
from database.engine import Database
from tests.support_http import PASSWORD, api_token, csrf_token, password_hash
from web.policy import POLICY, SAFE_METHODS, Access
from web_server import create_app

JSON = {"Accept": "application/json"}
FILLED_IN = {"int": "1", "": "an-unknown-value-of-a-path"}
PASSED = "passed"
REFUSALS = {"not_logged_in": 401, "not_allowed": 403, "csrf": 403}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the role of the login, if any, whether the form's token comes along, and from which page."""

    role: str | None
    csrf: str = "right"
    origin: str | None = None
    token: str | None = None  # the role of the API token sent along, or "revoked"


CALLERS = {
    "anonymous": Caller(None),
    "viewer": Caller("viewer"),
    "operator": Caller("operator"),
    "operator without the form's token": Caller("operator", csrf="missing"),
    "operator with a wrong token": Caller("operator", csrf="wrong"),
    "operator led here by another site": Caller("operator", origin="https://evil.example"),
    "operator on a page of our own": Caller("operator", origin="http://localhost"),
    "anonymous led here by another site": Caller(None, origin="https://evil.example"),
    "program of a viewer": Caller(None, csrf="missing", token="viewer"),
    "program of an operator": Caller(None, csrf="missing", token="operator"),
    "program with a revoked token": Caller(None, csrf="missing", token="revoked"),
    "operator with a viewer's token": Caller("operator", csrf="missing", token="viewer"),
    "viewer with an operator's token": Caller("viewer", token="operator"),
    "operator with a revoked token": Caller("operator", csrf="missing", token="revoked"),
    "operator's token led here by another site": Caller("viewer", origin="https://evil.example", token="operator"),
}


def expected(access: Access | None, method: str, path: str, caller: Caller) -> str:
    """What the table promises this caller: PASSED or the code of the refusal."""
    changes = method not in SAFE_METHODS
    is_foreign = caller.origin is not None and "evil" in caller.origin
    token = caller.token if path.startswith("/api/") else None
    role = (None if token == "revoked" else token) if token else caller.role
    if changes and access is not Access.WEBHOOK_TOKEN and not token and (caller.csrf != "right" or is_foreign):
        return "csrf"
    if access is None:
        return "not_allowed"
    if access is Access.METRICS_TOKEN or (access in (Access.LOGIN, Access.OWN) and role is None):
        return "not_logged_in"
    if access is Access.LOGIN and changes and role == "viewer":
        return "not_allowed"
    return PASSED


def outcome(answer: TestResponse) -> str:
    """PASSED, whatever the view then said, or the code of the refusal; the status when the service itself failed."""
    code = (answer.get_json(silent=True) or {}).get("code") if answer.mimetype == "application/problem+json" else None
    if code in REFUSALS:
        assert answer.status_code == REFUSALS[code]
        return str(code)
    return PASSED if answer.status_code < 500 else f"failed with {answer.status_code}"


def requests_of(app: OpenAPI) -> Iterator[tuple[Rule, str]]:
    """Every rule with every method that has an answer to look at; the logout last, because it ends the session."""
    rules = sorted(app.url_map.iter_rules(), key=lambda rule: (rule.endpoint == "auth.log_out", str(rule)))
    for rule in rules:
        for method in sorted((rule.methods or set()) - {"HEAD"}):
            yield rule, method


def path_of(rule: Rule) -> str:
    return re.sub(r"<(?:(\w+):)?\w+>", lambda part: FILLED_IN[part[1] or ""], rule.rule)


def blueprint_of(rule: Rule) -> str:
    return str(rule.endpoint).rpartition(".")[0]


def enter(app: OpenAPI, db: Database, caller: Caller) -> tuple[FlaskClient, dict[str, str]]:
    """The caller's browser, and what it sends with a form."""
    client = app.test_client()
    if caller.role:
        with db.transaction() as cur:
            users.add_user(cur, name="caller", password_hash=password_hash(), role=caller.role)
        form = {"name": "caller", "password": PASSWORD, "csrf_token": csrf_token(client)}
        assert client.post("/login", data=form).status_code == 303
    token = csrf_token(client, "/about/licences" if caller.role else "/login")
    if caller.token:
        client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {api_token(db, caller.token)}"
    return client, {"right": {"csrf_token": token}, "wrong": {"csrf_token": token[::-1]}, "missing": {}}[caller.csrf]


@pytest.mark.parametrize("name", CALLERS)
def test_every_rule_treats_its_caller_as_the_table_says(app: OpenAPI, db: Database, name: str) -> None:
    caller = CALLERS[name]
    client, form = enter(app, db, caller)
    headers = JSON | ({"Origin": caller.origin} if caller.origin else {})
    surprises, asked = [], 0
    for rule, method in requests_of(app):
        answer = client.open(path_of(rule), method=method, headers=headers, data=form if method == "POST" else None)
        promised = expected(POLICY.get(blueprint_of(rule)), method, rule.rule, caller)
        asked += 1
        if outcome(answer) != promised:
            surprises.append(f"{method} {rule}: {outcome(answer)}, promised {promised}")
    assert surprises == []
    assert asked >= 40


def test_the_table_names_every_blueprint_and_no_other(app: OpenAPI) -> None:
    assert {blueprint_of(rule) for rule in app.url_map.iter_rules()} == set(POLICY)


def test_whatever_is_not_named_here_asks_for_a_login() -> None:
    assert {name: access for name, access in POLICY.items() if access is not Access.LOGIN} == {
        "auth": Access.PUBLIC,
        "health": Access.PUBLIC,
        "pages.preferences": Access.PUBLIC,
        "pages.code_login": Access.PUBLIC,
        "pages.account": Access.OWN,
        "pages.well_known": Access.PUBLIC,
        "signals.preferences": Access.PUBLIC,
        "metrics": Access.METRICS_TOKEN,
        "webhook": Access.WEBHOOK_TOKEN,
    }


def test_only_the_webhook_takes_a_change_without_the_forms_token(app: OpenAPI, db: Database) -> None:
    client, _form = enter(app, db, Caller("operator", csrf="missing"))
    changing = [(rule, method) for rule, method in requests_of(app) if method not in SAFE_METHODS]
    exempt = {
        blueprint_of(rule)
        for rule, method in changing
        if outcome(client.open(path_of(rule), method=method, headers=JSON)) != "csrf"
    }
    assert exempt == {"webhook"}


def test_a_head_request_passes_where_a_get_does_and_nowhere_else(app: OpenAPI) -> None:
    client = app.test_client()
    for rule, method in requests_of(app):
        if method == "GET":
            head, get = (client.open(path_of(rule), method=kind, headers=JSON) for kind in ("HEAD", "GET"))
            assert (head.status_code, head.data) == (get.status_code, b""), rule


def with_strangers(settings: Settings, db: Database) -> OpenAPI:
    """The app with a blueprint and a route that nobody has put into the table."""
    app = create_app(settings, db)
    stranger = Blueprint("stranger", __name__)
    stranger.add_url_rule("/stranger", view_func=lambda: "open")
    app.register_blueprint(stranger)
    app.add_url_rule("/loose", view_func=lambda: "open")
    return app


@pytest.mark.parametrize("path", ["/stranger", "/loose"])
@pytest.mark.parametrize("role", [None, "viewer", "operator"])
def test_what_the_table_does_not_name_is_refused_to_all(
    settings: Settings, db: Database, path: str, role: str | None
) -> None:
    client, _form = enter(with_strangers(settings, db), db, Caller(role))
    answer = client.get(path, headers=JSON)
    assert (answer.status_code, outcome(answer)) == (403, "not_allowed")


def test_an_unknown_path_is_not_found_whoever_asks(app: OpenAPI, db: Database) -> None:
    for caller in (Caller(None), Caller("operator")):
        client, form = enter(app, db, caller)
        assert client.get("/no-such-page", headers=JSON).status_code == 404
        assert client.post("/no-such-page", headers=JSON, data=form).status_code == 404


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ("Bearer metrics-token-of-the-tests", 200),
        ("bearer  metrics-token-of-the-tests", 200),
        ("metrics-token-of-the-tests", 401),
        ("Basic metrics-token-of-the-tests", 401),
        ("Bearer metrics-token-of-the-test", 401),
        ("Bearer \u00fcberraschung", 401),
        ("Bearer", 401),
        ("", 401),
    ],
)
def test_metrics_want_their_bearer_token(client: FlaskClient, given: str, status: int) -> None:
    answer = client.get("/metrics", headers=JSON | {"Authorization": given})
    assert answer.status_code == status
    assert (b"signalbook_http_requests_total" in answer.data) == (status == 200)


def test_a_session_is_no_key_to_metrics(app: OpenAPI, db: Database) -> None:
    client, _form = enter(app, db, Caller("operator"))
    assert client.get("/metrics", headers=JSON).status_code == 401
