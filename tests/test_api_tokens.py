"""API tokens: made, listed and revoked on the command line; below /api they stand for cookie and form token."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from flask_openapi3 import OpenAPI

from core.errors import InvalidInputError
from database import api_tokens
from database.engine import Database
from tests.support_http import log_in

LOG = "/api/automated-signals/telemetry"
REPLAY = f"{LOG}/replay"
REVOKE = ("token", "revoke", "1", "--kind", "api")


def run(app: OpenAPI, *arguments: str, exit_code: int = 0) -> str:
    done = app.test_cli_runner().invoke(args=list(arguments))
    assert done.exit_code == exit_code, done.output
    return str(done.output)


def make(app: OpenAPI, role: str) -> dict[str, str]:
    """The header of a new token."""
    made = json.loads(run(app, "token", "create", "--role", role, "--name", "nightly-report", "--json"))
    assert (made["role"], made["name"]) == (role, "nightly-report")
    return {"Authorization": f"Bearer {made['token']}"}


def test_a_token_needs_no_cookie_and_no_form_token(app: OpenAPI) -> None:
    header = make(app, "operator")
    client = app.test_client()
    assert client.get(LOG, headers=header).get_json()["success"]
    answer = client.post(REPLAY, headers=header)
    assert (answer.status_code, answer.get_json()["tried"]) == (200, 0)
    assert "Set-Cookie" not in answer.headers


def test_a_viewers_token_may_look_but_not_change(app: OpenAPI) -> None:
    header = make(app, "viewer")
    client = app.test_client()
    assert client.get(LOG, headers=header).status_code == 200
    assert (client.post(REPLAY, headers=header).status_code, client.post(REPLAY).status_code) == (403, 403)


def test_a_token_opens_no_page(app: OpenAPI) -> None:
    header = make(app, "operator")
    answers = {path: app.test_client().get(path, headers=header).status_code for path in ("/overview", "/openapi.json")}
    assert answers == {"/overview": 401, "/openapi.json": 401}
    assert app.test_client().post("/connect/rotate", headers=header).get_json()["code"] == "csrf"


def test_a_token_outranks_the_cookie_even_when_it_is_wrong(app: OpenAPI, client: FlaskClient, operator: str) -> None:
    log_in(client, operator)
    assert client.get(LOG).status_code == 200
    answer = client.get(LOG, headers={"Authorization": "Bearer wrong"})
    assert (answer.status_code, answer.get_json()["error"]) == (401, "This API token is not valid.")
    assert client.post(REPLAY, headers=make(app, "viewer")).get_json()["code"] == "not_allowed"


def test_a_revoked_token_is_dead_at_once(app: OpenAPI) -> None:
    header = make(app, "operator")
    client = app.test_client()
    assert client.get(LOG, headers=header).status_code == 200
    assert run(app, *REVOKE) == "Token 1 is revoked.\n"
    assert client.get(LOG, headers=header).status_code == 401
    assert "no valid API token" in run(app, *REVOKE, exit_code=1)


def test_the_list_shows_both_kinds_and_no_token(app: OpenAPI) -> None:
    token = make(app, "viewer")["Authorization"].removeprefix("Bearer ")
    webhook = json.loads(run(app, "token", "create", "--stream", "second", "--json"))["token"]
    listed: list[dict[str, Any]] = json.loads(run(app, "token", "list", "--json"))
    found = {(row["kind"], row["token_end"], row.get("role"), row.get("stream")) for row in listed}
    assert found == {("webhook", webhook[-4:], None, "second"), ("api", token[-4:], "viewer", None)}
    said = run(app, "token", "list")
    assert "nightly-report (viewer)" in said
    assert token not in said


def test_only_the_hash_is_kept(app: OpenAPI, db: Database) -> None:
    token = make(app, "viewer")["Authorization"].removeprefix("Bearer ")
    with db.transaction() as cur:
        cur.execute("SELECT t::text AS row FROM api_tokens t")
        assert token not in cur.fetchone().row
        found = api_tokens.get_token(cur, token)
        assert found is not None
        assert found.name == "nightly-report"


@pytest.mark.parametrize("arguments", [("--role", "admin"), ("--name", "x"), ("--role", "viewer", "--stream", "main")])
def test_a_wrong_call_makes_no_token(app: OpenAPI, db: Database, arguments: tuple[str, ...]) -> None:
    run(app, "token", "create", *arguments, exit_code=2)
    assert json.loads(run(app, "token", "list", "--json")) == []


@pytest.mark.parametrize("given", [{"name": "A B"}, {"name": ""}, {"role": "admin"}])
def test_a_bad_name_or_role_is_named(db: Database, given: dict[str, str]) -> None:
    with db.transaction() as cur, pytest.raises(InvalidInputError) as caught:
        api_tokens.add_token(cur, token="t" * 32, created_by="test", **{"name": "x", "role": "viewer"} | given)
    assert caught.value.field in given
