"""Takes repairs back on an operator's word: the state goes back, and they are not made again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from database import repairs, sync
from database.engine import Database


def revoke(
    db: Database, stream: str, trade_id: str, *, now: datetime, actor: str, ids: Sequence[int] | None = None
) -> int:
    """Revoke repairs of a signal, all or these, on record; how many. NotFoundError if there are none."""
    with db.transaction() as cur:
        rows = repairs.revoke_repairs(cur, stream, trade_id, now=now, ids=ids)
        said = [
            {
                "stream": stream,
                "trade_id": trade_id,
                "action_type": "repair_revoked",
                "field": row.event_type.lower(),
                "old_value": {"id": row.id, "slot": row.slot, "reason": row.reconciliation_reason},
                "data_source": row.data_source,
                "confidence_score": row.confidence_score,
                "reason": "revoked by an operator",
            }
            for row in rows
        ]
        sync.add_audit(cur, said, now=now, actor=actor)
    return len(rows)
