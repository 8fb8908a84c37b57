"""The bounded queue between the reading thread and the pump, and what the feed knows about itself."""

from __future__ import annotations

import queue
import threading
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from core.records import Tick

CAPACITY = 20_000


@dataclass(frozen=True, slots=True)
class Trades:
    """Trades of one frame; `connection` numbers grow."""

    contract_id: str
    connection: int
    ticks: list[Tick]


@dataclass(frozen=True, slots=True)
class Listening:
    """From `at` on every trade of the contract is heard (`is_on`), or no longer."""

    contract_id: str
    at: datetime
    is_on: bool


@dataclass(frozen=True, slots=True)
class Healed:
    """History of the smallest timeframe has been stored for [start, end)."""

    contract_id: str
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Closing:
    """The clock has reached an instant: complete what is due."""

    at: datetime


Item = Trades | Listening | Healed | Closing


@dataclass
class FeedState:
    """What the page and the checks show. Times aware UTC; counts since the start of this process's feed."""

    is_leader: bool = False
    is_connected: bool = False
    detail: str = "starting"
    connected_at: datetime | None = None
    last_heard_at: datetime | None = None
    last_tick_at: datetime | None = None
    token_expires_at: datetime | None = None
    connections: int = 0
    failures: int = 0
    ticks: int = 0
    refused: int = 0
    dropped: int = 0
    unreadable: int = 0
    duplicates: int = 0
    late_corrected: int = 0
    late_dropped: int = 0
    from_future: int = 0
    bars_stored: int = 0
    bars_waiting: int = 0
    queued: int = 0
    probes: int = 0
    last_prices: dict[str, float] = field(default_factory=dict)
    quotes: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Per contract what the gateway last said of it: last, bid, ask, at. The inner dicts are replaced, never changed."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


class Inbox:
    """`put` never waits: what does not fit is counted, and the contract counts as not listened to meanwhile."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._queue: queue.Queue[Item] = queue.Queue(capacity)
        self._lock = threading.Lock()
        self._lost_since: dict[str, datetime] = {}
        self.dropped = 0

    def put_trades(self, trades: Trades, now: datetime) -> None:
        """Queue trades, or drop them and remember since when."""
        try:
            if trades.contract_id in self._lost_since:
                self._announce(trades.contract_id, now)
            self._queue.put_nowait(trades)
        except queue.Full:
            with self._lock:
                self.dropped += len(trades.ticks)
                self._lost_since.setdefault(trades.contract_id, now)

    def put(self, item: Listening | Healed | Closing) -> None:
        """Queue what must not be lost; waits for room."""
        self._queue.put(item)

    @property
    def length(self) -> int:
        """How many items wait."""
        return self._queue.qsize()

    def get(self, seconds: float, limit: int = 2_000) -> list[Item]:
        """What waits, at most so many items; waits up to so many seconds for the first."""
        try:
            found = [self._queue.get(timeout=seconds)]
        except queue.Empty:
            return []
        while len(found) < limit:
            try:
                found.append(self._queue.get_nowait())
            except queue.Empty:
                break
        return found

    def _announce(self, contract_id: str, now: datetime) -> None:
        """There is room again: tell the pump which time was lost. Raises queue.Full."""
        if self._queue.maxsize - self._queue.qsize() < 3:
            raise queue.Full
        lost_since = self._lost_since[contract_id]
        self._queue.put_nowait(Listening(contract_id, lost_since, is_on=False))
        self._queue.put_nowait(Listening(contract_id, now, is_on=True))
        del self._lost_since[contract_id]
