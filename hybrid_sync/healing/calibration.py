"""How well healing works: known values are hidden, healed from bars, and compared with what was sent.

For minutes the error is that of the running extreme, in R and in ticks; a triggered or ended leg counts as found within a
minute of what was sent. Confidence is the share that was right, a tick more or less, drawn towards one half while few
values have been measured.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from statistics import median, quantiles
from typing import Any, Final

from core.settings import Settings
from core.trading_calendar import TradingCalendar, cme_equity_calendar
from database import repairs, sync
from database.engine import Database
from hybrid_sync.healing.contracts import tick_of
from hybrid_sync.healing.evidence import SENT_RANK, Case, Series, Shelf, gather_cases, walk_case

LENGTHS: Final = (1, 5, 15, 30, 60)
PLACES: Final = 3
TRADES: Final = 200
SINCE: Final = timedelta(days=14)
ROUNDING_TICKS: Final = 1.001


@dataclass(slots=True)
class Sample:
    """What hiding has shown of one method and gap length; errors in R with the ticks that they are."""

    hidden: int = 0
    hits: int = 0
    errors_r: list[float] = field(default_factory=list)
    errors_ticks: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, Any]:
        """The row to store."""
        healed = len(self.errors_ticks)
        return {
            "hidden": self.hidden,
            "healed": healed,
            "median_error_r": _middle(self.errors_r),
            "p95_error_r": _p95(self.errors_r),
            "median_error_ticks": _middle(self.errors_ticks),
            "p95_error_ticks": _p95(self.errors_ticks),
            "coverage": round(healed / self.hidden, 4) if self.hidden else 0,
            "confidence": round(Decimal(self.hits + 1) / (healed + 2), 4),
        }


Samples = defaultdict[tuple[str, int], Sample]


def calibrate(db: Database, settings: Settings, now: datetime) -> dict[str, int]:
    """Measure on finished trades of the last 14 days and store the figures: counts of trades and values."""
    calendar = cme_equity_calendar()
    samples: Samples = defaultdict(Sample)
    with db.transaction(statement_timeout_ms=120_000) as cur:
        keys = repairs.list_known_trades(cur, since=now - SINCE, limit=TRADES)
        cases = gather_cases(cur, sync.list_signals(cur, keys), now, is_from_entry=True)
        shelf = Shelf(cur, settings.sync_contracts, calendar)
        measured = 0
        for case in cases:
            evidence = shelf.find(case)
            if evidence is not None:
                measured += 1
                measure(case, evidence[0], samples, calendar)
        for (method, minutes), sample in sorted(samples.items()):
            sync.add_calibration(
                cur, {"measured_at": now, "method": method, "gap_minutes": minutes, **sample.figures()}
            )
    return {"trades": measured, "values": sum(sample.hidden for sample in samples.values())}


def measure(case: Case, series: Series, samples: Samples, calendar: TradingCalendar) -> None:
    """Hide parts of one trade, heal them, and add what came of it to the samples."""
    for length in LENGTHS:
        for hidden in _stretches(case, length):
            _measure_minutes(case, series, hidden, samples, calendar)
    _measure_events(case, series, samples, calendar)


def _stretches(case: Case, length: int) -> Iterator[list[int]]:
    """Some stretches of minutes that were sent, evenly spread."""
    sent = sorted(minute for minute, told in case.known.items() if told.rank <= SENT_RANK and minute >= case.first)
    places = range(0, len(sent) - length + 1, max(1, (len(sent) - length + 1) // PLACES))
    for place in list(places)[:PLACES]:
        stretch = sent[place : place + length]
        if stretch[-1] - stretch[0] == length - 1:
            yield stretch


def _measure_minutes(
    case: Case, series: Series, hidden: Sequence[int], samples: Samples, calendar: TradingCalendar
) -> None:
    tick = tick_of(case.state.symbol)
    left = {minute: told.reached for minute, told in case.known.items() if minute not in hidden}
    healed = walk_case(case, series, calendar, known=left).healed
    for minute in hidden:
        true = case.known[minute].reached
        for method, name in (("mfe", "no_be_mfe_r"), ("mae", "mae_r")):
            sample, known = samples[method, len(hidden)], getattr(true, name)
            if known is None:
                continue
            sample.hidden += 1
            if minute in healed:
                error = abs(getattr(healed[minute], name) - known)
                sample.errors_r.append(error)
                sample.errors_ticks.append(error * case.trade.risk / tick)
                sample.hits += sample.errors_ticks[-1] <= ROUNDING_TICKS


def _measure_events(case: Case, series: Series, samples: Samples, calendar: TradingCalendar) -> None:
    """Hide all that was told of a trade but its entry: do the bars tell its trigger and exits?"""
    trade = replace(case.trade, be_at=None, exit_be_at=None, exit_at=None, is_stopped=False, last_sent_at=None)
    until = (case.trade.exit_at or case.until - 1) + 1
    found = walk_case(replace(case, trade=trade, until=until), series, calendar, known={})
    happened = (
        ("be_trigger", "BE_TRIGGERED", case.trade.be_at, found.be_trigger_at),
        ("exit_be", "EXIT_BE", case.trade.exit_be_at, found.exit_be_at),
        ("exit_sl", "EXIT_SL", case.trade.exit_at if case.trade.is_stopped else None, found.exit_sl_at),
    )
    for method, kind, true, told in happened:
        if true is None or case.state.sources.get(kind) in ("reconciled", "inferred"):
            continue
        sample = samples[method, 1]
        sample.hidden += 1
        if told is not None:
            sample.errors_ticks.append(0.0)
            sample.hits += abs(told - true) <= 1


def _middle(values: Iterable[float]) -> float | None:
    known = list(values)
    return round(median(known), 4) if known else None


def _p95(values: Sequence[float]) -> float | None:
    if len(values) < 2:
        return round(values[0], 4) if values else None
    return round(quantiles(values, n=20, method="inclusive")[18], 4)
