"""The coordinator: takes changed signals from its cursor on and brings the decisions around them up to date.

Decisions and cursor move in one transaction, under the row of the cursor, so one pass is at work over all processes.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from analysis.config import Rule, is_named
from analysis.coordination.rules import Decision, Seen, decide
from database import analysis as store
from database.engine import Cursor, Database

log = logging.getLogger(__name__)

COORDINATOR = "signals"
AT_ONCE = 5_000


@dataclass(frozen=True, slots=True)
class Coordinated:
    """What one pass did: decisions stored, decisions taken back, and whether signals are left."""

    stored: int = 0
    taken_back: int = 0
    is_done: bool = True


def coordinate(db: Database, rules: Sequence[Rule]) -> Coordinated:
    """One pass. Raises DatabaseUnavailableError."""
    with db.transaction() as cur:
        changes = store.list_changes(cur, store.lock_cursor(cur, COORDINATOR), AT_ONCE)
        stored = taken_back = 0
        for (contract_id, analyzer_id), since in _earliest(changes).items():
            for rule in rules:
                if rule.analyzer_id == analyzer_id and is_named(contract_id, rule.contracts):
                    came, went = _bring_up_to_date(cur, rule, contract_id, since)
                    stored, taken_back = stored + came, taken_back + went
        if changes:
            newest = max(change.signal_id for change in changes)
            store.save_cursor(cur, COORDINATOR, change_id=changes[-1].change_id, signal_id=newest)
    return Coordinated(stored, taken_back, len(changes) < AT_ONCE)


def _earliest(changes: Sequence[Any]) -> dict[tuple[str, str], datetime]:
    """(contract, analyzer) -> the earliest instant from which its signals have changed."""
    found: dict[tuple[str, str], datetime] = {}
    for change in changes:
        key = (change.contract_id, change.analyzer_id)
        found[key] = min(found.get(key, change.affects_from), change.affects_from)
    return found


def _bring_up_to_date(cur: Cursor, rule: Rule, contract_id: str, changed_from: datetime) -> tuple[int, int]:
    """(decisions stored, decisions taken back) for one rule on one contract."""
    since = changed_from - rule.window
    rows = store.list_for_rule(cur, contract_id, rule.analyzer_id, rule.timeframes, since - rule.window)
    wanted = decide(rule, [Seen(**row._asdict()) for row in rows], since)
    fresh, gone = plan_decisions(store.list_decided(cur, rule.name, contract_id, since), wanted)
    store.supersede_decisions(cur, gone)
    for decision in fresh:
        coordinated_id = store.save_decision(cur, _row(rule, contract_id, decision))
        log.info(
            "signal_coordinated",
            extra={
                "coordinated_id": coordinated_id, "rule": rule.name, "contract": contract_id,
                "signal_type": decision.primary.signal_type, "decided_at": decision.decided_at.isoformat(),
                "score": decision.score,
            },
        )  # fmt: skip
    if fresh or gone:
        store.notify(cur, contract_id, "coordinated")
    return len(fresh), len(gone)


def plan_decisions(standing: Sequence[Any], wanted: Sequence[Decision]) -> tuple[list[Decision], list[int]]:
    """(decisions to store, ids of standing ones to take back). Pure."""
    left = {(each.primary.signal_id, each.confirming.signal_id): each for each in wanted}
    gone = []
    for held in standing:
        same = left.get((held.primary_signal_id, held.confirming_signal_id))
        if same and (same.decided_at, same.score) == (held.decided_at, float(held.score)):
            del left[held.primary_signal_id, held.confirming_signal_id]
        else:
            gone.append(held.coordinated_id)
    return list(left.values()), gone


def _row(rule: Rule, contract_id: str, decision: Decision) -> dict[str, Any]:
    return {
        "rule": rule.name,
        "contract_id": contract_id,
        "signal_type": decision.primary.signal_type,
        "trend": decision.primary.trend,
        "primary_id": decision.primary.signal_id,
        "confirming_id": decision.confirming.signal_id,
        "primary_known_at": decision.primary.known_at,
        "decided_at": decision.decided_at,
        "score": decision.score,
        "details": decision.details,
    }
