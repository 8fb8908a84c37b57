"""Admission: what may be under way at once, and that neither slow clients nor dashboards make an alert wait.

Started as a program, this file is a service that knows no database: the real server and admission around an app whose
streams never end and whose pages hang until the service drains.
"""

from __future__ import annotations

import gc
import os
import resource
import socket
import statistics
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from core.settings import load_settings
from tests.support_needs import missing
from tests.support_service import Answer, Service, send, service
from web.serving.admission import OTHER_SHARE, RETRY_AFTER_SECONDS, STREAM_SHARE, THREADS, Admission, kind_of
from web.serving.logs import init_logging
from web.serving.server import Server, spare_the_collector, waitress_options

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

SLOW_CONNECTIONS = 500
IDLE_CONNECTIONS = 1200
POSTS = 200
LIMIT_SECONDS = 0.2
TOKEN = "token-of-the-admission-tests"
WEBHOOK = f"/api/automated-signals/webhook/{TOKEN}"
INTAKE = "/api/automated-signals"


# --- the service of the stand-in app -----------------------------------------------------------------------------


def main() -> None:
    """Serve the stand-in app until a signal drains it."""
    settings, draining = load_settings(os.environ), threading.Event()
    init_logging(settings)
    Server(Admission(stand_in(draining), draining), draining, settings).run()


