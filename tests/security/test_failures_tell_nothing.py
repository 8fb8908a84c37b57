"""What goes wrong tells no secret: failed logins, bad tokens, bad settings and crashes, searched for what was typed.

Right requests and healthy days are searched in tests/test_canary_secrets.py.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pyotp
import pytest

import web_server
from core.errors import MisconfiguredError
from core.settings import BY_NAME, SETTINGS, load_settings
from database.engine import Database
from tests.support_service import Service, csrf_of, environment, log_in, service
from tests.test_canary_secrets import leaking_tables, leaks
from web.serving.logs import REDACTOR, init_logging

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
PASSWORD, NEW = "canary blue lantern over the bay", "canary green lantern over the hill"
TYPED = {
    "a wrong password": "canary-wrong-password-1",
    "a password in the field of the name": "canary-typed-as-name",
    "a password of nobody": "canary-password-of-nobody",
    "an obvious password": "projectx-1234567890-signalbook",
    "a webhook token": "canary-no-webhook-token-0123456789",
    "an API token": "canary-no-api-token-0123456789",
    "a metrics token": "canary-no-metrics-token-0123456789",
    "a cookie": "canary-no-cookie.0123456789",
    "a form token": "canary-no-form-token-0123456789",
}
GOOD = {"the password": PASSWORD, "the new password": NEW}


class Visitor:
    """Somebody's browser at the service: keeps cookies, and every answer."""

    def __init__(self, running: Service) -> None:
        self.running = running
        self.heard: list[bytes] = []
        self.cookies: dict[str, str] = {}

    def send(self, method: str, path: str, *, bearer: str = "", **form: str) -> int:
        headers = {"Accept": "text/html", "Cookie": "; ".join(f"{name}={text}" for name, text in self.cookies.items())}
        headers |= ({"Authorization": f"Bearer {bearer}"} if bearer else {}) | (FORM if method == "POST" else {})
        body = urlencode(form).encode() if method == "POST" else None
        answer = self.running.send(method, path, body, headers)
        for header in answer.headers.get_all("Set-Cookie") or []:
            name, _, text = header.partition(";")[0].partition("=")
            self.cookies[name] = text
        self.heard.append(answer.body)
        return answer.status

    def submit(self, path: str, page: str = "/login", **form: str) -> int:
        """Send the form of a page, with the page's own token."""
        self.send("GET", page)
        found = re.search(rb'name="csrf-token" content="([^"]+)"', self.heard[-1])
        assert found, self.heard[-1]
        return self.send("POST", path, csrf_token=found[1].decode(), **form)


def fail_to_log_in(running: Service) -> Visitor:
    visitor = Visitor(running)
    tried = {"admin": TYPED["a wrong password"], "nobody": TYPED["a password of nobody"]}
    assert [visitor.submit("/login", name=name, password=text) for name, text in tried.items()] == [401, 401]
    form = {"name": "admin", "password": TYPED["a wrong password"], "csrf_token": TYPED["a form token"]}
    assert visitor.send("POST", "/login", **form) == 403
    visitor.cookies = {"signalbook": TYPED["a cookie"], "signalbook_browser": TYPED["a cookie"]}
    assert visitor.send("GET", "/status") == 302
    # The page gives the name back to whoever typed it, so that one is looked for in the log and the tables only.
    assert Visitor(running).submit("/login", name=TYPED["a password in the field of the name"], password="x") == 401
    return visitor


def fail_with_tokens(visitor: Visitor) -> None:
    visitor.cookies = {}
    webhook, token = "/api/automated-signals/webhook", TYPED["a webhook token"]
    for path in (f"{webhook}/{token}", f"{webhook}?token={token}", "/api/automated-signals"):
        answer = visitor.running.post(path, b'{"event_type":"HEARTBEAT","token":"%s"}' % token.encode())
        assert answer.status == 404
        visitor.heard.append(answer.body)
    assert visitor.send("GET", "/api/automated-signals/stats", bearer=TYPED["an API token"]) == 401
    assert visitor.send("POST", "/api/automated-signals/telemetry/replay", bearer=TYPED["an API token"]) == 401
    assert visitor.send("GET", "/metrics", bearer=TYPED["a metrics token"]) in (302, 401)


def fail_on_the_account(running: Service) -> tuple[Visitor, dict[str, str]]:
    """A second factor set up, and a password changed, each at the second try; the visitor and the secrets of both."""
    visitor = Visitor(running)
    assert visitor.submit("/login", name="admin", password=PASSWORD) == 303
    account = "/account"
    assert visitor.submit("/account/second-factor/propose", account) == 200
    found = re.search(rb'id="secret">([A-Z2-7]{32})<', visitor.heard.pop())
    assert found
    secret = found[1].decode()
    wrong, right = {"password": TYPED["a wrong password"]}, {"password": PASSWORD}
    for proof, code in ((wrong, pyotp.TOTP(secret).now()), (right, "000000x")):
        assert visitor.submit("/account/second-factor/confirm", account, code=code, **proof) == 422
        visitor.heard.pop()  # shows the proposed secret again, to its owner
    obvious = TYPED["an obvious password"]
    assert visitor.submit("/account/password", account, **wrong, new=NEW, again=NEW) == 422
    assert visitor.submit("/account/password", account, **right, new=obvious, again=obvious) == 422
    session = visitor.cookies["signalbook"]
    assert visitor.submit("/account/password", account, **right, new=NEW, again=NEW) == 303
    return visitor, {
        "a second factor's secret": secret,
        "a session": session,
        "a later one": visitor.cookies["signalbook"],
    }


