"""The real service as a process of its own, for tests that need signals, threads, sockets and restarts.

    with service(DATABASE_URL=url, WEBHOOK_TOKEN=TOKEN) as running:
        running.wait_for("database_ready")
        answer = running.post(f"/api/automated-signals/webhook/{TOKEN}", b"{...}")
        running.kill(); running.restart()

Every setting that is not given is empty, whatever the environment or a `.env` file says, the port is a free one, and
the data directory is temporary. `turn_off` and `turn_on` take a test database away and bring it back.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import psycopg2
from psycopg2 import sql

from core.settings import BY_NAME
from database.embedded import EmbeddedServer
from database.embedded_files import RUN_DIR, find_home
from tests.support_postgres import end_sessions, public_directory

ROOT = Path(__file__).parents[1]
START_SECONDS = 30.0
STOP_SECONDS = 20.0
PROGRAM = ("web_server.py",)
JSON = {"Accept": "application/json"}


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, read to its end."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        """The body parsed. Raises ValueError when it is not JSON."""
        return json.loads(self.body)


def send(
    port: int,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    timeout: float = 10.0,
) -> Answer:
    """One request on a connection of its own. Raises OSError or HTTPException when there is no whole answer."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)) as connection:
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        return Answer(answer.status, answer.msg, answer.read())


