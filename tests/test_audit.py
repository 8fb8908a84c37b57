"""Who did what: every change and every login is written down, with its outcome and without its secrets."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from flask_openapi3 import OpenAPI

from core.errors import DatabaseUnavailableError
from database import operator_actions, users
from database.engine import Database
from tests.support_http import PASSWORD, api_token, csrf_token, log_in, password_hash


def actions(db: Database) -> list[Any]:
    """What was written down, oldest first."""
    with db.transaction() as cur:
        return operator_actions.list_actions(cur, limit=500)[::-1]


def told(db: Database) -> list[tuple[str, str, int | None]]:
    return [(row.login, row.action, row.status) for row in actions(db)]


def test_logins_logouts_and_wrong_passwords_are_written_down(client: FlaskClient, operator: str, db: Database) -> None:
    log_in(client, operator, "wrong password")
    log_in(client, operator)
    client.post("/logout", data={"csrf_token": csrf_token(client, "/status")})
    assert told(db) == [("", "auth.log_in", 401), ("ann", "auth.log_in", 303), ("ann", "auth.log_out", 303)]


def test_a_change_is_written_down_with_what_it_was_about_and_from_where(
    client: FlaskClient, operator: str, db: Database
) -> None:
    client.environ_base["REMOTE_ADDR"] = "203.0.113.9"
    log_in(client, operator, address="203.0.113.9")
    form = {"stream": "nq-1", "csrf_token": csrf_token(client, "/status")}
    answer = client.post("/connect/rotate", data=form)
    row = actions(db)[-1]
    assert (row.login, row.role, row.status) == ("ann", "operator", 200)
    assert row.arguments == {"stream": "nq-1"}
    assert (row.address, row.request_id) == ("203.0.113.9", answer.headers["X-Request-ID"])


def test_what_a_viewer_was_refused_is_written_down(app: OpenAPI, db: Database) -> None:
    with db.transaction() as cur:
        users.add_user(cur, name="vera", password_hash=password_hash(), role="viewer")
    viewer = app.test_client()
    log_in(viewer, "vera")
    viewer.post("/connect/rotate", data={"csrf_token": csrf_token(viewer, "/status")})
    assert told(db)[-1] == ("vera", "telemetry_pages.connect.rotate_token", 403)


def test_a_program_is_named_by_its_token(client: FlaskClient, db: Database) -> None:
    headers = {"Authorization": f"Bearer {api_token(db, 'operator')}"}
    client.post("/api/automated-signals/telemetry/replay", headers=headers, json={})
    assert told(db)[-1][0] == "program"


def test_looking_preferences_and_alerts_are_no_actions(client: FlaskClient, operator: str, db: Database) -> None:
    log_in(client, operator)
    before = told(db)
    client.get("/status")
    client.post("/preferences", data={"theme": "light", "csrf_token": csrf_token(client, "/status")})
    client.post("/api/automated-signals/webhook/no-such-token", data=b"{}")
    assert told(db) == before


def test_no_secret_of_a_form_is_kept(client: FlaskClient, operator: str, db: Database) -> None:
    log_in(client, "a-password-in-the-wrong-field", "another-secret")
    log_in(client, operator)
    form = {"password": "third-secret", "code": "123456", "csrf_token": csrf_token(client, "/status")}
    client.post("/account/second-factor/remove", data=form)
    kept = json.dumps([list(map(str, row)) for row in actions(db)])
    for secret in ("a-password-in-the-wrong-field", "another-secret", "third-secret", "123456", PASSWORD):
        assert secret not in kept


def test_a_flood_of_guesses_fills_no_table(client: FlaskClient, operator: str, db: Database) -> None:
    for number in range(15):
        log_in(client, f"name{number}", "x")
    assert len(actions(db)) == 10


def test_an_action_that_cannot_be_kept_does_not_change_its_answer(
    client: FlaskClient, operator: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise DatabaseUnavailableError

    monkeypatch.setattr(operator_actions, "add_action", refuse)
    assert log_in(client, operator).status_code == 303
    assert "operator_action_not_kept" in caplog.text


def test_commands_on_the_server_are_written_down_with_what_they_did(app: OpenAPI, db: Database) -> None:
    run = app.test_cli_runner().invoke
    for arguments in (
        ["user", "create", "bob", "--role", "viewer", "--json"],
        ["user", "passwd", "bob", "--json"],
        ["user", "deactivate", "bob"],
        ["token", "create", "--stream", "nq"],
        ["token", "rotate", "--stream", "nq"],
        ["token", "revoke", "1"],
    ):
        assert run(args=arguments).exit_code == 0
    assert [row.action for row in actions(db)] == [
        "flask user create",
        "flask user passwd",
        "flask user deactivate",
        "flask token create",
        "flask token rotate",
        "flask token revoke",
    ]
    assert {row.login for row in actions(db)} == {"command line"}
    run(args=["user", "create", "bob", "--json"])
    assert len(actions(db)) == 6  # refused, so nothing was done


def test_the_page_shows_actions_newest_first_and_pages(client: FlaskClient, operator: str, db: Database) -> None:
    log_in(client, operator)
    for number in range(101):
        form = {"stream": f"<b>{number}", "csrf_token": csrf_token(client, "/status")}
        client.post("/connect/test", data=form)
    page = client.get("/audit").text
    assert "&lt;b&gt;100" in page
    assert "<b>" not in page
    older = page.partition('href="/audit?before_id=')[2].partition('"')[0]
    assert "auth.log_in" in client.get(f"/audit?before_id={older}").text
    assert client.get("/audit?before_id=-1").status_code == 200
    assert client.get("/audit?before_id=99999999999999999999").status_code == 200
