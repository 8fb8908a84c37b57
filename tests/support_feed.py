"""A feed on a simulated gateway with everything fast: what the fault tests share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from core.clock import SystemClock
from core.records import Bar, Timeframe
from database import bars
from database.engine import Database
from ingestion.feed.supervisor import Feed, Timings
from ingestion.gateway.client import GatewayClient
from simulator.gateway.gateway import Gateway
from simulator.gateway.market import Market, front_contracts

FAST = Timings(
    silent=3.0, tickless=3.0, ping=0.5, connect=3.0, first_wait=0.03, longest_wait=0.5, lead=0.3, beat=0.3, look=0.03,
    mend=0.3,
)  # fmt: skip
SECOND = Timeframe.parse("1s")
PATIENCE = 60.0


class Rig:
    """A gateway that trades without pause, and a feed on it."""

    def __init__(self, db: Database, *, token_life: timedelta = timedelta(hours=24), start: bool = True) -> None:
        now = SystemClock().now()
        self.db = db
        self.began_at = now
        market = Market(1, front_contracts(now.date()), now - timedelta(minutes=5), now - timedelta(minutes=2), busy=30)
        self.gateway = Gateway(market, token_life=token_life, keep_alive=0.5, step=0.03)
        self.gateway.start()
        self.hub = self.gateway.hub
        self.contract_id = next(iter(market.contracts))
        self.feed = self.make_feed()
        if start:
            self.feed.start()

    def make_feed(self) -> Feed:
        client = GatewayClient(self.gateway.rest_url, "demo", "demo-api-key", SystemClock())
        names = {"MNQ": [SECOND, Timeframe.parse("1m")]}
        url = self.gateway.hub_url
        return Feed(self.db, client, url, names, SystemClock(), timings=FAST, is_open=lambda _at: True)

    def stop(self) -> None:
        self.feed.stop()
        self.gateway.stop()

    def wait_connected(self, connections: int = 1) -> None:
        wait_for(lambda: self.feed.state.is_connected and self.feed.state.connections >= connections)

    def wait_for_ticks(self) -> None:
        """Until ticks that were told after now have come."""
        seen = self.feed.state.ticks
        wait_for(lambda: self.feed.state.ticks > seen)

    def stored(self, start: datetime, end: datetime) -> list[Bar]:
        with self.db.transaction() as cur:
            return bars.list_bars_between(cur, self.contract_id, SECOND, start, end)

    def is_exact(self, start: datetime, end: datetime) -> bool:
        """Whether every second of [start, end) is stored as the market knows it."""
        told = self.gateway.market.bars(self.contract_id, SECOND, start, end)
        expected = [(bar["t"], *(float(bar[name]) for name in "ohlc"), bar["v"]) for bar in told]
        return expected == [
            (bar.starts_at.isoformat(), float(bar.open), float(bar.high), float(bar.low), float(bar.close), bar.volume)
            for bar in self.stored(start, end)
        ]

    def wait_exact(self, start: datetime) -> None:
        """Until everything from a whole second on up to now is stored exactly."""
        end = SystemClock().now().replace(microsecond=0)
        try:
            wait_for(lambda: self.is_exact(start, end))
        except AssertionError:
            told = {bar["t"]: bar["v"] for bar in self.gateway.market.bars(self.contract_id, SECOND, start, end)}
            held = {bar.starts_at.isoformat(): bar.volume for bar in self.stored(start, end)}
            wrong = {at: (told.get(at), held.get(at)) for at in told.keys() | held if told.get(at) != held.get(at)}
            raise AssertionError(f"told and stored volumes differ: {dict(sorted(wrong.items()))}") from None


@contextmanager
def rig(db: Database, **options: object) -> Iterator[Rig]:
    found = Rig(db, **options)  # type: ignore[arg-type]
    try:
        yield found
    finally:
        found.stop()


def wait_for(is_so: Callable[[], bool], patience: float = PATIENCE) -> None:
    """Wait until something is so; AssertionError after a generous time."""
    deadline = time.monotonic() + patience
    while not is_so():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
