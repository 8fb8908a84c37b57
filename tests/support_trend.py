"""For the tests of analysis: bars from a seeded walk, and the trend rules once more, naively, over the whole history."""

from __future__ import annotations

import csv
import os
import random
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from core.records import Bar, Timeframe, buckets_between
from core.trading_calendar import cme_equity_calendar

DATA = Path(os.environ.get("SIGNALBOOK_DATA", Path(__file__).parents[2] / "shared" / "data"))
TRENDS = DATA / "trends"
CONTRACT = "CON.F.US.MES.M25"
Start = tuple[int, str, int, str]


def walk(
    count: int, seed: int, timeframe: str = "15m", start: str = "2025-03-17 00:00+00:00", *, coarse: bool = False
) -> list[Bar]:
    """So many bars of a random walk in ticks; a coarse one has many levels that are exactly equal."""
    dice, frame = random.Random(seed), Timeframe.parse(timeframe)
    begin = datetime.fromisoformat(start)
    days = timedelta(seconds=max(1, frame.seconds) * count * 2) + timedelta(days=14)
    buckets = buckets_between(begin, begin + days, frame, cme_equity_calendar())[:count]
    assert len(buckets) == count
    price, found, step = 20_000, [], 3 if coarse else 40
    for bucket in buckets:
        path = [price := price + dice.randint(-step, step) for _ in range(4)]
        opens, closes, high, low = path[0], path[-1], max(path), min(path)
        values = (Decimal(value) / 4 for value in (opens, high, low, closes))
        open_, high_, low_, close_ = values
        found.append(
            Bar(
                contract_id=CONTRACT, timeframe=frame, starts_at=bucket.starts_at, open=open_, high=high_, low=low_,
                close=close_, volume=1 + dice.randrange(50), tick_count=4, source="history",
            )
        )  # fmt: skip
    return found


def real_bars(name: str, timeframe: str) -> list[Bar]:
    """The bars of a file of the shared data, oldest first."""
    with (TRENDS / name).open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = []
    for row in rows:
        open_, high, low, close = (Decimal(row[column]) for column in ("open", "high", "low", "close"))
        found.append(
            Bar(
                contract_id=row["contract_id"], timeframe=Timeframe.parse(timeframe),
                starts_at=datetime.fromisoformat(row["timestamp"]), open=open_, high=high, low=low, close=close,
                volume=int(row["volume"]), source="history",
            )
        )  # fmt: skip
    return sorted(found, key=lambda bar: bar.starts_at)


def starts_by_whole_history(bars: Sequence[Bar]) -> list[Start]:
    """(trigger, type, bar, rule), bars numbered from 1, as the rules say it in terms of the whole history."""
    return Naive(bars).run()


