"""Keeps the feed alive: leads or waits, and while it leads keeps connections, pump and mender, for ever.

Whatever ends one of them ends the lead's turn, and the next turn begins with everything new.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import psycopg2

from core.clock import Clock
from core.errors import ConflictError, SignalbookError
from core.records import Timeframe
from core.trading_calendar import TradingCalendar, cme_equity_calendar
from database.bars import FEED
from database.engine import DATABASE_ERRORS, Database
from database.leader import LeaderDatabase, Leadership, try_to_lead
from ingestion.bars.aggregator import check_timeframes
from ingestion.feed.connections import Connections, Timings, Watch
from ingestion.feed.inbox import Closing, FeedState, Inbox
from ingestion.feed.mender import Mender
from ingestion.feed.pump import Pump
from ingestion.gateway.client import GatewayClient
from ingestion.gateway.history import follow

log = logging.getLogger(__name__)


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
        self._inbox = Inbox()
        self._lead: Leadership | None = None

    @property
    def is_running(self) -> bool:
        """Whether the supervisor's thread lives."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, ready: threading.Event | None = None) -> bool:
        """Begin, if it is not running; returns at once, True when there was something to start. Nothing is done before
        `ready` is set."""
        if self.is_running or self._stopping.is_set():
            return False
        self._thread = threading.Thread(target=self._run, args=[ready], name="feed-supervisor", daemon=True)
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

    def _run(self, ready: threading.Event | None) -> None:
        while ready is not None and not ready.is_set() and not self._stopping.is_set():
            ready.wait(self._timings.look)
        while not self._stopping.is_set():
            try:
                self._lead = self._try_to_lead()
                if self._lead is not None:
                    self._follow_as_leader()
                else:
                    self.state.detail = "another process has the feed"
            except (SignalbookError, psycopg2.Error) as error:
                self.state.detail = str(error)
                log.warning("feed_waits", extra={"reason": str(error)})
            except Exception:
                self.state.detail = "the feed has failed and begins again"
                log.exception("feed_failed")
            finally:
                self.state.is_leader = self.state.is_connected = False
                if self._lead is not None:
                    self._lead.release()
            self._stopping.wait(self._timings.lead * random.uniform(0.8, 1.2))  # noqa: S311  jitter, no secret

    def _try_to_lead(self) -> Leadership | None:
        return try_to_lead(self._db, f"feed {FEED}", stale_seconds=self._timings.stale)

    def _database(self) -> Database:
        """The database, fenced by the current lead. Raises ConflictError without one."""
        if self._lead is None:
            raise ConflictError("this process does not lead the feed")
        return LeaderDatabase(self._db, self._lead)

    def _follow_as_leader(self) -> None:
        """Follow the contracts until the process stops, another one leads, or a contract rolls."""
        self.state.is_leader = True
        found = follow(self._database(), self._client, list(self._names))
        self._inbox = Inbox()
        shared: Any = {
            "contracts": dict(zip(found, self._names.values(), strict=True)),
            "calendar": self._calendar,
            "clock": self._clock,
            "database": self._database,
        }
        pump = Pump(self._inbox, self.state, **shared)
        mender = Mender(self._client, pump, self._inbox, names=list(self._names), timings=self._timings, **shared)
        over = threading.Event()
        threads = [
            threading.Thread(target=self._guard, args=[work, over], name=f"feed-{name}", daemon=True)
            for name, work in (("pump", lambda: self._pump(pump, over)), ("mender", lambda: mender.run(over)))
        ]
        connections = Connections(
            self._client, self._url, {contract.contract_id: contract for contract in found}, self._inbox, self.state,
            clock=self._clock, timings=self._timings, is_open=self._is_open, watch=self._watch(over),
        )  # fmt: skip
        for thread in threads:
            thread.start()
        try:
            connections.run()
        finally:
            over.set()
            for thread in threads:
                thread.join(10)

    def _watch(self, over: threading.Event) -> Watch:
        def beat() -> None:
            if not self._keep_lead():
                over.set()

        return Watch(lambda: self._stopping.is_set() or over.is_set(), self._stopping.wait, beat)

    def _guard(self, work: Callable[[], None], over: threading.Event) -> None:
        """Work of one thread; its end, whatever the reason, is the end of this turn."""
        try:
            work()
        except ConflictError as error:
            log.warning("feed_lead_lost", extra={"reason": str(error)})
        except Exception:
            log.exception("feed_failed")
        finally:
            over.set()

    def _pump(self, pump: Pump, over: threading.Event) -> None:
        while not over.is_set():
            pump.turn(self._timings.look)

    def _keep_lead(self) -> bool:
        """A sign of life; after a database outage the lead is taken anew. False when another process has it."""
        if self._lead is not None and self._lead.beat():
            return True
        try:
            fresh = self._try_to_lead()
        except DATABASE_ERRORS:
            return True  # nobody can lead now; what completes meanwhile waits
        if fresh is None:
            return False
        if self._lead is not None:
            self._lead.release()
        self._lead = fresh
        return True
