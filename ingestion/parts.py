"""The market data feature's moving parts, built once per process."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Event

from prometheus_client.registry import CollectorRegistry

from core.clock import Clock
from core.errors import InvalidInputError, MisconfiguredError
from core.jobs import Job, Report
from core.settings import Settings
from core.trading_calendar import cme_equity_calendar
from database.engine import Database
from ingestion.bars.aggregator import check_timeframes
from ingestion.feed.supervisor import Feed
from ingestion.gateway.client import GatewayClient
from ingestion.measures import FeedCollector

KEEP_EVERY = timedelta(seconds=30)
NO_TICKS = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class MarketData:
    """Feed and gateway of this process; `feed` is None where no gateway is configured."""

    settings: Settings
    db: Database
    clock: Clock
    feed: Feed | None

    @property
    def jobs(self) -> tuple[Job, ...]:
        """`feed_keeper` starts the feed and revives it; `close_bars` completes bars by the clock."""
        if self.feed is None:
            return ()
        return (
            Job("feed_keeper", KEEP_EVERY, self._keep, grace=KEEP_EVERY),
            Job("close_bars", KEEP_EVERY, self._close_bars, grace=KEEP_EVERY),
        )

    def start(self, registry: CollectorRegistry, ready: Event) -> None:
        """Begin to follow, or to wait for the lead, once the tables are there; every process does, so that one that dies
        is followed at once."""
        if self.feed is not None:
            registry.register(FeedCollector(self.feed, self.clock))
            self.feed.start(ready)

    def stop(self) -> None:
        """End the feed."""
        if self.feed is not None:
            self.feed.stop()

    def client(self) -> GatewayClient:
        """A client of the gateway of its own, for commands and requests. MisconfiguredError without a login."""
        return new_client(self.settings, self.clock)

    def check(self) -> tuple[str, str]:
        """Does the feed live? (status, detail) for the readiness report, from memory."""
        if self.feed is None:
            return "pass", "no gateway is configured"
        state, now = self.feed.state, self.clock.now()
        if not state.is_leader:
            return "pass", state.detail
        if not state.is_connected:
            return "warn", state.detail
        is_quiet = state.last_tick_at is None or now - state.last_tick_at > NO_TICKS
        if is_quiet and cme_equity_calendar().is_open(now):
            return "warn", "connected, but no trade for a minute"
        return "pass", "connected"

    def _keep(self, _db: Database, _now: datetime) -> Report:
        assert self.feed is not None
        is_started = self.feed.start()
        state = self.feed.state
        return Report(
            state.detail, {"started": int(is_started), "ticks": state.ticks, "connections": state.connections}
        )

    def _close_bars(self, _db: Database, now: datetime) -> Report:
        assert self.feed is not None
        self.feed.close_until(now)
        return Report(counts={"bars_stored": self.feed.state.bars_stored})


def build(settings: Settings, db: Database, clock: Clock) -> MarketData:
    """The parts of a process, not yet started. MisconfiguredError for timeframes that do not fit together."""
    for name, frames in settings.contracts.items():
        try:
            check_timeframes(frames)
        except InvalidInputError as error:
            raise MisconfiguredError(f"MARKET_CONTRACTS: {name}: {error.message}", field="MARKET_CONTRACTS") from None
    if not settings.has_feed or settings.role == "web":
        return MarketData(settings, db, clock, None)
    client = new_client(settings, clock)
    # The demo's gateway trades at the weekend, too.
    is_open = (lambda _at: True) if settings.demo else None
    feed = Feed(db, client, settings.projectx_rtc_market_url, settings.contracts, clock, is_open=is_open)
    return MarketData(settings, db, clock, feed)


def new_client(settings: Settings, clock: Clock) -> GatewayClient:
    """A client of the configured gateway. MisconfiguredError without a login."""
    if not settings.has_feed:
        raise MisconfiguredError(
            "PROJECTX_USERNAME: no gateway is configured; set PROJECTX_USERNAME and PROJECTX_API_TOKEN",
            field="PROJECTX_USERNAME",
        )
    return GatewayClient(
        settings.projectx_api_url, settings.projectx_username or "", settings.projectx_api_token or "", clock
    )