class Service:
    """One service: its process (a new one after `restart`), its address, and what it has said."""

    def __init__(self, data_dir: Path, environ: Mapping[str, str], *command: str) -> None:
        self.data_dir = data_dir
        self.port = 0
        self._environ = dict(environ)
        self._command = command
        self._lines: list[str] = []
        self._errors: list[str] = []
        self._events: dict[str, list[dict[str, Any]]] = {}
        self._heard = threading.Condition()
        self._process: subprocess.Popen[str]
        self._readers: list[threading.Thread] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def stdout(self) -> str:
        """Everything written to standard output so far, by all processes of this service."""
        with self._heard:
            return "".join(self._lines)

    @property
    def stderr(self) -> str:
        """Everything written to standard error so far."""
        with self._heard:
            return "".join(self._errors)

    def log_lines(self, event: str | None = None) -> list[dict[str, Any]]:
        """The log so far, parsed; only the lines of one event when it is named."""
        with self._heard:
            if event is not None:
                return list(self._events.get(event, ()))
            return [line for lines in self._events.values() for line in lines]

    def start(self, **settings: str) -> None:
        """Start the process, with these settings changed for this once, and wait until it listens.

        Raises AssertionError with its output if it ends instead.
        """
        said = len(self.log_lines("serving"))
        self._process = subprocess.Popen(
            [sys.executable, *self._command],
            cwd=ROOT,
            env=self._environ | {"PORT": str(self.port)} | settings,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._readers = [
            threading.Thread(target=self._read, args=pair, daemon=True)
            for pair in ((self._process.stdout, self._lines), (self._process.stderr, self._errors))
        ]
        for reader in self._readers:
            reader.start()
        self.wait_for("serving", count=said + 1)
        self.port = int(self.log_lines("serving")[-1]["port"])

    def wait_for(
        self,
        event: str,
        is_it: Callable[[dict[str, Any]], object] = bool,
        *,
        count: int = 1,
        timeout: float = START_SECONDS,
    ) -> dict[str, Any]:
        """The `count`-th log line of this event that `is_it` is true of; waits for it.

        Raises AssertionError with all output when it does not come or the process ends first.
        """
        found: list[dict[str, Any]] = []

        def is_heard() -> bool:
            found[:] = [line for line in self.log_lines(event) if is_it(line)]
            return len(found) >= count or not any(reader.is_alive() for reader in self._readers)

        with self._heard:
            self._heard.wait_for(is_heard, timeout)
        assert len(found) >= count, f"no {event!r} in:\n{self.stdout}\n{self.stderr}"
        return found[count - 1]

    def send(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = JSON) -> Answer:
        """One request; see the function `send`."""
        return send(self.port, method, path, body, headers)

    def get(self, path: str, headers: Mapping[str, str] = JSON) -> Answer:
        return self.send("GET", path, headers=headers)

    def post(self, path: str, body: bytes, headers: Mapping[str, str] = JSON) -> Answer:
        return self.send("POST", path, body, headers)

    def kill(self) -> int:
        """End the process at once, as the kernel would; returns its exit code."""
        return self._end(signal.SIGKILL)

    def terminate(self) -> int:
        """Ask the process to end and wait until it has; returns its exit code."""
        return self._end(signal.SIGTERM)

    def signal(self, number: int) -> None:
        """Send a signal and go on; `wait` waits for the end."""
        self._process.send_signal(number)

    def wait(self, timeout: float = STOP_SECONDS) -> int:
        """Wait until the process has ended and its output is read; returns the exit code."""
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        for reader in self._readers:
            reader.join()
        return code

    def restart(self, **settings: str) -> None:
        """Start again with the same data, settings and port; a process that still runs is killed first."""
        self.kill()
        self.start(**settings)

    def _end(self, number: int) -> int:
        if self._process.poll() is None:
            self.signal(number)
        return self.wait()

    def _read(self, stream: Any, lines: list[str]) -> None:
        with stream:
            for line in stream:
                with self._heard:
                    lines.append(line)
                    if line.startswith("{") and lines is self._lines:
                        self._note(json.loads(line))
                    self._heard.notify_all()
        with self._heard:
            self._heard.notify_all()

    def _note(self, said: dict[str, Any]) -> None:
        self._events.setdefault(said["event"], []).append(said)


@contextmanager
def service(*command: str, **env: str) -> Iterator[Service]:
    """A running service that listens: `command` of the Python interpreter (PROGRAM when empty) with the settings `env`.

    Terminated at the end if it still runs, killed if it does not end.
    """
    with public_directory() as base:
        settings = {"DATA_DIR": str(base / "var")} | env
        running = Service(Path(settings["DATA_DIR"]), environment(**settings), *(command or PROGRAM))
        try:
            running.start()
            yield running
        finally:
            code = running.terminate()
            _remove_cluster(running.data_dir, was_killed=code != 0)


def environment(**settings: str) -> dict[str, str]:
    """The environment of a process that sees these settings and no others of ours."""
    files = {f"{name}_FILE" for name in BY_NAME}
    # SIGNALBOOK_DATA is for the tests; the service takes any SIGNALBOOK_ name for a misspelt setting.
    others = {name: value for name, value in os.environ.items() if name not in files | {"SIGNALBOOK_DATA"}}
    return others | dict.fromkeys(BY_NAME, "") | settings


def log_in(running: Service, name: str, password: str) -> dict[str, str]:
    """Headers that carry a session, for `get` and `post`; a form also needs the field of `csrf_of`."""
    jar: dict[str, str] = {}
    form = running.get("/login")
    _keep_cookies(jar, form)
    fields = {"name": name, "password": password, "csrf_token": csrf_of(form)}
    answer = running.post("/login", urlencode(fields).encode(), _browser(jar))
    assert answer.status == 303, answer.text
    _keep_cookies(jar, answer)
    return _browser(jar)


def csrf_of(page: Answer) -> str:
    """The CSRF token of a page."""
    found = re.search(r'name="csrf-token" content="([^"]+)"', page.text)
    assert found, page.text
    return found[1]


def turn_off(server: str, url: str) -> None:
    """Take the test database away: nobody may connect, and who was connected no longer is."""
    _allow(server, url, False)
    end_sessions(server, _name_of(url))


def turn_on(server: str, url: str) -> None:
    """Bring the test database back."""
    _allow(server, url, True)


def _allow(server: str, url: str, is_allowed: bool) -> None:
    command = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    with closing(psycopg2.connect(server)) as conn, conn.cursor() as cur:
        conn.autocommit = True
        cur.execute(command.format(sql.Identifier(_name_of(url)), sql.Literal(is_allowed)))


def _name_of(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")


def _remove_cluster(data_dir: Path, *, was_killed: bool) -> None:
    """What an embedded server leaves outside the data directory: its files (for root), and itself if nobody stopped it."""
    if not (data_dir / "postgres").exists():
        return
    if was_killed:
        server = EmbeddedServer(data_dir)
        server.acquire()
        server.release()
    shutil.rmtree(find_home(data_dir.resolve(), RUN_DIR))


def _keep_cookies(jar: dict[str, str], answer: Answer) -> None:
    for header in answer.headers.get_all("Set-Cookie") or []:
        name, _, value = header.partition(";")[0].partition("=")
        jar[name] = value


def _browser(jar: Mapping[str, str]) -> dict[str, str]:
    cookies = "; ".join(f"{name}={value}" for name, value in jar.items())
    return {"Cookie": cookies, "Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
