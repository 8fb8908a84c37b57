"""Takes waves in and applies them: store what came, then parameters and selection from what is stored.

Two transactions, so that a wave which was received is never lost: the first stores the signals and marks their wave, the
second decides over everything that is stored of it. Every process may run either at any time; the row of the wave is the
lock, unique keys make a repeat harmless, and outcomes depend on the signals alone, never on how often or in which order
they were processed.

A fault while parameters are applied never holds the wave up: it is undone alone, recorded, and tried again later.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial

import psycopg2

from core.jobs import Job, Report
from core.wave_records import WaveSignal
from database import params, waves
from database.engine import Cursor, Database
from waves import events
from waves.effective import effective_of
from waves.plan import Change, Held, StoredSignal, find_leaders, plan_change, plan_selection
from waves.schedule import CANDLE

log = logging.getLogger(__name__)

PUSH_SETTLES = timedelta(seconds=3)
RETRY_AFTER = timedelta(seconds=30)
MAX_FAILURES = 5


@dataclass(frozen=True, slots=True)
class Rules:
    """What the settings say: trades a wave without a parameter, and the relative change that is alarming."""

    default_max_trades: int
    alert_ratio: Decimal


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a batch of signals brought: how many were new, and how many fit no wave."""

    new: int
    refused: int


def receive(db: Database, signals: Sequence[WaveSignal], *, is_whole: bool, now: datetime) -> Receipt:
    """Store signals durably. A whole batch is processed at once, pushed signals wait a little for their fellows.

    Should the database refuse a batch, its signals are stored one by one, so that one of them costs no other.
    """
    settles_at = now if is_whole else now + PUSH_SETTLES
    try:
        return _receive_batch(db, signals, settles_at, now)
    except psycopg2.DataError as error:
        if len(signals) > 1:
            receipts = [receive(db, [one], is_whole=is_whole, now=now) for one in signals]
            return Receipt(sum(one.new for one in receipts), sum(one.refused for one in receipts))
        log.error("wave_signal_refused", exc_info=error)
        with db.transaction() as cur:
            params.add_events(cur, [events.unstorable(signal, error) for signal in signals], now=now)
        return Receipt(0, len(signals))


def _receive_batch(db: Database, signals: Sequence[WaveSignal], settles_at: datetime, now: datetime) -> Receipt:
    by_wave: dict[datetime, list[WaveSignal]] = {}
    refused = [one for one in signals if one.wave_timestamp is None]
    for signal in signals:
        if signal.wave_timestamp is not None:
            by_wave.setdefault(signal.wave_timestamp, []).append(signal)
    new = 0
    with db.transaction() as cur:
        for wave_time, members in sorted(by_wave.items()):
            new += _receive_wave(cur, wave_time, members, settles_at, now)
        params.add_events(cur, [events.refused(one) for one in refused], now=now)
    return Receipt(new, len(refused))


def _receive_wave(
    cur: Cursor, wave_time: datetime, members: list[WaveSignal], settles_at: datetime, now: datetime
) -> int:
    is_new, new = waves.add_signals(cur, wave_time, members, received_at=now, settles_at=settles_at)
    found = []
    if is_new:
        found.append(events.detected(wave_time, len(new), now))
    if len(new) < len(members):
        stored = waves.stored_versions(cur, wave_time)
        others = [one for one in members if stored[events.key_of(one)] != events.version_of(one)]
        found += [events.other_version(one) for one in others]
        if not new and not others and waves.count_repeat(cur, wave_time) == 1:
            found.append(events.repeated(wave_time, len(members)))
    params.add_events(cur, found, now=now)
    return len(new)


def give_up(db: Database, wave_time: datetime, *, detail: str, now: datetime) -> bool:
    """Record that a wave did not come in its window; it is still taken when it comes. False if it has come."""
    with db.transaction() as cur:
        if not waves.add_not_found(cur, wave_time):
            return False
        params.add_events(cur, [events.not_found(wave_time, detail)], now=now)
        waves.notify(cur, wave_time)
    log.warning("Wave %s not found: %s", wave_time.isoformat(), detail)
    return True


def process_due(db: Database, now: datetime, rules: Rules) -> int:
    """Process every wave that waits; how many were. Safe to repeat, in any number of processes."""
    with db.transaction() as cur:
        due = waves.list_due(cur, now)
    return sum(process_wave(db, wave_time, now, rules) for wave_time in due)


def process_wave(db: Database, wave_time: datetime, now: datetime, rules: Rules) -> bool:
    """Parameters and selection of one wave from all its stored signals; False when there was nothing to do."""
    with db.transaction() as cur:
        wave = waves.lock_wave(cur, wave_time)
        if wave is None:
            return False
        signals = [_stored(row) for row in waves.list_wave_signals(cur, wave_time)]
        failed = _update_params(cur, wave_time, signals, now, rules)
        limits = _limits(cur, wave_time, signals, now)
        verdicts = plan_selection(signals, limits, rules.default_max_trades)
        rows = [{"id": v.signal_id, "rank": v.rank, "verdict": v.verdict, "reason": v.reason} for v in verdicts]
        waves.save_verdicts(cur, rows)
        failures = wave.failures + 1 if failed else 0
        retry_at = now + RETRY_AFTER if failed and failures < MAX_FAILURES else None
        waves.finish_wave(cur, wave_time, now=now, failures=failures, retry_at=retry_at)
        if wave.status != "completed":
            params.add_events(cur, [events.completed(wave_time, signals, verdicts, now)], now=now)
    selected = sum(verdict.verdict == "selected" for verdict in verdicts)
    log.info("Wave %s complete", wave_time.isoformat(), extra={"signals": len(signals), "selected": selected})
    return True


