"""The second factor: the page that turns it on, the code after the password, and what no code is good for."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pyotp
import pytest
from flask.testing import FlaskClient
from flask_openapi3 import OpenAPI
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from database import second_factors, users
from database.engine import Database
from tests.support_http import PAGE, PASSWORD, csrf_token, log_in, password_hash
from tests.test_auth import is_logged_in, with_cookie_of
from web.passwords import hash_password
from web.security import totp

NOW = datetime(2025, 11, 20, 15, 6, 12, tzinfo=UTC)
RFC_SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"


class FixedClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.instant = NOW

    def now(self) -> datetime:
        return self.instant

    def monotonic(self) -> float:
        return self.instant.timestamp()


@pytest.fixture
def clock(app: OpenAPI) -> FixedClock:
    """The clock of the app's requests."""
    fixed = FixedClock()
    app.extensions["signalbook"].clock = fixed
    return fixed


def post(client: FlaskClient, path: str, **form: str) -> TestResponse:
    page = "/login" if path.startswith("/login") else "/about/licences"
    return client.post(path, data=form | {"csrf_token": csrf_token(client, page)}, headers=PAGE)


def code_of(secret: str, at: datetime) -> str:
    return pyotp.TOTP(secret).at(at)


def turn_on(client: FlaskClient, clock: FixedClock) -> str:
    """Turn the second factor of the client's login on; its secret."""
    shown = re.search(r'id="secret">([A-Z2-7]{32})<', post(client, "/account/second-factor/propose").text)
    assert shown
    answer = post(client, "/account/second-factor/confirm", password=PASSWORD, code=code_of(shown[1], clock.now()))
    assert (answer.status_code, answer.headers["Location"]) == (303, "/account")
    return shown[1]


@pytest.fixture
def secret(client: FlaskClient, operator: str, clock: FixedClock) -> str:
    """The secret of an operator who has turned the second factor on and logged out."""
    log_in(client, operator)
    made = turn_on(client, clock)
    client.post("/logout", data={"csrf_token": csrf_token(client, "/status")})
    clock.instant += timedelta(minutes=2)
    return made


