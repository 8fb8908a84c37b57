"""Made-up trades: a function of seed, contract and minute, so that live trades and history always agree."""

from __future__ import annotations

import csv
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import takewhile
from pathlib import Path
from random import Random
from typing import Any

from core.records import Bucket, Timeframe, Unit, bucket_of
from core.trading_calendar import TradingCalendar, cme_equity_calendar
from simulator.price_path import MINUTE, TICK, Bar, PricePath

DAY = timedelta(days=1)
QUARTERS = {3: "H", 6: "M", 9: "U", 12: "Z"}
ROLL_BEFORE_EXPIRY = timedelta(days=4)


@dataclass(frozen=True, slots=True)
class Contract:
    """What the gateway tells about a contract. `shift` in points and `seed_shift` make its price path its own.

    `is_active`: whether its root means this one now; a roll makes another one active.
    """

    root: str
    name: str
    contract_id: str
    description: str
    tick_value: float
    shift: float = 0.0
    seed_shift: int = 0
    is_active: bool = True

    def record(self) -> dict[str, Any]:
        """The contract as the API writes it."""
        return {
            "id": self.contract_id,
            "name": self.name,
            "description": self.description,
            "tickSize": TICK,
            "tickValue": self.tick_value,
            "activeContract": self.is_active,
            "symbolId": self.contract_id.removeprefix("CON.").rpartition(".")[0],
        }


@dataclass(frozen=True, slots=True, order=True)
class Trade:
    """One print. `side` is 0 for a buying, 1 for a selling aggressor."""

    at: datetime
    price: float = field(compare=False)
    size: int = field(compare=False)
    side: int = field(compare=False, default=0)


def front_contracts(today: date) -> tuple[Contract, ...]:
    """The two contracts on offer, in the quarter that trades most on that day."""
    month = next(each for each in _quarters_from(today) if _third_friday(each) - ROLL_BEFORE_EXPIRY > today)
    code = f"{QUARTERS[month.month]}{month:%y}"
    short = f"{QUARTERS[month.month]}{month.year % 10}"
    return (
        Contract("MNQ", f"MNQ{short}", f"CON.F.US.MNQ.{code}", f"Micro E-mini Nasdaq-100: {month:%B %Y}", 0.5),
        Contract(
            "MES", f"MES{short}", f"CON.F.US.MES.{code}", f"Micro E-mini S&P 500: {month:%B %Y}", 1.25, -18_500, 7
        ),
    )


