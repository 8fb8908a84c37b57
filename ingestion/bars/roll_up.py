"""Larger bars from smaller ones."""

from __future__ import annotations

from collections.abc import Iterable

from core.records import Bar, Bucket, Timeframe, bucket_of
from core.trading_calendar import TradingCalendar


def roll_up(bars: Iterable[Bar], timeframe: Timeframe, calendar: TradingCalendar) -> list[Bar]:
    """Bars of one contract and one lower timeframe (in time order, grid timeframes or hours) as bars of a higher one.

    A higher bar is as partial as the worst of its parts. What is missing among them cannot be seen here.
    """
    groups: dict[Bucket, list[Bar]] = {}
    bucket: Bucket | None = None
    for bar in bars:
        if bucket is None or not bucket.opens_at <= bar.starts_at < bucket.ends_at:
            bucket = bucket_of(bar.starts_at, timeframe, calendar)
        groups.setdefault(bucket, []).append(bar)
    return [joined(parts, timeframe, bucket) for bucket, parts in groups.items()]


def joined(parts: list[Bar], timeframe: Timeframe, bucket: Bucket) -> Bar:
    """One bar of the parts of a bucket, in time order."""
    return Bar(
        contract_id=parts[0].contract_id,
        timeframe=timeframe,
        starts_at=bucket.starts_at,
        open=parts[0].open,
        high=max(part.high for part in parts),
        low=min(part.low for part in parts),
        close=parts[-1].close,
        volume=sum(part.volume for part in parts),
        tick_count=sum(part.tick_count for part in parts),
        source="rollup",
        is_partial=any(part.is_partial for part in parts),
        gap_seconds=sum(part.gap_seconds for part in parts),
    )
