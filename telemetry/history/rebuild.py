"""Derive events and states anew from the deliveries: after a change of the normaliser, or to prove that nothing drifted.

Repairs and the rows of an older table are kept as they are; rows that the telemetry backfill wrote are never input.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from automated_signals_state import Facts, derive, state_hash
from core.lifecycle import LifecycleEvent
from database import deletions, deliveries, events, states
from database.engine import Cursor, Database
from database.events import append_events
from telemetry.journal.record import Record
from telemetry.prepare import prepare, single_bodies, understand_record

AT_ONCE = 1000
QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True)
class RebuildReport:
    """Counts and the state hashes before and after; equal hashes prove that the stored states are what came in."""

    deliveries: int
    events: int
    signals: int
    hash_before: str
    hash_after: str

    @property
    def is_unchanged(self) -> bool:
        return self.hash_before == self.hash_after


@dataclass(frozen=True, slots=True)
class _Chunk:
    read: int
    events: list[LifecycleEvent]
    bodies: dict[str, str]


def rebuild(db: Database, *, is_dry_run: bool = False) -> RebuildReport:
    """Fold every delivery anew, in one transaction; with `is_dry_run` only compare.

    Writers wait meanwhile: alerts are answered from the journal and stored afterwards.
    """
    with (
        _without_collections(),
        ThreadPoolExecutor(1) as inserter,
        db.transaction(statement_timeout_ms=0) as cur,
    ):
        events.lock_for_rebuild(cur)
        hash_before = state_hash(states.all_states(cur))
        facts = states.facts_beyond_proof(cur)
        if not is_dry_run:
            events.delete_derived(cur)
        for event in events.kept_events(cur):
            facts.setdefault((event.stream, event.trade_id), Facts()).add(event)
        read, added = 0, 0
        for chunk in _chunks(cur, None if is_dry_run else inserter):
            for event in chunk.events:
                facts.setdefault((event.stream, event.trade_id), Facts()).add(event)
            read, added = read + chunk.read, added + len(chunk.events)
        for key in deletions.deleted_keys(cur):
            facts.pop(key, None)
        hash_after = state_hash(derive(held, *key) for key, held in facts.items())
        if not is_dry_run:
            states.replace_states(cur, facts)
    return RebuildReport(read, added, len(facts), hash_before, hash_after)


def replay_quarantined(db: Database, ids: Sequence[int] | None = None) -> dict[str, int]:
    """Try again to understand quarantined deliveries (all, or these ids): counts of tried and understood."""
    tried = understood = 0
    after_id = 0
    while True:
        with db.transaction() as cur:
            rows = deliveries.list_bodies(cur, after_id=after_id, limit=AT_ONCE, status=QUARANTINED, ids=ids)
            group = [prepare(record_of(row)) for row in rows]
            good = [prepared for prepared in group if prepared.is_understood]
            append_events(cur, [event for prepared in good for event in prepared.events], raw=single_bodies(good))
            for prepared in good:
                deliveries.save_understanding(cur, prepared.delivery)
        tried, understood = tried + len(rows), understood + len(good)
        if len(rows) < AT_ONCE:
            return {"tried": tried, "understood": understood}
        after_id = rows[-1].id


def fold_older_rows(db: Database) -> int:
    """Give the signals of an older table their state; returns how many were folded. A second call finds none."""
    folded = 0
    while True:
        with db.transaction(statement_timeout_ms=0) as cur:
            keys = states.list_unfolded(cur, AT_ONCE)
            events.refold(cur, keys)
        folded += len(keys)
        if len(keys) < AT_ONCE:
            return folded


def record_of(row: Any) -> Record:
    """The journal record that a stored delivery once was."""
    return Record(
        receipt_id=row.receipt_id,
        received_at=row.received_at,
        stream=row.stream,
        source_ip=row.source_ip or "",
        content_type=row.content_type or "",
        source=row.source,
        body=bytes(row.raw_body),
    )


@contextmanager
def _without_collections() -> Iterator[None]:
    """What a rebuild makes stays until its end and has no cycles: looking for some in it took a sixth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _chunks(cur: Cursor, inserter: Executor | None) -> Iterator[_Chunk]:
    """Every delivery, understood; with an inserter their event rows are written while the next ones are understood."""
    rows = deliveries.list_bodies(cur, after_id=0, limit=AT_ONCE)
    written: Future[object] | None = None
    while rows:
        chunk = _understood(rows)
        if written is not None:
            written.result()  # the cursor serves one at a time
        rows = deliveries.list_bodies(cur, after_id=rows[-1].id, limit=AT_ONCE)
        if inserter is not None:
            written = inserter.submit(events.add_rows, cur, chunk.events, chunk.bodies)
        yield chunk
    if written is not None:
        written.result()


def _understood(rows: Sequence[Any]) -> _Chunk:
    told = [(row, understand_record(record_of(row), is_logged=False).events) for row in rows]
    bodies = {str(row.receipt_id): row.raw_payload for row, found in told if len(found) == 1 and row.raw_payload}
    return _Chunk(len(rows), [event for _, found in told for event in found], bodies)
