"""What evidence says about the gaps of a signal: repairs with source, confidence and reason. Pure.

Tiers: 0 the signal's own SIGNAL_CREATED and ENTRY, 2 own bars and trend history, 3 arithmetic and the id, 4 a later
opposite signal. (Tier 1, imports and replays of deliveries, is telemetry's.) A repair never says what was sent already.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final, NamedTuple

from core.lifecycle import Kind, LifecycleEvent, Source
from core.records import instant_of
from hybrid_sync.healing.excursions import Reached, Walk

NEW_IDS_SINCE: Final = datetime(2025, 12, 1, 20, 38, tzinfo=UTC)
"""From then on an id names the signal's candle in New York time."""
UNMEASURED: Final = Decimal("0.8")
PROVEN: Final = Decimal("1.0")
_SIDE: Final = re.compile(r"_(BULLISH|BEARISH)$")
AMBIGUOUS: Final = "bars_ambiguous"
METHODS: Final = {Kind.BE_TRIGGERED: "be_trigger", Kind.EXIT_BE: "exit_be", Kind.EXIT_SL: "exit_sl"}
TRADING: Final = ("ACTIVE", "BE_PROTECTED", "BE_EXITED", "COMPLETED")

Confidence = Mapping[tuple[str, int], Decimal]
"""(method, length of the gap in minutes) -> measured confidence."""


class Trust(NamedTuple):
    """Where a repair comes from, how far it is to be trusted (0 to 1), and why."""

    source: Source
    confidence: Decimal
    reason: str


class Basis(NamedTuple):
    """What a walk rests on: the contract whose bars it is of, and how well such healing has measured."""

    contract: str | None
    measured: Confidence
    now: datetime


@dataclass(slots=True)
class Plan:
    """Events to append, and audit rows for what they fill."""

    events: list[LifecycleEvent] = field(default_factory=list)
    audit: list[dict[str, Any]] = field(default_factory=list)

    def extend(self, other: Plan) -> None:
        """Take over another plan."""
        self.events += other.events
        self.audit += other.audit


def confidence_of(measured: Confidence, method: str, minutes: int) -> Decimal:
    """The measured confidence for a gap of this length: of the next longer length measured, else of the longest."""
    lengths = sorted(length for known, length in measured if known == method)
    if not lengths:
        return UNMEASURED
    length = next((length for length in lengths if length >= minutes), lengths[-1])
    return measured[method, length]


def plan_confirmation_time(state: Any, now: datetime) -> Plan:
    """Tier 0: without an explicit field, the bar before ENTRY was received (which is what the fold says), on record."""
    if state.entry_time is None or state.confirmation_time is None or state.confirmation_time_from == "sent":
        return Plan()
    if "confirmation_time" in state.confidence:
        return Plan()
    event = _repair(
        state, Kind.ENTRY, now, Trust(Source.RECONCILED, Decimal("0.95"), "entry_received_minus_one_bar"),
        confirmation_time=state.confirmation_time, event_time=state.entry_time,
    )  # fmt: skip
    row = _audit(event, "gap_filled_confirmation_time", "no_confirmation_time", "confirmation_time", tier=0)
    row["new_value"] = state.confirmation_time.isoformat()
    return Plan([event], [row])


def plan_direction(state: Any, now: datetime) -> Plan:
    """Tier 3: the direction out of the id, where nobody has told it."""
    match = _SIDE.search(state.trade_id)
    if state.direction is not None or match is None or state.entry_time is None:
        return Plan()
    direction = {"BULLISH": "long", "BEARISH": "short"}[match[1]]
    trust = Decimal("0.9") if state.last_received_at and state.last_received_at >= NEW_IDS_SINCE else Decimal("0.5")
    event = _repair(
        state,
        Kind.ENTRY,
        now,
        Trust(Source.INFERRED, trust, "trade_id"),
        direction=direction,
        event_time=state.entry_time,
    )
    row = _audit(event, "gap_filled_metadata", "no_targets", "direction", tier=3) | {"new_value": direction}
    return Plan([event], [row])


def plan_cancellation(state: Any, later: Any, now: datetime) -> Plan:
    """Tier 4: a pending signal whose opposite was confirmed later has been cancelled by it."""
    bars_pending = round((later.at - state.signal_time).total_seconds() / 60)
    event = _repair(
        state, Kind.CANCELLED, now, Trust(Source.INFERRED, Decimal("0.95"), "opposite_signal_confirmed"),
        event_time=later.at, cancelled_by=later.by_trade_id, reason="opposite_signal_appeared", bars_pending=bars_pending,
    )  # fmt: skip
    row = _audit(event, "cancellation_inferred", "stale_pending", "cancelled_at", tier=4)
    row |= {"new_value": later.at.isoformat(), "evidence": {"cancelled_by": later.by_trade_id}}
    return Plan([event], [row])


def plan_htf(state: Any, alignment: Mapping[str, str] | None, now: datetime) -> Plan:
    """Tier 2: the trends of the higher timeframes as they stood when the signal appeared."""
    if state.htf_computed or not alignment or (state.created_at is None and state.entry_time is None):
        return Plan()
    kind, at = (
        (Kind.SIGNAL_CREATED, state.created_at) if state.created_at is not None else (Kind.ENTRY, state.entry_time)
    )
    event = _repair(
        state, kind, now, Trust(Source.RECONCILED, Decimal("0.9"), "htf_from_own_bars"),
        htf_alignment=dict(alignment), event_time=at,
    )  # fmt: skip
    row = _audit(event, "gap_filled_htf_alignment", "no_htf_alignment", "htf_alignment", tier=2)
    row |= {"old_value": state.htf_alignment, "new_value": dict(alignment)}
    return Plan([event], [row])


