"""Canaries: values given for every secret are looked for in all that the service says, answers and stores."""

from __future__ import annotations

import gzip
import json
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from core.settings import SETTINGS
from database.engine import Database
from tests.support_service import JSON, ROOT, Answer, Service, csrf_of, environment, log_in, service, turn_off, turn_on

CANARIES = {
    "SECRET_KEY": "canary-of-the-secret-key-0123456789abcdef",
    "WEBHOOK_TOKEN": "canary-of-the-webhook-token",
    "ADMIN_PASSWORD": "canary-of-the-admin-password",
    "METRICS_TOKEN": "canary-of-the-metrics-token",
    "PROJECTX_API_TOKEN": "canary-of-the-projectx-api-token",
    "SIGNAL_WS_URL": "ws://127.0.0.1:9/canary-of-the-signal-server",
    "SIGNAL_WS_TOKEN": "canary-of-the-signal-server-token",
    "ALARM_URLS": "json://127.0.0.1:9/canary-of-the-alarm-address",
    "ALARM_HEARTBEAT_URL": "http://127.0.0.1:9/canary-of-the-heartbeat-address",
}
DATABASE_PASSWORD = "canary-of-the-database-password"
TOKEN = CANARIES["WEBHOOK_TOKEN"]
WEBHOOK = "/api/automated-signals/webhook"
BEARER = f"Bearer {CANARIES['METRICS_TOKEN']}"
COMMANDS = (("db", "url"), ("db", "verify"), ("token", "list"))

WITH_THE_TOKEN_IN_THE_PATH = [
    ("POST", f"{WEBHOOK}/{TOKEN}", b'{"event_type":"HEARTBEAT"}'),
    ("POST", f"{WEBHOOK}/{TOKEN}", b'{"event_type": broken'),
    ("POST", f"{WEBHOOK}/{TOKEN}", b"\xff\xfe\x00"),
    ("POST", f"{WEBHOOK}/{TOKEN}", b"[" * 100_000),
    ("POST", f"{WEBHOOK}/{TOKEN}", b"x" * 1_048_000),
    ("POST", f"{WEBHOOK}/{TOKEN}x", b"{}"),
    ("POST", f"{WEBHOOK}/{TOKEN}/x", b"{}"),
    ("GET", f"{WEBHOOK}/{TOKEN}", None),
    ("POST", f"{WEBHOOK}?token={TOKEN}", b"{}"),
]
# A page leads back to its own address, so whoever asked for these as a page would get the token back in a link.
NOT_AS_A_PAGE = [f"/status?access_token={TOKEN}", f"/no-such-page/webhook/{TOKEN}"]
WITH_THE_TOKEN_IN_THE_BODY = [
    b'{"event_type":"HEARTBEAT","token":"%s"}',
    b'{"event_type":"HEARTBEAT","a":{"secret":"%s"}}',
    b'{"token":"%s", broken',
    b"'token':'%s'",
    b'{"token":"%s","event_type":"ENTRY","trade_id":5}',
]
MALFORMED = [
    b"GET /webhook/%s HTTP/9.9\r\n\r\n",
    b"POST /api/automated-signals/webhook/%s HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
    b"POST /api/automated-signals/webhook/%s HTTP/1.1\r\nTransfer-Encoding: odd\r\nHost: x\r\n\r\n",
    b"%s\r\n\r\n",
]


class Listener:
    """Sends requests and keeps what came back."""

    def __init__(self, running: Service) -> None:
        self.running = running
        self.heard: list[bytes] = []

    def send(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] = JSON) -> Answer:
        answer = self.running.send(method, path, body, headers)
        self.heard += [str(answer.headers).encode(), answer.body]
        return answer

    def send_raw(self, data: bytes) -> None:
        with socket.create_connection(("127.0.0.1", self.running.port), timeout=5) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            self.heard.append(connection.makefile("rb").read())


