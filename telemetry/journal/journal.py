"""The journal: every delivery is durable on this disk before anything else is tried with it.

The intake's thread appends for all that wait, though any thread may; the writer's stores the records in the database,
says so with `mark_stored`, and takes what was never confirmed (an outage, a restart) from `backlog`. A process appends to
one segment of its own, whose lock it holds for as long as the file exists; a segment nobody holds is an orphan, and any
process may adopt it. A segment goes only when every receipt in it is confirmed to be in the database.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Lock
from uuid import UUID

from core.clock import Clock
from core.errors import StorageError
from telemetry.journal import crash_points
from telemetry.journal.disk import Disk
from telemetry.journal.record import Record, decode, encode, index
from telemetry.journal.segments import Segment, SegmentFolder

log = logging.getLogger(__name__)

Confirm = Callable[[Sequence[UUID]], set[UUID]]
"""Given receipts, which of them are in the database."""

SEGMENT_BYTES = 4 * 1024 * 1024
SEGMENT_SECONDS = 600.0
MAX_BYTES = 256 * 1024 * 1024
FREE_SPACE_SHARE = 0.2
CONFIRM_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class JournalStats:
    """What health and metrics show. Counters start with the process; `persistent` is None while nobody can know."""

    ok: bool
    persistent: bool | None
    pending: int
    oldest_age_seconds: float
    bytes: int
    segments: int
    torn: int
    replayed: int
    appended: int


class Journal:
    """The journal of one process in `directory`. Construction never fails: without a disk `ok` is False.

    Locks: `_lock` guards all state and every write. A segment's `sync_lock` may be taken inside it, never outside it.
    """

    def __init__(
        self,
        directory: Path,
        disk: Disk,
        clock: Clock,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        segment_seconds: float = SEGMENT_SECONDS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._folder = SegmentFolder(directory, disk, clock)
        self._disk, self._clock = disk, clock
        self._segment_bytes, self._segment_seconds, self._max_bytes = segment_bytes, segment_seconds, max_bytes
        self._lock = Lock()
        self._segments: dict[Path, Segment] = {}
        self._current: Segment | None = None
        self._appended = self._replayed = 0
        self._ok, self._closed, self._seen_before = True, False, False
        try:
            self._folder.prepare()
        except OSError as error:
            self._ok = False
            log.error("the journal directory cannot be used: %s", error)

    # Appending

    @property
    def ok(self) -> bool:
        """The last append was taken. Turns true again by itself with the next one that is."""
        return self._ok

    def append(self, *records: Record) -> None:
        """Return when the records are durable: one write and one sync for all of them, together or not at all.

        Raises StorageError if neither a current nor a fresh segment took them, or the journal is full or closed;
        TooLargeError and InvalidInputError as `encode` does.
        """
        data = b"".join(map(encode, records))
        crash_points.reach("before_write")
        try:
            self._store(records, data)
        except StorageError:
            self._ok = False
            raise
        crash_points.reach("after_journal")

    def _store(self, records: Sequence[Record], data: bytes) -> None:
        for _ in range(2):
            segment = self._write(records, data)
            if segment is None:
                continue
            crash_points.reach("after_write")
            if segment[0].sync(self._disk, segment[1]):
                with self._lock:
                    self._appended += len(records)
                    self._ok = True
                return
            with self._lock:
                for record in records:
                    segment[0].waiting.pop(record.receipt_id, None)
                self._abandon(segment[0])
        raise StorageError("The journal could not store the alert.")

    def _write(self, records: Sequence[Record], data: bytes) -> tuple[Segment, int] | None:
        """Write to the current segment: the segment and the last record's place in it, or None if the disk refused."""
        with self._lock:
            segment: Segment | None = None
            try:
                if self._current is None:
                    self._folder.prepare()
                self._check_bounds(len(data))
                segment = self._segment_for(len(data))
                taken = self._disk.write(segment.fd, data)
                if taken != len(data):
                    raise OSError(f"{taken} of {len(data)} bytes were taken")
            except OSError as error:
                log.warning("the journal cannot write %s: %s", segment.path.name if segment else "a segment", error)
                self._current = None
                if segment is not None:
                    segment.poisoned = True
                    self._abandon(segment)
                return None
            segment.size += taken
            segment.written += len(records)
            # Not `received_at`, which a test or the demo may set: age says whether its request may be on its way still.
            segment.waiting.update(dict.fromkeys((record.receipt_id for record in records), self._clock.now()))
            return segment, segment.written

    def _check_bounds(self, more: int) -> None:
        if self._closed:
            raise StorageError("The journal is closed.")
        used = sum(segment.size for segment in self._segments.values())
        # Our own bytes count as free, or every record would shrink the bound twice.
        share = FREE_SPACE_SHARE * (self._disk.free_space(self._folder.directory) + used)
        if used + more > min(self._max_bytes, share):
            self._current = None  # Sealed, so that it can be confirmed, removed, and make room.
            raise StorageError("The journal is full.")

    def _segment_for(self, more: int) -> Segment:
        current = self._current
        if current is not None and current.poisoned:
            self._abandon(current)
        elif current is not None and (current.size + more > self._segment_bytes or self._is_old(current)):
            self._current = None
            crash_points.reach("during_rotate")
        if self._current is None:
            self._current = self._folder.open()
            self._segments[self._current.path] = self._current
        return self._current

    def _is_old(self, segment: Segment) -> bool:
        return self._clock.monotonic() - segment.opened >= self._segment_seconds

    def _abandon(self, segment: Segment) -> None:
        """Give a poisoned segment up as a place to write; what was acknowledged in it stays in the backlog."""
        if self._current is segment:
            self._current = None
        if segment.closed:
            return
        segment.close(self._disk)
        del self._segments[segment.path]
        with suppress(OSError):  # What cannot be removed or locked again now is an orphan, adopted later.
            if segment.synced == 0:
                self._disk.unlink(segment.path)
            elif (locked_again := self._folder.relock(segment)) is not None:
                self._segments[segment.path] = locked_again

    # Draining

    def adopt_orphans(self) -> int:
        """Take over segments that no living process holds; they join the backlog. At start and every minute."""
        with self._lock:
            if self._closed:
                return 0
            held = set(self._segments)
        try:
            adopted = self._folder.adopt(held)
        except OSError as error:
            log.warning("the journal cannot look for orphans: %s", error)
            return 0
        with self._lock:
            self._segments.update((segment.path, segment) for segment in adopted)
        return len(adopted)

    def backlog(self, at_once: int = 500, *, min_age_seconds: float = 0.0) -> Iterator[list[Record]]:
        """Up to `at_once` records not yet marked stored, in journal order, as often as asked.

        Holds one segment in memory at a time. Records younger than `min_age_seconds`, whose requests may still be on
        their way to the writer, are left out; segments that hold only such are not read. One that cannot be read is
        passed over for now.
        """
        now = self._clock.now()

        def is_due(since: datetime | None) -> bool:
            # A record from the future means that the clock was set back: due, or it would wait until then.
            return since is not None and not 0 <= (now - since).total_seconds() < min_age_seconds

        found: dict[UUID, Record] = {}  # after a failed write a record may stand in two segments
        for segment in self._in_order():
            with self._lock:
                any_due = any(map(is_due, segment.waiting.values()))
            for record in self._records(segment) if any_due else ():
                if is_due(segment.waiting.get(record.receipt_id)):
                    found[record.receipt_id] = record
                if len(found) == at_once:
                    yield list(found.values())
                    found = {}
        if found:
            yield list(found.values())

    def _records(self, segment: Segment) -> Iterator[Record]:
        try:
            data = self._read(segment)
        except OSError as error:
            log.warning("the journal cannot read %s: %s", segment.path.name, error)
        else:
            yield from (record for record, _ in decode(data))

    def mark_stored(self, receipt_ids: Iterable[UUID], *, replayed: bool = False) -> None:
        """The database has committed these; `replayed` if they came from the backlog. Unknown ones are ignored."""
        with self._lock:
            holding = [segment.waiting for segment in self._segments.values() if segment.waiting]
            for receipt_id in receipt_ids:
                known = [waiting.pop(receipt_id, None) for waiting in holding]
                self._replayed += replayed and any(known)

    def seal(self) -> None:
        """End the current segment, so that `remove_confirmed` considers it; the next append opens another."""
        with self._lock:
            self._current = None

    def remove_confirmed(self, confirm: Confirm) -> int:
        """Remove the sealed segments whose every receipt is in the database; returns how many went.

        `confirm` gets up to CONFIRM_AT_ONCE receipts; what it misses goes back into the backlog, what it raises comes
        through. A current segment past its age is sealed first.
        """
        with self._lock:
            if self._current is not None and self._is_old(self._current):
                self._current = None
        removed = 0
        for segment in self._in_order():
            try:
                if segment is not self._current and not segment.waiting and self._is_confirmed(segment, confirm):
                    removed += self._remove(segment)
            except OSError as error:
                log.warning("journal segment %s stays: %s", segment.path.name, error)
        with suppress(OSError):  # A name that comes back after a crash is replayed once more, which is harmless.
            if removed:
                self._disk.fsync_dir(self._folder.directory)
        return removed

    def _is_confirmed(self, segment: Segment, confirm: Confirm) -> bool:
        data = self._read(segment)
        times, end = index(data)
        receipts = list(times)
        for start in range(0, len(receipts), CONFIRM_AT_ONCE):
            asked = receipts[start : start + CONFIRM_AT_ONCE]
            missing = set(asked) - confirm(asked)
            with self._lock:
                segment.waiting.update((receipt, times[receipt]) for receipt in asked if receipt in missing)
        if segment.waiting:
            return False
        self._folder.keep_tail(segment, data[end:])
        return True

    def _remove(self, segment: Segment) -> bool:
        with self._lock:
            if segment.written != segment.synced or self._segments.get(segment.path) is not segment:
                return False  # A request still waits for its sync, or the segment has changed hands meanwhile.
            self._disk.unlink(segment.path)
            del self._segments[segment.path]
            segment.close(self._disk)
            return True

    def _read(self, segment: Segment) -> bytes:
        try:
            return self._disk.read(segment.path)
        except FileNotFoundError:
            log.error("journal segment %s was removed by someone else", segment.path.name)
            with self._lock:
                self._abandon(segment)
            return b""

    def _in_order(self) -> list[Segment]:
        with self._lock:
            return [self._segments[path] for path in sorted(self._segments)]

    # Looking, ending

    def judge_persistence(self, *, seen_before: bool) -> None:
        """Say whether the database remembers an earlier start: if so, a missing marker means an ephemeral disk."""
        self._seen_before = seen_before

    def stats(self) -> JournalStats:
        """The figures of this moment."""
        with self._lock:
            segments = list(self._segments.values())
            oldest = [next(iter(segment.waiting.values())) for segment in segments if segment.waiting]
            found = self._folder.marker_found
            return JournalStats(
                ok=self._ok,
                persistent=found or (False if found is False and self._seen_before else None),
                pending=sum(len(segment.waiting) for segment in segments),
                oldest_age_seconds=max(0.0, (self._clock.now() - min(oldest)).total_seconds()) if oldest else 0.0,
                bytes=sum(segment.size for segment in segments),
                segments=len(segments),
                torn=self._folder.torn,
                replayed=self._replayed,
                appended=self._appended,
            )

    def close(self) -> None:
        """Take no more appends; what was not confirmed stays on disk for the next start, empty segments go."""
        with self._lock:
            self._closed, self._current = True, None
            for segment in self._segments.values():
                if segment.size == 0:
                    with suppress(OSError):
                        self._disk.unlink(segment.path)
                segment.close(self._disk)
            self._segments.clear()
