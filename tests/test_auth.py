"""Login, logout and what a cookie is worth afterwards; guessing, forged forms, and the command line for logins."""

from __future__ import annotations

import json
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from flask.testing import FlaskClient
from flask_openapi3 import OpenAPI

from core.errors import DatabaseUnavailableError
from core.settings import Settings
from database import users
from database.engine import Database
from tests.support_http import PAGE, PASSWORD, csrf_token, log_in, password_hash
from web.passwords import hash_password, is_password_of
from web_server import create_app


def is_logged_in(client: FlaskClient) -> bool:
    answer = client.get("/status", headers=PAGE)
    assert answer.status_code in (200, 302)
    return answer.status_code == 200


def with_cookie_of(app: OpenAPI, client: FlaskClient) -> FlaskClient:
    """Another browser that holds a copy of the session cookie."""
    cookie = client.get_cookie("signalbook")
    assert cookie is not None
    thief = app.test_client()
    thief.set_cookie("signalbook", cookie.value)
    return thief


def test_a_right_password_logs_in_and_leads_to_next(client: FlaskClient, operator: str) -> None:
    answer = log_in(client, operator, to="/status")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/status")
    assert is_logged_in(client)


def test_a_login_is_written_down(client: FlaskClient, operator: str, db: Database) -> None:
    log_in(client, operator)
    with db.transaction() as cur:
        user = users.get_user_by_name(cur, operator)
    assert user is not None
    assert user.last_login_at is not None


def test_names_are_taken_without_regard_to_case_and_spaces(client: FlaskClient, operator: str) -> None:
    assert log_in(client, f" {operator.upper()} ").status_code == 303


def test_an_anonymous_visitor_is_sent_to_the_login_and_back(client: FlaskClient, operator: str) -> None:
    answer = client.get("/about/licences?x=1", headers=PAGE)
    assert answer.headers["Location"] == "/login?next=/about/licences?x%3D1"
    assert 'name="next" value="/about/licences?x=1"' in client.get(answer.headers["Location"]).text


def test_a_foreign_next_leads_home(client: FlaskClient, operator: str) -> None:
    assert log_in(client, operator, to="//evil.example").headers["Location"] == "/"


@pytest.mark.parametrize(
    ("name", "password"), [("ann", "wrong password"), ("nobody", PASSWORD), ("", ""), ("a\0b", PASSWORD), ("ann", "")]
)
def test_whatever_is_wrong_the_reply_is_the_same(client: FlaskClient, operator: str, name: str, password: str) -> None:
    answer = log_in(client, name, password)
    assert answer.status_code == 401
    assert "That login and password do not match." in answer.text
    assert not is_logged_in(client)


def test_a_deactivated_login_gets_that_reply_too(client: FlaskClient, operator: str, db: Database) -> None:
    with db.transaction() as cur:
        users.set_active(cur, name=operator, is_active=False)
    assert log_in(client, operator).status_code == 401


def test_the_session_is_fresh_after_login(app: OpenAPI, client: FlaskClient, operator: str) -> None:
    csrf_token(client)
    planted = with_cookie_of(app, client)
    log_in(client, operator)
    assert not is_logged_in(planted)
    with client.session_transaction() as session:
        assert set(session) <= {"_user_id", "_fresh", "_id", "csrf_token"}


@pytest.mark.parametrize("how", ["logout", "new password", "deactivation"])
def test_a_copied_cookie_is_dead_after(
    app: OpenAPI, client: FlaskClient, operator: str, db: Database, how: str
) -> None:
    log_in(client, operator)
    thief = with_cookie_of(app, client)
    assert is_logged_in(thief)
    if how == "logout":
        client.post("/logout", data={"csrf_token": csrf_token(client, "/status")})
    else:
        with db.transaction() as cur:
            if how == "new password":
                users.set_password(cur, name=operator, password_hash=hash_password("another password"))
            else:
                users.set_active(cur, name=operator, is_active=False)
    assert not is_logged_in(thief)
    assert not is_logged_in(client)


def test_a_logout_asks_the_browser_to_forget_what_it_was_shown(client: FlaskClient, operator: str) -> None:
    log_in(client, operator)
    answer = client.post("/logout", data={"csrf_token": csrf_token(client, "/status")})
    assert answer.headers["Clear-Site-Data"] == '"cache", "storage"'


