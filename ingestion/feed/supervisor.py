"""Keeps the feed alive: leads or waits, connects, watches, and begins again, for ever.

Each attempt is a new connection with a fresh token. It counts as connected when the hub has confirmed every
subscription; it ends when the hub ends it, says nothing for `silent`, or brings no trade for `tickless` of open market.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg2

from core.clock import Clock
from core.errors import ConflictError, DatabaseUnavailableError, SignalbookError
from core.records import Timeframe
from core.trading_calendar import TradingCalendar, cme_equity_calendar
from database.bars import Contract
from database.engine import Database
from database.leader import LeaderDatabase, Leadership, try_to_lead
from ingestion.bars.aggregator import check_timeframes
from ingestion.feed.hub import Hub, HubRefusedError
from ingestion.feed.inbox import Closing, FeedState, Inbox, Listening, Trades
from ingestion.feed.mender import Mender
from ingestion.feed.parsing import parse_trades
from ingestion.feed.pump import FEED, Pump
from ingestion.gateway.client import GatewayClient
from ingestion.gateway.history import follow

log = logging.getLogger(__name__)

MARGIN = timedelta(seconds=1)  # between the exchange's clock and ours
TRADES = "SubscribeContractTrades"


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds; tests make them small."""

    silent: float = 30.0
    tickless: float = 60.0
    ping: float = 10.0
    connect: float = 10.0
    first_wait: float = 0.5
    longest_wait: float = 30.0
    lead: float = 5.0
    beat: float = 3.0
    look: float = 0.25
    mend: float = 2.0


