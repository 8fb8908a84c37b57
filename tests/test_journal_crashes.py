"""The journal on a failing disk: after any crash the recovered records hold all acknowledged and none unwritten."""

from __future__ import annotations

import itertools
import logging
import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.clock import ManualClock
from core.errors import StorageError
from telemetry.journal.disk import RealDisk
from telemetry.journal.journal import Journal
from telemetry.journal.record import Record, encode
from tests.simdisk import Crashed, Fault, Plan, SimDisk, once

FOLDER = Path("/journal")
START = datetime(2031, 3, 4, 12, tzinfo=UTC)
LIVES = 10_000
LIVES_A_DISK = 4
SEGMENT_BYTES = 600


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Tens of thousands of warnings about a disk that fails on purpose cost more time than the journal does."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def record(number: int) -> Record:
    body = b"%d " % number * (number % 7)
    return Record(uuid.UUID(int=number + 1), START, "main", "::1", "text/plain", "webhook", body)


def recovered(disk: SimDisk) -> set[Record]:
    """What a process that starts now finds."""
    disk.plan = lambda operation: None
    journal = Journal(FOLDER, disk, ManualClock(START))
    journal.adopt_orphans()
    found = {found for some in journal.backlog() for found in some}
    disk.kill()
    return found


class World:
    """One disk through several lives of the service, and what the world outside knows."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.disk = SimDisk()
        self.numbers = itertools.count()
        self.given: set[Record] = set()
        self.acked: set[Record] = set()
        self.stored: set[uuid.UUID] = set()

    def live(self) -> str:
        """One life, its crash, and the check. Returns how it ended."""
        self.disk.plan = self.plan(crash_at=self.rng.randint(1, 60), faulty=self.rng.random() < 0.3)
        ended = "in peace"
        try:
            self.work()
        except Crashed:
            ended = "by a crash"
        if self.rng.random() < 0.7:
            self.disk.lose_power(self.rng)
        else:
            self.disk.kill()
        found = recovered(self.disk)
        assert found <= self.given
        assert {lost for lost in self.acked - found if lost.receipt_id not in self.stored} == set()
        return ended

    def plan(self, crash_at: int, faulty: bool) -> Plan:
        operations = itertools.count(1)

        def decide(operation: str) -> Fault | None:
            if next(operations) == crash_at:
                return self.rng.choice(("crash before", "crash after"))
            if faulty and self.rng.random() < 0.05:
                return self.rng.choice(("eio", "enospc", "short"))
            return None

        return decide

    def work(self) -> None:
        clock = ManualClock(START)
        journal = Journal(FOLDER, self.disk, clock, segment_bytes=SEGMENT_BYTES)
        journal.adopt_orphans()
        for _ in range(40):
            chance = self.rng.random()
            if chance < 0.7:
                self.append(journal)
            elif chance < 0.85:
                self.store(journal)
            elif chance < 0.93:
                journal.remove_confirmed(lambda receipts: self.stored & set(receipts))
            elif chance < 0.97:
                clock.sleep(700)
            else:
                journal.adopt_orphans()

    def append(self, journal: Journal) -> None:
        new = [record(next(self.numbers)) for _ in range(self.rng.choice((1, 1, 2, 5)))]
        self.given.update(new)
        try:
            journal.append(*new)
        except StorageError:
            return
        self.acked.update(new)

    def store(self, journal: Journal) -> None:
        """The database commits part of the backlog; now and then the journal is not told."""
        try:
            some = next(journal.backlog(at_once=self.rng.randint(1, 8)))
        except (StopIteration, OSError):
            return
        receipts = [found.receipt_id for found in some]
        self.stored.update(receipts)
        if self.rng.random() < 0.9:
            journal.mark_stored(receipts, replayed=True)


def test_no_crash_loses_an_acknowledged_record_or_invents_one() -> None:
    endings: list[str] = []
    for seed in range(LIVES // LIVES_A_DISK):
        world = World(seed)
        try:
            endings += [world.live() for _ in range(LIVES_A_DISK)]
        except AssertionError as error:
            pytest.fail(f"seed {seed}: {error}")
        assert world.disk.violations == []
    assert len(endings) == LIVES
    assert endings.count("by a crash") > 0.8 * LIVES


def test_the_simulated_disk_does_lose_what_was_not_synced() -> None:
    """The property above proves nothing on a disk that forgets nothing."""
    lost = 0
    for seed in range(50):
        world = World(seed)
        world.disk.fdatasync = lambda fd: None  # type: ignore[method-assign]
        try:
            world.live()
        except AssertionError:
            lost += 1
    assert lost > 10


def a_segment(numbers: range) -> bytes:
    return b"".join(encode(record(number)) for number in numbers)


@pytest.mark.parametrize("real", [False, True], ids=["simulated", "real disk"])
def test_a_segment_cut_at_any_byte_starts_and_gives_every_whole_record(real: bool, tmp_path: Path) -> None:
    numbers = range(2 if real else 5)
    data = a_segment(numbers)
    ends = list(itertools.accumulate(len(encode(record(number))) for number in numbers))
    for offset in range(len(data) + 1):
        whole = sum(end <= offset for end in ends)
        tail = data[ends[whole - 1] if whole else 0 : offset]
        folder = tmp_path / str(offset) if real else FOLDER
        path = folder / "20310101T000000000000Z-h-1-aa-000001.seg"
        disk: RealDisk | SimDisk = RealDisk() if real else SimDisk()
        if isinstance(disk, SimDisk):
            disk.put(path, data[:offset])
        else:
            folder.mkdir()
            path.write_bytes(data[:offset])
        journal = Journal(folder, disk, ManualClock(START))
        journal.adopt_orphans()
        assert [found for some in journal.backlog() for found in some] == [record(n) for n in range(whole)]
        assert journal.stats().torn == (1 if tail else 0)
        torn = path.with_name(f"{path.name}.torn")
        assert (disk.read(torn) if torn.name in disk.listdir(folder) else b"") == tail
        journal.append(record(99))
        journal.close()


def test_a_torn_tail_that_cannot_be_kept_keeps_its_segment() -> None:
    disk = SimDisk()
    path = FOLDER / "20310101T000000000000Z-h-1-aa-000001.seg"
    disk.put(path, a_segment(range(1)) + b"torn")
    journal = Journal(FOLDER, disk, ManualClock(START))
    disk.plan = lambda operation: "enospc" if operation == "write" else None
    assert journal.adopt_orphans() == 1
    journal.mark_stored([record(0).receipt_id])
    assert journal.remove_confirmed(set) == 0
    assert path.name in disk.listdir(FOLDER)
    disk.plan = lambda operation: None
    assert journal.remove_confirmed(set) == 1
    assert disk.read(path.with_name(f"{path.name}.torn")) == b"torn"
    assert journal.stats().torn == 1


def test_closing_does_not_drop_a_tail_that_could_not_be_kept() -> None:
    disk = SimDisk()
    path = FOLDER / "20310101T000000000000Z-h-1-aa-000001.seg"
    disk.put(path, b"torn")
    journal = Journal(FOLDER, disk, ManualClock(START))
    disk.plan = lambda operation: "enospc" if operation == "write" else None
    assert journal.adopt_orphans() == 1
    journal.close()
    assert disk.read(path) == b"torn"


@pytest.mark.parametrize(
    ("fault", "operations"),
    [("eio", ("fdatasync",)), ("eio", ("fdatasync", "fsync_dir")), ("enospc", ("write",)), ("short", ("write",))],
)
def test_a_fault_at_every_kth_operation_loses_nothing(fault: Fault, operations: tuple[str, ...]) -> None:
    acked_at_all = 0
    for k in range(1, 51):
        disk, calls = SimDisk(), itertools.count(1)
        disk.plan = lambda operation, k=k, calls=calls: (  # type: ignore[misc]
            fault if operation in operations and next(calls) % k == 0 else None
        )
        journal = Journal(FOLDER, disk, ManualClock(START), segment_bytes=SEGMENT_BYTES)
        acked: set[Record] = set()
        for number in range(120):
            try:
                journal.append(record(number))
            except StorageError:
                assert not journal.ok
                continue
            assert journal.ok
            acked.add(record(number))
        disk.lose_power(random.Random(k))
        assert acked <= recovered(disk)
        assert disk.violations == []
        assert k < 4 or len(acked) == 120, "a single failure is survived by a fresh segment"
        acked_at_all += len(acked)
    assert acked_at_all > 46 * 120


def test_a_segment_whose_name_cannot_be_made_durable_is_not_left_behind() -> None:
    disk = SimDisk()
    journal = Journal(FOLDER, disk, ManualClock(START))
    disk.plan = lambda operation: "eio" if operation == "fsync_dir" else None
    with pytest.raises(StorageError):
        journal.append(record(0))
    assert disk.listdir(FOLDER) == ["journal.marker"]


def test_a_full_disk_refuses_leaves_nothing_behind_and_recovers() -> None:
    disk = SimDisk()
    journal = Journal(FOLDER, disk, ManualClock(START))
    journal.append(record(0))
    disk.plan = lambda operation: "enospc" if operation == "write" else None
    for number in range(1, 20):
        with pytest.raises(StorageError):
            journal.append(record(number))
    assert not journal.stats().ok
    assert len([name for name in disk.listdir(FOLDER) if ".seg" in name]) == 1
    disk.plan = lambda operation: None
    journal.append(record(20))
    assert journal.stats().ok
    assert [found for some in journal.backlog() for found in some] == [record(0), record(20)]
    assert journal.stats().pending == 2


def test_a_short_write_moves_the_record_to_a_fresh_segment() -> None:
    disk = SimDisk()
    journal = Journal(FOLDER, disk, ManualClock(START))
    journal.append(record(0))
    disk.plan = once("write", "short")
    journal.append(record(1))
    assert [found for some in journal.backlog() for found in some] == [record(0), record(1)]
    assert journal.stats().segments == 2
    journal.mark_stored([record(0).receipt_id, record(1).receipt_id])
    journal.seal()
    assert journal.remove_confirmed(set) == 2


def test_a_failed_sync_closes_the_file_and_what_was_acknowledged_in_it_is_still_drained() -> None:
    disk = SimDisk()
    journal = Journal(FOLDER, disk, ManualClock(START))
    journal.append(record(0))
    disk.plan = once("fdatasync", "eio")
    journal.append(record(1))
    assert disk.violations == []
    assert journal.stats().pending == 2
    disk.lose_power(random.Random(1))
    assert recovered(disk) == {record(0), record(1)}
