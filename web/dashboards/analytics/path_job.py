"""The job `trade_paths`: follows stopped trades through the stored one-minute bars, so that analytics need not guess."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from core.instruments import contracts_of
from core.jobs import Job, Report
from core.records import minute_of, open_minutes
from core.trading_calendar import cme_equity_calendar
from database import bars, paths, repairs
from database.engine import Cursor, Database
from web.dashboards.analytics.path import Path, Range, follow
from web.dashboards.analytics.whatif import TRIGGERS

EVERY = timedelta(minutes=5)
MOST_TRADES = 1_000
AT_ONCE = 100
SETTLED = timedelta(minutes=5)  # bars of the last minutes may still be on their way
RETRY = timedelta(hours=6)
LONGEST = timedelta(days=14)
MINUTE = timedelta(minutes=1)
TOLERANCE = 1  # minutes between the exit that was told and the bar that touches the stop


def follow_trades(db: Database, now: datetime) -> Report:
    """Compute what is missing, at most MOST_TRADES; a second pass at once finds nothing to do."""
    done = Counter[str]()
    while done.total() < MOST_TRADES:
        with db.transaction() as cur:
            trades = paths.list_pathless(cur, limit=AT_ONCE, ended_before=now - SETTLED, retry_before=now - RETRY)
            contracts = bars.list_contracts(cur) if trades else []
            found = [_row(trade, *_path(cur, trade, contracts_of(trade.symbol, contracts))) for trade in trades]
            if found:
                paths.save_paths(cur, found, now)
        done.update("followed" if row["why_not"] is None else "without_bars" for row in found)
        if len(trades) < AT_ONCE:
            break
    return Report(counts=dict(done))


def _path(cur: Cursor, trade: Any, contracts: Sequence[Any]) -> tuple[str | None, Path | str]:
    """(contract, path) of a trade, or in the place of the path why there is none."""
    if trade.exit_at - trade.entry_time > LONGEST:
        return None, "too long"
    start, end = trade.entry_time + MINUTE, trade.exit_at + (TOLERANCE + 1) * MINUTE
    held = {each.contract_id: repairs.list_ranges(cur, each.contract_id, start, end) for each in contracts}
    contract = max(held, key=lambda name: len(held[name]), default=None)
    if contract is None or not held[contract]:
        return None, "no bars"
    ranges = sorted(Range(int(row.minute), row.high, row.low) for row in held[contract])
    if _has_hole(cur, contract, ranges, start, trade.exit_at):
        return contract, "holes in the bars"
    path = follow(float(trade.entry_price), float(trade.stop_loss), ranges, [float(at) for at in TRIGGERS])
    if path.stopped_at is None or path.stopped_at < minute_of(trade.exit_at) - TOLERANCE:
        return contract, "bars contradict the exit"
    return contract, path


def _has_hole(cur: Cursor, contract: str, ranges: Sequence[Range], start: datetime, end: datetime) -> bool:
    """Whether an open-market minute in [start, end) has no bar although something may have been traded in it."""
    missing = set(open_minutes(minute_of(start), minute_of(end), cme_equity_calendar())) - {
        bar.minute for bar in ranges
    }
    for span in repairs.list_quiet_spans(cur, contract, start, end) if missing else []:
        missing -= set(range(minute_of(span.starts_at), minute_of(span.ends_at)))
    return bool(missing)


def _row(trade: Any, contract: str | None, found: Path | str) -> dict[str, Any]:
    told = {
        name: getattr(trade, name)
        for name in ("stream", "trade_id", "entry_price", "stop_loss", "entry_time", "exit_at")
    }
    if isinstance(found, str):
        return told | {"contract_id": contract, "worst_r": None, "best_r": None, "why_not": found}
    return told | {
        "contract_id": contract,
        "worst_r": list(found.worst_r),
        "best_r": list(found.best_r),
        "why_not": None,
    }


TRADE_PATHS = Job("trade_paths", EVERY, follow_trades)
