"""One row a signal: every column of the state for `signals`, what was known at entry and what came of it for `training`. Pure.

A training row has no look-ahead: its features come from a fold of the events that had been received when the trade was
entered, never from the state, which knows what came later.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from automated_signals_state import TradeState, derive, fold
from core.lifecycle import Kind, LifecycleEvent
from core.timezones import to_new_york

SIGNAL_COLUMNS = (
    "stream", "trade_id", "status", "direction", "symbol", "timeframe", "bias", "session", "session_label", "signal_time",
    "signal_time_from", "signal_date", "signal_time_ny", "created_at", "entry_time", "confirmation_time",
    "confirmation_time_from", "bars_to_confirmation", "be_triggered_at", "be_exit_at", "exit_at", "exit_kind",
    "exit_price", "cancelled_at", "cancel_reason", "cancelled_by", "bars_pending", "entry_price", "stop_loss",
    "risk_distance", "targets", "targets_extended", "be_mfe_r", "no_be_mfe_r", "mae_r", "last_mfe_slot", "be_result_r",
    "no_be_result_r", "setup", "market_state", "htf_alignment", "htf_computed", "flags", "first_received_at",
    "last_received_at", "last_kind", "sources", "confidence", "updated_at",
)  # fmt: skip
HTF = ("daily", "h4", "h1", "m15", "m5", "m1")
TOLD_AT_ENTRY = (
    "direction", "symbol", "timeframe", "session", "signal_time", "confirmation_time", "bars_to_confirmation",
    "entry_price", "stop_loss", "risk_distance",
)  # fmt: skip
SETUP = ("setup_family", "setup_variant", "signal_strength")
MARKET = ("trend_regime", "trend_score", "volatility_regime")
OUTCOMES = ("be_result_r", "no_be_result_r", "be_mfe_r", "no_be_mfe_r", "mae_r", "exit_kind", "exit_at")
FEATURES = (
    *TOLD_AT_ENTRY, "hour_ny", "weekday_ny", "seconds_from_signal", *(f"htf_{frame}" for frame in HTF), *SETUP, *MARKET,
)  # fmt: skip
PROVENANCE = ("feature_sources", "feature_confidence", "outcome_sources", "outcome_confidence", "outcome_flags")
TRAINING_COLUMNS = (
    "stream", "trade_id", "known_at", *FEATURES, "is_finished", *(f"outcome_{name}" for name in OUTCOMES), *PROVENANCE,
)  # fmt: skip


def signal_row(state: Any) -> list[Any]:
    """The columns of SIGNAL_COLUMNS."""
    return [getattr(state, name) for name in SIGNAL_COLUMNS]


def training_row(state: Any, openings: Sequence[LifecycleEvent]) -> list[Any] | None:
    """The columns of TRAINING_COLUMNS; None for a signal without an ENTRY. `state` is a row of `trade_states`."""
    entries = [event.received_at for event in openings if event.kind is Kind.ENTRY]
    if not entries:
        return None
    known_at = min(entries)
    then = derive(fold(event for event in openings if event.received_at <= known_at), state.stream, state.trade_id)
    is_finished = state.status == "COMPLETED"
    values = {
        "stream": state.stream,
        "trade_id": state.trade_id,
        "known_at": known_at,
        **_features(then, known_at),
        "is_finished": is_finished,
        **{f"outcome_{name}": getattr(state, name) if is_finished else None for name in OUTCOMES},
        "feature_sources": then.sources,
        "feature_confidence": then.confidence,
        "outcome_sources": state.sources,
        "outcome_confidence": state.confidence,
        "outcome_flags": state.flags,
    }
    return [values[name] for name in TRAINING_COLUMNS]


def _features(then: TradeState, known_at: datetime) -> dict[str, Any]:
    at = to_new_york(known_at)
    found: dict[str, Any] = {name: getattr(then, name) for name in TOLD_AT_ENTRY}
    found |= {"hour_ny": at.hour, "weekday_ny": at.isoweekday()}
    found["seconds_from_signal"] = (known_at - then.signal_time).total_seconds() if then.signal_time else None
    htf = then.htf_alignment if then.htf_computed else None
    found |= {f"htf_{frame}": (htf or {}).get(frame) for frame in HTF}
    found |= {name: (then.setup or {}).get(name) for name in SETUP}
    return found | {name: (then.market_state or {}).get(name) for name in MARKET}
