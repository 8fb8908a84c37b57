"""Gaps and repairs in the words of every page. Pure."""

from __future__ import annotations

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


def gap_word(gap_type: str) -> str:
    """A gap in words; one that we have no words for by its name."""
    return GAP_WORDS.get(gap_type, gap_type)


def action_word(action_type: str) -> str:
    """What was done, in words; what we have no words for by its name."""
    return ACTION_WORDS.get(action_type, action_type.replace("_", " "))
