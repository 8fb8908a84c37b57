"""Trades that two connections both tell, counted once.

There is no trade id on the wire, and equal prints are different trades. So never two of one connection are taken for
one; of those that an older and a newer connection tell with equal time, price, size and side the larger count stands.
"""

from __future__ import annotations

from collections import Counter, deque

from core.records import Tick

REMEMBERED_US = 60_000_000


class Overlap:
    """Passes on what is new. `connection` numbers grow; what an older one still says after a newer spoke is dropped."""

    def __init__(self) -> None:
        self._connection = 0
        self._batches: deque[list[Tick]] = deque()
        self._told: Counter[Tick] = Counter()
        self._told_until_us = 0
        self.duplicates = 0

    def take(self, connection: int, ticks: list[Tick]) -> list[Tick]:
        """Those of the ticks that were not told before."""
        if connection < self._connection:
            self.duplicates += len(ticks)
            return []
        if connection > self._connection:
            self._begin(connection)
        fresh = ticks
        if self._told and ticks and min(ticks).time_us <= self._told_until_us:
            fresh = [tick for tick in ticks if not self._was_told(tick)]
        self._remember(ticks)
        return fresh

    def _begin(self, connection: int) -> None:
        self._connection = connection
        self._told = Counter(tick for batch in self._batches for tick in batch)
        self._told_until_us = max((tick.time_us for tick in self._told), default=0)

    def _was_told(self, tick: Tick) -> bool:
        if self._told[tick] <= 0:
            return False
        self._told[tick] -= 1
        self.duplicates += 1
        return True

    def _remember(self, ticks: list[Tick]) -> None:
        if not ticks:
            return
        self._batches.append(ticks)
        oldest_us = ticks[-1].time_us - REMEMBERED_US
        while self._batches and self._batches[0][-1].time_us < oldest_us:
            self._batches.popleft()
