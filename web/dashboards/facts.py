"""One signal as its page shows it: facts in groups, both legs, targets. Pure.

What is known and applies is shown, what applies and is not known reads "unknown", and zero is only ever a value.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from web.dashboards.presenting import is_trade

TIME_SOURCES = {
    "sent": "as sent",
    "created": "from its SIGNAL_CREATED",
    "entry": "from its ENTRY",
    "id": "read out of the trade id",
    "derived": "derived from the receipt",
}


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of the facts column. `kind` says how the value is written; `source` is named when it is not live."""

    label: str
    kind: str
    value: Any
    note: str = ""
    source: str = ""
    confidence: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Leg:
    """One of the two stop policies of a trade."""

    name: str
    stop: str
    mfe_r: Decimal | None
    end: str
    ended_at: datetime | None
    result_r: Decimal | None


def legs(state: Any) -> tuple[Leg, Leg]:
    """The No-BE leg and the BE leg of a trade."""
    ended = state.exit_kind or ""
    no_be = Leg("No-BE", "stays at the original stop", state.no_be_mfe_r, ended, state.exit_at, state.no_be_result_r)
    if state.be_exit_at:
        end, at = "EXIT_BE", state.be_exit_at
    else:
        end, at = ended, state.exit_at
    if state.be_triggered_at:
        stop = "was moved to the entry"
    elif state.be_exit_at:
        stop = "is said to have stood at the entry" if state.be_result_r is None else "was moved to the entry"
    else:
        stop = "moves to the entry at +1R"
    be = Leg("BE", stop, state.be_mfe_r, end, at, state.be_result_r)
    return no_be, be


def fact_groups(state: Any) -> list[tuple[str, list[Fact]]]:
    """What is known of a signal, in groups; facts that do not apply yet are left out."""
    groups = (
        ("Signal", _signal(state)),
        ("Confirmation", _confirmation(state)),
        ("Trade", _trade(state)),
        ("Cancellation", _cancellation(state)),
        ("Receipt", _receipt(state)),
    )
    return [(title, [_sourced(state, key, fact) for key, fact in facts]) for title, facts in groups if facts]


_Keyed = tuple[str, Fact]


def _signal(state: Any) -> list[_Keyed]:
    label = f"sender says {state.session_label}" if state.session_label not in (None, state.session) else ""
    return [
        ("direction", Fact("Direction", "side", state.direction)),
        ("symbol", Fact("Symbol", "text", state.symbol)),
        ("timeframe", Fact("Timeframe", "text", state.timeframe)),
        (
            "signal_time",
            Fact("Signal time", "instant", state.signal_time, TIME_SOURCES.get(state.signal_time_from, "")),
        ),
        ("signal_time", Fact("Session", "text", state.session, label)),
        ("bias", Fact("Bias", "text", state.bias)),
        ("SIGNAL_CREATED", Fact("Created in bar", "instant", state.created_at)),
        ("htf_alignment", Fact("HTF alignment", "text", _alignment(state.htf_alignment, state.htf_computed))),
    ]


def _confirmation(state: Any) -> list[_Keyed]:
    if not is_trade(state) and not state.confirmation_time:
        return []
    note = TIME_SOURCES.get(state.confirmation_time_from, "")
    return [
        ("confirmation_time", Fact("Confirmed", "instant", state.confirmation_time, note)),
        ("bars_to_confirmation", Fact("Bars waited", "count", state.bars_to_confirmation)),
    ]


def _trade(state: Any) -> list[_Keyed]:
    if not is_trade(state):
        return [
            (key, fact)
            for key, fact in (
                ("entry_price", Fact("Entry", "price", state.entry_price)),
                ("stop_loss", Fact("Stop", "price", state.stop_loss)),
            )
            if fact.value is not None
        ]
    found = [
        ("ENTRY", Fact("Entered in bar", "instant", state.entry_time)),
        ("entry_price", Fact("Entry", "price", state.entry_price)),
        ("stop_loss", Fact("Stop", "price", state.stop_loss)),
        ("risk_distance", Fact("Risk (1R)", "points", state.risk_distance)),
        ("no_be_mfe_r", Fact("No-BE MFE", "r", state.no_be_mfe_r)),
        ("be_mfe_r", Fact("BE MFE", "r", state.be_mfe_r)),
        ("mae_r", Fact("MAE", "r", state.mae_r)),
        ("", Fact("MFE known up to", "instant", state.last_mfe_slot)),
    ]
    if state.be_triggered_at:
        found.append(("BE_TRIGGERED", Fact("+1R reached in bar", "instant", state.be_triggered_at)))
    if state.be_exit_at:
        found.append(("EXIT_BE", Fact("BE leg ended in bar", "instant", state.be_exit_at)))
    if state.exit_kind:
        found.append((state.exit_kind, Fact("Ended in bar", "instant", state.exit_at, state.exit_kind)))
        found.append((state.exit_kind, Fact("Exit price", "price", state.exit_price)))
    return found


def _cancellation(state: Any) -> list[_Keyed]:
    if not state.cancelled_at:
        return []
    return [
        ("CANCELLED", Fact("Cancelled in bar", "instant", state.cancelled_at)),
        ("CANCELLED", Fact("Reason", "text", state.cancel_reason)),
        ("CANCELLED", Fact("Cancelled by", "text", state.cancelled_by)),
        ("CANCELLED", Fact("Bars pending", "count", state.bars_pending)),
    ]


def _receipt(state: Any) -> list[_Keyed]:
    return [
        ("", Fact("First event", "instant", state.first_received_at)),
        ("", Fact("Latest event", "instant", state.last_received_at, state.last_kind or "")),
    ]


def _sourced(state: Any, key: str, fact: Fact) -> Fact:
    source, confidence = state.sources.get(key, ""), state.confidence.get(key)
    if fact.value is None or not (source or confidence is not None):
        return fact
    trust = Decimal(str(confidence)) if confidence is not None else None
    return Fact(fact.label, fact.kind, fact.value, fact.note, source, trust)


def _alignment(value: Any, is_computed: bool) -> str | None:
    if not isinstance(value, dict):
        return None
    parts = [f"{name} {side}" for name, side in value.items() if isinstance(side, str)]
    return " · ".join(parts) if is_computed and parts else "not computed by the script"


def targets(state: Any) -> list[tuple[str, Any, bool | None]]:
    """(name, price, was it reached) of each target, 1R first; reached is None while no excursion is known."""
    best = state.no_be_mfe_r
    found = sorted((state.targets_extended or {}).items(), key=lambda item: int(item[0].removesuffix("R")))
    return [(name, price, None if best is None else best >= int(name.removesuffix("R"))) for name, price in found]


def documents(state: Any) -> list[tuple[str, str]]:
    """(title, JSON text) of what the sender told along with the signal."""
    told = (
        ("Setup", state.setup),
        ("Market state", state.market_state),
        ("HTF alignment", state.htf_alignment),
        ("Targets as sent", state.targets),
    )
    return [(title, json.dumps(value, indent=2, ensure_ascii=False)) for title, value in told if value]
