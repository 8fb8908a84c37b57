"""The journal on a working disk and on the real one: order, draining, removal, bounds, adoption, threads."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import threading
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from core.clock import ManualClock, SystemClock
from core.errors import MisconfiguredError, StorageError
from telemetry.journal import crash_points
from telemetry.journal.disk import RealDisk
from telemetry.journal.journal import Journal
from telemetry.journal.record import Record, encode
from tests.simdisk import SimDisk, once

FOLDER = Path("/journal")
MARKER_SYNCS = 1
START = datetime(2031, 3, 4, 12, tzinfo=UTC)
SIZE = len(encode(Record(uuid.UUID(int=1), START, "main", "::1", "text/plain", "webhook", b"00000000")))


def record(number: int, at: datetime = START) -> Record:
    """A record that can be told from others; all have SIZE bytes."""
    return Record(uuid.UUID(int=number + 1), at, "main", "::1", "text/plain", "webhook", b"%08d" % number)


def records(journal: Journal) -> list[Record]:
    return [found for some in journal.backlog() for found in some]


def everything(receipts: Sequence[UUID]) -> set[UUID]:
    return set(receipts)


@pytest.fixture
def disk() -> SimDisk:
    return SimDisk()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def journal(disk: SimDisk, clock: ManualClock) -> Journal:
    return Journal(FOLDER, disk, clock)


def test_the_backlog_gives_what_was_appended_in_order_and_in_portions(journal: Journal) -> None:
    for number in range(7):
        journal.append(record(number))
    portions = list(journal.backlog(at_once=3))
    assert [len(some) for some in portions] == [3, 3, 1]
    assert [found for some in portions for found in some] == [record(number) for number in range(7)]


def test_a_segment_that_cannot_be_read_holds_up_no_other(disk: SimDisk, clock: ManualClock) -> None:
    journal = Journal(FOLDER, disk, clock, segment_bytes=2 * SIZE)
    for number in range(6):
        journal.append(record(number))
    reads = itertools.count(1)
    disk.plan = lambda operation: "eio" if operation == "read" and next(reads) == 2 else None
    assert records(journal) == [record(number) for number in (0, 1, 4, 5)]
    assert records(journal) == [record(number) for number in range(6)]


def test_what_is_marked_stored_leaves_the_backlog(journal: Journal, clock: ManualClock) -> None:
    for number in range(3):
        journal.append(record(number, clock.now()))
        clock.sleep(10)
    journal.mark_stored([record(0).receipt_id, UUID(int=999)])
    assert [found.body for found in records(journal)] == [b"00000001", b"00000002"]
    stats = journal.stats()
    assert (stats.pending, stats.oldest_age_seconds, stats.appended, stats.replayed) == (2, 20.0, 3, 0)
    journal.mark_stored([record(1).receipt_id, UUID(int=998)], replayed=True)
    assert journal.stats().replayed == 1


def test_young_records_are_left_to_their_requests_and_not_even_read(
    journal: Journal, disk: SimDisk, clock: ManualClock
) -> None:
    journal.append(record(0, clock.now()))
    assert list(journal.backlog(min_age_seconds=5)) == []
    assert disk.counts["read"] == 0
    clock.sleep(4)
    journal.append(record(1, clock.now()))
    clock.sleep(1)
    assert [found.body for some in journal.backlog(min_age_seconds=5) for found in some] == [b"00000000"]


def test_a_record_from_before_the_clock_was_set_back_does_not_wait_for_its_time(
    journal: Journal, clock: ManualClock
) -> None:
    journal.append(record(0))
    clock.sleep(-3600)
    assert len([found for some in journal.backlog(min_age_seconds=5) for found in some]) == 1
    assert journal.stats().oldest_age_seconds == 0


def test_age_counts_from_the_append_whatever_time_the_record_bears(journal: Journal) -> None:
    journal.append(record(0, START - timedelta(days=300)))
    assert list(journal.backlog(min_age_seconds=5)) == []


def test_a_segment_ends_at_its_size(disk: SimDisk, clock: ManualClock) -> None:
    journal = Journal(FOLDER, disk, clock, segment_bytes=2 * SIZE)
    for number in range(5):
        journal.append(record(number))
    assert journal.stats().segments == 3
    assert [len(some) for some in journal.backlog(at_once=3)] == [3, 2]  # whatever segments they stand in
    assert journal.stats().bytes == 5 * SIZE


def test_a_segment_ends_at_its_age(journal: Journal, clock: ManualClock) -> None:
    journal.append(record(0))
    clock.sleep(599)
    journal.append(record(1))
    assert journal.stats().segments == 1
    clock.sleep(1)
    journal.append(record(2))
    assert journal.stats().segments == 2


def test_a_segment_goes_when_all_its_receipts_are_confirmed(journal: Journal, disk: SimDisk) -> None:
    journal.append(record(0))
    journal.mark_stored([record(0).receipt_id])
    assert journal.remove_confirmed(everything) == 0, "the current segment stays"
    journal.seal()
    syncs = disk.counts["fsync_dir"]
    assert journal.remove_confirmed(everything) == 1
    assert disk.counts["fsync_dir"] == syncs + 1
    assert journal.stats().segments == 0
    assert disk.listdir(FOLDER) == ["journal.marker"]


def test_an_old_segment_goes_without_another_append(journal: Journal, clock: ManualClock) -> None:
    journal.append(record(0))
    journal.mark_stored([record(0).receipt_id])
    clock.sleep(600)
    assert journal.remove_confirmed(everything) == 1


def test_what_the_database_does_not_have_after_all_returns_to_the_backlog(journal: Journal) -> None:
    for number in range(3):
        journal.append(record(number))
    journal.mark_stored([record(number).receipt_id for number in range(3)])
    journal.seal()
    assert journal.remove_confirmed(lambda receipts: set(receipts) - {record(1).receipt_id}) == 0
    assert records(journal) == [record(1)]


def test_receipts_are_confirmed_in_portions(journal: Journal) -> None:
    for number in range(2300):
        journal.append(record(number))
    journal.mark_stored(record(number).receipt_id for number in range(2300))
    journal.seal()
    asked: list[int] = []

    def confirm(receipts: Sequence[UUID]) -> set[UUID]:
        asked.append(len(receipts))
        return set(receipts)

    assert journal.remove_confirmed(confirm) == 1
    assert asked == [1000, 1000, 300]


def test_a_segment_with_something_waiting_is_not_even_asked_about(journal: Journal) -> None:
    journal.append(record(0))
    journal.seal()
    assert journal.remove_confirmed(lambda receipts: pytest.fail("asked")) == 0


def test_a_segment_someone_else_removed_is_forgotten(journal: Journal, disk: SimDisk) -> None:
    journal.append(record(0))
    (name,) = [name for name in disk.listdir(FOLDER) if name.endswith(".seg")]
    disk.unlink(FOLDER / name)
    assert records(journal) == []
    assert journal.stats().segments == 0
    journal.append(record(1))
    assert records(journal) == [record(1)]


def test_the_bound_refuses_and_room_lets_in_again(disk: SimDisk, clock: ManualClock) -> None:
    journal = Journal(FOLDER, disk, clock, max_bytes=3 * SIZE)
    for number in range(3):
        journal.append(record(number))
    with pytest.raises(StorageError):
        journal.append(record(3))
    assert not journal.ok
    assert records(journal) == [record(0), record(1), record(2)]
    journal.mark_stored(record(number).receipt_id for number in range(3))
    assert journal.remove_confirmed(everything) == 1
    journal.append(record(3))
    assert journal.ok


def test_the_journal_takes_a_fifth_of_the_free_space_at_most(clock: ManualClock) -> None:
    disk = SimDisk(free=5 * 10 * SIZE + 2 * SIZE)
    journal = Journal(FOLDER, disk, clock)
    for number in range(10):
        journal.append(record(number))
    with pytest.raises(StorageError):
        journal.append(record(10))


def test_orphans_are_adopted_once_their_process_is_gone(disk: SimDisk, clock: ManualClock) -> None:
    first = Journal(FOLDER, disk, clock, segment_bytes=2 * SIZE)
    for number in range(3):
        first.append(record(number))
    second, third = Journal(FOLDER, disk, clock), Journal(FOLDER, disk, clock)
    assert second.adopt_orphans() == 0, "their process lives"
    first.close()
    assert second.adopt_orphans() == 2
    assert third.adopt_orphans() == 0, "they are taken"
    assert records(second) == [record(number) for number in range(3)]
    assert second.stats().pending == 3
    second.mark_stored(record(number).receipt_id for number in range(3))
    assert second.remove_confirmed(everything) == 2


def test_closing_leaves_what_waits_and_takes_no_more(journal: Journal, disk: SimDisk, clock: ManualClock) -> None:
    journal.append(record(0))
    journal.close()
    with pytest.raises(StorageError):
        journal.append(record(1))
    assert journal.adopt_orphans() == 0
    after = Journal(FOLDER, disk, clock)
    after.adopt_orphans()
    assert records(after) == [record(0)]


def test_unfinished_and_empty_files_of_others_are_swept(journal: Journal, disk: SimDisk) -> None:
    disk.put(FOLDER / "20310101T000000000000Z-h-1-aa-000001.seg", b"")
    disk.put(FOLDER / "20310101T000000000000Z-h-1-aa-000002.seg.new", b"")
    assert journal.adopt_orphans() == 0
    assert disk.listdir(FOLDER) == ["journal.marker"]
    assert journal.stats().torn == 0


def test_persistence_is_unknown_then_known(disk: SimDisk, clock: ManualClock) -> None:
    first = Journal(FOLDER, disk, clock)
    assert first.stats().persistent is None
    first.judge_persistence(seen_before=False)
    assert first.stats().persistent is None, "the first start of all"
    assert Journal(FOLDER, disk, clock).stats().persistent is True
    replaced = Journal(FOLDER, SimDisk(), clock)
    replaced.judge_persistence(seen_before=True)
    assert replaced.stats().persistent is False


def test_a_start_without_a_directory_recovers_by_itself(disk: SimDisk, clock: ManualClock) -> None:
    disk.plan = lambda operation: "eio" if operation == "make_dir" else None
    journal = Journal(FOLDER, disk, clock)
    assert not journal.ok
    with pytest.raises(StorageError):
        journal.append(record(0))
    disk.plan = lambda operation: None
    journal.append(record(0))
    assert journal.ok


def test_real_files_are_private(tmp_path: Path) -> None:
    folder = tmp_path / "var" / "journal"
    journal = Journal(folder, RealDisk(), SystemClock())
    journal.append(record(0))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    journal.close()


def test_real_locks_keep_others_out_until_the_end(tmp_path: Path) -> None:
    first, second = (Journal(tmp_path, RealDisk(), SystemClock()) for _ in range(2))
    first.append(record(0))
    assert second.adopt_orphans() == 0
    first.close()
    assert second.adopt_orphans() == 1
    assert records(second) == [record(0)]
    second.mark_stored([record(0).receipt_id])
    assert second.remove_confirmed(everything) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["journal.marker"]
    second.close()


def test_a_removed_directory_is_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    journal = Journal(folder, RealDisk(), SystemClock())
    journal.append(record(0))
    shutil.rmtree(folder)
    journal.append(record(1))
    assert records(journal) == [record(1)]
    journal.close()


class RecordingDisk(RealDisk):
    """The real disk; keeps the order in which writes and syncs began and ended."""

    def __init__(self) -> None:
        self.log: list[tuple[str, bytes]] = []

    def write(self, fd: int, data: bytes) -> int:
        taken = super().write(fd, data)
        self.log.append(("written", data))
        return taken

    def fdatasync(self, fd: int) -> None:
        self.log.append(("sync begins", str(fd).encode()))
        super().fdatasync(fd)
        self.log.append(("sync ended", str(fd).encode()))


def test_every_append_of_eight_threads_returns_after_a_sync_that_began_after_its_write(tmp_path: Path) -> None:
    disk = RecordingDisk()
    journal = Journal(tmp_path, disk, SystemClock())

    def work(worker: int) -> None:
        for number in range(worker * 100, worker * 100 + 50):
            journal.append(record(number))
            disk.log.append(("returned", encode(record(number))))

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert journal.stats().appended == journal.stats().pending == len(records(journal)) == 400
    written = {data: place for place, (what, data) in enumerate(disk.log) if what == "written"}
    returned = {data: place for place, (what, data) in enumerate(disk.log) if what == "returned"}
    assert len(returned) == 400
    for data, end in returned.items():
        between = [what for what, _ in disk.log[written[data] : end]]
        assert "sync begins" in between
        assert "sync ended" in between[between.index("sync begins") :]
    journal.close()


class Held:
    """Five appends, stopped in the middle: the first is in its sync, the others have written and wait for theirs."""

    def __init__(self, journal: Journal, disk: SimDisk, failing: bool = False) -> None:
        self.may_go, self.failing = threading.Event(), failing
        self._in_sync, self._written = threading.Event(), threading.Semaphore(0)
        self._sync, self._write = disk.fdatasync, disk.write
        disk.fdatasync, disk.write = self.sync, self.write  # type: ignore[method-assign]
        self._threads = [threading.Thread(target=journal.append, args=(record(number),)) for number in range(1, 6)]
        self._disk = disk
        self._threads[0].start()
        assert self._in_sync.wait(10)
        for thread in self._threads[1:]:
            thread.start()
        for _ in self._threads:
            assert self._written.acquire(timeout=10)

    def sync(self, fd: int) -> None:
        if not self._in_sync.is_set():
            self._in_sync.set()
            assert self.may_go.wait(10)
            if self.failing:
                self._disk.plan = once("fdatasync", "eio")
        self._sync(fd)

    def write(self, fd: int, data: bytes) -> int:
        taken = self._write(fd, data)
        self._written.release()
        return taken

    def finish(self) -> None:
        self.may_go.set()
        for thread in self._threads:
            thread.join(10)


def test_waiting_threads_share_a_sync(journal: Journal, disk: SimDisk) -> None:
    held = Held(journal, disk)
    with journal._lock:  # The last writer has counted its record once the lock is free.
        held.may_go.set()
    held.finish()
    assert journal.stats().appended == 5
    assert disk.counts["fdatasync"] - MARKER_SYNCS == 2


def test_when_a_shared_sync_fails_all_who_waited_write_again_elsewhere(journal: Journal, disk: SimDisk) -> None:
    journal.append(record(0))
    Held(journal, disk, failing=True).finish()
    assert disk.violations == []
    assert journal.stats().appended == journal.stats().pending == 6
    assert {found.body for found in records(journal)} == {record(number).body for number in range(6)}
    journal.close()
    disk.lose_power(random.Random(3))
    after = Journal(FOLDER, disk, ManualClock(START))
    after.adopt_orphans()
    assert {found.body for found in records(after)} == {record(number).body for number in range(6)}


def test_a_segment_in_which_a_request_still_waits_for_its_sync_is_not_removed(journal: Journal, disk: SimDisk) -> None:
    held = Held(journal, disk)
    journal.mark_stored([found.receipt_id for found in records(journal)])
    journal.seal()
    assert journal.remove_confirmed(everything) == 0
    held.finish()
    assert journal.stats().appended == 5
    assert journal.remove_confirmed(everything) == 1


def test_a_lock_won_on_a_file_that_has_just_gone_is_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.seg"
    path.touch()
    monkeypatch.setattr("fcntl.flock", lambda fd, how: path.unlink())
    assert RealDisk().try_lock(path) is None


def test_an_unknown_crash_point_is_refused() -> None:
    with pytest.raises(MisconfiguredError):
        crash_points.arm("after_jurnal")


@pytest.mark.parametrize(("point", "survivors"), [("before_write", 2), ("after_write", 3), ("after_journal", 3)])
def test_an_armed_crash_point_kills_and_the_next_start_finds_the_records(
    tmp_path: Path, point: str, survivors: int
) -> None:
    program = (
        "import sys; from tests.test_journal import *; crash_points.arm(sys.argv[2], after=3)\n"
        "journal = Journal(Path(sys.argv[1]), RealDisk(), SystemClock())\n"
        "for number in range(9): journal.append(record(number))\n"
    )
    root = Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path), point],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        check=False,
        timeout=60,
    )
    assert done.returncode == -signal.SIGKILL
    journal = Journal(tmp_path, RealDisk(), SystemClock())
    journal.adopt_orphans()
    assert records(journal) == [record(number) for number in range(survivors)]
    journal.close()
