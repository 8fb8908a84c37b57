"""Who calls the app in this process, and what such a caller reads."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime
from functools import cache
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from database import api_tokens, tokens
from database.engine import Database
from web.passwords import hash_password

PASSWORD = "correct horse battery"
PAGE = {"Accept": "text/html"}
SIGNALS = "/api/automated-signals"


@cache
def password_hash() -> str:
    """The hash of PASSWORD; made once, because making it is slow on purpose."""
    return hash_password(PASSWORD)


def csrf_token(client: FlaskClient, path: str = "/login") -> str:
    """What a form on this page has to send along."""
    found = re.search(r'name="csrf-token" content="([^"]+)"', client.get(path, headers=PAGE).text)
    assert found
    return found[1]


def log_in(
    client: FlaskClient, name: str = "ann", password: str = PASSWORD, *, to: str = "/status", address: str = "127.0.0.1"
) -> TestResponse:
    """Send the login form as a browser does."""
    form = {"name": name, "password": password, "next": to, "csrf_token": csrf_token(client)}
    return client.post("/login", data=form, environ_base={"REMOTE_ADDR": address})


def api_token(db: Database, role: str) -> str:
    """An API token of this role; a token that has been revoked for the role "revoked"."""
    with db.transaction() as cur:
        token = tokens.new_token()
        given = "operator" if role == "revoked" else role
        token_id = api_tokens.add_token(cur, token=token, role=given, name="program", created_by="test")
        if role == "revoked":
            api_tokens.revoke_token(cur, token_id=token_id, now=datetime.now(UTC))
    return token


def get(client: FlaskClient, path: str) -> TestResponse:
    """A page as a browser asks for it."""
    return client.get(path, headers=PAGE)


def words(answer: TestResponse) -> str:
    """The text of a page, without tags and repeated spaces."""
    assert answer.status_code == 200, answer.text
    body = re.sub(r"(?s)<(script|head|nav class=\"bar-nav\").*?</\1>", " ", answer.text)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", body)))


def listed(answer: TestResponse) -> list[str]:
    """What the rows of a list stand for, from the first on."""
    return re.findall(r'<tr data-id="([^"]+)"', answer.text)


def ask(caller: FlaskClient, path: str, status: int = 200) -> Any:
    """What the API of signals answers, as Python values."""
    answer = caller.get(SIGNALS + path)
    assert answer.status_code == status, answer.text
    return answer.get_json()
