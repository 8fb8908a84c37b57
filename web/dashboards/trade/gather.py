"""Reads what one signal's page rests on, and which bars there are to draw."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from database import bars, deliveries, sync
from database.engine import Cursor
from web.dashboards.trade import evidence, picture
from web.dashboards.trade.picture import Series

MOST_ROWS = 60
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


def series_of(cur: Cursor, contracts: Sequence[str], start: datetime, end: datetime) -> Series | None:
    """The series of these contracts to draw for a signal that lasted so long; None where no bars are stored."""
    held = bars.count_series_between(cur, list(contracts), start - AROUND, end + AROUND)
    return picture.choose_series([Series(*each) for each in held], start, end)


def gather_outline(cur: Cursor, state: Any, events: Sequence[Any]) -> dict[str, bool]:
    """Which charts the page will have, so that their places are kept from the beginning and nothing jumps."""
    span = picture.span_of(state)
    contracts = picture.contracts_of(state.symbol, bars.list_contracts(cur))
    names = [each.contract_id for each in contracts]
    has_bars = span is not None and bool(names) and series_of(cur, names, *span) is not None
    minutes = {event.slot for event in events if event.event_type == "MFE_UPDATE" and event.revoked_at is None}
    return {"has_bars": has_bars, "has_paths": len(minutes) > 1}