def test_a_cookie_moved_to_another_browser_is_refused(app: OpenAPI, client: FlaskClient, operator: str) -> None:
    log_in(client, operator)
    thief = with_cookie_of(app, client)
    assert thief.get("/status", headers=PAGE | {"User-Agent": "another"}).status_code == 302


def test_logout_without_a_login_does_no_harm(client: FlaskClient) -> None:
    answer = client.post("/logout", data={"csrf_token": csrf_token(client)})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/login")


@pytest.mark.parametrize("path", ["/login", "/logout", "/preferences"])
def test_a_form_without_our_token_is_refused(client: FlaskClient, path: str) -> None:
    csrf_token(client)
    assert client.post(path, data={"csrf_token": "forged"}).status_code == 403


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost.evil.example", "http://localhost:1"]
)
def test_a_form_of_another_origin_is_refused_even_with_our_token(client: FlaskClient, origin: str) -> None:
    form = {"csrf_token": csrf_token(client)}
    assert client.post("/logout", data=form, headers={"Origin": origin}).status_code == 403


def test_a_form_of_our_own_origin_passes(client: FlaskClient, settings: Settings, db: Database) -> None:
    headers = {"Origin": "http://localhost"}
    assert client.post("/logout", data={"csrf_token": csrf_token(client)}, headers=headers).status_code == 303
    proxied = create_app(replace(settings, public_url="http://signals.example.com"), db).test_client()
    headers = {"Origin": "http://signals.example.com"}
    assert proxied.post("/logout", data={"csrf_token": csrf_token(proxied)}, headers=headers).status_code == 303


def test_of_a_thousand_guesses_ten_are_evaluated(app: OpenAPI, operator: str) -> None:
    client = app.test_client()
    token = csrf_token(client)
    cookie = client.get_cookie("signalbook")
    assert cookie is not None

    def guess(number: int) -> int:
        each = app.test_client()
        each.set_cookie("signalbook", cookie.value)
        form = {"name": "ann", "password": f"guess {number}", "csrf_token": token}
        address = f"203.0.{number // 250}.{number % 250}"
        answer = each.post("/login", data=form, environ_base={"REMOTE_ADDR": address})
        assert answer.status_code == 401 or int(answer.headers["Retry-After"]) <= 900
        return answer.status_code

    with ThreadPoolExecutor(4) as pool:
        statuses = list(pool.map(guess, range(1000)))
    assert statuses.count(401) == 10
    assert statuses.count(429) == 990


def test_one_address_has_ten_guesses_over_all_accounts(client: FlaskClient, operator: str) -> None:
    statuses = [log_in(client, f"name{number}", "x").status_code for number in range(11)]
    assert statuses == [401] * 10 + [429]
    assert log_in(client, operator, address="203.0.113.9").status_code == 303


def test_neighbours_in_one_ipv6_network_share_their_guesses(client: FlaskClient, operator: str) -> None:
    statuses = [log_in(client, f"name{end}", "x", address=f"2001:db8::{end:x}").status_code for end in range(11)]
    assert statuses[-1] == 429
    assert log_in(client, operator, address="2001:db8:0:1::1").status_code == 303


def test_a_right_password_clears_the_count(client: FlaskClient, operator: str) -> None:
    for _ in range(3):
        assert [log_in(client, operator, "x").status_code for _ in range(5)] == [401] * 5
        assert log_in(client, operator).status_code == 303
        client.post("/logout", data={"csrf_token": csrf_token(client, "/status")})


def test_guessing_from_elsewhere_does_not_keep_the_owner_out(app: OpenAPI, client: FlaskClient, operator: str) -> None:
    log_in(client, operator)
    client.post("/logout", data={"csrf_token": csrf_token(client, "/status")})
    stranger = app.test_client()
    for number in range(11):
        last = log_in(stranger, operator, "x", address=f"203.0.113.{number}")
    assert last.status_code == 429
    assert log_in(client, operator).status_code == 303


