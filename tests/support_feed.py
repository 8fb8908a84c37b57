"""A feed on a simulated gateway with everything fast: what the fault tests share."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

from core.clock import SystemClock
from core.records import Bar, Timeframe
from database import bars
from database.engine import Database
from ingestion.feed.connections import Timings
from ingestion.feed.supervisor import Feed
from ingestion.gateway.client import GatewayClient
from simulator.gateway.gateway import Gateway
from simulator.gateway.market import Contract, Market, front_contracts

FAST = Timings(
    silent=3.0, tickless=4.5, ping=0.5, connect=3.0, first_wait=0.03, longest_wait=0.5, lead=0.3, beat=0.3, look=0.03,
    mend=0.3, retry=1.0, roll=1.0, stale=2.0,
)  # fmt: skip
SECOND = Timeframe.parse("1s")
PATIENCE = 60.0


def make_feed(db: Database, rest_url: str, hub_url: str) -> Feed:
    client = GatewayClient(rest_url, "demo", "demo-api-key", SystemClock())
    names = {"MNQ": [SECOND, Timeframe.parse("1m")]}
    return Feed(db, client, hub_url, names, SystemClock(), timings=FAST, is_open=lambda _at: True)


class Rig:
    """A gateway that trades without pause, and a feed on it."""

    def __init__(
        self, db: Database, *, token_life: timedelta = timedelta(hours=24), start: bool = True, ticks: bool = True,
        contracts: Sequence[Contract] = (),
    ) -> None:  # fmt: skip
        """`ticks` False: a market without trades and without history. `contracts`: others beside the usual two."""
        now = SystemClock().now()
        self.db = db
        self.began_at = now
        listed_at = now - timedelta(minutes=2) if ticks else now + timedelta(days=1)
        offered = (*front_contracts(now.date()), *contracts)
        self.market = Market(1, offered, now - timedelta(minutes=5), listed_at, busy=30)
        self.gateway = Gateway(self.market, token_life=token_life, keep_alive=0.5, step=0.03)
        self.gateway.start(ticks=ticks)
        self.hub = self.gateway.hub
        self.contract_id = next(iter(self.market.contracts))
        self.feed = self.make_feed()
        if start:
            self.feed.start()

    def make_feed(self) -> Feed:
        return make_feed(self.db, self.gateway.rest_url, self.gateway.hub_url)

    @property
    def first_second(self) -> datetime:
        """The second from which on everything must be exact."""
        return self.began_at.replace(microsecond=0) - timedelta(seconds=20)

    @contextmanager
    def process(self) -> Iterator[subprocess.Popen[str]]:
        """A feed in a process of its own, which says `leads` and `waits` line by line; killed at the end."""
        command = [sys.executable, "-m", "tests.feed_process", self.db.url, self.gateway.rest_url, self.gateway.hub_url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as running:
            try:
                yield running
            finally:
                running.kill()

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
        told = self.market.bars(self.contract_id, SECOND, start, end)
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
            told = {bar["t"]: bar["v"] for bar in self.market.bars(self.contract_id, SECOND, start, end)}
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
