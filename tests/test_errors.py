"""Errors on the wire: a problem document for programs, a page for people, and never a detail of the inside."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator

import psycopg2.errors
import pytest
from flask import Blueprint, abort
from flask.testing import FlaskClient
from flask_openapi3 import OpenAPI

from core import errors
from database.engine import Database
from ingestion.feed.hub import HubRefusedError
from web.errors import STATUS, status_of
from web.policy import POLICY, Access

JSON = {"Accept": "application/json"}
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
LATE = (HubRefusedError,)  # the app imports their modules when it needs them
SECRET = "SELECT password FROM users -- /srv/signalbook/database/users.py"


def fail_with(error: Exception) -> Callable[[], str]:
    def view() -> str:
        raise error

    return view


def all_errors() -> Iterator[type[errors.SignalbookError]]:
    """Every class of the tree."""
    waiting = [errors.SignalbookError]
    while waiting:
        kind = waiting.pop()
        yield kind
        waiting.extend(kind.__subclasses__())


@pytest.fixture
def client(app: OpenAPI, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    """A client of an app with routes that fail: one for each class of error, and some that nobody foresaw."""
    broken = Blueprint("broken", __name__)
    failures: dict[str, Exception] = {kind.code: kind() for kind in all_errors()}
    failures |= {"unforeseen": RuntimeError(SECRET), "field": errors.InvalidInputError("is too long", field="name")}
    failures |= {"recursion": RecursionError(SECRET), "late": errors.TryAgainError(retry_after=7)}
    failures |= {"slow": psycopg2.errors.QueryCanceled(SECRET), "locked": psycopg2.errors.LockNotAvailable(SECRET)}
    for name, error in failures.items():
        broken.add_url_rule(f"/broken/{name}", name, fail_with(error))
    broken.add_url_rule("/broken/refused", "refused", lambda: abort(418, description=SECRET))
    monkeypatch.setitem(POLICY, "broken", Access.PUBLIC)
    app.register_blueprint(broken)
    return app.test_client()


@pytest.mark.parametrize("kind", list(all_errors()), ids=lambda kind: kind.__name__)
def test_every_error_is_a_problem_document_with_the_status_of_its_class(
    client: FlaskClient, kind: type[errors.SignalbookError]
) -> None:
    answer = client.get(f"/broken/{kind.code}", headers=JSON)
    problem = json.loads(answer.data)
    assert answer.mimetype == "application/problem+json"
    assert answer.status_code == problem["status"] == status_of(kind())
    assert (problem["success"], problem["error"], problem["code"]) == (False, problem["detail"], kind.code)
    assert problem["type"].endswith(kind.code)
    assert problem["title"]
    assert problem["instance"] == answer.headers["X-Request-ID"]
    assert ("Retry-After" in answer.headers) == issubclass(kind, errors.TryAgainError)


@pytest.mark.parametrize("name", ["slow", "locked"])
def test_a_question_that_the_database_gave_up_may_be_asked_again_and_is_no_fault_of_ours(
    client: FlaskClient, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = client.get(f"/broken/{name}", headers=JSON)
    assert (answer.status_code, answer.json and answer.json["code"]) == (503, "try_again")
    assert int(answer.headers["Retry-After"]) >= 1
    assert "SELECT" not in answer.text
    assert [record.levelname for record in caplog.records if record.name == "web.errors"] == ["WARNING"]


def test_the_statuses_are_those_that_callers_know() -> None:
    found = {kind.__name__: status_of(kind()) for kind in (*LATE, *all_errors())}
    assert found == {
        "SignalbookError": 500,
        "InvalidInputError": 422,
        "TooLargeError": 413,
        "NotLoggedInError": 401,
        "NotAllowedError": 403,
        "NotFoundError": 404,
        "ConflictError": 409,
        "TryAgainError": 503,
        "RateLimitedError": 429,
        "DatabaseUnavailableError": 503,
        "StorageError": 503,
        "MisconfiguredError": 500,
        "FeedError": 503,
        "HubRefusedError": 503,
        "GatewayUnavailableError": 503,
        "GatewayRefusedError": 409,
        "WaveFeedError": 503,
        "TokenRefusedError": 503,
    }
    assert set(STATUS) <= set(all_errors())


def test_codes_are_unique() -> None:
    codes = [kind.code for kind in all_errors()]
    assert len(codes) == len(set(codes))


def test_the_field_that_is_wrong_is_named(client: FlaskClient) -> None:
    problem = client.get("/broken/field", headers=JSON).get_json()
    assert problem["errors"] == [{"pointer": "/name", "field": "name", "detail": "is too long"}]


def test_a_passing_trouble_says_when_to_come_back(client: FlaskClient) -> None:
    assert client.get("/broken/late", headers=JSON).headers["Retry-After"] == "7"


@pytest.mark.parametrize("headers", [JSON, BROWSER, {}])
@pytest.mark.parametrize("name", ["unforeseen", "recursion", "refused"])
def test_what_nobody_foresaw_tells_nothing_of_the_inside(
    client: FlaskClient, name: str, headers: dict[str, str]
) -> None:
    answer = client.get(f"/broken/{name}", headers=headers)
    assert answer.status_code == (418 if name == "refused" else 500)
    for inside in ("SELECT", "/srv/", "Traceback", "RuntimeError", "RecursionError", ".py"):
        assert inside not in answer.text


def test_what_nobody_foresaw_stands_in_the_log(client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        client.get("/broken/unforeseen", headers=JSON)
    (record,) = [record for record in caplog.records if record.message == "request_failed"]
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == SECRET


def test_a_browser_gets_a_page_with_the_number_of_its_request(client: FlaskClient) -> None:
    answer = client.get("/no-such-page", headers=BROWSER)
    assert (answer.status_code, answer.mimetype) == (404, "text/html")
    assert answer.headers["X-Request-ID"] in answer.text
    assert "<h1>Not Found</h1>" in answer.text


def test_a_path_is_not_echoed(client: FlaskClient) -> None:
    answer = client.get("/<script>alert(1)</script>", headers=BROWSER)
    assert answer.status_code == 404
    assert "<script>alert" not in answer.text


def test_the_api_speaks_json_to_browsers_too(client: FlaskClient) -> None:
    answer = client.get("/api/no-such-route", headers=BROWSER)
    assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")


def test_a_wrong_method_names_the_right_ones(client: FlaskClient) -> None:
    answer = client.delete("/healthz", headers=JSON)
    assert (answer.status_code, answer.get_json()["code"]) == (405, "method_not_allowed")
    assert {"GET", "HEAD"} <= {method.strip() for method in answer.headers["Allow"].split(",")}


@pytest.mark.parametrize(
    "path", ["/login", "/api/automated-signals", "/api/automated-signals/webhook/some-token-of-ours"]
)
def test_a_body_that_is_too_large_is_refused(client: FlaskClient, path: str) -> None:
    form = "application/x-www-form-urlencoded"
    answer = client.post(path, data=b"a=" + b"x" * (1024 * 1024), content_type=form, headers=JSON)
    problem = json.loads(answer.data)
    assert (answer.status_code, problem["status"], problem["success"]) == (413, 413, False)


def test_a_query_that_does_not_fit_is_named_without_its_value(
    app: OpenAPI, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(POLICY, "telemetry", Access.PUBLIC)
    answer = client.get("/api/automated-signals/telemetry?limit=SELECT+1", headers=JSON)
    problem = answer.get_json()
    assert (answer.status_code, problem["errors"][0]["field"]) == (400, "limit")
    assert "SELECT" not in answer.text


def test_a_callers_request_id_is_kept_if_it_is_harmless(client: FlaskClient) -> None:
    given = "0123-from_the.proxy"
    assert client.get("/healthz", headers={"X-Request-ID": given}).headers["X-Request-ID"] == given
    for odd in ("short", "x" * 65, "with spaces in it", "semi;colon-in-it"):
        answer = client.get("/healthz", headers={"X-Request-ID": odd})
        assert answer.headers["X-Request-ID"] != odd
        assert len(answer.headers["X-Request-ID"]) == 16


def test_without_the_database_an_error_page_can_still_be_made(
    client: FlaskClient, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise errors.DatabaseUnavailableError

    monkeypatch.setattr(type(db), "transaction", refuse)
    assert client.get("/no-such-page", headers=BROWSER).status_code == 404
    assert client.get("/broken/unforeseen", headers=BROWSER).status_code == 500
