"""Which facts about a signal should be known by now, and which of them are not. Pure.

The weights of the gaps, and the score made of them, live in the SQL function `calculate_signal_health_score`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from core.lifecycle import BAR
from core.trading_calendar import TradingCalendar

CLASSIC: Final = (
    *("no_mfe_update", "no_entry_price", "no_stop_loss", "no_mae", "no_session", "no_signal_date", "no_htf_alignment"),
    *("no_targets", "no_confirmation_time"),
)
"""The nine types that earlier installations know; listed first, with a subtotal of their own."""
GAP_TYPES: Final = (
    *CLASSIC,
    *("no_entry", "no_signal_created", "no_be_trigger", "no_exit", "stale_pending", "invalid_values"),
)
OPEN: Final = frozenset({"ACTIVE", "BE_PROTECTED", "BE_EXITED"})
LATE: Final = timedelta(minutes=2)
"""How long after the close of its bar an update is overdue."""
_INVALID: Final = frozenset({"phantom", "entry_equals_stop", "stop_on_wrong_side"})


@dataclass(frozen=True, slots=True)
class Proof:
    """What bars, excursions or other signals prove although no event told it."""

    be_trigger: bool = False
    exit: bool = False
    cancellation: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """The facts that should be known of a signal, and those that are missing, in the order of `GAP_TYPES`."""

    applies: tuple[str, ...]
    gaps: tuple[str, ...]

    def as_json(self) -> dict[str, list[str]]:
        """What the health functions of the database take."""
        return {"applies": list(self.applies), "gaps": list(self.gaps)}


def last_due(now: datetime, calendar: TradingCalendar) -> datetime:
    """The open of the last open-market minute whose update should be known by now: it closed two minutes ago.

    While the market is closed it stays the session's last minute, so that a break is never a gap.
    """
    minute = (now - LATE - BAR).replace(second=0, microsecond=0)
    return minute if calendar.is_open(minute) else calendar.previous_close(minute) - BAR


def judge(state: Any, due: datetime, proof: Proof = Proof()) -> Judgement:
    """The gaps of one signal, a row of `trade_states`; `due` is the `last_due` minute."""
    facts = {**_of_signal(state), **_of_trade(state, due), **_of_life(state, proof)}
    applying = tuple(name for name in GAP_TYPES if name in facts)
    return Judgement(applying, tuple(name for name in applying if facts[name]))


def _of_signal(state: Any) -> dict[str, bool]:
    """Fact -> whether it is missing, for what every signal should have."""
    return {
        "no_session": state.session is None,
        "no_signal_date": state.signal_date is None,
        "no_htf_alignment": not state.htf_computed,
        "invalid_values": _is_invalid(state.flags),
    }


def _is_invalid(flags: Collection[str]) -> bool:
    return not _INVALID.isdisjoint(flags) or any("clamped" in flag for flag in flags)


def _of_trade(state: Any, due: datetime) -> dict[str, bool]:
    """Fact -> whether it is missing, for what a confirmed signal should have."""
    if state.status in ("PENDING", "CANCELLED"):
        return {}
    facts = {
        "no_entry_price": state.entry_price is None,
        "no_stop_loss": state.stop_loss is None,
        "no_targets": not state.targets_extended,
        "no_confirmation_time": not has_confirmation_time(state),
        "no_signal_created": state.created_at is None,
    }
    entered = state.entry_time
    if entered is None or entered < due:
        facts["no_mae"] = state.mae_r is None
        if state.status in OPEN:
            newest = state.last_mfe_slot or entered
            facts["no_mfe_update"] = newest is None or newest < due
    if state.last_mfe_slot or state.be_triggered_at or state.be_exit_at or state.exit_at:
        facts["no_entry"] = entered is None
    return facts


def has_confirmation_time(state: Any) -> bool:
    """Whether the confirmation time was sent, or derived on record: with a source and a confidence."""
    is_on_record = state.confirmation_time_from == "sent" or "confirmation_time" in state.confidence
    return state.confirmation_time is not None and is_on_record


def _of_life(state: Any, proof: Proof) -> dict[str, bool]:
    """Fact -> whether it is missing, for what must have happened."""
    facts: dict[str, bool] = {}
    if state.status == "PENDING":
        facts["stale_pending"] = proof.cancellation
        return facts
    reached = proof.be_trigger or (state.be_exit_at is None and (state.no_be_mfe_r or 0) >= 1)
    if reached or state.be_triggered_at is not None:
        facts["no_be_trigger"] = state.be_triggered_at is None
    is_missing = proof.exit or "exit_be_missing" in state.flags or (state.exit_at is None and _is_stopped(state))
    if is_missing or state.be_exit_at is not None or state.exit_at is not None:
        facts["no_exit"] = is_missing
    return facts


def _is_stopped(state: Any) -> bool:
    return state.mae_r is not None and state.mae_r <= -1
