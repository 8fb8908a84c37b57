"""Client-side rate limits: a sliding window that stays below the gateway's own."""

from __future__ import annotations

import threading
from collections import deque

from core.clock import Clock


class RateLimit:
    """At most `count` calls in any `seconds`. May be used from several threads."""

    def __init__(self, count: int, seconds: float, clock: Clock) -> None:
        self._count, self._seconds, self._clock = count, seconds, clock
        self._calls: deque[float] = deque()
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Wait for a place in the window and take it."""
        while (seconds := self._take()) > 0:
            self._clock.sleep(seconds)

    def _take(self) -> float:
        """Seconds to wait; 0 when a place was taken."""
        with self._lock:
            now = self._clock.monotonic()
            while self._calls and now - self._calls[0] >= self._seconds:
                self._calls.popleft()
            if len(self._calls) >= self._count:
                return self._seconds - (now - self._calls[0])
            self._calls.append(now)
            return 0.0
