"""Six hours of ticks and twenty-four of waves on accelerated clocks: nothing missing, nothing growing. For `make soak`."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.records import Bar, Timeframe
from database import bars, waves
from database.engine import Database
from simulator.gateway.gateway import Gateway
from simulator.gateway.market import Market, front_contracts
from simulator.wave_market import CANDLE, WaveMarket
from simulator.wave_server import WaveServer
from tests.long_run_process import SharedClock
from tests.support_feed import wait_for

log = logging.getLogger(__name__)

START = datetime(2026, 11, 18, 14, 0, tzinfo=UTC)  # a Wednesday, 09:00 in New York: the market is open for seven hours
FEED_HOURS, FEED_SPEED = 6, 24
WAVE_HOURS, WAVE_SPEED = 24, 96
LOOKS = 12
GROWN_MB = 15.0
HOUR = timedelta(hours=1)


class Watched:
    """A process that says how it is when it is asked."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def look(self) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write("?\n")
        self._process.stdin.flush()
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        return found

    def watch(self, clock: SharedClock, until: datetime) -> list[dict[str, Any]]:
        """Its answers, spread evenly over the time until then."""
        began, found = clock.now(), []
        for number in range(1, LOOKS + 1):
            due = began + (until - began) * number / LOOKS
            while clock.now() < due:
                time.sleep(0.2)
            found.append(self.look())
            log.warning("%s: %s", clock.now(), found[-1])
        return found


@contextmanager
def process(kind: str, db: Database, clock: SharedClock, *addresses: str) -> Iterator[Watched]:
    given = [kind, db.url, clock._start.isoformat(), str(clock._speed), str(clock._began), *addresses]
    command = [sys.executable, "-m", "tests.long_run_process", *given]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        try:
            yield Watched(running)
        finally:
            running.kill()


def assert_flat(looks: list[dict[str, Any]]) -> None:
    """No growth after the first third, in which caches fill: the last third holds no more than the middle one."""
    sizes = [look["mb"] for look in looks]
    third = len(sizes) // 3
    grown = max(sizes[2 * third :]) - max(sizes[third : 2 * third])
    log.warning("memory in MB: %s; grown %.1f", [round(size) for size in sizes], grown)
    assert grown < GROWN_MB


@pytest.mark.soak
def test_six_hours_of_ticks_leave_no_hole_and_memory_flat(db: Database) -> None:
    clock = SharedClock(START, FEED_SPEED, time.monotonic())
    market = Market(1, front_contracts(START.date()), None, START - 3 * HOUR, busy=4)
    gateway = Gateway(market, clock, token_life=2 * HOUR, step=0.05)
    gateway.start()
    end = START + FEED_HOURS * HOUR
    with process("feed", db, clock, gateway.rest_url, gateway.hub_url) as running:
        wait_for(lambda: gateway.hub.clients)
        looks = running.watch(clock, end)
        followed = [name for name in market.contracts if any(root in name for root in ("MNQ", "MES"))]
        wait_for(lambda: all(is_whole(db, market, name, end) for name in followed), 120)
    gateway.stop()
    assert len(followed) == 2
    assert_flat(looks)
    assert looks[-1]["ticks"] > 10_000
    assert looks[-1]["dropped"] == 0
    assert looks[-1]["connections"] >= 3  # a token lives for two hours


def is_whole(db: Database, market: Market, contract_id: str, end: datetime) -> bool:
    """Whether every minute but the first few is stored as the market knows it."""
    start = START + timedelta(minutes=10)
    with db.transaction() as cur:
        found: list[Bar] = bars.list_bars_between(cur, contract_id, Timeframe.parse("1m"), start, end)
    told = market.bars(contract_id, Timeframe.parse("1m"), start, end)
    held = {bar.starts_at.isoformat(): bar.volume for bar in found}
    wrong = {bar["t"] for bar in told if held.get(bar["t"]) != bar["v"]}
    log.warning("%s: %d minutes, %d differ", contract_id, len(told), len(wrong))
    return bool(told) and len(held) == len(told) and not wrong


@pytest.mark.soak
def test_a_day_of_waves_is_recorded_whole_and_memory_flat(db: Database) -> None:
    clock = SharedClock(START, WAVE_SPEED, time.monotonic())
    market = WaveMarket(seed=1)
    server = WaveServer(lambda: market.available(clock.now(), HOUR))
    server.start()
    end = START + WAVE_HOURS * HOUR
    with process("waves", db, clock, server.url) as running:
        looks = running.watch(clock, end + HOUR)
    server.stop()
    first = START + CANDLE
    expected = {first + number * CANDLE for number in range(int((end - first) / CANDLE))}
    with db.transaction() as cur:
        held = {row.wave_time for row in waves.list_waves(cur, limit=500)}
    absent = {wave for wave in expected if not market.signals_of(wave)}
    log.warning(
        "%d waves expected, %d recorded, %d absent at the server", len(expected), len(held & expected), len(absent)
    )
    assert expected - held <= absent
    assert len(expected) > 90
    assert_flat(looks)
