"""Back-fill: finds out which history is missing and gets it, page by page, so that it can be stopped and resumed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.errors import NotFoundError
from core.records import Timeframe, Unit, bucket_of, from_microseconds, microseconds
from core.trading_calendar import TradingCalendar, cme_equity_calendar
from database import bars
from database.bars import Covered
from database.engine import Database
from ingestion.bars.spans import Span, union, without
from ingestion.gateway.client import PAGE, GatewayClient

SETTLE = timedelta(seconds=3)
EMPTY_PAGES_AT_LISTING = 2
DAY = timedelta(days=1)
DEPTHS = (
    (5 * 60, 60 * DAY),
    (15 * 60, 120 * DAY),
    (30 * 60, 180 * DAY),
    (3_600, 365 * DAY),
    (4 * 3_600, 730 * DAY),
    (86_400, 3 * 365 * DAY),
)
LONGEST = 5 * 365 * DAY


@dataclass(frozen=True, slots=True)
class Page:
    """One question for bars labelled in [start, end)."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Filled:
    """What filling one series came to."""

    pages: int = 0
    bars: int = 0
    changed: int = 0


def depth_of(timeframe: Timeframe) -> timedelta:
    """How far back a timeframe is kept by default."""
    return next((depth for seconds, depth in DEPTHS if timeframe.seconds <= seconds), LONGEST)


def missing_spans(
    wanted: Span, covered: Sequence[Covered], timeframe: Timeframe, calendar: TradingCalendar
) -> list[Span]:
    """The spans of `wanted` (microseconds) that nothing covers and in which the market trades, newest last. Pure."""
    known = [(microseconds(each.starts_at), microseconds(each.ends_at)) for each in covered]
    holes = without([wanted], union(known))
    return [hole for hole in holes if _is_open_in(hole, timeframe, calendar)]


def plan_pages(holes: Sequence[Span], timeframe: Timeframe) -> Iterator[Page]:
    """Questions that each bring at most one page of bars, newest first: the present matters most. Pure."""
    step = PAGE * timeframe.seconds * 1_000_000
    for start, end in reversed(holes):
        at = end
        while at > start:
            first = max(start, at - step)
            yield Page(from_microseconds(first), from_microseconds(at))
            at = first


def last_final(now: datetime, timeframe: Timeframe, calendar: TradingCalendar) -> datetime:
    """Bars labelled before this are over and settled at the gateway."""
    return bucket_of(now - SETTLE, timeframe, calendar).starts_at


def fill_series(
    db: Database, client: GatewayClient, contract_id: str, timeframe: Timeframe, now: datetime,
    *, depth: timedelta | None = None, on_page: Callable[[Page, int], None] = lambda _page, _count: None,
) -> Filled:  # fmt: skip
    """Get what is missing of a series and store it, each page with its coverage in one transaction.

    Going back ends at the listing date: two empty pages one after the other. Raises what the client raises.
    """
    calendar = cme_equity_calendar()
    end = last_final(now, timeframe, calendar)
    start = bucket_of(end - (depth or depth_of(timeframe)), timeframe, calendar).starts_at
    with db.transaction() as cur:
        covered = [span for span in bars.list_spans(cur, contract_id, timeframe, start, end) if span.source != "live"]
    holes = missing_spans((microseconds(start), microseconds(end)), covered, timeframe, calendar)
    pages = found = changed = empty = 0
    for page in plan_pages(holes, timeframe):
        # After the listing date is passed, what is older is known to be nothing.
        fetched = [] if empty >= EMPTY_PAGES_AT_LISTING else client.bars(contract_id, timeframe, page.start, page.end)
        pages += empty < EMPTY_PAGES_AT_LISTING
        empty = 0 if fetched else empty + 1
        with db.transaction(statement_timeout_ms=120_000) as cur:
            changed += bars.upsert_bars(cur, fetched)
            bars.add_span(cur, contract_id, timeframe, source="history", start=page.start, end=page.end)
        found += len(fetched)
        on_page(page, len(fetched))
    return Filled(pages, found, changed)


def follow(db: Database, client: GatewayClient, names: Sequence[str]) -> list[bars.Contract]:
    """The contracts that are to be followed, as the gateway knows them now; stored. NotFoundError naming one it lacks."""
    contracts = [client.find_contract(name) for name in names]
    if not contracts:
        raise NotFoundError("MARKET_CONTRACTS names no contract.", field="MARKET_CONTRACTS")
    with db.transaction() as cur:
        for contract in contracts:
            bars.save_contract(cur, contract)
    return contracts


def _is_open_in(hole: Span, timeframe: Timeframe, calendar: TradingCalendar) -> bool:
    start, end = map(from_microseconds, hole)
    # Days and longer are labelled by a midnight at which nothing need trade.
    return timeframe.unit >= Unit.DAY or calendar.open_seconds_between(start, end) > 0