class Naive:
    """The rules with nothing remembered but bar numbers: every question goes over all bars again."""

    def __init__(self, bars: Sequence[Bar]) -> None:
        self.b = [bars[0], *bars]  # numbered from 1
        self.size = len(bars)
        self.pds: int | None = None
        self.pus: int | None = None
        self.last: tuple[str, int] | None = None
        self.box: tuple[int, int] | None = None
        self.found: list[Start] = []

    def lows(self, first: int, last: int) -> list[Decimal]:
        return [self.b[n].low for n in range(first, last + 1)]

    def highs(self, first: int, last: int) -> list[Decimal]:
        return [self.b[n].high for n in range(first, last + 1)]

    def run(self) -> list[Start]:
        for number in range(2, self.size + 1):
            self.step(number)
        seen: set[tuple[int, str]] = set()
        return [each for each in self.found if not ((each[2], each[1]) in seen or seen.add((each[2], each[1])))]

    def step(self, c: int) -> None:
        d, u, b = self.pds, self.pus, self.b
        if u and any(low < b[u].low for low in self.lows(u + 1, c - 2)):
            self.pus = u = None
        held = lambda ref: b[c].high <= b[ref].high and b[c].low >= b[ref].low  # noqa: E731
        if self.box and not held(self.box[0]):
            self.box = None
        reference = d or u
        if not self.box and reference and reference != c and held(reference):
            self.box = (reference, c)
        quiet = self.box is not None and c > self.box[1] + 5
        up = self.up(c, u, d) if u and not quiet else None
        down = self.down(c, d) if d and not quiet else None
        if up and u:
            self.confirm_up(c, u, up)
        if down and d:
            self.confirm_down(c, d, down)
        if not self.box or self.box[1] == c:
            self.candidates(c, up is not None, down is not None)

    def is_out_down(self, c: int) -> bool:
        one, p = self.b[c], self.b[c - 1]
        return one.high > p.high and one.low < p.low and one.close < one.open

    def up(self, c: int, u: int, d: int | None) -> str | None:
        one, p, b = self.b[c], self.b[c - 1], self.b
        falls = one.low < p.low and one.high < p.high and one.close < p.close
        names = {
            "EXHAUSTION_REVERSAL": falls and not (d and one.low < b[d].low) and c - u <= 6,
            "LowUndercutHighRespect": d and d > u and one.low < b[d].low and one.high <= b[d].high and one.close > p.close,
            "HigherHighLowerLowDownClose": self.is_out_down(c),
            "EngulfingUpPDSLowBreak": d and one.high > p.high and one.low < p.low and one.close > p.close
            and one.close > one.open and one.low < b[d].low,
            "BreakoutAfterFailedLowV2": d and d > u and not any(low < b[u].low for low in self.lows(u + 1, c - 1))
            and one.high > b[d].high and one.close > p.close and one.close > one.open,
        }  # fmt: skip
        return next((name for name, is_so in names.items() if is_so), None)

    def down(self, c: int, d: int) -> str | None:
        one, p, peak = self.b[c], self.b[c - 1], self.b[d]
        nhh = not any(high > peak.high for high in self.highs(d + 1, c - 1))
        pb = any(low <= peak.low for low in self.lows(d + 1, c - 1))
        names = {
            "LowThenHigherClose_vs_PDSOpen": one.low < p.low and one.high > p.high and one.close > p.close and nhh
            and one.low < peak.open,
            "RallyLowBreaksPeakLow_A": pb and nhh and one.high > p.high and one.close > p.close and one.low < peak.low,
            "NewHighWeakAdvance_B": pb and nhh and one.close > p.close and one.low >= p.low and one.high > peak.high,
            "FailedRallyAfterLowBreak_F": nhh and p.low < peak.low and one.high > p.high and one.close < p.close
            and one.close < one.open,
            "HigherOHLCAfterLowBreak_G": nhh and p.low < peak.low and one.low > p.low and one.high > p.high
            and one.close > p.close,
            "OutsideBarStrongerClose_H": d == c - 1 and one.high > p.high and one.low < p.low and one.close > p.close,
        }  # fmt: skip
        return next((name for name, is_so in names.items() if is_so), None)

    def confirm_up(self, c: int, u: int, rule: str) -> None:
        if self.last and self.last[0] == "up" and u > self.last[1] and u - self.last[1] > 1:
            between = range(self.last[1] + 1, u)
            self.found.append(
                (c, "downtrend_start", max(between, key=lambda n: self.b[n].high), f"FORCED_by_CUS_{rule}")
            )
        self.found.append((c, "uptrend_start", u, rule))
        self.last, self.pus = ("up", u), None
        if rule == "HigherHighLowerLowDownClose":
            self.try_peak(c)
        elif rule != "EngulfingUpPDSLowBreak" and self.b[c].high <= self.b[u].high:
            self.try_peak(u)

    def confirm_down(self, c: int, d: int, rule: str) -> None:
        if self.last and self.last[0] == "down" and d > self.last[1] and d - self.last[1] > 1:
            between = range(self.last[1] + 1, d)
            self.found.append((c, "uptrend_start", min(between, key=lambda n: self.b[n].low), f"FORCED_by_CDS_{rule}"))
        self.found.append((c, "downtrend_start", d, rule))
        self.last = ("down", d)
        if self.pus and self.pus < d:
            self.pus = None
        if self.pds == d:
            self.pds = None

    def candidates(self, c: int, is_up: bool, is_down: bool) -> None:
        one, p = self.b[c], self.b[c - 1]
        is_set = not is_down and one.high > p.high and one.close < one.open and self.try_peak(c)
        if not is_down and not is_set and one.high <= p.high:
            self.try_peak(c - 1)
        rises = one.low >= p.low or self.is_out_down(c)
        if not is_up and not is_set and rises and (not self.pus or p.low < self.b[self.pus].low):
            self.pus = c - 1

    def try_peak(self, n: int) -> bool:
        if n > 1 and self.b[n].high < self.b[n - 1].high:
            return False
        if self.pds and self.b[n].high <= self.b[self.pds].high:
            return False
        self.pds = n
        return True


def numbers(bars: Iterable[Bar]) -> dict[datetime, int]:
    """Label -> number of the bar, from 1."""
    return {bar.starts_at: number for number, bar in enumerate(bars, 1)}
