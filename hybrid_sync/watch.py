"""Looks at how a stream arrives: silences, kinds that stay away, and alerts about to be stopped for firing too often."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from core.trading_calendar import cme_equity_calendar
from database import sync
from database.engine import Cursor, Database
from hybrid_sync.outages import Outage, by_kind, find_silences, find_silent_kinds, predict_throttle, usual_minutes

HEARD_WITHIN: Final = timedelta(days=30)
WINDOW: Final = timedelta(days=1)
STILL_FOLLOWED: Final = timedelta(minutes=10)
"""A trade without an exit counts as open for so long after the last word about it: then a silence is one."""


def watch_streams(db: Database, now: datetime) -> list[tuple[str, Outage]]:
    """Store the outages of every stream as they are known now; those that are news."""
    news = []
    with db.transaction() as cur:
        for stream in sync.list_streams(cur, now - HEARD_WITHIN):
            news += [(stream, outage) for outage in _watch(cur, stream, now)]
    return news


def _watch(cur: Cursor, stream: str, now: datetime) -> list[Outage]:
    arrivals = sync.list_arrivals(cur, stream, now - WINDOW, now)
    if not arrivals:
        return []  # silent for longer than the window: what was found then still lasts
    found = _outages(arrivals, sync.list_followed(cur, stream, now - WINDOW), now)
    held = sync.list_unresolved_outages(cur, stream)
    lasting = {(row.kind, row.detail, row.starts_at) for row in held}
    kinds = {(row.kind, row.detail) for row in held if row.kind == "throttle"}
    news = []
    for outage in found:
        key = (outage.kind, outage.detail, outage.starts_at)
        lasting.discard(key)
        if (outage.kind, outage.detail) not in kinds and sync.save_outage(cur, _row(stream, outage), now):
            news.append(outage)
    still = {(outage.kind, outage.detail) for outage in found if outage.ends_at is None}
    for row in held:
        is_throttle = row.kind == "throttle" and (row.kind, row.detail) in still
        if (row.kind, row.detail, row.starts_at) in lasting and not is_throttle:
            sync.end_outage(cur, row.id, now)
    return news


def _outages(arrivals: Sequence[Any], followed: Sequence[Any], now: datetime) -> list[Outage]:
    calendar = cme_equity_calendar()
    times = [row.received_at for row in arrivals]
    patience = usual_minutes(times, calendar)
    silences = find_silences(times, now, calendar)
    found = [one for one in silences if one.open_minutes > patience or _is_followed(one.starts_at, followed)]
    kinds = by_kind((row.received_at, row.event_type) for row in arrivals)
    found += find_silent_kinds(kinds, now, calendar)
    singles = [row.received_at for row in arrivals if row.event_type == "MFE_UPDATE" and row.dialect != "batch"]
    open_trades = sum(not row.is_over and now - row.ends_at < STILL_FOLLOWED for row in followed)
    throttle = predict_throttle(singles, open_trades, now, calendar)
    return [*found, throttle] if throttle else found


def _is_followed(at: datetime, followed: Iterable[Any]) -> bool:
    """Whether a trade was open when the silence began, so that an update was due every minute."""
    return any(
        row.starts_at <= at
        and (at + STILL_FOLLOWED / 3 < row.ends_at if row.is_over else at < row.ends_at + STILL_FOLLOWED)
        for row in followed
    )


def _row(stream: str, outage: Outage) -> dict[str, Any]:
    return {
        "stream": stream,
        "kind": outage.kind,
        "detail": outage.detail,
        "starts_at": outage.starts_at,
        "ends_at": outage.ends_at,
        "open_minutes": outage.open_minutes,
    }
