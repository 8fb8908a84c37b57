"""A bar while it is being built: integers only, no clock."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from core.records import Bar, Bucket, Timeframe, microseconds


class WorkingBar:
    """One bar under construction; times in microseconds since 1970, prices in tick sizes.

    `first_us` and `last_us` are the times whose prices are open and close: of ticks in the smallest timeframe, of lower
    bars in the others. Of equal times the earlier arrival opens and the later one closes.
    """

    __slots__ = (
        "close",
        "count",
        "ends_us",
        "first_us",
        "high",
        "is_closed",
        "is_dirty",
        "key",
        "last_us",
        "low",
        "open",
        "opens_us",
        "revision",
        "source",
        "starts_at",
        "timeframe",
        "volume",
    )

    def __init__(self, timeframe: Timeframe, bucket: Bucket) -> None:
        self.timeframe = timeframe
        self.starts_at: datetime = bucket.starts_at
        self.key = microseconds(bucket.starts_at)
        self.opens_us = microseconds(bucket.opens_at)
        self.ends_us = microseconds(bucket.ends_at)
        self.is_closed = self.is_dirty = False
        self.revision = 0
        self.source = "live"
        self.clear()

    def clear(self) -> None:
        """Forget what was built in; label, span and revision stay."""
        self.open = self.high = self.low = self.close = self.volume = self.count = 0
        self.first_us = self.last_us = 0

    def copy(self) -> WorkingBar:
        """Another bar of the same content."""
        twin = WorkingBar.__new__(WorkingBar)
        for name in self.__slots__:
            setattr(twin, name, getattr(self, name))
        return twin

    def add(self, at_us: int, price: int, size: int) -> None:
        """Build one trade in, wherever in the order of time it belongs."""
        if self.count == 0:
            self.open = self.high = self.low = self.close = price
            self.first_us = self.last_us = at_us
        else:
            self.high, self.low = max(self.high, price), min(self.low, price)
            if at_us < self.first_us:
                self.first_us, self.open = at_us, price
            if at_us >= self.last_us:
                self.last_us, self.close = at_us, price
        self.volume += size
        self.count += 1

    def absorb(self, part: WorkingBar, volume: int, count: int) -> None:
        """Build a lower bar in, or what has changed of it: `volume` and `count` are by how much they have grown."""
        at_us = part.opens_us
        if self.count == 0:
            self.open, self.high, self.low, self.close = part.open, part.high, part.low, part.close
            self.first_us = self.last_us = at_us
        else:
            self.high, self.low = max(self.high, part.high), min(self.low, part.low)
            if at_us <= self.first_us:
                self.first_us, self.open = at_us, part.open
            if at_us >= self.last_us:
                self.last_us, self.close = at_us, part.close
        self.volume += volume
        self.count += count

    def to_bar(self, contract_id: str, tick_size: Decimal, gaps: Sequence[tuple[int, int]]) -> Bar:
        """The bar as a record. `gaps`: spans in microseconds in which nobody listened."""
        missed = sum(max(0, min(end, self.ends_us) - max(start, self.opens_us)) for start, end in gaps)
        return Bar(
            contract_id=contract_id,
            timeframe=self.timeframe,
            starts_at=self.starts_at,
            open=self.open * tick_size,
            high=self.high * tick_size,
            low=self.low * tick_size,
            close=self.close * tick_size,
            volume=self.volume,
            tick_count=self.count,
            source=self.source,
            is_partial=any(start <= self.opens_us < end for start, end in gaps),
            revision=self.revision,
            gap_seconds=missed / 1_000_000,
        )
