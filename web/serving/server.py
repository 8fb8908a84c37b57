"""The HTTP server: waitress with reserved threads, and a drain on SIGTERM that loses nothing.

SIGTERM sets `draining`: from then on admission answers 503 with Retry-After (TradingView sends a 5xx again five seconds
later) and streams end by themselves. When what was admitted before is answered, nobody new is let connect; when the
last answers have left the process, the main loop is left. All this takes at most eight seconds.
"""

from __future__ import annotations

import gc
import logging
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Protocol

import waitress
from waitress.channel import HTTPChannel
from waitress.server import BaseWSGIServer
from waitress.wasyncore import close_all, dispatcher

from core.errors import MisconfiguredError
from core.settings import Settings
from web.security.strict_requests import StrictChannel
from web.serving.admission import THREADS, Admission

log = logging.getLogger(__name__)

DRAIN_SECONDS = 7.0
FLUSH_SECONDS = 1.0
SETTLE_SECONDS = 0.3
STOP_SECONDS = 10.0
SWITCH_SECONDS = 0.001
YOUNG_OBJECTS = 10_000
MAX_BODY_BYTES = 1024 * 1024
BACKLOG = 1024
DESCRIPTORS = 16_384


class Stoppable(Protocol):
    """A part of the service with threads of its own."""

    def stop(self) -> object:
        """Return when the threads have ended."""


class Server:
    """A listening waitress server around an admission layer; `run` returns after the drain.

    Raises MisconfiguredError when HOST and PORT cannot be listened on.
    """

    def __init__(self, app: Admission, draining: threading.Event, settings: Settings) -> None:
        raise_descriptor_limit()
        self._app = app
        self._draining = draining
        self._settings = settings
        self._step: Callable[[], None] | None = None
        self._sockets: dict[int, Any] = {}
        try:
            self._server: Any = waitress.create_server(app, map=self._sockets, **waitress_options(settings))
            for listener in self._of_kind(BaseWSGIServer):
                listener.channel_class = StrictChannel
        except (OSError, ValueError) as error:
            close_all(self._sockets)
            reason = f"PORT: cannot listen on {settings.host} port {settings.port}: {error}"
            raise MisconfiguredError(reason, field="PORT") from error

    @property
    def port(self) -> int:
        """The port that is listened on, also when PORT was 0."""
        return int(self._of_kind(BaseWSGIServer)[0].effective_port)

    def run(self) -> None:
        """Serve until a signal has drained the process. Call from the main thread."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        # A thread that computes, a job say, gives way within a millisecond: an alert changes threads six times.
        sys.setswitchinterval(SWITCH_SECONDS)
        spare_the_collector()
        log.info("serving", extra={"host": self._settings.host, "port": self.port, "role": self._settings.role})
        self._server.run()
        self._server.close()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        """A signal from outside starts the drain; later ones are the drain's own way into the main thread."""
        step, self._step = self._step, None
        if step is not None:
            step()
        elif not self._draining.is_set():
            self._draining.set()  # first of all: the next signal may come in the middle of this one
            log.info("drain_started", extra={"signal": signal.Signals(number).name})
            threading.Thread(target=self._drain, name="drain", daemon=True).start()

    def _drain(self) -> None:
        _wait_while(lambda: self._app.total_under_way() > 0, DRAIN_SECONDS)
        self._in_main_thread(self._stop_listening)
        _wait_while(self._has_unsent_answers, FLUSH_SECONDS)
        log.info("drain_finished", extra={"left": self._app.total_under_way()})
        self._in_main_thread(_leave)

    def _in_main_thread(self, step: Callable[[], None]) -> None:
        self._step = step
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)

    def _stop_listening(self) -> None:
        """Take whoever has connected already, because closing resets connections that nobody has accepted."""
        for listener in self._of_kind(BaseWSGIServer):
            for _ in range(BACKLOG // 8):
                listener.handle_accept()
            dispatcher.close(listener)  # not its own `close`, which would also take the loop's alarm clock away

    def _has_unsent_answers(self) -> bool:
        return any(channel.requests or channel.total_outbufs_len > 0 for channel in self._of_kind(HTTPChannel))

    def _of_kind(self, kind: type) -> list[Any]:
        return [item for item in list(self._sockets.values()) if isinstance(item, kind)]


def stop_together(*parts: Stoppable, seconds: float = STOP_SECONDS) -> list[str]:
    """Stop parts at the same time; the names of those still at work when the time is up."""
    threads = [threading.Thread(target=part.stop, name=type(part).__name__, daemon=True) for part in parts]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [thread.name for thread in threads if thread.is_alive()]


def leave_at_once() -> None:
    """End the process although threads are at work: a job that is cut off leaves its slot to be run again."""
    logging.shutdown()
    os._exit(0)


def spare_the_collector() -> None:
    """Look for cycles among what comes from now on alone, and a tenth as often as usual.

    The modules, routes and models of the service stay for good; walking through them all stops every thread for a tenth of
    a second, in the middle of an alert as likely as not.
    """
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])


def raise_descriptor_limit() -> None:
    """Let this process open more files than the usual 1,024, as far as the machine allows: every connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def waitress_options(settings: Settings) -> dict[str, Any]:
    """What waitress is told; without `asyncore_use_poll` it dies beyond 1,024 descriptors."""
    options: dict[str, Any] = {
        "host": settings.host,
        "port": settings.port,
        "threads": THREADS,
        "asyncore_use_poll": True,
        "backlog": BACKLOG,
        "connection_limit": 2500,
        "channel_timeout": 10,
        "cleanup_interval": 5,
        "max_request_body_size": MAX_BODY_BYTES,
        "ident": None,
        "clear_untrusted_proxy_headers": True,
    }
    if settings.trusted_proxy:
        options |= {
            "trusted_proxy": settings.trusted_proxy,
            "trusted_proxy_count": settings.trusted_proxy_count,
            "trusted_proxy_headers": "x-forwarded-for x-forwarded-proto x-forwarded-host",
        }
    return options


def _wait_while(is_busy: Callable[[], bool], seconds: float) -> None:
    """Return when nothing has been busy for a moment, or when the time is up."""
    deadline = time.monotonic() + seconds
    idle_since = time.monotonic()
    while time.monotonic() < deadline and time.monotonic() - idle_since < SETTLE_SECONDS:
        if is_busy():
            idle_since = time.monotonic()
        time.sleep(0.02)


def _leave() -> None:
    raise SystemExit(0)
