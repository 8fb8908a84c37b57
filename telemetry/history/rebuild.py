"""Derive events and states anew from the deliveries: after a change of the normaliser, or to prove that nothing drifted.

Repairs and the rows of an older table are kept as they are; rows that the telemetry backfill wrote are never input.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread
from typing import Any

from automated_signals_state import Facts, derive, join, state_hash
from core.lifecycle import LifecycleEvent
from database import deletions, deliveries, events, rebuilt, states
from database.engine import Cursor, Database
from database.events import append_events
from telemetry.journal.record import Record
from telemetry.prepare import prepare, single_bodies, text_of, understand_record

AT_ONCE = 1000
CHUNK = 250
"""Deliveries that are understood, and their events written, at once: small, so that no processor waits for another."""
AHEAD = 8
"""Chunks that are read before they are written."""
MANY = 5_000
"""Deliveries from which on processes of its own are worth their start."""
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
    """What some deliveries give: the facts of their events and, unless nothing is to be written, their rows."""

    read: int
    added: int
    facts: dict[states.Key, Facts]
    inserts: list[events.Insert]


def rebuild(db: Database, *, is_dry_run: bool = False, processes: int | None = None) -> RebuildReport:
    """Fold every delivery anew, in one transaction: events are written where they differ, states all anew.

    With `is_dry_run` it only compares.

    Writers wait meanwhile: alerts are answered from the journal and stored afterwards. `processes` is how many more
    processes understand the deliveries: none for a few, one for each processor if there are many.
    """
    with _without_collections(), db.transaction(statement_timeout_ms=0) as cur:
        events.lock_for_rebuild(cur)
        with _executor(processes_for(cur) if processes is None else processes) as executor:
            hash_before = state_hash(states.all_states(cur))
            facts = states.facts_beyond_proof(cur)
            if not is_dry_run:
                rebuilt.begin(cur)
            for event in events.kept_events(cur):
                facts.setdefault((event.stream, event.trade_id), Facts()).add(event)
            read = added = 0
            for chunk in _chunks(cur, executor, is_dry_run=is_dry_run):
                for key, found in chunk.facts.items():
                    facts[key] = join(facts[key], found) if key in facts else found
                rebuilt.add(cur, chunk.inserts)
                read, added = read + chunk.read, added + chunk.added
        for key in deletions.deleted_keys(cur):
            facts.pop(key, None)
        with ThreadPoolExecutor(1) as beside:  # PostgreSQL compares its rows while we derive the states
            exchanged = None if is_dry_run else beside.submit(rebuilt.exchange, cur)
            hash_after = state_hash(derive(held, *key) for key, held in facts.items())
        if exchanged is not None:
            exchanged.result()
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


def processes_for(cur: Cursor) -> int:
    """How many understand the deliveries: one for each processor that we may use, none if they would start too late."""
    processors = len(os.sched_getaffinity(0))
    return processors if processors > 1 and deliveries.count_bodies(cur, MANY) == MANY else 0


def _chunks(cur: Cursor, executor: Executor, *, is_dry_run: bool) -> Iterator[_Chunk]:
    """Every delivery, understood by the executor while what is yielded is written."""
    waiting: deque[Future[_Chunk]] = deque()
    for told in _read(cur):
        waiting.append(executor.submit(_understand, told, is_dry_run=is_dry_run))
        if len(waiting) > AHEAD:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _read(cur: Cursor) -> Iterator[list[tuple[Record, bool]]]:
    """Every delivery in the order of storing, in chunks: the record, and whether its body is JSON."""
    after_id = 0
    while True:
        rows = deliveries.list_bodies(cur, after_id=after_id, limit=AT_ONCE)
        for start in range(0, len(rows), CHUNK):
            yield [(record_of(row), row.is_json) for row in rows[start : start + CHUNK]]
        if len(rows) < AT_ONCE:
            return
        after_id = rows[-1].id


def _executor(processes: int) -> Executor:
    """A thread, or processes that begin at once: they take a second to import what they need."""
    if not processes:
        return ThreadPoolExecutor(1)
    # Spawned, not forked: this process may have threads, and a connection that no other may use.
    executor = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), initializer=_begin)
    for _ in range(processes):
        executor.submit(os.getpid)  # each task has a process started
    return executor


def _begin() -> None:
    """What a process of a rebuild does first; that it stands in this module has it imported."""
    gc.disable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who presses Ctrl-C is answered by the rebuild, not by each process
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A rebuild that is killed tells nobody: its processes would wait for more for ever."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)


def _understand(told: Sequence[tuple[Record, bool]], *, is_dry_run: bool) -> _Chunk:
    """Records, and whether their bodies are JSON. Pure: it may run anywhere."""
    found: list[LifecycleEvent] = []
    bodies: dict[str, str] = {}
    for record, is_json in told:
        given = understand_record(record, is_logged=False).events
        if len(given) == 1 and is_json:
            bodies[str(record.receipt_id)] = text_of(record.body)
        found += given
    facts: defaultdict[states.Key, Facts] = defaultdict(Facts)
    for event in found:
        facts[event.stream, event.trade_id].add(event)
    inserts = [] if is_dry_run else list(events.plan_inserts(found, bodies))
    return _Chunk(len(told), len(found), dict(facts), inserts)
