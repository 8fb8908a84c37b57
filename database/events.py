"""`automated_signals`: one row a fact and source rank. `append_events` is the only way to add an event.

The table is a projection: the delivery log is the append-only record. Adding an event again, or in another order, makes
no difference, to the rows or to the states that are joined in the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from automated_signals_state import Facts, fold
from core.lifecycle import Kind, LifecycleEvent
from database import states
from database.engine import Cursor, stream_rows
from database.event_rows import event_of, row_of
from database.json_text import as_number, decimals_to_json
from database.queries import queries

SQL = queries("events")
ROWS_AT_ONCE = 1000


class Insert(NamedTuple):
    """A statement, and the rows for it as JSON text."""

    query: str
    rows: str


class Outcome(StrEnum):
    """What became of an event: new, the same again, another version of a one-shot, one more value of a minute, or stored
    for a signal that has been deleted."""

    NEW = "accepted"
    DUPLICATE = "duplicate"
    MERGED = "merged"
    CONFLICT = "conflict"
    DELETED = "deleted"


def append_events(
    cur: Cursor,
    events: Sequence[LifecycleEvent],
    *,
    raw: dict[str, str] | None = None,
    locked: Mapping[states.Key, Facts] | None = None,
) -> list[Outcome]:
    """Add events and join them into the states of their signals, in the caller's transaction.

    Returns an outcome for each event, in their order. `raw` maps a receipt to the body to keep beside its event, as JSON
    text. States are locked first, in the order of their keys, so that any number of processes may append at once;
    `locked` are their facts where the caller has done that already.
    """
    if not events:
        return []
    keys = {(event.stream, event.trade_id) for event in events}
    if locked is None:
        locked = states.lock_facts(cur, keys)
    held = {key: locked[key] for key in keys & locked.keys()}
    inserts = plan_inserts(events, raw or {})
    if len(events) <= ROWS_AT_ONCE:
        new = {key for insert in inserts for key in _add_rows(cur, insert)}
        saves = _fold_in(held, events)
    else:
        with ThreadPoolExecutor(1) as beside:  # PostgreSQL has enough to do while we plan and fold
            adding = [beside.submit(_add_rows, cur, insert) for insert in inserts]
            saves = _fold_in(held, events)
        new = {key for added in adding for key in added.result()}
    states.save(cur, saves)
    outcomes = _outcomes(cur, events, new)
    if len(held) == len(keys):
        return outcomes
    return [
        outcome if (event.stream, event.trade_id) in held else Outcome.DELETED
        for event, outcome in zip(events, outcomes, strict=True)
    ]


def _fold_in(held: Mapping[states.Key, Facts], events: Iterable[LifecycleEvent]) -> list[dict[str, str]]:
    """Add events to the facts of their signals; what is to be saved of them."""
    for event in events:
        facts = held.get((event.stream, event.trade_id))
        if facts is not None:
            facts.add(event)
    return states.plan_saves(held)


def _add_rows(cur: Cursor, insert: Insert) -> list[tuple[str, int]]:
    """Write planned rows; the (event_key, source rank) that are new."""
    cur.execute(insert.query, {"rows": insert.rows})
    return [(row.event_key, row.source_rank) for row in cur.fetchall() if row.is_new]


def plan_inserts(events: Iterable[LifecycleEvent], raw: dict[str, str]) -> Iterator[Insert]:
    """The rows of events, merged in memory first. Pure."""
    one_shots: dict[tuple[str, int], LifecycleEvent] = {}
    updates: dict[tuple[str, int], LifecycleEvent] = {}
    for event in events:
        key = (event.event_key, event.source.rank)
        if event.kind is Kind.MFE_UPDATE:
            updates[key] = _merged(updates[key], event) if key in updates else event
        elif key not in one_shots or _age(event) < _age(one_shots[key]):
            one_shots[key] = event
    for query, found in ((SQL.add_one_shots, one_shots), (SQL.add_mfe_updates, updates)):
        items = sorted(found.items())
        for start in range(0, len(items), ROWS_AT_ONCE):
            rows = [row_of(key[0], event, raw) for key, event in items[start : start + ROWS_AT_ONCE]]
            # Numbers, not text, so that a document reads back as it came and the rows fold to the stored state.
            yield Insert(query, decimals_to_json(rows, as_number))


def list_events(cur: Cursor, stream: str, trade_id: str) -> list[Any]:
    """The rows of one signal in the order of their receipt, revoked ones too."""
    cur.execute(SQL.list_events, {"stream": stream, "trade_id": trade_id})
    return cur.fetchall()


def kept_events(cur: Cursor) -> Iterator[LifecycleEvent]:
    """Facts that no delivery can give again: repairs, and the rows of an older table."""
    return map(event_of, stream_rows(cur, SQL.list_kept_events))


def refold(cur: Cursor, keys: Sequence[states.Key]) -> None:
    """Fold signals from their event rows: those of an older table, whose deliveries are not known."""
    changed: dict[states.Key, Facts] = {}
    for key in states.lock_facts(cur, keys):
        rows = list_events(cur, *key)
        known = [row for row in rows if row.revoked_at is None and row.event_type in Kind.__members__]
        changed[key] = fold(event_of(row) for row in known)
    states.save_facts(cur, changed)


def lock_for_rebuild(cur: Cursor) -> None:
    """Keep writers out until the transaction ends."""
    cur.execute(SQL.lock_for_rebuild)


def _age(event: LifecycleEvent) -> tuple[Any, str]:
    return event.received_at, event.content_hash


def _merged(one: LifecycleEvent, other: LifecycleEvent) -> LifecycleEvent:
    """Two updates of one minute: extremes, and whatever else the later one says."""
    earlier, later = sorted((one, other), key=_age)
    return replace(
        later,
        be_mfe_r=_extreme(max, one.be_mfe_r, other.be_mfe_r),
        no_be_mfe_r=_extreme(max, one.no_be_mfe_r, other.no_be_mfe_r),
        mae_r=_extreme(min, one.mae_r, other.mae_r),
        current_price=later.current_price if later.current_price is not None else earlier.current_price,
    )


def _extreme(choose: Any, *values: Decimal | None) -> Decimal | None:
    known = [value for value in values if value is not None]
    return choose(known) if known else None


def _outcomes(cur: Cursor, events: Sequence[LifecycleEvent], new: set[tuple[str, int]]) -> list[Outcome]:
    keyed = [((event.event_key, event.source.rank), event) for event in events]
    known = {key[0] for key, event in keyed if key not in new and event.kind is not Kind.MFE_UPDATE}
    held: dict[tuple[str, int], tuple[str, UUID | None]] = {}
    if known:
        cur.execute(SQL.list_checksums, {"event_keys": sorted(known)})
        held = {(row.event_key, row.source_rank): (row.payload_checksum, row.receipt_id) for row in cur.fetchall()}
    return [_outcome(key, event, new, held) for key, event in keyed]


def _outcome(
    key: tuple[str, int],
    event: LifecycleEvent,
    new: set[tuple[str, int]],
    held: dict[tuple[str, int], tuple[str, UUID | None]],
) -> Outcome:
    if key in new:
        return Outcome.NEW
    if event.kind is Kind.MFE_UPDATE:
        return Outcome.MERGED
    checksum, receipt_id = held[key]
    is_same = checksum == event.content_hash and receipt_id != event.receipt_id
    return Outcome.DUPLICATE if is_same else Outcome.CONFLICT
