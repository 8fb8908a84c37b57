"""Health, gaps, audit, cycles, outages and measured confidence of hybrid sync. Streams: None means all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from core.sync.health import CRITICAL_SCORE, WARNING_SCORE
from database.engine import Cursor
from database.json_text import to_json
from database.queries import queries
from database.states import Key, pairs

SQL = queries("sync")


class Ledger(NamedTuple):
    """Rows (stream, trade_id, minute since 1970, fate), those whose update came again, and those of followed trades;
    (stream, minute) in which something came that was not understood; spans (stream, starts_at, ends_at) of imported alert
    logs; counts of deliveries."""

    told: list[Any]
    repeated: set[tuple[str, str, int]]
    trades: list[Any]
    rejected: set[tuple[str, int]]
    spans: list[Any]
    deliveries: Any


def last_scan(cur: Cursor) -> datetime | None:
    """Up to which moment of the database's clock a finished cycle has looked."""
    cur.execute(SQL.last_scan)
    found: datetime | None = cur.fetchone().scanned_until
    return found


def server_time(cur: Cursor) -> datetime:
    """The database's clock at the start of the transaction."""
    cur.execute(SQL.server_time)
    at: datetime = cur.fetchone().at
    return at


def list_candidates(cur: Cursor, *, since: datetime, mendable_since: datetime) -> list[Key]:
    """Signals that may have a gap, in the order of their keys."""
    cur.execute(SQL.list_candidates, {"since": since, "mendable_since": mendable_since})
    return [(row.stream, row.trade_id) for row in cur.fetchall()]


def list_signals(cur: Cursor, keys: Sequence[Key]) -> list[Any]:
    """What the rules need of these signals, and their stored health."""
    cur.execute(SQL.list_signals, pairs(keys))
    return cur.fetchall()


def list_superseded(cur: Cursor, keys: Sequence[Key]) -> dict[Key, Any]:
    """Pending signal -> (by_trade_id, at) of the opposite that was confirmed later."""
    cur.execute(SQL.list_superseded, pairs(keys))
    return {(row.stream, row.trade_id): row for row in cur.fetchall()}


def list_open_gaps(cur: Cursor, keys: Sequence[Key]) -> set[tuple[str, str, str]]:
    """(stream, trade_id, gap type) of what is open."""
    cur.execute(SQL.list_open_gaps, pairs(keys))
    return {tuple(row) for row in cur.fetchall()}


def open_gaps(cur: Cursor, gaps: Iterable[tuple[str, str, str]], now: datetime) -> list[tuple[str, str, str]]:
    """Remember gaps as first seen now; those that were not open."""
    rows = [{"stream": stream, "trade_id": trade, "gap_type": gap} for stream, trade, gap in gaps]
    if not rows:
        return []
    cur.execute(SQL.open_gaps, {"rows": to_json(rows), "now": now})
    return [tuple(row) for row in cur.fetchall()]


def resolve_gaps(cur: Cursor, gaps: Mapping[tuple[str, str, str], str], now: datetime) -> None:
    """End gaps; each with what ended it."""
    rows = [
        {"stream": stream, "trade_id": trade, "gap_type": gap, "resolved_by": by}
        for (stream, trade, gap), by in gaps.items()
    ]
    if rows:
        cur.execute(SQL.resolve_gaps, {"rows": to_json(rows), "now": now})


def save_health(cur: Cursor, rows: Sequence[Mapping[str, Any]], now: datetime) -> int:
    """Store conclusions (stream, trade_id, gap_flags, complete_until, missing_minutes); how many were new."""
    if not rows:
        return 0
    cur.execute(SQL.save_health, {"rows": to_json([dict(row) for row in rows]), "now": now})
    return cur.rowcount


def add_audit(cur: Cursor, rows: Sequence[Mapping[str, Any]], *, now: datetime, actor: str) -> None:
    """Put what was done on record."""
    if rows:
        cur.execute(SQL.add_audit, {"rows": to_json([dict(row) for row in rows]), "now": now, "actor": actor})


def start_cycle(cur: Cursor, *, now: datetime, actor: str, tiers: Sequence[int]) -> int:
    """The id of a new cycle's report row."""
    cur.execute(SQL.start_cycle, {"now": now, "actor": actor, "tiers": list(tiers)})
    return int(cur.fetchone().id)


def finish_cycle(
    cur: Cursor,
    cycle_id: int,
    *,
    now: datetime,
    scanned_until: datetime | None,
    report: Mapping[str, Any],
    health_after: int | None,
) -> None:
    """Store the report. `scanned_until`: the database's clock when the scan began; None for a partial scan."""
    given = {"cycle_id": cycle_id, "now": now, "scanned_until": scanned_until, "health_after": health_after}
    cur.execute(SQL.finish_cycle, given | {"report": to_json(dict(report))})


def delete_old_cycles(cur: Cursor, before: datetime) -> int:
    """Keep one report an hour of the time before an instant; how many went."""
    cur.execute(SQL.delete_old_cycles, {"before": before})
    return cur.rowcount


def system_health(cur: Cursor, *, since: datetime, stream: str | None = None) -> Any:
    """(score, signals, warnings, critical) of signals open or changed since; `score` is None without any."""
    cur.execute(
        SQL.system_health, {"since": since, "stream": stream, "warning": WARNING_SCORE, "critical": CRITICAL_SCORE}
    )
    return cur.fetchone()


def count_gaps(cur: Cursor, *, now: datetime, stream: str | None = None) -> dict[str, Any]:
    """Gap type -> (total, oldest_at, fresh, within_hour, within_day, older) of the open ones."""
    cur.execute(SQL.count_gaps, {"now": now, "stream": stream})
    return {row.gap_type: row for row in cur.fetchall()}