def test_the_mark_of_a_known_browser_counts_for_its_own_login_only(
    app: OpenAPI, client: FlaskClient, operator: str
) -> None:
    log_in(client, operator)
    stranger = app.test_client()
    mark = client.get_cookie("signalbook_browser")
    assert mark is not None
    assert mark.http_only
    stranger.set_cookie("signalbook_browser", mark.value)
    statuses = [log_in(stranger, "bob", "x", address=f"203.0.113.{number}").status_code for number in range(11)]
    assert statuses[-1] == 429
    assert log_in(app.test_client(), "bob", "x", address="203.0.113.99").status_code == 429


def test_an_unknown_name_takes_as_long_as_a_wrong_password() -> None:
    known = password_hash()

    def milliseconds(password_hash: str | None) -> float:
        started = time.perf_counter()
        assert not is_password_of(password_hash, "wrong password")
        return (time.perf_counter() - started) * 1000

    pairs = [(milliseconds(known), milliseconds(None)) for _ in range(15)]
    fastest_known, fastest_unknown = (min(times) for times in zip(*pairs, strict=True))
    assert abs(fastest_known - fastest_unknown) < 5
    assert statistics.median(unknown for _, unknown in pairs) > 2


def test_no_password_ever_fits_a_login_that_does_not_exist() -> None:
    assert is_password_of(password_hash(), PASSWORD)
    assert not is_password_of(None, PASSWORD)
    assert not is_password_of("not a hash", PASSWORD)


def test_without_the_database_pages_say_so_and_come_back(
    client: FlaskClient, operator: str, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in(client, operator)
    with monkeypatch.context() as away:
        away.setattr(type(db), "transaction", _refuse)
        answer = client.get("/status", headers=PAGE)
        assert answer.status_code == 503
        assert "The database cannot be reached." in answer.text
        assert app_of(client).test_client().get("/login").status_code == 200
    assert is_logged_in(client)


def _refuse(*_: object, **__: object) -> None:
    raise DatabaseUnavailableError


def app_of(client: FlaskClient) -> OpenAPI:
    app = client.application
    assert isinstance(app, OpenAPI)
    return app


def run(app: OpenAPI, *arguments: str, given: str = "") -> tuple[int, str]:
    result = app.test_cli_runner().invoke(args=["user", *arguments], input=given)
    return result.exit_code, result.output


def test_the_command_line_makes_a_login_and_prints_its_password_once(app: OpenAPI, client: FlaskClient) -> None:
    code, output = run(app, "create", "Bob", "--role", "viewer", "--json")
    made = json.loads(output)
    assert code == 0
    assert made == {"name": "bob", "role": "viewer", "password": made["password"]}
    assert log_in(client, "bob", made["password"]).status_code == 303
    assert made["password"] not in run(app, "list")[1]


def test_the_command_line_asks_for_a_password(app: OpenAPI, client: FlaskClient) -> None:
    code, output = run(app, "create", "bob", given="long enough\nlong enough\n")
    assert code == 0
    assert "long enough" not in output
    assert log_in(client, "bob", "long enough").status_code == 303


def test_the_command_line_refuses_what_cannot_be(app: OpenAPI, operator: str) -> None:
    assert run(app, "create", "bob", given="short\nshort\n")[0] == 1
    assert run(app, "create", "no spaces please", "--generate")[0] == 1
    code, output = run(app, "create", operator, "--generate")
    assert (code, "There is a login named ann already." in output) == (1, True)
    assert run(app, "passwd", "nobody", "--generate")[0] == 1


def test_the_command_line_changes_a_password_and_ends_sessions(
    app: OpenAPI, client: FlaskClient, operator: str
) -> None:
    log_in(client, operator)
    made = json.loads(run(app, "passwd", operator, "--json")[1])
    assert not is_logged_in(client)
    assert log_in(client, operator, made["password"]).status_code == 303


def test_the_command_line_keeps_a_login_out_and_lets_it_in_again(app: OpenAPI, operator: str) -> None:
    assert run(app, "deactivate", operator)[0] == 0
    assert log_in(app.test_client()).status_code == 401
    assert json.loads(run(app, "list", "--json")[1])["users"][0]["is_active"] is False
    assert run(app, "activate", operator)[0] == 0
    assert log_in(app.test_client()).status_code == 303