def stand_in(draining: threading.Event) -> Any:
    """Alerts are answered at once; streams say a word and stay; every other request hangs until the drain."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        kind = kind_of(environ["REQUEST_METHOD"], environ["PATH_INFO"])
        start_response("200 OK", [("Content-Type", "text/plain")])
        if kind == "stream":
            return stream()
        if kind == "other":
            draining.wait()
        return [b"done"]

    def stream() -> Iterator[bytes]:
        yield b"open\n"
        draining.wait()

    return app


# --- shares --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("POST", "/api/automated-signals", "intake"),
        ("POST", "/api/automated-signals/", "intake"),
        ("POST", "/api/automated-signals/webhook", "intake"),
        ("POST", "/api/automated-signals/webhook/a-token", "intake"),
        ("GET", "/api/automated-signals/webhook/a-token", "other"),
        ("GET", "/api/automated-signals", "other"),
        ("POST", "/api/automated-signals/telemetry", "other"),
        ("POST", "/login", "other"),
        ("GET", "/healthz", "health"),
        ("GET", "/readyz", "health"),
        ("GET", "/api/stream", "stream"),
        ("GET", "/static/0/css/base.css", "other"),
    ],
)
def test_a_request_belongs_to_one_share(method: str, path: str, kind: str) -> None:
    assert kind_of(method, path) == kind


class Caller:
    """Calls an admission as a server would; `close` ends the answers that are still open."""

    def __init__(self, body: Iterable[bytes] = (b"ok",), **limits: int) -> None:
        self.draining = threading.Event()
        self.body = body
        self.admission = Admission(self._app, self.draining, **limits)
        self.open: list[Any] = []

    def _app(self, _environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        return self.body

    def call(self, path: str, method: str = "GET") -> tuple[int, dict[str, str]]:
        said: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> Any:
            said.extend([int(status[:3]), dict(headers)])

        self.open.append(self.admission({"REQUEST_METHOD": method, "PATH_INFO": path}, start_response))
        return said[0], said[1]

    def close(self) -> None:
        for body in self.open:
            if hasattr(body, "close"):
                body.close()
        self.open.clear()


@pytest.mark.parametrize("path", ["/api/stream", "/"])
def test_beyond_its_share_a_request_is_refused_until_another_ends(path: str) -> None:
    caller = Caller(streams=2, others=2)
    assert [caller.call(path)[0] for _ in range(3)] == [200, 200, 503]
    caller.close()
    assert caller.call(path)[0] == 200


def test_a_refusal_says_when_to_come_back() -> None:
    status, headers = Caller(others=0).call("/")
    assert (status, headers["Retry-After"]) == (503, str(RETRY_AFTER_SECONDS))
    assert headers["Content-Type"] == "application/problem+json"


def test_alerts_and_health_are_let_in_when_everything_else_is_full() -> None:
    caller = Caller(streams=0, others=0)
    assert [caller.call("/api/stream")[0], caller.call("/")[0]] == [503, 503]
    assert caller.call(WEBHOOK, "POST")[0] == 200
    assert caller.call("/healthz")[0] == 200


def test_the_shares_leave_threads_to_the_alerts() -> None:
    assert THREADS - STREAM_SHARE - OTHER_SHARE >= 8


def test_while_draining_only_health_is_answered() -> None:
    caller = Caller()
    caller.draining.set()
    assert caller.call(WEBHOOK, "POST")[0] == 503
    assert caller.call("/api/stream")[0] == 503
    assert caller.call("/readyz")[0] == 200


def test_a_request_is_under_way_until_its_body_is_closed_and_no_longer() -> None:
    closed: list[bool] = []

    class Body(list[bytes]):
        def close(self) -> None:
            closed.append(True)

    caller = Caller(Body([b"a", b"b"]))
    caller.call("/api/stream")
    assert list(caller.open[0]) == [b"a", b"b"]
    assert (caller.admission.total_under_way(), closed) == (1, [])
    caller.open[0].close()
    caller.open[0].close()
    assert (caller.admission.total_under_way(), closed) == (0, [True, True])


def test_a_failure_gives_its_place_back() -> None:
    def fail(_environ: WSGIEnvironment, _start: StartResponse) -> Iterable[bytes]:
        raise ValueError("broken")

    admission = Admission(fail, threading.Event(), others=1)
    for _ in range(2):
        with pytest.raises(ValueError, match="broken"):
            admission({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda *_: lambda _data: None)
    assert admission.total_under_way() == 0


def test_what_a_started_service_has_loaded_is_not_walked_through_again() -> None:
    usual, frozen = gc.get_threshold(), gc.get_freeze_count()
    gc.set_threshold(700, 10, 10)
    made = [[number] for number in range(1000)]
    try:
        spare_the_collector()
        assert gc.get_freeze_count() > frozen + len(made)
        assert gc.get_threshold()[0] > 7000
        assert not any(one is made[0] for one in gc.get_objects())
    finally:
        gc.set_threshold(*usual)


def test_waitress_is_told_what_keeps_it_alive() -> None:
    options = waitress_options(load_settings({}))
    assert options["asyncore_use_poll"] is True
    assert options["connection_limit"] > SLOW_CONNECTIONS
    assert options["clear_untrusted_proxy_headers"] is True
    assert "trusted_proxy" not in options
    behind = waitress_options(load_settings({"TRUSTED_PROXY": "10.0.0.1", "TRUSTED_PROXY_COUNT": "2"}))
    assert (behind["trusted_proxy"], behind["trusted_proxy_count"]) == ("10.0.0.1", 2)


# --- the real server -----------------------------------------------------------------------------------------------

SLOW_BODY = f"POST {WEBHOOK} HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n".encode() + b"{" * 100
SLOW_HEADER = f"POST {WEBHOOK} HTTP/1.1\r\nHost: x\r\nX-Slow: ".encode()


@contextmanager
def connections(port: int, count: int, *beginnings: bytes) -> Iterator[list[socket.socket]]:
    """Connections that send the beginning of a request, the given ones in turn, and then nothing."""
    with ExitStack() as stack:
        opened = []
        for number in range(count):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            if beginnings:
                connection.sendall(beginnings[number % len(beginnings)])
            opened.append(connection)
        yield opened


def seconds_of_posts(port: int, path: str) -> list[float]:
    """How long honest posts take, each on a connection of its own."""
    times = []
    for number in range(POSTS):
        body = b'{"event_type":"HEARTBEAT","number":%d}' % number
        started = time.perf_counter()
        answer = send(port, "POST", path, body)
        times.append(time.perf_counter() - started)
        assert answer.status in (200, 422), answer.text
    return times


def assert_intake_is_quick(port: int, path: str, limit_seconds: float = LIMIT_SECONDS) -> None:
    """p99 below the limit in one of three rounds: another program on a busy machine is no fault of ours."""
    p99s: list[float] = []
    while len(p99s) < 3 and (not p99s or min(p99s) >= limit_seconds):
        p99s.append(statistics.quantiles(seconds_of_posts(port, path), n=100)[98])
    assert min(p99s) < limit_seconds, p99s


@pytest.fixture
def _room_for_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2 * IDLE_CONNECTIONS:
        missing(f"needs {2 * IDLE_CONNECTIONS} open files, this machine allows {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * IDLE_CONNECTIONS), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("_room_for_descriptors")
def test_five_hundred_slow_clients_do_not_slow_alerts_down(database_url: str) -> None:
    with service(DATABASE_URL=database_url, WEBHOOK_TOKEN=TOKEN) as running:
        running.wait_for("writer_breaker_closed")
        with connections(running.port, SLOW_CONNECTIONS, SLOW_BODY, SLOW_HEADER):
            assert_intake_is_quick(running.port, WEBHOOK)
            assert running.get("/healthz").status == 200
        assert running.terminate() == 0


FEW_DESCRIPTORS = """
import os, resource, sys
_soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
os.execv(sys.executable, [sys.executable, "-m", "tests.test_admission"])
"""


@pytest.fixture
def hanging() -> Iterator[Service]:
    """The stand-in app on the real server, started with few descriptors."""
    with service("-c", FEW_DESCRIPTORS) as running:
        yield running


def hold(running: Service, path: str, count: int, pool: ThreadPoolExecutor) -> list[Future[Answer]]:
    """Ask for a page that hangs, `count` times at once, one of which is refused for want of room; those that hang."""
    asked = [pool.submit(send, running.port, "GET", path, timeout=30) for _ in range(count)]
    refused, hung = wait(asked, timeout=10, return_when=FIRST_COMPLETED)
    (answer,) = [future.result() for future in refused]
    assert (answer.status, answer.headers["Retry-After"]) == (503, str(RETRY_AFTER_SECONDS))
    return list(hung)


@pytest.mark.usefixtures("_room_for_descriptors")
def test_streams_dashboards_and_slow_clients_leave_alerts_their_threads(hanging: Service) -> None:
    with ThreadPoolExecutor(STREAM_SHARE + OTHER_SHARE + 2) as pool:
        hung = hold(hanging, "/api/stream", STREAM_SHARE + 1, pool) + hold(hanging, "/", OTHER_SHARE + 1, pool)
        with connections(hanging.port, SLOW_CONNECTIONS, SLOW_BODY, SLOW_HEADER):
            assert_intake_is_quick(hanging.port, INTAKE)
        assert not any(future.done() for future in hung)
        started = time.monotonic()
        assert hanging.terminate() == 0
        assert time.monotonic() - started < 5
        bodies = [future.result().body for future in hung]
    assert sorted(bodies) == [b"done"] * OTHER_SHARE + [b"open\n"] * STREAM_SHARE


@pytest.mark.usefixtures("_room_for_descriptors")
def test_more_connections_than_the_usual_limit_of_files_are_carried(hanging: Service) -> None:
    with connections(hanging.port, IDLE_CONNECTIONS) as idle:
        assert send(hanging.port, "POST", INTAKE, b"{}").body == b"done"
        idle[-1].sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle[-1].recv(12) == b"HTTP/1.1 200"
    assert hanging.terminate() == 0


if __name__ == "__main__":
    main()
