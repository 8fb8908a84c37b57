"""Waves and their signals as they were received, and what the feed says of itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from core.wave_records import WaveSignal
from database.engine import Cursor
from database.json_text import as_number, to_json
from database.queries import queries

SQL = queries("waves")
FEED_LOCK = 0x57415645  # the letters WAVE
Key = tuple[int, str]
"""Exchange (0 when it is not known) and signal key: which signal of a wave."""


def add_signals(
    cur: Cursor, wave_time: datetime, signals: Iterable[WaveSignal], *, received_at: datetime, settles_at: datetime
) -> tuple[bool, set[Key]]:
    """Store what is new of a wave; (whether the wave itself was opened by this, the keys that were not there before).

    A wave that got something new waits for its processing from `settles_at` on.
    """
    cur.execute(SQL.add_wave_if_absent, {"wave_time": wave_time, "received_at": received_at})
    is_new = cur.rowcount == 1
    cur.execute(SQL.add_wave_signals, {"rows": to_json([_row(one, received_at) for one in signals], as_number)})
    new = {(row.exchange_id, row.signal_key) for row in cur.fetchall()}
    if new:
        given = {"wave_time": wave_time, "received_at": received_at, "settles_at": settles_at}
        cur.execute(SQL.add_wave, given)
        notify(cur, wave_time)
    return is_new, new


def stored_versions(cur: Cursor, wave_time: datetime) -> dict[Key, tuple[Any, ...]]:
    """What each stored signal of a wave says: symbol, action, scores, parameters."""
    cur.execute(SQL.stored_versions, {"wave_time": wave_time})
    return {
        (row.exchange_id, row.signal_key): (
            row.symbol,
            row.action,
            row.score_week,
            row.score_month,
            decimals(row.filter_params),
        )
        for row in cur.fetchall()
    }


def count_repeat(cur: Cursor, wave_time: datetime) -> int:
    """Note that a wave came again without anything new; how often it has."""
    cur.execute(SQL.count_repeat, {"wave_time": wave_time})
    return int(cur.fetchone().repeats)


def add_not_found(cur: Cursor, wave_time: datetime) -> bool:
    """Record that a wave did not come in its window; False if it has come, or is recorded."""
    cur.execute(SQL.add_not_found, {"wave_time": wave_time})
    return cur.fetchone() is not None


def list_due(cur: Cursor, now: datetime) -> list[datetime]:
    """The waves that wait for processing, oldest first."""
    cur.execute(SQL.list_due_waves, {"now": now})
    return [row.wave_time for row in cur.fetchall()]


def lock_wave(cur: Cursor, wave_time: datetime) -> Any:
    """The wave for this transaction alone; None when there is nothing left to process."""
    cur.execute(SQL.lock_wave, {"wave_time": wave_time})
    return cur.fetchone()


def list_wave_signals(cur: Cursor, wave_time: datetime) -> list[Any]:
    """id, signal_key, exchange_id, scores, filter_params and faults of every signal of a wave."""
    cur.execute(SQL.list_wave_signals, {"wave_time": wave_time})
    return cur.fetchall()


def save_verdicts(cur: Cursor, rows: Sequence[Mapping[str, Any]]) -> None:
    """id, rank, verdict and reason of signals; those that stand already are not touched."""
    cur.execute(SQL.save_verdicts, {"rows": to_json(rows)})


def finish_wave(cur: Cursor, wave_time: datetime, *, now: datetime, failures: int, retry_at: datetime | None) -> None:
    """The wave is complete; `retry_at` is when it is tried again because something of it failed."""
    given = {"wave_time": wave_time, "now": now, "failures": failures}
    cur.execute(SQL.finish_wave, given | {"is_again": retry_at is not None, "settles_at": retry_at or now})
    notify(cur, wave_time)


def list_waves(cur: Cursor, *, limit: int, before: datetime | None = None) -> list[Any]:
    """The newest waves with their counts and their delay behind the candle's close, in seconds."""
    cur.execute(SQL.list_waves, {"limit": limit, "before": before})
    return cur.fetchall()


def get_wave_signals(cur: Cursor, wave_time: datetime) -> list[Any]:
    """The signals of one wave, by exchange and rank."""
    cur.execute(SQL.get_wave_signals, {"wave_time": wave_time})
    return cur.fetchall()


def save_feed_state(cur: Cursor, state: Mapping[str, Any], *, owner: str, now: datetime) -> None:
    """state, detail, since and last_heard_at of the process that holds the feed."""
    cur.execute(SQL.save_feed_state, dict(state) | {"owner": owner, "now": now})


def get_feed_state(cur: Cursor) -> Any:
    """What the holder of the feed last said; None before the first time."""
    cur.execute(SQL.get_feed_state)
    return cur.fetchone()


def try_feed_lock(cur: Cursor) -> bool:
    """Take the lock of the feed for the session of this cursor; False when another process has it."""
    cur.execute(SQL.try_feed_lock, {"lock": FEED_LOCK})
    return bool(cur.fetchone().locked)


def beat(cur: Cursor) -> None:
    """Prove that the session which holds the lock is alive; raises psycopg2's errors when it is not."""
    cur.execute(SQL.beat)


def notify(cur: Cursor, wave_time: datetime | None = None) -> None:
    """Tell every process that something has changed, when the transaction commits."""
    cur.execute(SQL.notify_waves, {"payload": wave_time.isoformat() if wave_time else ""})


def list_paths(cur: Cursor, *, stream: str, since: datetime, until: datetime, limit: int) -> list[Any]:
    """Entered trades of a span with the minutes of their path, newest first."""
    cur.execute(SQL.list_paths, {"stream": stream, "since": since, "until": until, "limit": limit})
    return cur.fetchall()


def list_signals_between(cur: Cursor, *, since: datetime, until: datetime, limit: int) -> list[Any]:
    """Valid wave signals of a span."""
    cur.execute(SQL.list_signals_between, {"since": since, "until": until, "limit": limit})
    return cur.fetchall()


def decimals(values: Mapping[str, Any] | None) -> dict[str, Decimal] | None:
    """Parameters as they come out of jsonb."""
    return {name: Decimal(str(value)) for name, value in values.items()} if values else None


def _row(signal: WaveSignal, received_at: datetime) -> dict[str, Any]:
    names = ("signal_key", "signal_id", "exchange_id", "symbol", "action", "score_week", "score_month", "created_at")
    return {
        **{name: getattr(signal, name) for name in names},
        "wave_time": signal.wave_timestamp,
        "filter_params": signal.filter_params,
        "faults": list(signal.faults),
        "warnings": list(signal.warnings),
        "raw": signal.raw,
        "received_at": received_at,
    }
