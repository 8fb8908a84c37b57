"""Admission: a WSGI layer that keeps threads free for alerts.

Of the server's threads, streams and other requests may each take a fixed share; beyond it they are refused at once
with 503 and Retry-After, so that no dashboard can make an alert wait. Alerts are always let in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from threading import Event, Lock
from typing import TYPE_CHECKING, Any

from web.serving import metrics

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

THREADS = 32
STREAM_SHARE = 12
OTHER_SHARE = 12  # the remaining eight threads are the alerts'
RETRY_AFTER_SECONDS = 5
STREAM_PATH = "/api/stream"
HEALTH_PATHS = frozenset({"/healthz", "/readyz"})
INTAKE_PATH = "/api/automated-signals"


def kind_of(method: str, path: str) -> str:
    """Which share a request belongs to: intake, health, stream or other."""
    if method == "POST" and (path.rstrip("/") == INTAKE_PATH or path.startswith(INTAKE_PATH + "/webhook")):
        return "intake"
    if path in HEALTH_PATHS:
        return "health"
    return "stream" if path == STREAM_PATH else "other"


class Admission:
    """Counts what is under way and refuses what exceeds its share; while draining it refuses everything."""

    def __init__(
        self, app: WSGIApplication, draining: Event, *, streams: int = STREAM_SHARE, others: int = OTHER_SHARE
    ) -> None:
        self._app = app
        self._draining = draining
        self._limits = {"stream": streams, "other": others}
        self._lock = Lock()
        self.under_way = {"intake": 0, "health": 0, "stream": 0, "other": 0}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        kind = kind_of(environ["REQUEST_METHOD"], environ.get("PATH_INFO", ""))
        if (self._draining.is_set() and kind != "health") or not self._enter(kind):
            metrics.REFUSED.labels(kind).inc()
            return _refuse(start_response)
        try:
            body = self._app(environ, start_response)
        except BaseException:
            self._leave(kind)
            raise
        return _Counted(body, lambda: self._leave(kind))

    def total_under_way(self) -> int:
        """Requests that are being answered now."""
        with self._lock:
            return sum(self.under_way.values())

    def _enter(self, kind: str) -> bool:
        with self._lock:
            if self.under_way[kind] >= self._limits.get(kind, THREADS):
                return False
            self.under_way[kind] += 1
            return True

    def _leave(self, kind: str) -> None:
        with self._lock:
            self.under_way[kind] -= 1


class _Counted:
    """A response body that says when it is done: a stream is under way until it is closed."""

    def __init__(self, body: Iterable[bytes], done: Callable[[], None]) -> None:
        self._body = body
        self._done: Callable[[], None] | None = done

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def close(self) -> None:
        try:
            close: Any = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            if self._done is not None:
                self._done()
                self._done = None


def _refuse(start_response: StartResponse) -> list[bytes]:
    body = b'{"success":false,"error":"The service is busy; try again shortly.","status":503,"code":"busy"}\n'
    start_response(
        "503 Service Unavailable",
        [
            ("Content-Type", "application/problem+json"),
            ("Content-Length", str(len(body))),
            ("Retry-After", str(RETRY_AFTER_SECONDS)),
            ("Cache-Control", "no-store"),
        ],
    )
    return [body]