def test_what_fails_tells_no_secret_to_anybody(empty_database_url: str, tmp_path: Path) -> None:
    log_file = tmp_path / "service.log"
    settings = {"DATABASE_URL": empty_database_url, "ADMIN_PASSWORD": PASSWORD, "LOG_FILE": str(log_file)}
    with service(**settings, LOG_LEVEL="DEBUG") as running:
        running.wait_for("writer_breaker_closed")
        running.wait_for("database_ready")
        visitor = fail_to_log_in(running)
        fail_with_tokens(visitor)
        owner, secrets = fail_on_the_account(running)
        headers = log_in(running, "admin", NEW)
        assert csrf_of(running.get("/audit", headers))
        assert running.terminate() == 0
        secrets |= TYPED | GOOD
        said = (running.stdout + running.stderr).encode()
        lines = running.log_lines()
    assert sum(line["event"] == "request" for line in lines) > 20
    assert all(line["timestamp"].endswith("Z") and {"level", "logger"} <= line.keys() for line in lines)
    assert leaks(said, secrets) == []
    assert leaks(log_file.read_bytes(), secrets) == []
    assert leaks(b"\n".join(visitor.heard + owner.heard), secrets) == []
    in_tables = leaking_tables(empty_database_url, secrets)
    assert in_tables == ["users"]  # the proposed secret of the second factor, as docs/security/asvs.md says
    del secrets["a second factor's secret"]
    assert leaking_tables(empty_database_url, secrets) == []


BAD = (
    *(
        "canary-x",
        "change-me-canary-0123456789",
        "mysql://user:canary-pw@host/db",
        "postgresql://user:canary-pw@/\x7f db",
    ),
    *(
        "http://canary host/",
        "://canary-pw@",
        "canary-0123456789 with spaces",
        "ws:/canary",
        "-----canary\x00",
        "é canary",
    ),
)


@pytest.mark.parametrize("name", [setting.name for setting in SETTINGS if setting.secret])
def test_a_bad_secret_setting_is_refused_without_being_repeated(name: str) -> None:
    complaints = [found for value in BAD if (found := complaint_about(name, value)) is not None]
    assert complaints or name == "SIGNAL_WS_TOKEN"
    for complaint in complaints:
        assert complaint.startswith(f"{name}: ")
        assert "canary" not in complaint


def complaint_about(name: str, value: str) -> str | None:
    """What the service says of a setting before it stops; None if the value is taken."""
    try:
        load_settings({name: value})
    except MisconfiguredError as error:
        return f"{error.message} {error.field}"
    return None


@pytest.mark.parametrize("name", ["DATABASE_URL", "WEBHOOK_TOKEN", "SECRET_KEY", "WEBHOOK_TOKN", "ALARM_HEARTBEAT_URL"])
def test_a_start_that_fails_says_the_name_alone(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for known, empty in environment(DATA_DIR=str(tmp_path)).items():
        monkeypatch.setenv(known, empty)
    monkeypatch.setenv(name, "mysql://canary:canary@[canary")
    assert web_server.main([]) == 2
    said, complaint = capsys.readouterr()
    assert name in complaint
    assert "canary" not in said + complaint


@pytest.fixture
def _logging() -> Iterator[None]:
    """The root logger as it was before."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before[0], before[1]


SECRETS = {
    "SECRET_KEY": "canary-of-the-secret-key-0123456789abcdef",
    "WEBHOOK_TOKEN": "canary-of-the-webhook-token",
    "ADMIN_PASSWORD": "canary-of-the-admin-password",
    "METRICS_TOKEN": "canary-of-the-metrics-token",
    "PROJECTX_API_TOKEN": "canary-of-the-projectx-api-token",
    "SIGNAL_WS_URL": "wss://signals.example/canary-of-the-signal-server",
    "SIGNAL_WS_TOKEN": "canary-of-the-signal-server-token",
    "ALARM_URLS": "json://localhost/canary-of-the-alarm-address",
    "ALARM_HEARTBEAT_URL": "https://alive.example/canary-of-the-heartbeat",
    "DATABASE_URL": "postgresql://user:canary-of-the-database@localhost/db",
    "DATABASE_DIRECT_URL": "postgresql://user:canary-of-the-direct-one@localhost/db",
    "READ_DATABASE_URL": "postgresql://user:canary-of-the-replica@localhost/db",
}


@pytest.mark.usefixtures("_logging")
def test_a_crash_that_carries_a_secret_is_logged_without_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(SECRETS) == {setting.name for setting in SETTINGS if setting.secret} <= set(BY_NAME)
    init_logging(load_settings(SECRETS))
    for value in SECRETS.values():
        try:
            raise RuntimeError(f"cannot go on with {value!r}")
        except RuntimeError:
            logging.getLogger("test").exception("crashed with %s", value, extra={"given": {"deep": [value]}})
    said = capsys.readouterr().out
    REDACTOR.add()
    assert len([json.loads(line) for line in said.splitlines()]) == len(SECRETS)
    assert "Traceback" in said
    assert "canary" not in said


def test_the_canaries_would_be_found(db: Database) -> None:
    assert leaks(f"x {TYPED['a wrong password']} y".encode(), TYPED) == ["a wrong password"]