def job(rules: Rules) -> Job:
    """The pass that takes up what a process left behind between receipt and processing."""

    def run(db: Database, now: datetime) -> Report:
        return Report(counts={"waves": process_due(db, now, rules)})

    return Job("process_waves", timedelta(minutes=1), run)


# --- parameters ------------------------------------------------------------------------------------------------------


def _update_params(
    cur: Cursor, wave_time: datetime, signals: Iterable[StoredSignal], now: datetime, rules: Rules
) -> set[int]:
    """Apply the parameters of the wave; the exchanges for which that failed."""
    leaders = find_leaders(signals)
    if not leaders:
        return set()

    def apply(chosen: dict[int, StoredSignal]) -> None:
        _apply_leaders(cur, wave_time, chosen, now, rules)

    if _failure_of(cur, partial(apply, leaders)) is None:
        return set()
    failed = set()
    for exchange_id, leader in leaders.items():  # one bad exchange must not cost the others
        error = _failure_of(cur, partial(apply, {exchange_id: leader}))
        if error is not None:
            log.error("Failed to update params for exchange_id=%s", exchange_id, exc_info=error)
            params.add_events(cur, [events.update_failed(wave_time, exchange_id, error)], now=now)
            failed.add(exchange_id)
    return failed


def _failure_of(cur: Cursor, apply: Callable[[], None]) -> psycopg2.Error | None:
    """Run a part of the transaction that may fail alone; the error that undid it, None when it stands."""
    cur.execute("SAVEPOINT part")
    try:
        apply()
    except (psycopg2.DataError, psycopg2.IntegrityError, psycopg2.InternalError, psycopg2.ProgrammingError) as error:
        cur.execute("ROLLBACK TO SAVEPOINT part")
        return error
    except psycopg2.OperationalError as error:
        if error.pgcode is None:
            raise  # the connection is gone, and with it the whole transaction
        cur.execute("ROLLBACK TO SAVEPOINT part")
        return error
    cur.execute("RELEASE SAVEPOINT part")
    return None


def _apply_leaders(
    cur: Cursor, wave_time: datetime, leaders: dict[int, StoredSignal], now: datetime, rules: Rules
) -> None:
    changes = [change for change in _changes(cur, wave_time, leaders) if change.is_new]
    if not changes:
        return
    for change in changes:
        log.info("Updating params for exchange_id=%s", change.exchange_id)
    params.save_history(cur, wave_time, [events.history_row(change) for change in changes], now=now)
    altered = {change.exchange_id: change.applied for change in changes if change.applied}
    if altered:
        params.set_params(cur, altered)
    params.add_events(
        cur, [event for change in changes for event in events.of_change(wave_time, change, rules.alert_ratio)], now=now
    )
    for change in changes:
        if change.applied:
            fields = ", ".join(f"{name}={value}" for name, value in change.applied.items())
            log.info("Params updated for exchange_id=%s: %s", change.exchange_id, fields)


def _changes(cur: Cursor, wave_time: datetime, leaders: dict[int, StoredSignal]) -> list[Change]:
    """Gather what is known around the wave, and decide."""
    latest = params.lock_params(cur, leaders)
    around = params.history_around(cur, leaders, wave_time)

    def held(exchange_id: int) -> Held:
        older, same, newer = (around.get((exchange_id, place)) for place in (-1, 0, 1))
        return Held(
            latest=latest[exchange_id],
            older=params.values_of(older) if older else {},
            same=params.values_of(same) if same else None,
            same_signal_id=same.wave_signal_id if same else None,
            newer=params.values_of(newer) if newer else {},
        )

    return [plan_change(leader, held(exchange_id)) for exchange_id, leader in leaders.items()]


def _limits(cur: Cursor, wave_time: datetime, signals: Iterable[StoredSignal], now: datetime) -> dict[int, int]:
    """Trades a wave per exchange: an override of now, else the newest value up to this wave."""
    exchange_ids = {signal.exchange_id for signal in signals if signal.exchange_id is not None}
    recorded = {
        exchange_id: params.values_of(row)
        for exchange_id, row in params.params_as_of(cur, wave_time + CANDLE, now).items()
        if exchange_id in exchange_ids
    }
    overrides = params.active_overrides(cur, now)
    limits = {}
    for exchange_id in exchange_ids:
        effective = effective_of(recorded.get(exchange_id, {}), overrides.get(exchange_id, {}))
        if "max_trades_filter" in effective:
            limits[exchange_id] = int(effective["max_trades_filter"])
    return limits


def _stored(row: object) -> StoredSignal:
    names = ("id", "signal_key", "exchange_id", "score_week", "score_month")
    return StoredSignal(
        **{name: getattr(row, name) for name in names},
        filter_params=waves.decimals(getattr(row, "filter_params", None)),
        faults=tuple(getattr(row, "faults", ())),
    )
