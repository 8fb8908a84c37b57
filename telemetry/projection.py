"""What the writer adds to the delivery rows in the same transaction: events, states, and the delivery's final status."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from database import deliveries
from database.deliveries import StoredDelivery
from database.engine import Cursor
from database.events import Outcome, append_events
from telemetry.prepare import Prepared, single_bodies

ACCEPTED = "accepted"
WORST_FIRST = (Outcome.DELETED, Outcome.CONFLICT, Outcome.MERGED, Outcome.DUPLICATE)


def project(cur: Cursor, group: Sequence[Prepared], stored: dict[UUID, StoredDelivery]) -> dict[UUID, StoredDelivery]:
    """Append the events of newly stored deliveries. A delivery none of whose facts is new is
    `conflict` or `merged`; one whose signal has been deleted is `deleted`."""
    new = [prepared for prepared in group if prepared.delivery.receipt_id in stored]
    events = [event for prepared in new for event in prepared.events]
    outcomes = iter(append_events(cur, events, raw=single_bodies(new)))
    final = dict(stored)
    changed: dict[UUID, str] = {}
    for prepared in new:
        receipt_id = prepared.delivery.receipt_id
        status = _status(stored[receipt_id].status, [next(outcomes) for _ in prepared.events])
        if status != stored[receipt_id].status:
            changed[receipt_id] = status
            final[receipt_id] = replace(stored[receipt_id], status=status)
    deliveries.set_statuses(cur, changed)
    return final


def _status(held: str, outcomes: Sequence[Outcome]) -> str:
    if held != ACCEPTED or not outcomes or Outcome.NEW in outcomes:
        return held
    return next(outcome for outcome in WORST_FIRST if outcome in outcomes).value