def ask_everything(listener: Listener) -> None:
    """Right, wrong, malformed and hostile requests, by machines and by an operator."""
    for method, path, body in WITH_THE_TOKEN_IN_THE_PATH:
        listener.send(method, path, body)
        listener.send(method, path, body, {"Accept": "text/html"})
    for path in NOT_AS_A_PAGE:
        listener.send("GET", path)
    for text in WITH_THE_TOKEN_IN_THE_BODY:
        listener.send("POST", "/api/automated-signals", text.replace(b"%s", TOKEN.encode()))
    for raw in MALFORMED:
        listener.send_raw(raw.replace(b"%s", TOKEN.encode()))
    for bearer in (BEARER, f"{BEARER}x", BEARER.replace("Bearer", "Basic")):
        listener.send("GET", "/metrics", headers=JSON | {"Authorization": bearer})
    for path in ("/healthz", "/readyz", "/login", "/", "/openapi.json"):
        listener.send("GET", path)


def ask_as_operator(listener: Listener) -> None:
    wrong = {"name": "admin", "password": f"{CANARIES['ADMIN_PASSWORD']}x", "csrf_token": "wrong"}
    listener.send("POST", "/login", urlencode(wrong).encode(), JSON | FORM)
    headers = log_in(listener.running, "admin", CANARIES["ADMIN_PASSWORD"])
    for path in ("/overview", "/status", "/openapi.json", "/api/automated-signals/telemetry", "/about/licences"):
        assert listener.send("GET", path, headers=headers).status == 200
    page = listener.running.send("GET", "/overview", headers=headers)
    listener.send("POST", "/logout", urlencode({"csrf_token": csrf_of(page)}).encode(), headers)


FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def ask_as_program(listener: Listener, env: dict[str, str]) -> str:
    """Calls with an API token, right, wrong, misplaced and revoked; the token."""
    made = json.loads(run_command(env, "token", "create", "--role", "operator", "--name", "canary", "--json"))
    token = str(made["token"])
    for bearer in (f"Bearer {token}", f"bearer {token}x", f"Basic {token}", token):
        for path in ("/api/automated-signals/telemetry", "/api/no-such-call", "/overview", "/metrics"):
            listener.send("GET", path, headers=JSON | {"Authorization": bearer})
        listener.send("POST", "/api/automated-signals/telemetry/replay", b"{}", JSON | {"Authorization": bearer})
    for method, path in (("GET", f"/api/automated-signals/telemetry?token={token}"), ("POST", f"{WEBHOOK}/{token}")):
        listener.send(method, path, b'{"event_type":"HEARTBEAT"}' if method == "POST" else None)
    right = JSON | {"Authorization": f"Bearer {token}"}
    assert listener.send("GET", "/api/automated-signals/telemetry", headers=right).status == 200
    assert token[-4:] in run_command(env, "token", "list").decode()
    run_command(env, "token", "revoke", str(made["id"]), "--kind", "api")
    assert listener.send("GET", "/api/automated-signals/telemetry", headers=right).status == 401
    return token


def run_commands(env: dict[str, str]) -> bytes:
    """What the command line prints."""
    return b"".join(run_command(env, *command) for command in COMMANDS)


def run_command(env: dict[str, str], *command: str) -> bytes:
    done = subprocess.run(
        [sys.executable, "-m", "flask", *command], cwd=ROOT, env=env, capture_output=True, timeout=60, check=False
    )
    assert done.stdout, done.stderr
    return done.stdout + done.stderr


def leaks(text: bytes, canaries: dict[str, str]) -> list[str]:
    return [name for name, canary in canaries.items() if canary.encode() in text]


