"""The wave feed: one thread that stays connected to the signal server and takes in what it says.

Any number of processes may start a feed on one database. One of them holds a session lock on a connection of its own and
feeds, the others stand by and look every few seconds. The lock only saves the server from many connections: every write
is idempotent and decides under the row lock of its wave, so two feeds at once, as after a failover, do no harm and no
epoch is needed.

What the feed is doing is said as it is, in memory for the health report and in `wave_feed` for pages of every process.
"""

from __future__ import annotations

import hashlib
import logging
import random
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from core.clock import Clock
from core.errors import DatabaseUnavailableError
from core.wave_records import WaveSignal
from database import params, waves
from database.engine import DATABASE_ERRORS, GONE, Connection, Database, process_name
from waves import processor
from waves.adapter import adapt_signal
from waves.feed.client import SILENT_SECONDS, WaveConnection, WaveFeedError, open_connection
from waves.feed.protocol import Message
from waves.processor import Rules
from waves.schedule import Window, backoff_seconds, window_at

log = logging.getLogger(__name__)

STANDBY_SECONDS = 5.0
REMEMBERED = 20_000
SAY_AGAIN = timedelta(seconds=10)
WORKING = frozenset({"connected", "standby", "off"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedConfig:
    """Where the server is (None: nowhere, the feed is off) and how it is asked. Durations in seconds."""

    url: str | None
    token: str
    check_minutes: Sequence[int]
    check_duration: timedelta
    check_interval: float
    reconnect_interval: float
    max_attempts: int = -1
    auto_reconnect: bool = True
    buffer_size: int = 100
    silent_seconds: float = SILENT_SECONDS
    exchange_ids: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class FeedState:
    """What the feed is doing, since when, and when the server was last heard."""

    state: str
    detail: str
    since: datetime
    last_heard_at: datetime | None = None


class WaveFeed:
    """The supervisor thread. `check` answers at once, from memory."""

    def __init__(self, db: Database, clock: Clock, config: FeedConfig, rules: Rules, wait_for: threading.Event) -> None:
        """`wait_for` is set when the tables are there."""
        self._db = db
        self._clock = clock
        self._config = config
        self._rules = rules
        self._wait_for = wait_for
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="wave-feed", daemon=True)
        self._lock: Connection | None = None
        self._lock_seen_at = 0.0
        self._pending: deque[tuple[list[WaveSignal], bool, datetime]] = deque()
        self._dropped = 0
        self._taken: dict[bytes, None] = {}
        self._seen: deque[datetime] = deque(maxlen=200)
        self._window: Window | None = None
        self._said_at: datetime | None = None
        self.state = FeedState("starting" if config.url else "off", "", clock.now())

    def start(self) -> None:
        """Begin; returns at once."""
        if self._config.url:
            self._thread.start()

    def stop(self) -> None:
        """Leave the server and give the feed to another process."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=15)

    def check(self) -> tuple[str, str]:
        """(status, detail) for the readiness report. A feed that does not work never takes the service down."""
        return "pass" if self.state.state in WORKING else "warn", f"{self.state.state}: {self.state.detail}".rstrip(
            ": "
        )

    # --- supervision -------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stop.is_set():
            if not self._wait_for.wait(1.0):
                continue
            try:
                self._supervise()
            except DATABASE_ERRORS as error:
                self._say("waiting", f"the database is away ({type(error).__name__})")
            except Exception as error:
                log.exception("wave_feed_failed")
                self._say("failed", type(error).__name__)
            self._stop.wait(STANDBY_SECONDS)
        self._say("stopped", "the process is ending")
        self._release()

    def _supervise(self) -> None:
        """Feed while this process holds the lock; returns when another has it, or the feed has given up."""
        if not self._take_lock():
            self._say("standby", "another process holds the feed")
            return
        with self._db.transaction() as cur:
            params.add_exchanges(cur, self._config.exchange_ids)
        failures = 0
        while not self._stop.is_set() and self._holds_lock():
            messages, error = self._connect(failures)
            if error is None:
                return
            failures = 1 if messages else failures + 1  # a log-in alone is no success: the next may be refused again
            if not self._config.auto_reconnect or 0 <= self._config.max_attempts < failures:
                self._give_up(error, failures)
                return
            wait = backoff_seconds(failures, self._config.reconnect_interval, random.random())  # noqa: S311
            self._say("waiting", f"{error.message} Attempt {failures + 1} in {wait:.0f} s.")
            self._idle(wait)

    def _connect(self, failures: int) -> tuple[int, WaveFeedError | None]:
        """One connection from its opening to its end: how many messages came, and what ended it (None: we did)."""
        config = self._config
        assert config.url, "a feed without a server is never started"
        connection = None
        self._say("connecting", f"attempt {failures + 1}")
        try:
            with open_connection(
                config.url, config.token, self._clock, silent_seconds=config.silent_seconds
            ) as connection:
                self._say("connected", "logged in")
                self._listen(connection)
        except WaveFeedError as error:
            return connection.messages if connection else 0, error
        return connection.messages, None

    def _give_up(self, error: WaveFeedError, failures: int) -> None:
        """Stay without a connection until the process ends; what was received is still looked after."""
        log.error("wave_feed_gave_up", extra={"failures": failures, "reason": error.message})
        self._say("gave up", error.message)
        while not self._stop.wait(1.0):
            self._tick(None)

    def _idle(self, seconds: float) -> None:
        """Wait without a connection; windows end and the database is looked after all the same."""
        until = self._clock.monotonic() + seconds
        while self._clock.monotonic() < until and not self._stop.wait(min(1.0, self._config.check_interval)):
            self._tick(None)

    # --- listening ---------------------------------------------------------------------------------------------------

    def _listen(self, connection: WaveConnection) -> None:
        connection.ask_for_signals()
        while not self._stop.is_set() and self._holds_lock():
            message = connection.receive(self._config.check_interval)
            if message is not None:
                self._take(message)
            self._tick(connection)

    def _take(self, message: Message) -> None:
        """One message of the server; it repeats what it has at every question, so only what is new goes on."""
        now = self._clock.now()
        self.state = FeedState(self.state.state, self.state.detail, self.state.since, now)
        if message.kind == "error":
            log.warning("wave_server_error", extra={"reason": message.detail})
        fresh = [raw for raw in message.signals if self._is_fresh(raw)]
        if not fresh:
            return
        adapted = [adapt_signal(raw, now) for raw in fresh]
        for one in adapted:
            if one.wave_timestamp is not None and one.wave_timestamp not in self._seen:
                self._seen.append(one.wave_timestamp)
        if len(self._pending) >= self._config.buffer_size:
            self._pending.popleft()
            self._dropped += 1
            self._taken.clear()  # what was dropped must be taken when the server says it again
            log.error("wave_buffer_exhausted", extra={"size": self._config.buffer_size})
        self._pending.append((adapted, message.is_whole, now))

    def _is_fresh(self, raw: Mapping[str, Any]) -> bool:
        """True the first time that exactly this signal comes."""
        digest = hashlib.sha256(repr(raw).encode("utf-8", "replace")).digest()
        if digest in self._taken:
            return False
        if len(self._taken) >= REMEMBERED:
            del self._taken[next(iter(self._taken))]
        self._taken[digest] = None
        return True

    def _tick(self, connection: WaveConnection | None) -> None:
        """Each second: store and process what waits, ask within a window, close a window that ended, say how it is."""
        now = self._clock.now()
        window = window_at(now, self._config.check_minutes, self._config.check_duration)
        if connection is not None and window is not None and window.wave_time not in self._seen:
            connection.ask_for_signals()
        try:
            self._store(now)
            if self._window is not None and window != self._window:
                processor.give_up(self._db, self._window.wave_time, detail=self._account(), now=now)
            self._window = window
            if self._said_at is None or now - self._said_at >= SAY_AGAIN:
                self._save_state(now)
        except DATABASE_ERRORS as error:
            log.warning("wave_feed_cannot_store", extra={"reason": type(error).__name__, "pending": len(self._pending)})

    def _store(self, now: datetime) -> None:
        while self._pending:
            signals, is_whole, received_at = self._pending[0]
            receipt = processor.receive(self._db, signals, is_whole=is_whole, now=received_at)
            self._pending.popleft()
            log.info("wave_signals_received", extra={"new": receipt.new, "refused": receipt.refused})
        if self._dropped:
            with self._db.transaction() as cur:
                lost = {
                    "event_type": "wave_buffer_exhausted",
                    "severity": "ERROR",
                    "event_data": {"messages": self._dropped},
                }
                params.add_events(cur, [lost], now=now)
            self._dropped = 0
        processor.process_due(self._db, now, self._rules)

    def _account(self) -> str:
        return f"{self.state.state}: {self.state.detail}".rstrip(": ")

    # --- lock and state ----------------------------------------------------------------------------------------------

    def _take_lock(self) -> bool:
        """True when this process holds the feed now. Raises what the database raises."""
        if self._lock is None:
            self._lock = self._db.direct("waves")
            self._lock.autocommit = True
            with self._lock.cursor() as cur:
                if not waves.try_feed_lock(cur):
                    self._release()
                    return False
        else:
            with self._lock.cursor() as cur:
                waves.beat(cur)
        self._lock_seen_at = self._clock.monotonic()
        return True

    def _holds_lock(self) -> bool:
        """False once another process has the feed. While the database is away nobody can take it: feeding goes on."""
        if self._lock is not None and self._clock.monotonic() - self._lock_seen_at < STANDBY_SECONDS:
            return True
        try:
            return self._take_lock()
        except (DatabaseUnavailableError, *GONE):
            self._release()
            return True

    def _release(self) -> None:
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.close()

    def _say(self, state: str, detail: str) -> None:
        now = self._clock.now()
        since = self.state.since if state == self.state.state else now
        if (state, detail) != (self.state.state, self.state.detail):
            log.info("wave_feed_state", extra={"state": state, "detail": detail})
        self.state = FeedState(state, detail, since, self.state.last_heard_at)
        if self._lock is not None:
            try:
                self._save_state(now)
            except DATABASE_ERRORS:
                log.debug("wave_feed_state_not_saved")

    def _save_state(self, now: datetime) -> None:
        with self._db.transaction(statement_timeout_ms=2_000) as cur:
            said = {
                "state": self.state.state,
                "detail": self.state.detail,
                "since": self.state.since,
                "last_heard_at": self.state.last_heard_at,
            }
            waves.save_feed_state(cur, said, owner=process_name(), now=now)
        self._said_at = now