def _quarters_from(today: date) -> Iterator[date]:
    months = (date(today.year + n // 12, n % 12 + 1, 1) for n in range(today.month - 1, today.month + 12))
    return (month for month in months if month.month in QUARTERS)


def _third_friday(month: date) -> date:
    return month + timedelta(days=(4 - month.weekday()) % 7 + 14)


class Market:
    """The trades of the contracts. `always_open_from`: from then on there is trade while the exchange is closed, too,
    so that a demo moves at the weekend; such minutes repeat the prices of an open minute some days before."""

    def __init__(
        self,
        seed: int,
        contracts: tuple[Contract, ...],
        always_open_from: datetime | None = None,
        listed_at: datetime | None = None,
        busy: int = 1,
    ) -> None:
        """`listed_at`: there are no bars before; None for no such limit. `busy` multiplies the number of trades."""
        self.contracts = {contract.contract_id: contract for contract in contracts}
        self.calendar: TradingCalendar = cme_equity_calendar()
        self._seed = seed
        self._paths = {
            contract.contract_id: PricePath(seed + contract.seed_shift, self.calendar) for contract in contracts
        }
        self._always_open_from = always_open_from
        self._listed_at = listed_at
        self._busy = busy
        self._trades_of = lru_cache(maxsize=64)(self._make_trades)

    def trades_between(self, contract_id: str, start: datetime, end: datetime) -> list[Trade]:
        """The trades in [start, end), in time order."""
        minute, found = start.replace(second=0, microsecond=0), []
        while minute < end:
            found += [trade for trade in self._trades_of(contract_id, minute) if start <= trade.at < end]
            minute += MINUTE
        return found

    def bars(self, contract_id: str, timeframe: Timeframe, start: datetime, end: datetime) -> list[dict[str, Any]]:
        """Bars as the API writes them, whole ones whose label lies in [start, end), oldest first."""
        groups: dict[Bucket, list[Bar]] = {}
        start = max(start, self._listed_at or start)
        if start >= end:
            return []
        if timeframe.unit == Unit.SECOND:
            return self._seconds(contract_id, timeframe, start, end)
        bucket = bucket_of(start, timeframe, self.calendar)
        for bar in self._minutes(contract_id, min(bucket.opens_at, start), end):
            if not bucket.opens_at <= bar.opens_at < bucket.ends_at:
                bucket = bucket_of(bar.opens_at, timeframe, self.calendar)
            groups.setdefault(bucket, []).append(bar)
        # The last group is whole only if its time is over.
        return [
            self._bar_record(contract_id, bucket, bars)
            for bucket, bars in groups.items()
            if start <= bucket.starts_at < end and bucket.ends_at <= end
        ]

    def _seconds(self, contract_id: str, timeframe: Timeframe, start: datetime, end: datetime) -> list[dict[str, Any]]:
        groups: dict[Bucket, list[Trade]] = {}
        for trade in self.trades_between(contract_id, start, end):
            groups.setdefault(bucket_of(trade.at, timeframe, self.calendar), []).append(trade)
        return [
            {
                "t": bucket.starts_at.isoformat(),
                "o": trades[0].price,
                "h": max(trade.price for trade in trades),
                "l": min(trade.price for trade in trades),
                "c": trades[-1].price,
                "v": sum(trade.size for trade in trades),
            }
            for bucket, trades in groups.items()
            if start <= bucket.starts_at and bucket.ends_at <= end
        ]

    def _bar_record(self, contract_id: str, bucket: Bucket, bars: list[Bar]) -> dict[str, Any]:
        return {
            "t": bucket.starts_at.isoformat(),
            "o": bars[0].open,
            "h": max(bar.high for bar in bars),
            "l": min(bar.low for bar in bars),
            "c": bars[-1].close,
            "v": sum(self._volume(contract_id, bar.opens_at) for bar in bars),
        }

    def _minutes(self, contract_id: str, start: datetime, end: datetime) -> Iterator[Bar]:
        """The bars of one minute from the minute of `start` on, ended before `end`."""
        shift = self.contracts[contract_id].shift
        last: datetime | None = None
        for bar in takewhile(lambda bar: bar.opens_at < end, self._paths[contract_id].bars(start)):
            yield from self._closed_minutes(contract_id, last or start, bar.opens_at)
            last = bar.closes_at
            if bar.closes_at <= end:
                yield _shifted(bar, shift, bar.opens_at)
        yield from self._closed_minutes(contract_id, last or start, end)

    def _closed_minutes(self, contract_id: str, start: datetime, end: datetime) -> Iterator[Bar]:
        if self._always_open_from is None:
            return
        minute = max(start, self._always_open_from).replace(second=0, microsecond=0)
        while minute + MINUTE <= end:
            bar = self._minute_at(contract_id, minute)
            if bar is not None and not self.calendar.is_open(minute):
                yield bar
            minute += MINUTE

    def _minute_at(self, contract_id: str, minute: datetime) -> Bar | None:
        source = minute
        if not self.calendar.is_open(minute):
            if self._always_open_from is None or minute < self._always_open_from:
                return None
            while not self.calendar.is_open(source):
                source -= timedelta(hours=25)
        bar = next(self._paths[contract_id].bars(source))
        return _shifted(bar, self.contracts[contract_id].shift, minute)

    def _volume(self, contract_id: str, minute: datetime) -> int:
        return self._busy * (20 + zlib.crc32(f"{self._seed} {contract_id} {minute.timestamp():.0f}".encode()) % 90)

    def _make_trades(self, contract_id: str, minute: datetime) -> tuple[Trade, ...]:
        """The trades that make up one minute's bar: they begin at its open, touch its extremes, end at its close."""
        bar = self._minute_at(contract_id, minute)
        if bar is None:
            return ()
        dice = Random(f"{self._seed} {contract_id} {minute.isoformat()}")
        volume = self._volume(contract_id, minute)
        count = min(volume, self._busy * dice.randrange(12, 40))
        steps = round((bar.high - bar.low) / TICK)
        prices = [bar.low + TICK * dice.randint(0, steps) for _ in range(count - 4)] + [bar.high, bar.low]
        dice.shuffle(prices)
        prices = [bar.open, *prices, bar.close]
        offsets = sorted(dice.randrange(60_000_000) for _ in prices)
        sizes = [1] * count
        for _ in range(volume - count):
            sizes[dice.randrange(count)] += 1
        return tuple(
            Trade(minute + timedelta(microseconds=offset), price, size, dice.randrange(2))
            for offset, price, size in zip(offsets, prices, sizes, strict=True)
        )


def read_trades(path: Path) -> list[Trade]:
    """Trades of a CSV with the columns time (ISO 8601 with offset), price, size and, if need be, side; in time order."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        return sorted(
            Trade(datetime.fromisoformat(row["time"]), float(row["price"]), int(row["size"]), int(row.get("side") or 0))
            for row in rows
        )


def _shifted(bar: Bar, points: float, opens_at: datetime) -> Bar:
    return Bar(opens_at, *(price + points for price in (bar.open, bar.high, bar.low, bar.close)))
