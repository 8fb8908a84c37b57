"""The service starts whatever the database does, says its secrets once, and ends when it is told to."""

from __future__ import annotations

import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import web_server
from core.jobs import Job
from core.settings import load_settings
from database.engine import Database
from tests.support_service import PROGRAM, ROOT, environment, log_in, service, turn_off, turn_on

TOKEN = "token-of-the-start-tests"
WEBHOOK = f"/api/automated-signals/webhook/{TOKEN}"
ALERT = b'{"event_type":"ENTRY","trade_id":"20251120_093000000_BULLISH","entry_price":20500.25,"stop_loss":20480.25}'


@pytest.fixture
def absent_url() -> Iterator[str]:
    """The URL of a server that is not there, on a port that nobody else can take meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"postgresql://nobody:nothing@127.0.0.1:{taken.getsockname()[1]}/nowhere"


def said_once(output: str) -> list[str]:
    return re.findall(r"^(?:login|webhook token): +(.*)$", output, re.MULTILINE)


def test_libraries_that_few_services_need_wait_until_they_are_needed() -> None:
    program = "import sys, web_server; print(*{'apprise', 'httpx', 'signalrcore'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True, text=True)
    assert done.stdout.split() == []


def test_without_its_database_it_is_healthy_and_journals_alerts(absent_url: str) -> None:
    with service(DATABASE_URL=absent_url, WEBHOOK_TOKEN=TOKEN) as running:
        assert running.get("/healthz").json()["status"] == "pass"
        ready = running.get("/readyz")
        assert (ready.status, ready.json()["checks"]["database"]["status"]) == (200, "warn")
        answer = running.post(WEBHOOK, ALERT)
        assert (answer.status, answer.json()["status"], answer.json()["stored"]) == (200, "journalled", "journal")
        assert running.get("/login").status == 200
        assert running.get("/status").status == 401
        assert running.terminate() == 0
        assert running.stderr == ""


def test_it_connects_when_the_database_comes_and_stores_what_it_has_journalled(
    postgres: str, empty_database_url: str
) -> None:
    turn_off(postgres, empty_database_url)
    with service(DATABASE_URL=empty_database_url, WEBHOOK_TOKEN=TOKEN) as running:
        running.wait_for("database_state", lambda line: not line["up"])
        assert running.post(WEBHOOK, ALERT).json()["stored"] == "journal"
        turn_on(postgres, empty_database_url)
        running.wait_for("database_state", lambda line: line["up"])
        running.wait_for("writer_breaker_closed")
        running.wait_for("database_ready")
        assert stored_bodies(empty_database_url) == [ALERT]
        assert running.post(WEBHOOK, b'{"event_type":"HEARTBEAT"}').json()["stored"] == "db"
        assert running.get("/readyz").json()["checks"]["database"]["status"] == "pass"


def stored_bodies(url: str) -> list[bytes]:
    db = Database(url, pool_size=1)
    with db.transaction() as cur:
        cur.execute("SELECT raw_body FROM telemetry_automated_signals_log ORDER BY id")
        bodies = [bytes(row[0]) for row in cur.fetchall()]
    db.close()
    return bodies


def test_with_its_own_database_it_says_login_and_token_once_and_survives_a_kill() -> None:
    with service() as running:
        running.wait_for("writer_breaker_closed")
        running.wait_for("database_ready")  # login and token are said before it
        login, token = said_once(running.stdout)
        name, _, password = login.partition(" / ")
        webhook = f"/api/automated-signals/webhook/{token.split()[0]}"
        assert running.get("/status", log_in(running, name, password)).status == 200
        assert running.post(webhook, ALERT).json()["stored"] == "db"
        running.restart()
        running.wait_for("writer_breaker_closed", count=2)
        assert running.post(webhook, ALERT).json()["duplicate"] is True
        assert running.terminate() == 0
        assert said_once(running.stdout) == [login, token]
        assert running.stdout.count(password) == 1
        assert open_to_others(running.data_dir) == []


def open_to_others(data_dir: Path) -> list[str]:
    """Files outside the public static tree that anybody but the owner may touch."""
    files = [path for path in data_dir.rglob("*") if path.is_file() and "static" not in path.parts]
    names = {path.name for path in files}
    assert {"secret_key", "metrics_token", "webhook_tokens.json"} <= names
    return [path.name for path in files if stat.S_IMODE(path.stat().st_mode) & 0o077]


WRONG = [
    ("PORT", "99999"),
    ("SECRET_KEY", "too-short-a-secret"),
    ("WEBHOOK_TOKN", "x"),
    ("DATABASE_URL", "mysql://a:pw@b/c"),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_setting_is_told_by_its_name_alone(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for known, empty in environment().items():
        monkeypatch.setenv(known, empty)
    monkeypatch.setenv(name, value)
    assert web_server.main([]) == 2
    said, complaint = capsys.readouterr()
    assert said == ""
    assert complaint.startswith(f"signalbook: {name}: ")
    assert value == "x" or value not in complaint


@pytest.mark.parametrize("name", ["PORT", "DATA_DIR"])
def test_what_the_machine_refuses_is_told_by_its_setting(
    name: str, tmp_path: Path, absent_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    taken = {"PORT": absent_url.rpartition(":")[2].partition("/")[0], "DATA_DIR": str(tmp_path / "file")}
    settings = {"PORT": "0", "DATA_DIR": str(tmp_path / "var"), "DATABASE_URL": absent_url, name: taken[name]}
    for known, given in environment(**settings).items():
        monkeypatch.setenv(known, given)
    monkeypatch.setattr(web_server, "init_logging", lambda _settings: None)
    assert web_server.main([]) == 2
    assert capsys.readouterr().err.startswith(f"signalbook: {name}: ")


def test_a_wrong_setting_stops_the_start(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "web_server.py"],
        cwd=ROOT,
        env=environment(DATA_DIR=str(tmp_path / "var"), LOG_LEVEL="loud"),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert ended.stderr.startswith("signalbook: LOG_LEVEL: ")
    assert not (tmp_path / "var").exists()


def test_a_worker_has_jobs_and_no_pages(database_url: str) -> None:
    with service(*PROGRAM, "--role", "worker", DATABASE_URL=database_url, WEBHOOK_TOKEN=TOKEN) as running:
        running.wait_for("database_ready")
        assert [running.get(path).status for path in ("/healthz", "/metrics", "/login", "/")] == [200, 401, 404, 404]
        assert running.post(WEBHOOK, ALERT).status == 404
        running.signal(signal.SIGINT)
        assert running.wait() == 0


@pytest.mark.parametrize(("role", "jobs"), [("all", True), ("web", False), ("worker", True)])
def test_the_role_says_who_runs_the_jobs(
    role: str, jobs: bool, tmp_path: Path, absent_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[str] = []

    class StopError(Exception):
        pass

    def scheduler(_db: object, jobs: tuple[Job, ...], **_: object) -> None:
        given.extend(job.name for job in jobs)
        raise StopError

    monkeypatch.setattr(web_server, "Scheduler", scheduler)
    settings = load_settings({"DATA_DIR": str(tmp_path), "DATABASE_URL": absent_url, "ROLE": role})
    with pytest.raises(StopError):
        web_server.serve(settings)
    assert given == (
        [*(job.name for job in web_server.JOBS), "hybrid_sync", "sync_calibration", "retention", "alarms"]
        if jobs
        else []
    )