def test_the_codes_are_those_of_rfc_6238() -> None:
    for seconds, expected in ((59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")):
        now = datetime.fromtimestamp(seconds, UTC)
        assert totp.step_of_code(RFC_SECRET, expected, now, 0) == seconds // 30


@given(st.integers(-5, 5), st.integers(0, 3))
def test_a_code_counts_for_a_step_either_way_and_once(steps_off: int, used: int) -> None:
    present = int(NOW.timestamp()) // 30
    code = code_of(RFC_SECRET, NOW + timedelta(seconds=30 * steps_off))
    found = totp.step_of_code(RFC_SECRET, code, NOW, present - 2 + used)
    assert found == (present + steps_off if abs(steps_off) <= 1 and steps_off > used - 2 else None)


@given(st.text(max_size=12))
def test_whatever_is_typed_does_no_harm(text: str) -> None:
    known = {code_of(RFC_SECRET, NOW + timedelta(seconds=30 * step)) for step in (-1, 0, 1)}
    assert (totp.step_of_code(RFC_SECRET, text, NOW, 0) is not None) == ("".join(text.split()) in known)


def test_the_password_alone_no_longer_lets_in(client: FlaskClient, secret: str) -> None:
    answer = log_in(client, to="/status?x=1")
    assert answer.headers["Location"] == "/login/code?next=%2Fstatus%3Fx%3D1"
    assert not is_logged_in(client)
    assert "one-time-code" in client.get(answer.headers["Location"]).text


def test_password_and_code_let_in_and_lead_to_next(client: FlaskClient, secret: str, clock: FixedClock) -> None:
    log_in(client)
    answer = post(client, "/login/code", code=code_of(secret, clock.now()), next="/status")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/status")
    assert is_logged_in(client)


def test_the_next_of_the_code_leads_to_our_own_pages_only(client: FlaskClient, secret: str, clock: FixedClock) -> None:
    log_in(client)
    answer = post(client, "/login/code", code=code_of(secret, clock.now()), next="//evil.example")
    assert answer.headers["Location"] == "/"


def test_a_code_works_once(app: OpenAPI, client: FlaskClient, secret: str, clock: FixedClock) -> None:
    code = code_of(secret, clock.now())
    log_in(client)
    assert post(client, "/login/code", code=code).status_code == 303
    other = app.test_client()
    log_in(other)
    assert post(other, "/login/code", code=code).status_code == 401
    assert not is_logged_in(other)


def test_a_code_without_the_password_leads_back_to_the_login(
    client: FlaskClient, secret: str, clock: FixedClock
) -> None:
    answer = post(client, "/login/code", code=code_of(secret, clock.now()))
    assert answer.headers["Location"] == "/login"
    assert not is_logged_in(client)


def test_the_code_must_follow_within_minutes(client: FlaskClient, secret: str, clock: FixedClock) -> None:
    log_in(client)
    clock.instant += timedelta(seconds=301)
    assert post(client, "/login/code", code=code_of(secret, clock.now())).headers["Location"] == "/login"


def test_a_new_password_ends_a_login_that_waits_for_its_code(
    client: FlaskClient, secret: str, clock: FixedClock, db: Database
) -> None:
    log_in(client)
    with db.transaction() as cur:
        users.set_password(cur, name="ann", password_hash=hash_password("another password"))
    assert post(client, "/login/code", code=code_of(secret, clock.now())).headers["Location"] == "/login"


def test_of_many_codes_ten_are_evaluated_even_with_the_password_given_again(
    app: OpenAPI, secret: str, clock: FixedClock
) -> None:
    statuses = []
    for number in range(12):
        browser = app.test_client()
        log_in(browser, address=f"203.0.113.{number}")
        form = {"code": "000000x", "csrf_token": csrf_token(browser)}
        remote = {"REMOTE_ADDR": f"203.0.113.{number}"}
        statuses.append(browser.post("/login/code", data=form, environ_base=remote).status_code)
    assert statuses == [401] * 10 + [429] * 2


def test_turning_it_on_ends_the_other_sessions_and_keeps_this_one(
    app: OpenAPI, client: FlaskClient, operator: str, clock: FixedClock
) -> None:
    log_in(client, operator)
    thief = with_cookie_of(app, client)
    assert is_logged_in(thief)
    turn_on(client, clock)
    assert is_logged_in(client)
    assert not is_logged_in(thief)


def test_the_secret_is_shown_once_with_a_code_to_scan(client: FlaskClient, operator: str, clock: FixedClock) -> None:
    log_in(client, operator)
    shown = post(client, "/account/second-factor/propose")
    assert shown.headers["Cache-Control"] == "no-store"
    assert "<svg" in shown.text
    found = re.search(r'id="secret">([A-Z2-7]{32})<', shown.text)
    assert found
    assert found[1] not in client.get("/account").text


def test_a_wrong_code_does_not_turn_it_on(client: FlaskClient, operator: str, clock: FixedClock, db: Database) -> None:
    log_in(client, operator)
    post(client, "/account/second-factor/propose")
    assert post(client, "/account/second-factor/confirm", password=PASSWORD, code="123").status_code == 422
    client.post("/logout", data={"csrf_token": csrf_token(client, "/status")})
    assert log_in(client, operator, to="/status").headers["Location"] == "/status"


def test_an_open_browser_alone_does_not_turn_it_on(client: FlaskClient, operator: str, clock: FixedClock) -> None:
    log_in(client, operator)
    shown = re.search(r'id="secret">([A-Z2-7]{32})<', post(client, "/account/second-factor/propose").text)
    assert shown
    for password in ("", "wrong password"):
        code = code_of(shown[1], clock.now())
        assert post(client, "/account/second-factor/confirm", password=password, code=code).status_code == 422
    client.post("/logout", data={"csrf_token": csrf_token(client, "/status")})
    assert log_in(client, operator, to="/status").headers["Location"] == "/status"


def test_one_in_force_is_not_replaced(client: FlaskClient, operator: str, clock: FixedClock) -> None:
    log_in(client, operator)
    turn_on(client, clock)
    assert post(client, "/account/second-factor/propose").status_code == 409


@pytest.mark.parametrize(("password", "is_code_right"), [("wrong password", True), (PASSWORD, False)])
def test_turning_it_off_needs_password_and_code(
    client: FlaskClient, secret: str, clock: FixedClock, password: str, is_code_right: bool
) -> None:
    log_in(client)
    post(client, "/login/code", code=code_of(secret, clock.now()))
    clock.instant += timedelta(minutes=2)
    code = code_of(secret, clock.now()) if is_code_right else "000000x"
    assert post(client, "/account/second-factor/remove", password=password, code=code).status_code == 422
    clock.instant += timedelta(minutes=2)
    right = {"password": PASSWORD, "code": code_of(secret, clock.now())}
    assert post(client, "/account/second-factor/remove", **right).status_code == 303
    assert is_logged_in(client)


def test_a_viewer_may_have_one_too(app: OpenAPI, db: Database, clock: FixedClock) -> None:
    with db.transaction() as cur:
        users.add_user(cur, name="vera", password_hash=password_hash(), role="viewer")
    viewer = app.test_client()
    log_in(viewer, "vera")
    turn_on(viewer, clock)
    assert "since" in viewer.get("/account").text


def test_the_command_line_helps_whoever_lost_the_phone(app: OpenAPI, client: FlaskClient, secret: str) -> None:
    done = app.test_cli_runner().invoke(args=["user", "factor-off", "Ann"])
    assert (done.exit_code, done.output) == (0, "Turned off the second factor of ann.\n")
    assert log_in(client, to="/status").headers["Location"] == "/status"
    assert app.test_cli_runner().invoke(args=["user", "factor-off", "nobody"]).exit_code == 1


def test_the_secret_stands_in_no_text_of_the_record() -> None:
    factor = second_factors.SecondFactor("SECRETSECRET", None, 0)
    assert "SECRET" not in repr(factor)