def sum_missing_minutes(cur: Cursor, stream: str | None = None) -> Any:
    """(minutes, signals) without excursions."""
    cur.execute(SQL.sum_missing_minutes, {"stream": stream})
    return cur.fetchone()


def list_gaps(
    cur: Cursor, *, limit: int, stream: str | None, gap_type: str | None, before_id: int | None, is_resolved: bool
) -> list[Any]:
    """A page of gaps, newest first."""
    given = {"limit": limit, "stream": stream, "gap_type": gap_type, "before_id": before_id}
    cur.execute(SQL.list_gaps, given | {"is_resolved": is_resolved})
    return cur.fetchall()


def list_audit(
    cur: Cursor,
    *,
    limit: int,
    stream: str | None = None,
    action_type: str | None = None,
    trade_id: str | None = None,
    before_id: int | None = None,
) -> list[Any]:
    """A page of the audit log, newest first."""
    given = {"limit": limit, "stream": stream, "action_type": action_type, "trade_id": trade_id, "before_id": before_id}
    cur.execute(SQL.list_audit, given)
    return cur.fetchall()


def sum_audit(cur: Cursor, since: datetime, stream: str | None = None) -> list[Any]:
    """(action_type, count, avg_confidence) since an instant."""
    cur.execute(SQL.sum_audit, {"since": since, "stream": stream})
    return cur.fetchall()


def list_cycles(cur: Cursor, limit: int) -> list[Any]:
    """The newest finished cycles."""
    cur.execute(SQL.list_cycles, {"limit": limit})
    return cur.fetchall()


def list_trend(cur: Cursor, since: datetime) -> list[Any]:
    """(hour, lowest, last) of the system score."""
    cur.execute(SQL.list_trend, {"since": since})
    return cur.fetchall()


def list_streams(cur: Cursor, since: datetime) -> list[str]:
    """Streams heard since an instant."""
    cur.execute(SQL.list_streams, {"since": since})
    return [row.stream for row in cur.fetchall()]


def list_arrivals(cur: Cursor, stream: str, since: datetime, until: datetime) -> list[Any]:
    """(received_at, dialect, event_type) of a stream's deliveries, oldest first."""
    cur.execute(SQL.list_arrivals, {"stream": stream, "since": since, "until": until})
    return cur.fetchall()


def list_followed(cur: Cursor, stream: str, since: datetime) -> list[Any]:
    """(starts_at, ends_at, is_over) of the trades of a stream that were followed since an instant."""
    cur.execute(SQL.list_followed, {"stream": stream, "since": since})
    return cur.fetchall()


def save_outage(cur: Cursor, outage: Mapping[str, Any], now: datetime) -> bool:
    """Remember an outage (stream, kind, detail, starts_at, ends_at, open_minutes); True if that is news."""
    cur.execute(SQL.save_outage, {**outage, "now": now})
    return cur.fetchone() is not None


def list_unresolved_outages(cur: Cursor, stream: str) -> list[Any]:
    """(id, kind, detail, starts_at) of what was not over at the last look."""
    cur.execute(SQL.list_unresolved_outages, {"stream": stream})
    return cur.fetchall()


def end_outage(cur: Cursor, outage_id: int, now: datetime) -> None:
    """An outage that is over."""
    cur.execute(SQL.end_outage, {"id": outage_id, "now": now})


def list_outages(cur: Cursor, *, since: datetime, limit: int, stream: str | None = None) -> list[Any]:
    """The newest outages."""
    cur.execute(SQL.list_outages, {"since": since, "limit": limit, "stream": stream})
    return cur.fetchall()


def add_calibration(cur: Cursor, figures: Mapping[str, Any]) -> None:
    """Store what healing known values of one method and gap length has shown."""
    cur.execute(SQL.add_calibration, dict(figures))


def list_calibrations(cur: Cursor) -> list[Any]:
    """The newest figures of each method and gap length."""
    cur.execute(SQL.list_calibrations)
    return cur.fetchall()


def ledger(cur: Cursor, since: datetime, stream: str | None = None) -> Ledger:
    """What is known of the minutes of trades since an instant."""

    def ask(query: str) -> list[Any]:
        cur.execute(query, {"since": since, "stream": stream})
        return cur.fetchall()

    return Ledger(
        told=ask(SQL.ledger),
        repeated={tuple(row) for row in ask(SQL.ledger_repeated)},
        trades=ask(SQL.ledger_trades),
        rejected={tuple(row) for row in ask(SQL.ledger_rejected)},
        spans=ask(SQL.ledger_log_spans),
        deliveries=ask(SQL.ledger_deliveries)[0],
    )


def count_created(cur: Cursor, stream: str | None = None) -> Any:
    """What SIGNAL_CREATED events there are, and what they bring."""
    cur.execute(SQL.count_created, {"stream": stream})
    return cur.fetchone()


def get_health(cur: Cursor, key: Key) -> Any | None:
    """(health_score, missing_minutes, checked_at) of one signal; None where no cycle has looked at it."""
    cur.execute(SQL.get_health, _one(key))
    return cur.fetchone()


def list_gaps_of(cur: Cursor, key: Key, limit: int) -> list[Any]:
    """(gap_type, first_seen_at, resolved_at, resolved_by) of one signal, newest first."""
    cur.execute(SQL.list_gaps_of, _one(key) | {"limit": limit})
    return cur.fetchall()


def list_repairs_of(cur: Cursor, key: Key, limit: int) -> list[Any]:
    """What was done about the gaps of one signal, newest first."""
    cur.execute(SQL.list_repairs_of, _one(key) | {"limit": limit})
    return cur.fetchall()


def _one(key: Key) -> dict[str, Any]:
    return {"stream": key[0], "trade_id": key[1]}
