"""Gaps and repairs in the words of every page. Pure."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Any

GAP_WORDS = {
    "no_mfe_update": "MFE update overdue",
    "no_entry_price": "Entry price unknown",
    "no_stop_loss": "Stop loss unknown",
    "no_mae": "MAE unknown",
    "no_session": "Session unknown",
    "no_signal_date": "Signal date unknown",
    "no_htf_alignment": "HTF alignment not computed",
    "no_targets": "Targets unknown",
    "no_confirmation_time": "Confirmation time without source",
    "no_entry": "ENTRY missing",
    "no_signal_created": "SIGNAL_CREATED missing",
    "no_be_trigger": "BE trigger missed",
    "no_exit": "Exit missed",
    "stale_pending": "Pending, yet superseded",
    "invalid_values": "Impossible values",
}
"""What hybrid sync may find missing of a signal, in the words of every page."""

ACTION_WORDS = {
    "gap_detected": "Gap found",
    "reconciliation_attempted": "Repair tried",
    "gap_filled_mfe_mae": "Excursions filled",
    "gap_filled_metadata": "Facts filled",
    "gap_filled_htf_alignment": "HTF alignment filled",
    "gap_filled_confirmation_time": "Confirmation time filled",
    "gap_filled_targets": "Targets computed",
    "missed_exit_inserted": "Missed event inserted",
    "cancellation_inferred": "Cancellation inferred",
    "event_imported": "Event imported",
    "reconciliation_failed": "Repair failed",
    "repair_revoked": "Repairs revoked",
}
"""What hybrid sync does about it."""

_LEG_WORDS = {"be_mfe": "BE", "no_be_mfe": "No-BE", "mae": "MAE"}
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d.*(Z|\+00:00)$")


def gap_word(gap_type: str) -> str:
    """A gap in words; one that we have no words for by its name."""
    return GAP_WORDS.get(gap_type, gap_type)


def action_word(action_type: str) -> str:
    """What was done, in words; what we have no words for by its name."""
    return ACTION_WORDS.get(action_type, action_type.replace("_", " "))


def change_text(old: Any, new: Any) -> str:
    """What a repair filled, and in place of what; a dash where nothing was."""
    return f"{_value_text(old)} → {_value_text(new)}" if old is not None else _value_text(new)


def _part_text(name: str, part: Any) -> str:
    """A part of a stored value: excursions as multiples of R."""
    try:
        exact = Decimal(str(part)) if name in _LEG_WORDS else None
    except InvalidOperation:
        exact = None
    if exact is None or not exact.is_finite():
        return _value_text(part)
    return (f"{exact:+.2f}R" if round(exact, 2) else "0.00R").replace("-", "\N{MINUS SIGN}")


def _value_text(value: Any) -> str:
    """A stored value in a few words."""
    if isinstance(value, dict):
        told = {name: part for name, part in value.items() if part is not None}
        return ", ".join(f"{_LEG_WORDS.get(name, name)} {_part_text(name, part)}" for name, part in told.items()) or "—"
    if isinstance(value, list):
        return ", ".join(map(_value_text, value)) or "—"
    if isinstance(value, str) and _INSTANT.match(value):
        return f"{value[:10]} {value[11:16]} UTC"
    return "—" if value is None else re.sub(r"^-(?=\d)", "\N{MINUS SIGN}", str(value))
