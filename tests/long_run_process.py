"""A feed in a process of its own on an accelerated clock, which says how much memory it holds:

    python -m tests.long_run_process feed|waves DATABASE START SPEED BEGAN ADDRESS [ADDRESS]

START is the clock's instant at BEGAN, a reading of the machine's monotonic clock, so that every process has the same time.
A line of JSON comes whenever something is sent on standard input; its end ends the process.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from core.clock import SystemClock
from core.records import Timeframe
from database.engine import Database
from ingestion.feed.connections import Timings
from ingestion.feed.supervisor import Feed
from ingestion.gateway.client import GatewayClient
from waves.feed.supervisor import FeedConfig, WaveFeed
from waves.processor import Rules

FRAMES = [Timeframe.parse(text) for text in ("1m", "5m", "15m", "1h")]


class SharedClock(SystemClock):
    """A clock that runs `speed` times as fast, from `start` at the monotonic reading `began`."""

    def __init__(self, start: datetime, speed: float, began: float) -> None:
        self._start, self._speed, self._began = start, speed, began

    def now(self) -> datetime:
        return self._start + timedelta(seconds=(time.monotonic() - self._began) * self._speed)


def feed_of_ticks(db: Database, clock: SharedClock, rest_url: str, hub_url: str) -> Any:
    client = GatewayClient(rest_url, "demo", "demo-api-key", clock)
    # The market is asked for what is missing as soon as it could be had by this clock.
    return Feed(
        db, client, hub_url, {"MNQ": FRAMES, "MES": FRAMES}, clock, timings=Timings(mend=0.5), is_open=lambda _at: True
    )


def feed_of_waves(db: Database, clock: SharedClock, url: str) -> Any:
    minutes, duration = (6, 20, 35, 50), timedelta(seconds=120)
    config = FeedConfig(url=url, token="", check_minutes=minutes, check_duration=duration, check_interval=0.2,
                        reconnect_interval=0.2, exchange_ids=(1, 2))  # fmt: skip
    ready = threading.Event()
    ready.set()
    return WaveFeed(db, clock, config, Rules(default_max_trades=5, alert_ratio=Decimal("0.1")), ready)


def resident_mb() -> float:
    """Memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def main() -> None:
    kind, url, start, speed, began, *addresses = sys.argv[1:]
    clock = SharedClock(datetime.fromisoformat(start), float(speed), float(began))
    feed = {"feed": feed_of_ticks, "waves": feed_of_waves}[kind](Database(url), clock, *addresses)
    feed.start()
    for _ in sys.stdin:
        state = feed.state
        said = {"mb": resident_mb(), "detail": state.detail, "ticks": getattr(state, "ticks", 0),
                "connections": getattr(state, "connections", 0), "dropped": getattr(state, "dropped", 0)}  # fmt: skip
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()
    feed.stop()


if __name__ == "__main__":
    main()
