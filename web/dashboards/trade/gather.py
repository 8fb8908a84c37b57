"""Reads what one signal's page rests on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from database import deliveries, sync
from database.engine import Cursor
from web.dashboards.trade import evidence

MOST_ROWS = 60


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