def plan_walk(state: Any, found: Walk, basis: Basis) -> Plan:
    """Tier 2: the minutes, BE trigger and exits that own bars tell, or that excursions which were sent prove."""
    plan = Plan()
    for run in _runs(sorted(found.healed)):
        plan.extend(_minutes(state, [(minute, found.healed[minute]) for minute in run], basis))
    happened = (
        (Kind.BE_TRIGGERED, found.be_trigger_at, state.be_triggered_at),
        (Kind.EXIT_BE, found.exit_be_at, state.be_exit_at),
        (Kind.EXIT_SL, found.exit_sl_at, state.exit_at),
    )
    for kind, minute, known in happened:
        if minute is not None and known is None:
            plan.extend(_happening(state, kind, minute, found, basis))
    return plan


def _trust(kind: Kind, found: Walk, basis: Basis) -> Trust:
    method = METHODS[kind]
    if method in found.proven:
        return Trust(Source.RECONCILED, PROVEN, "excursion_sent")
    return Trust(Source.RECONCILED, confidence_of(basis.measured, method, 1), "own_bars")


def targets_row(state: Any) -> dict[str, Any]:
    """Tier 3: the audit row of targets that the fold computes once entry, stop and direction are known."""
    row = {"stream": state.stream, "trade_id": state.trade_id, "action_type": "gap_filled_targets"}
    row |= {"gap_type": "no_targets", "field": "targets_extended", "data_source": "reconciled"}
    return row | {"confidence_score": PROVEN, "reason": "entry_and_stop", "tier": 3}


def _minutes(state: Any, run: Sequence[tuple[int, Reached]], basis: Basis) -> Plan:
    confidence = min(confidence_of(basis.measured, method, len(run)) for method in ("mfe", "mae"))
    trust = Trust(Source.RECONCILED, confidence, "own_bars")
    events = [
        _repair(
            state,
            Kind.MFE_UPDATE,
            basis.now,
            trust,
            slot=instant_of(minute),
            be_mfe_r=_decimal(reached.be_mfe_r),
            no_be_mfe_r=_decimal(reached.no_be_mfe_r),
            mae_r=_decimal(reached.mae_r),
        )
        for minute, reached in run
    ]
    last = events[-1]
    row = _audit(last, "gap_filled_mfe_mae", "no_mfe_update", "mfe_mae", tier=2)
    row["new_value"] = {"no_be_mfe": last.no_be_mfe_r, "be_mfe": last.be_mfe_r, "mae": last.mae_r}
    bounds = {"first": instant_of(run[0][0]).isoformat(), "last": instant_of(run[-1][0]).isoformat()}
    row["evidence"] = {"contract": basis.contract, "minutes": len(run), **bounds}
    return Plan(events, [row])


def _happening(state: Any, kind: Kind, minute: int, found: Walk, basis: Basis) -> Plan:
    doubts = [one for one in found.ambiguous if one.minute == minute]
    event = _repair(
        state,
        kind,
        basis.now,
        _trust(kind, found, basis),
        event_time=instant_of(minute),
        exit_price={Kind.EXIT_BE: state.entry_price, Kind.EXIT_SL: state.stop_loss}.get(kind),
        reason={Kind.EXIT_BE: "BREAK_EVEN", Kind.EXIT_SL: "STOP_LOSS"}.get(kind),
        mae_r=Decimal(-1) if kind is Kind.EXIT_SL else None,  # at the stop the trade stood at the whole risk
        warnings=(AMBIGUOUS,) if doubts else (),
    )
    is_exit = kind is not Kind.BE_TRIGGERED
    action, gap = ("missed_exit_inserted", "no_exit") if is_exit else ("gap_filled_metadata", "no_be_trigger")
    row = _audit(event, action, gap, kind.value.lower(), tier=2)
    evidence: dict[str, Any] = {"contract": basis.contract}
    if doubts:
        evidence["ambiguous"] = [{"question": one.question, "range": [one.worst, one.best]} for one in doubts]
    return Plan([event], [row | {"new_value": instant_of(minute).isoformat(), "evidence": evidence}])


def _runs(minutes: Sequence[int]) -> list[list[int]]:
    """Minutes in stretches without a hole."""
    runs: list[list[int]] = [[minutes[0]]] if minutes else []
    for earlier, later in pairwise(minutes):
        if later == earlier + 1:
            runs[-1].append(later)
        else:
            runs.append([later])
    return runs


def _repair(state: Any, kind: Kind, now: datetime, trust: Trust, **said: Any) -> LifecycleEvent:
    told = "\x1f".join(map(str, (state.stream, state.trade_id, kind, trust.reason, *said, *said.values())))
    return LifecycleEvent(
        stream=state.stream,
        trade_id=state.trade_id,
        kind=kind,
        received_at=now,
        content_hash=hashlib.sha256(told.encode()).hexdigest(),
        source=trust.source,
        confidence=trust.confidence,
        reconciliation_reason=trust.reason,
        **said,
    )


def _audit(event: LifecycleEvent, action: str, gap_type: str, field_name: str, *, tier: int) -> dict[str, Any]:
    return {
        "stream": event.stream,
        "trade_id": event.trade_id,
        "action_type": action,
        "gap_type": gap_type,
        "field": field_name,
        "old_value": None,
        "new_value": None,
        "data_source": event.source.value,
        "confidence_score": event.confidence,
        "reason": event.reconciliation_reason,
        "evidence": None,
        "tier": tier,
        "event_key": event.event_key,
    }


@lru_cache(maxsize=4096)  # running extremes mostly stay as they are
def _decimal(value: float | None) -> Decimal | None:
    return None if value is None else Decimal(f"{value:.4f}")