class Feed:
    """The feed of one process. `start` may be called again and again: it revives what has died."""

    def __init__(
        self, db: Database, client: GatewayClient, hub_url: str, names: Mapping[str, Sequence[Timeframe]], clock: Clock,
        *, timings: Timings | None = None, is_open: Callable[[datetime], bool] | None = None,
    ) -> None:  # fmt: skip
        """`names`: contracts (ids or roots) and their timeframes. InvalidInputError when these do not fit together."""
        for frames in names.values():
            check_timeframes(frames)
        self.state = FeedState()
        self._db, self._client, self._url, self._names, self._clock = db, client, hub_url, names, clock
        self._timings = timings or Timings()
        self._calendar: TradingCalendar = cme_equity_calendar()
        self._is_open = is_open or self._calendar.is_open
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._connection = 0
        self._ticked_at = 0.0
        self._inbox = Inbox()
        self._contracts: dict[str, Contract] = {}
        self._lead: Leadership | None = None

    @property
    def is_running(self) -> bool:
        """Whether the supervisor's thread lives."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> bool:
        """Begin, if it is not running; returns at once, True when there was something to start."""
        if self.is_running or self._stopping.is_set():
            return False
        self._thread = threading.Thread(target=self._run, name="feed-supervisor", daemon=True)
        self._thread.start()
        return True

    def close_until(self, now: datetime) -> None:
        """Complete what is due by the clock; does nothing where this process does not lead."""
        if self.state.is_leader:
            self._inbox.put(Closing(now))

    def stop(self) -> None:
        """End the connection and the threads."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(10)
        self._client.close()

    # --- who leads -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._lead = try_to_lead(self._db, f"feed {FEED}")
                if self._lead is not None:
                    self._follow_as_leader()
                else:
                    self._say("another process has the feed")
            except (SignalbookError, psycopg2.Error) as error:
                self._say(str(error))
                log.warning("feed_waits", extra={"reason": str(error)})
            finally:
                self.state.is_leader = self.state.is_connected = False
                if self._lead is not None:
                    self._lead.release()
            self._stopping.wait(self._timings.lead * random.uniform(0.8, 1.2))  # noqa: S311  jitter, no secret

    def _database(self) -> Database:
        """The database, fenced by the current lead. Raises ConflictError without one."""
        if self._lead is None:
            raise ConflictError("this process does not lead the feed")
        return LeaderDatabase(self._db, self._lead)

    def _follow_as_leader(self) -> None:
        """Follow the contracts until the process stops or another one leads."""
        self.state.is_leader = True
        found = follow(self._database(), self._client, list(self._names))
        contracts = dict(zip(found, self._names.values(), strict=True))
        self._contracts = {contract.contract_id: contract for contract in found}
        self._inbox = Inbox()
        shared: Any = {
            "contracts": contracts,
            "calendar": self._calendar,
            "clock": self._clock,
            "database": self._database,
        }
        pump = Pump(self._inbox, self.state, **shared)
        mender = Mender(self._client, pump, self._inbox, **shared)
        over = threading.Event()
        threads = [
            threading.Thread(target=self._pump, args=[pump, over], name="feed-pump", daemon=True),
            threading.Thread(target=mender.run, args=[over, self._timings.mend], name="feed-mender", daemon=True),
        ]
        for thread in threads:
            thread.start()
        try:
            self._stay_connected(over, threads)
        finally:
            over.set()
            for thread in threads:
                thread.join(10)

    def _pump(self, pump: Pump, over: threading.Event) -> None:
        try:
            while not over.is_set():
                pump.turn(self._timings.look)
        except ConflictError as error:
            log.warning("feed_lead_lost", extra={"reason": str(error)})
        finally:
            over.set()

    def _keep_lead(self) -> bool:
        """A sign of life; after a database outage the lead is taken anew. False when another process has it."""
        if self._lead is not None and self._lead.beat():
            return True
        try:
            fresh = try_to_lead(self._db, f"feed {FEED}")
        except (DatabaseUnavailableError, psycopg2.Error):
            return True  # nobody can lead now; what completes meanwhile waits
        if fresh is None:
            return False
        if self._lead is not None:
            self._lead.release()
        self._lead = fresh
        return True

    # --- one connection after the other --------------------------------------------------------------------------

    def _stay_connected(self, over: threading.Event, threads: Sequence[threading.Thread]) -> None:
        failures = 0
        while not self._is_over(over, threads):
            hub = self._try_to_connect()
            if hub is not None:
                failures = 0
                self._lose_touch(self._watch(hub, over, threads))
            failures += 1
            wait = min(self._timings.longest_wait, self._timings.first_wait * 2 ** min(failures - 1, 10))
            self._pause(wait * random.uniform(0.5, 1.0), over)  # noqa: S311  jitter, no secret

    def _is_over(self, over: threading.Event, threads: Sequence[threading.Thread]) -> bool:
        return self._stopping.is_set() or over.is_set() or not all(thread.is_alive() for thread in threads)

    def _pause(self, seconds: float, over: threading.Event) -> None:
        """Wait, and go on showing that we lead."""
        until = self._clock.monotonic() + seconds
        while not self._stopping.is_set() and (left := until - self._clock.monotonic()) > 0:
            self._stopping.wait(min(left, self._timings.beat))
            if not self._keep_lead():
                over.set()
                return

    def _try_to_connect(self) -> Hub | None:
        """A connection with every subscription confirmed, or None; why not is said."""
        token = ""
        try:
            token = self._client.session.token()
            return self._connect(token)
        except HubRefusedError as error:
            self._client.session.reject(token)
            self._fail(error)
        except (SignalbookError, OSError) as error:
            self._fail(error)
        return None

    def _fail(self, error: Exception) -> None:
        self.state.failures += 1
        reason = error.message if isinstance(error, SignalbookError) else type(error).__name__
        self._say(reason)
        log.warning("feed_not_connected", extra={"reason": reason, "failures": self.state.failures})

    def _connect(self, token: str) -> Hub:
        self._connection += 1
        number = self._connection
        hub = Hub(self._url, token, self._clock, lambda target, given: self._on_event(number, target, given))
        try:
            hub.open(self._timings.connect)
            for contract_id in self._contracts:
                hub.subscribe(TRADES, contract_id, self._timings.connect)
        except BaseException:
            hub.end()
            raise
        now = self._clock.now()
        for contract_id in self._contracts:
            self._inbox.put(Listening(contract_id, now + MARGIN, is_on=True))
        self.state.connections += 1
        self.state.is_connected, self.state.connected_at = True, now
        self.state.token_expires_at = self._client.session.expires_at
        self._say("connected")
        log.info("feed_connected", extra={"connections": self.state.connections, "contracts": list(self._contracts)})
        return hub

    def _lose_touch(self, hub: Hub) -> None:
        """The connection is over: what came after its last sign of life was not heard."""
        silent = self._clock.monotonic() - hub.heard_at
        hub.end()
        at = self._clock.now() - timedelta(seconds=silent) - MARGIN
        for contract_id in self._contracts:
            self._inbox.put(Listening(contract_id, at, is_on=False))
        self.state.is_connected = False
        self.state.unreadable += hub.unreadable
        log.warning("feed_lost", extra={"silent_seconds": round(silent, 1)})

    def _watch(self, hub: Hub, over: threading.Event, threads: Sequence[threading.Thread]) -> Hub:
        """Until the connection ends or must be given up; the one that was used last."""
        timings = self._timings
        pinged = beaten = started = self._clock.monotonic()
        while not self._is_over(over, threads) and not self._stopping.wait(timings.look):
            now = self._clock.monotonic()
            self.state.last_heard_at = self._clock.now() - timedelta(seconds=now - hub.heard_at)
            if self._is_stale(hub, now, started):
                break
            try:
                if now - pinged >= timings.ping:
                    pinged = now
                    hub.ping()
                fresh = self._renewed(hub)
            except (SignalbookError, OSError) as error:
                self._fail(error)
                break
            if fresh is not hub:
                hub, started = fresh, now
            if now - beaten >= timings.beat:
                beaten = now
                if not self._keep_lead():
                    over.set()
        return hub

    def _renewed(self, hub: Hub) -> Hub:
        """The same connection, or at 80 % of the token's life another one, which is there before the old one ends."""
        renew_at = self._client.session.renew_at
        if renew_at is None or self._clock.now() < renew_at:
            return hub
        fresh = self._connect(self._client.session.token())
        hub.end()
        return fresh

    def _is_stale(self, hub: Hub, now: float, started: float) -> bool:
        if not hub.is_alive:
            self._say("the gateway ended the connection")
            return True
        if now - hub.heard_at > self._timings.silent:
            self._say("the gateway has fallen silent")
            return True
        heard = max(self._ticked_at, started)
        if now - heard > self._timings.tickless and self._is_open(self._clock.now()):
            self._say("no trades although the market is open")
            return True
        return False

    def _on_event(self, number: int, target: str, given: list[Any]) -> None:
        """On the reading thread: quick, and never raises."""
        if target != "GatewayTrade" or len(given) != 2 or not isinstance(given[0], str):
            return
        contract = self._contracts.get(given[0])
        if contract is None:
            self.state.refused += 1
            return
        ticks, refused = parse_trades(given[1], contract.tick_size)
        self.state.refused += refused
        if ticks:
            self._ticked_at = self._clock.monotonic()
            self._inbox.put_trades(Trades(contract.contract_id, number, ticks), self._clock.now())

    def _say(self, detail: str) -> None:
        self.state.detail = detail
