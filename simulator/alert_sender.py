"""Sends alerts as TradingView does: one request each, 3 seconds for the answer, server errors again after 5 seconds.

A retry waits while later alerts pass it, as they do in reality. Knows HTTP and the clock, not where alerts come from.
"""

from __future__ import annotations

import http.client
import json
import math
import socket
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import heappop, heappush
from itertools import count
from urllib.parse import urlsplit

from core.clock import Clock
from core.errors import InvalidInputError, TryAgainError
from simulator.alert_stream import Alert

RECEIVE_CLOCK_HEADER = "X-Signalbook-Received-At"
TIMEOUT_SECONDS = 3.0
RETRY_SECONDS = 5.0
MAX_RETRIES = 3
NO_ANSWER = "no answer"
LOST = "lost on purpose"

_IS_LIVE = timedelta(seconds=2)
_NOT_RETRIED = 504


class Pace:
    """When alerts are due. With `follows_clock` none leaves before its own time; a finite `speed` above 1 spreads them
    over the time they took, that many times faster."""

    def __init__(self, clock: Clock, start: datetime, *, speed: float = 1.0, follows_clock: bool = True) -> None:
        self._clock = clock
        self._start = start
        self._speed = speed
        self._follows_clock = follows_clock
        self._began = clock.monotonic()

    def seconds_until(self, sent_at: datetime) -> float:
        """How long to wait for an alert; 0 or less if it is due."""
        wait = 0.0
        if 1 < self._speed < math.inf:
            played = self._clock.monotonic() - self._began
            wait = (sent_at - self._start).total_seconds() / self._speed - played
        if self._follows_clock:
            wait = max(wait, (sent_at - self._clock.now()).total_seconds())
        return wait


@dataclass(frozen=True, slots=True)
class _Attempt:
    alert: Alert
    received_at: datetime | None
    retries_left: int


class AlertSender:
    """Posts alerts to one webhook. `outcomes` counts HTTP statuses, unanswered requests and alerts lost on purpose."""

    def __init__(self, url: str, clock: Clock, *, report: Callable[[str], None] | None = None) -> None:
        """`report` is told of every alert that was not taken. InvalidInputError for a URL that is none."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidInputError("not an http or https URL", field="url")
        self._is_secure = parts.scheme == "https"
        self._host = parts.hostname
        self._port = parts.port or (443 if self._is_secure else 80)
        self._path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        self._clock = clock
        self._report = report or (lambda _line: None)
        self._retries: list[tuple[float, int, _Attempt]] = []
        self._numbers = count()
        self.outcomes: Counter[str] = Counter()

    def wait_until_listening(self, seconds: float = 60.0) -> None:
        """Return once the server takes connections. TryAgainError if it does not within that time."""
        deadline = self._clock.monotonic() + seconds
        while True:
            try:
                socket.create_connection((self._host, self._port), TIMEOUT_SECONDS).close()
                return
            except OSError as error:
                if self._clock.monotonic() >= deadline:
                    raise TryAgainError(f"{self._host}:{self._port} takes no connections: {error}") from error
                self._clock.sleep(0.5)

    def send_all(self, alerts: Iterable[Alert], pace: Pace) -> None:
        """Send each alert when it is due, retries in between; returns when all are done."""
        for alert in alerts:
            self._retry_until(self._clock.monotonic() + max(0.0, pace.seconds_until(alert.sent_at)))
            if alert.lost:
                self.outcomes[LOST] += 1
                continue
            # Close to its own time the server's clock is right; otherwise it is told when the alert was sent.
            is_live = abs(self._clock.now() - alert.sent_at) <= _IS_LIVE
            self._try(_Attempt(alert, None if is_live else alert.sent_at, MAX_RETRIES))
        self._retry_until(math.inf)

    def _retry_until(self, until: float) -> None:
        """Make the retries that fall due before `until` (monotonic seconds); wait until then if it is finite."""
        while self._retries and self._retries[0][0] <= until:
            due, _, attempt = heappop(self._retries)
            self._sleep_until(due)
            self._try(attempt)
        if until < math.inf:
            self._sleep_until(until)

    def _sleep_until(self, due: float) -> None:
        wait = due - self._clock.monotonic()
        if wait > 0:
            self._clock.sleep(wait)

    def _try(self, attempt: _Attempt) -> None:
        status = self._post(attempt.alert.body, attempt.received_at)
        if status is not None and 500 <= status < 600 and status != _NOT_RETRIED and attempt.retries_left:
            again = _Attempt(attempt.alert, attempt.received_at, attempt.retries_left - 1)
            heappush(self._retries, (self._clock.monotonic() + RETRY_SECONDS, next(self._numbers), again))
            return
        outcome = NO_ANSWER if status is None else str(status)
        self.outcomes[outcome] += 1
        if status != 200:
            self._report(f"{attempt.alert.sent_at:%Y-%m-%d %H:%M:%S} UTC: {outcome}")

    def _post(self, body: bytes, received_at: datetime | None) -> int | None:
        """The status of the answer; None if there was none in time, which is never sent again."""
        headers = {"Content-Type": _content_type(body)}
        if received_at is not None:
            headers[RECEIVE_CLOCK_HEADER] = received_at.isoformat()
        make = http.client.HTTPSConnection if self._is_secure else http.client.HTTPConnection
        connection = make(self._host, self._port, timeout=TIMEOUT_SECONDS)
        try:
            connection.request("POST", self._path, body, headers)
            response = connection.getresponse()
            response.read()
            return response.status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()


def _content_type(body: bytes) -> str:
    try:
        json.loads(body)
    except ValueError:
        return "text/plain; charset=utf-8"
    return "application/json; charset=utf-8"
