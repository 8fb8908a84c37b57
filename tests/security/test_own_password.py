"""A login's own password: changed by whoever knows the present one, and nobody else."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from flask_openapi3 import OpenAPI
from werkzeug.test import TestResponse

from database import operator_actions, users
from database.engine import Database
from tests.support_http import PASSWORD, log_in, password_hash
from tests.test_auth import is_logged_in, run, with_cookie_of
from tests.test_second_factor import FixedClock, code_of, post, turn_on

NEW = "blue lantern over the bay"


@pytest.fixture
def clock(app: OpenAPI) -> FixedClock:
    """The clock of the app's requests."""
    fixed = FixedClock()
    app.extensions["signalbook"].clock = fixed
    return fixed


def change(client: FlaskClient, password: str = PASSWORD, new: str = NEW, again: str = "", **more: str) -> TestResponse:
    return post(client, "/account/password", password=password, new=new, again=again or new, **more)


def test_the_present_password_makes_way_for_a_new_one(app: OpenAPI, client: FlaskClient, operator: str) -> None:
    log_in(client, operator)
    thief = with_cookie_of(app, client)
    answer = change(client)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/account?password=changed")
    assert "Your password is changed." in client.get(answer.headers["Location"]).text
    assert not is_logged_in(thief)
    assert is_logged_in(client)
    assert log_in(app.test_client(), operator, PASSWORD).status_code == 401
    assert log_in(app.test_client(), operator, NEW).status_code == 303


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"password": "not the present one"}, "Password or code is not right."),
        ({"password": ""}, "Password or code is not right."),
        ({"new": "short"}, "use 10 to 200 characters"),
        ({"new": "x1" * 101}, "use 10 to 200 characters"),
        ({"new": "signalbook2025"}, "one of the first that would be guessed"),
        ({"again": "blue lantern over the hill"}, "typed in two different ways"),
    ],
)
def test_what_does_not_fit_changes_nothing(
    client: FlaskClient, operator: str, form: dict[str, str], said: str, app: OpenAPI
) -> None:
    log_in(client, operator)
    answer = change(client, **form)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (422, "no-store")
    assert said in answer.text
    assert NEW not in answer.text
    assert log_in(app.test_client(), operator, PASSWORD).status_code == 303


def test_where_there_is_a_second_factor_a_change_needs_its_code(
    app: OpenAPI, client: FlaskClient, operator: str, clock: FixedClock
) -> None:
    log_in(client, operator)
    secret = turn_on(client, clock)
    clock.instant += timedelta(minutes=2)
    assert change(client).status_code == 422
    assert change(client, code="000000").status_code == 422
    code = code_of(secret, clock.now())
    for mistyped in ({"again": "blue lantern over the hill"}, {"new": "short"}):
        assert change(client, code=code, **mistyped).status_code == 422  # and the code is still good
    answer = change(client, code=code)
    assert answer.status_code == 303
    assert log_in(app.test_client(), operator, NEW).headers["Location"].startswith("/login/code")


def test_a_viewer_may_change_his_own_and_a_program_may_not(app: OpenAPI, db: Database) -> None:
    with db.transaction() as cur:
        users.add_user(cur, name="vera", password_hash=password_hash(), role="viewer")
    viewer = app.test_client()
    log_in(viewer, "vera")
    assert change(viewer).status_code == 303
    assert app.test_client().post("/account/password").status_code == 403


def test_of_many_guesses_at_the_present_password_ten_are_evaluated(client: FlaskClient, operator: str) -> None:
    log_in(client, operator)
    statuses = [change(client, password=f"guess {number}").status_code for number in range(12)]
    assert statuses == [422] * 10 + [429] * 2
    refused = change(client)
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) > 600  # of fifteen minutes


def test_the_change_is_written_down_without_the_passwords(client: FlaskClient, operator: str, db: Database) -> None:
    log_in(client, operator)
    change(client)
    with db.transaction() as cur:
        row = operator_actions.list_actions(cur, limit=1)[0]
    assert (row.login, row.action, row.status) == (operator, "pages.account.change_password", 303)
    assert NEW not in str(tuple(row))
    assert PASSWORD not in str(tuple(row))


def test_a_new_password_on_the_server_leaves_the_second_factor_on(
    app: OpenAPI, client: FlaskClient, operator: str, clock: FixedClock
) -> None:
    log_in(client, operator)
    turn_on(client, clock)
    assert run(app, "passwd", operator, given=f"{NEW}\n{NEW}\n")[0] == 0
    assert log_in(app.test_client(), operator, NEW).headers["Location"].startswith("/login/code")


def test_every_page_of_a_login_has_its_way_out(app: OpenAPI, client: FlaskClient, operator: str) -> None:
    log_in(client, operator)
    pages = [rule.rule for rule in app.url_map.iter_rules() if "GET" in (rule.methods or ()) and not rule.arguments]
    shown = 0
    for path in sorted(set(pages) - {"/api/stream", "/login", "/login/code", "/metrics"}):
        answer = client.get(path, headers={"Accept": "text/html"}, follow_redirects=True)
        if answer.status_code == 200 and answer.mimetype == "text/html":
            shown += 1
            assert 'action="/logout"' in answer.text, path
    assert shown >= 12