def leaking_files(folder: Path, canaries: dict[str, str]) -> list[str]:
    """Files that hold a canary although others than the owner may read them."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file() and stat.S_IMODE(path.stat().st_mode) != 0o600:
            content = path.read_bytes()
            found += [str(path)] * bool(leaks(gzip.decompress(content) if path.suffix == ".gz" else content, canaries))
    return found


def leaking_tables(url: str, canaries: dict[str, str]) -> list[str]:
    """Tables of which a row, its bytes read as text, holds a canary."""
    db, found = Database(url, pool_size=1), []
    with db.transaction() as cur:
        cur.execute("SET LOCAL bytea_output = 'escape'")
        cur.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type LIKE 'BASE%'"
        )
        tables = [row[0] for row in cur.fetchall()]
        for table in tables:
            cur.execute(f"SELECT t::text FROM {table} AS t")
            found += [table] * any(leaks(row[0].encode(), canaries) for row in cur.fetchall())
    db.close()
    assert {"users", "webhook_tokens", "api_tokens", "telemetry_automated_signals_log"} <= set(tables)
    return found


def canaries_of(url: str) -> dict[str, str]:
    """The canaries, and the real password of the database where it is long enough to be one."""
    password = urlsplit(url).password or ""
    return CANARIES | ({"DATABASE_URL": password} if len(password) >= 12 else {})


@pytest.fixture
def unreachable() -> Iterator[str]:
    """The URL, with a password, of a server that is not there."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"postgresql://user:{DATABASE_PASSWORD}@127.0.0.1:{taken.getsockname()[1]}/nowhere"


def test_every_secret_setting_has_a_canary() -> None:
    urls = {"DATABASE_URL", "DATABASE_DIRECT_URL", "READ_DATABASE_URL"}
    assert {setting.name for setting in SETTINGS if setting.secret} == CANARIES.keys() | urls


def test_no_secret_is_said_answered_or_stored_in_the_open(
    postgres: str, empty_database_url: str, tmp_path: Path
) -> None:
    canaries, log_file = canaries_of(empty_database_url), tmp_path / "service.log"
    settings = CANARIES | {"DATABASE_URL": empty_database_url, "DATABASE_DIRECT_URL": empty_database_url}
    with service(**settings, LOG_LEVEL="DEBUG", LOG_FILE=str(log_file)) as running:
        listener = Listener(running)
        running.wait_for("writer_breaker_closed")
        running.wait_for("database_ready")  # the login is made before it
        ask_everything(listener)
        ask_as_operator(listener)
        env = environment(DATA_DIR=str(running.data_dir), **settings)
        canaries |= {"an API token": ask_as_program(listener, env)}
        turn_off(postgres, empty_database_url)
        running.wait_for("database_state", lambda line: not line["up"])
        ask_everything(listener)
        turn_on(postgres, empty_database_url)
        running.wait_for("database_state", lambda line: line["up"], count=2)
        said = run_commands(env)
        assert running.terminate() == 0
        assert leaks(b"\n".join(listener.heard), canaries) == []
        assert leaks((running.stdout + running.stderr).encode(), canaries) == []
        assert leaks(said + log_file.read_bytes(), canaries) == []
        assert leaking_files(running.data_dir, canaries) == []
    assert leaking_tables(empty_database_url, canaries) == []
    assert len(listener.heard) > 60


def test_the_password_of_a_database_that_is_away_is_not_said(unreachable: str) -> None:
    canaries = CANARIES | {"DATABASE_URL": DATABASE_PASSWORD}
    with service(**CANARIES, DATABASE_URL=unreachable, LOG_LEVEL="DEBUG") as running:
        listener = Listener(running)
        running.wait_for("database_state")
        ask_everything(listener)
        running.terminate()
        assert leaks(b"\n".join(listener.heard), canaries) == []
        assert leaks((running.stdout + running.stderr).encode(), canaries) == []
        assert leaking_files(running.data_dir, canaries) == []


def test_the_search_finds_what_it_looks_for(tmp_path: Path) -> None:
    (tmp_path / "open").write_text(f"x{TOKEN}x")
    (tmp_path / "packed.gz").write_bytes(gzip.compress(TOKEN.encode()))
    (tmp_path / "closed").write_text(TOKEN)
    (tmp_path / "closed").chmod(0o600)
    found = leaking_files(tmp_path, CANARIES)
    assert sorted(Path(path).name for path in found) == ["open", "packed.gz"]
