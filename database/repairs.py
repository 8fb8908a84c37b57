"""Repairs: facts filled from evidence, as events of their own beside what was sent; they can be revoked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime
from typing import Any

from core.errors import NotFoundError
from core.lifecycle import Kind, LifecycleEvent, Source
from database import events, states
from database.engine import Cursor
from database.event_rows import event_of
from database.queries import queries
from database.states import Key, pairs

SQL = queries("repairs")
_ALWAYS_NEW = frozenset({"received_at", "content_hash", "warnings", "confidence", "reconciliation_reason"})


def append_repairs(cur: Cursor, repairs: Sequence[LifecycleEvent]) -> list[LifecycleEvent]:
    """Add repairs in the caller's transaction; those that say something new, as they were stored.

    A repair that an operator has revoked is not made again. One that adds to an earlier repair of the same fact takes
    its place; the audit log keeps what that one said. What was sent always outranks a repair.
    """
    keys = sorted({(repair.stream, repair.trade_id) for repair in repairs})
    if not keys:
        return []
    locked = states.lock_facts(cur, keys)  # first, so that two cycles at once do not both take a repair for new
    revoked = _list_revoked(cur, keys)
    keyed = [((repair.event_key, repair.source.rank), repair) for repair in repairs]
    wanted = [(key, repair) for key, repair in keyed if key not in revoked]
    held = _list_held(cur, sorted({event_key for (event_key, _), _ in wanted}))
    merged: dict[tuple[str, int], LifecycleEvent] = {}
    replaced = set()
    for key, repair in wanted:
        id_, earlier = held.get(key, (None, None))
        earlier = merged.get(key, earlier)
        both = repair if earlier is None else _merged(earlier, repair)
        if both is None or (earlier is not None and repair.kind is Kind.MFE_UPDATE):
            continue
        merged[key] = both
        if id_ is not None:
            replaced.add(id_)
    if replaced:
        cur.execute(SQL.delete_repairs, {"ids": sorted(replaced)})
    events.append_events(cur, list(merged.values()), locked=locked)
    return list(merged.values())


def _list_revoked(cur: Cursor, keys: Sequence[Key]) -> set[tuple[str, int]]:
    cur.execute(SQL.list_revoked, pairs(keys))
    return {(row.event_key, row.source_rank) for row in cur.fetchall()}


def _list_held(cur: Cursor, event_keys: Sequence[str]) -> dict[tuple[str, int], tuple[int, LifecycleEvent]]:
    cur.execute(SQL.list_held_repairs, {"event_keys": event_keys})
    return {(row.event_key, Source(row.data_source).rank): (row.id, event_of(row)) for row in cur.fetchall()}


def _merged(earlier: LifecycleEvent, later: LifecycleEvent) -> LifecycleEvent | None:
    """The earlier repair with what the later one adds; None if it adds nothing. The weaker confidence counts for both."""
    values = {column.name: getattr(later, column.name) for column in fields(later)}
    added = {
        name: value
        for name, value in values.items()
        if name not in _ALWAYS_NEW and value is not None and getattr(earlier, name) is None
    }
    if not added:
        return None
    known = [one for one in (earlier.confidence, later.confidence) if one is not None]
    reasons = dict.fromkeys(filter(None, (earlier.reconciliation_reason, later.reconciliation_reason)))
    return replace(
        earlier,
        **added,
        received_at=later.received_at,
        content_hash=later.content_hash,
        warnings=tuple(sorted({*earlier.warnings, *later.warnings})),
        confidence=min(known, default=None),
        reconciliation_reason=", ".join(reasons) or None,
    )


def revoke_repairs(
    cur: Cursor, stream: str, trade_id: str, *, now: datetime, ids: Sequence[int] | None = None
) -> list[Any]:
    """Take back repairs of a signal, all or these, and fold it again; the rows revoked. NotFoundError if there are none."""
    given = {"stream": stream, "trade_id": trade_id, "now": now, "ids": list(ids) if ids is not None else None}
    cur.execute(SQL.revoke_repairs, given)
    rows = cur.fetchall()
    if not rows:
        raise NotFoundError("There is no such repair.")
    events.refold(cur, [(stream, trade_id)])
    return rows


def list_repairs(cur: Cursor, stream: str, trade_id: str) -> list[Any]:
    """The repairs of a signal, revoked ones too."""
    cur.execute(SQL.list_repairs, {"stream": stream, "trade_id": trade_id})
    return cur.fetchall()


def list_contradicted(cur: Cursor, keys: Sequence[Key]) -> list[Any]:
    """(stream, trade_id, id, event_type) of repaired exits that the sender's later updates contradict."""
    cur.execute(SQL.list_contradicted, pairs(keys))
    return cur.fetchall()


def list_minutes(cur: Cursor, since: Mapping[Key, datetime]) -> list[Any]:
    """(stream, trade_id, minute since 1970, source_rank, be_mfe, no_be_mfe, mae, price), of each trade from just before an
    instant of its own on, in no order; a minute stands once for each source that tells it."""
    keys = sorted(since)
    cur.execute(SQL.list_minutes, pairs(keys) | {"since": [since[key] for key in keys]})
    return cur.fetchall()


def list_minute_contracts(cur: Cursor) -> list[str]:
    """Contracts that have one-minute bars."""
    cur.execute(SQL.list_minute_contracts)
    return [row.contract_id for row in cur.fetchall()]


def list_ranges(cur: Cursor, contract_id: str, start: datetime, end: datetime) -> list[Any]:
    """(minute since 1970, high, low) of trustworthy one-minute bars inside [start, end)."""
    cur.execute(SQL.list_ranges, {"contract_id": contract_id, "start": start, "end": end})
    return cur.fetchall()


def list_finer_ranges(cur: Cursor, contract_id: str, minutes: Iterable[datetime]) -> list[Any]:
    """(minute since 1970, high, low) of the finest bars of seconds of these minutes, in time order."""
    cur.execute(SQL.list_finer_ranges, {"contract_id": contract_id, "minutes": list(minutes)})
    return cur.fetchall()


def list_quiet_spans(cur: Cursor, contract_id: str, start: datetime, end: datetime) -> list[Any]:
    """(starts_at, ends_at) in which no bar means no trade."""
    cur.execute(SQL.list_quiet_spans, {"contract_id": contract_id, "start": start, "end": end})
    return cur.fetchall()


def list_alignments(cur: Cursor, wanted: Mapping[Key, tuple[str, datetime]]) -> dict[Key, dict[str, str]]:
    """Signal -> trend of each higher timeframe, of (contract, instant); only where all are known."""
    keys = sorted(wanted)
    given = pairs(keys) | {"contracts": [wanted[key][0] for key in keys], "times": [wanted[key][1] for key in keys]}
    cur.execute(SQL.list_alignments, given)
    return {(row.stream, row.trade_id): row.alignment for row in cur.fetchall() if row.alignment}


def withdraw_repairs(cur: Cursor, ids: Sequence[int], keys: Sequence[Key]) -> None:
    """Remove repairs that the stream itself has disproved, and fold their signals again."""
    cur.execute(SQL.delete_repairs, {"ids": list(ids)})
    events.refold(cur, sorted(set(keys)))


def list_known_trades(cur: Cursor, *, since: datetime, limit: int) -> list[Key]:
    """Finished trades by which healing can be measured, newest first."""
    cur.execute(SQL.list_known_trades, {"since": since, "limit": limit})
    return [(row.stream, row.trade_id) for row in cur.fetchall()]
