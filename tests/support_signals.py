"""Lives of signals for tests of pages: events that are appended as every feature appends them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from automated_signals_state import state_hash
from core.lifecycle import Kind, LifecycleEvent, mfe_slot
from database import states, sync
from database.engine import Database
from database.events import append_events

START = datetime(2025, 12, 10, 14, 31, tzinfo=UTC)  # 09:31 in New York
MINUTE = timedelta(minutes=1)


def event(trade_id: str, kind: Kind, minute: int = 0, **given: Any) -> LifecycleEvent:
    """An event that is received `minute` minutes after START, with the numbers of a plain long trade."""
    received_at = START + minute * MINUTE
    numbers: dict[str, Any] = {"direction": "long", "symbol": "MNQ1!"}
    if kind is Kind.ENTRY:
        numbers |= {"entry_price": Decimal("20500.5"), "stop_loss": Decimal("20490")}
    if kind is Kind.MFE_UPDATE:
        numbers |= {"slot": mfe_slot(received_at)}
    given = {"stream": "main", "content_hash": f"{trade_id}-{kind}-{minute}", "received_at": received_at} | given
    return LifecycleEvent(trade_id=trade_id, kind=kind, **numbers | given)


def add(db: Database, *events: LifecycleEvent) -> None:
    """Append the events in a transaction of their own."""
    with db.transaction() as cur:
        append_events(cur, events)


def hash_of(db: Database) -> str:
    """The hash of every stored state."""
    with db.transaction() as cur:
        return state_hash(states.all_states(cur))


def fill(db: Database) -> None:
    """A trade that ran 3R and was stopped, one that was stopped at once, an open one, a cancelled and a pending signal."""
    add(
        db,
        event("WON", Kind.SIGNAL_CREATED, 0, htf_alignment={"m5": "Bullish", "all_bullish": False}),
        event("WON", Kind.ENTRY, 1, bars_to_confirmation=1),
        mfe("WON", 3, "3", "3.25"),
        event("WON", Kind.BE_TRIGGERED, 4),
        event("WON", Kind.EXIT_BE, 5),
        event("WON", Kind.EXIT_SL, 9),
        event("LOST", Kind.ENTRY, 11),
        event("LOST", Kind.EXIT_SL, 12),
        event("OPEN", Kind.ENTRY, 20),
        mfe("OPEN", 22, "0", "0"),
        event("GONE", Kind.SIGNAL_CREATED, 30),
        event("GONE", Kind.CANCELLED, 33, reason="opposite_signal_appeared", cancelled_by="X", bars_pending=2),
        event("WAITS", Kind.SIGNAL_CREATED, 40),
    )


def mfe(trade_id: str, minute: int, be: str, no_be: str, mae: str = "-0.25") -> LifecycleEvent:
    """One minute's excursions in R."""
    values = {"be_mfe_r": Decimal(be), "no_be_mfe_r": Decimal(no_be), "mae_r": Decimal(mae)}
    return event(trade_id, Kind.MFE_UPDATE, minute, **values)


def measure(db: Database, trade_id: str, *gaps: str, applies: tuple[str, ...] = ("no_mfe_update", "no_mae")) -> None:
    """The health of a signal of which these gaps are open, as a cycle of hybrid sync leaves it."""
    flags = {"applies": list(applies), "gaps": list(gaps)}
    row = {"stream": "main", "trade_id": trade_id, "gap_flags": flags, "complete_until": None, "missing_minutes": 0}
    with db.transaction() as cur:
        sync.save_health(cur, [row], START)
        sync.open_gaps(cur, [("main", trade_id, gap) for gap in gaps], START)
