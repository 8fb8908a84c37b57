"""Reads what one signal's page rests on, and which bars there are to draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from core.instruments import contracts_of
from core.records import Timeframe
from database import bars, deliveries, sync
from database.engine import Cursor
from web.dashboards.trade import evidence, picture
from web.dashboards.trade.paths import paths
from web.dashboards.trade.picture import Series

MOST_ROWS = 60
LEGS = ("no_be", "be", "mae")
AROUND = timedelta(hours=1)


def gather_evidence(cur: Cursor, state: Any, lines: Sequence[Any]) -> dict[str, Any]:
    """Health, gaps and repairs of a signal, and the bodies behind the listed events, for its page."""
    key = (state.stream, state.trade_id)
    receipts = evidence.receipts_of(lines)
    return {
        "health": sync.get_health(cur, key),
        "gaps": evidence.gaps(sync.list_gaps_of(cur, key, MOST_ROWS)),
        "repairs": evidence.repairs(sync.list_repairs_of(cur, key, MOST_ROWS)),
        "bodies": evidence.bodies(
            deliveries.list_of_receipts(cur, receipts), [line for line in lines if hasattr(line, "receipt_id")]
        ),
    }


class Drawable(NamedTuple):
    """How long a signal lasted, the names of its contracts by id, and which of their series to draw; None without bars."""

    span: tuple[datetime, datetime] | None
    names: dict[str, str]
    series: Series | None


def drawable(cur: Cursor, state: Any) -> Drawable:
    """What there is to draw of a signal."""
    span = picture.span_of(state)
    names = {each.contract_id: each.name for each in contracts_of(state.symbol, bars.list_contracts(cur))}
    if span is None or not names:
        return Drawable(span, names, None)
    held = bars.count_series_between(cur, list(names), span[0] - AROUND, span[1] + AROUND)
    return Drawable(span, names, picture.choose_series([Series(*each) for each in held], *span))


@dataclass(frozen=True, slots=True)
class Candles:
    """What is said below the candles."""

    bars: int
    timeframe: Timeframe
    contract: str
    levels: list[dict[str, Any]]
    markers: list[tuple[str, datetime]]


def gather_outline(cur: Cursor, state: Any, events: Sequence[Any]) -> dict[str, Any]:
    """What is said below the charts the page will have (None for those it will not), so that a reader need not wait for
    them, and their places are kept from the beginning."""
    told = paths(state, events)
    reached = {leg: next((value for value in reversed(told[leg]) if value is not None), None) for leg in LEGS}
    minutes = len(told["time"])
    return {"candles": _candles(cur, state, events), "told": reached | {"minutes": minutes} if minutes else None}


def _candles(cur: Cursor, state: Any, events: Sequence[Any]) -> Candles | None:
    span, names, series = drawable(cur, state)
    if span is None or series is None:
        return None
    contract, timeframe = series.contract_id, series.timeframe
    held = bars.count_series_between(cur, [contract], *picture.window(*span, timeframe))
    marked = [(each["text"], datetime.fromtimestamp(each["time"], UTC)) for each in picture.markers(events, timeframe)]
    count = next((found for _, frame, found in held if frame == timeframe), 0)
    return Candles(count, timeframe, names[contract], picture.levels(state), marked)
