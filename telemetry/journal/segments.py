"""The files of the journal: how a segment is created, synced, locked, adopted, kept when torn, and removed.

Names sort in the order the segments were opened and hold host, process and a random part, so they are never reused:

    <opened>-<host>-<pid>-<random>-<sequence>.seg    ....seg.torn = the unreadable end of one    *.new = not yet ready
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from uuid import UUID

from core.clock import Clock
from telemetry.journal.disk import Disk
from telemetry.journal.record import index

log = logging.getLogger(__name__)

MARKER = "journal.marker"


@dataclass(slots=True)
class Segment:
    """One file and what is known of it. `waiting`, in journal order, is what the database has not confirmed."""

    path: Path
    fd: int
    opened: float = 0.0
    size: int = 0
    written: int = 0
    synced: int = 0
    poisoned: bool = False
    closed: bool = False
    tail_kept: bool = False
    waiting: dict[UUID, datetime] = field(default_factory=dict)
    sync_lock: threading.Lock = field(default_factory=threading.Lock)

    def sync(self, disk: Disk, position: int) -> bool:
        """Make the first `position` records durable; False if this file can no longer promise that.

        Whoever gets the lock syncs for all who wrote before; the others find their record done when it is their turn.
        """
        with self.sync_lock:
            if self.synced >= position:
                return True
            if self.poisoned:
                return False
            covered = self.written
            try:
                disk.fdatasync(self.fd)
            except OSError as error:
                # The kernel reports a lost page once: a second sync of this descriptor would lie.
                self.poisoned = True
                log.warning("journal segment %s cannot be synced: %s", self.path.name, error)
                return False
            self.synced = covered
            return True

    def close(self, disk: Disk) -> None:
        """Give up descriptor and lock; waits for a sync under way, whose descriptor must not become another file's."""
        with self.sync_lock:
            if not self.closed:
                self.closed = self.poisoned = True
                with suppress(OSError):
                    disk.close(self.fd)


class SegmentFolder:
    """The journal's directory. Its methods raise OSError when the disk refuses."""

    def __init__(self, directory: Path, disk: Disk, clock: Clock) -> None:
        self.directory = directory
        self.torn = 0
        self.marker_found: bool | None = None
        self._disk, self._clock = disk, clock
        host = re.sub(r"[^0-9A-Za-z]", "", socket.gethostname())[:32] or "host"
        self._identity = f"{host}-{os.getpid()}-{secrets.token_hex(4)}"
        self._sequence = 0

    def prepare(self) -> None:
        """Make the directory usable; the first time, look for the marker of an earlier start or leave one."""
        self._disk.make_dir(self.directory)
        if self.marker_found is None:
            found = MARKER in self._disk.listdir(self.directory)
            if not found:
                self._write_whole(self.directory / MARKER, self._identity.encode())
            self.marker_found = found

    def open(self) -> Segment:
        """A new segment in a prepared directory. Locked before it bears a name that others look at, so that nobody
        adopts it; its name durable before it holds a record.
        """
        self._sequence += 1
        name = f"{self._clock.now():%Y%m%dT%H%M%S%fZ}-{self._identity}-{self._sequence:06d}.seg"
        path, fresh = self.directory / name, self.directory / f"{name}.new"
        fd = self._disk.open_exclusive(fresh)
        try:
            self._disk.rename(fresh, path)
            self._disk.fsync_dir(self.directory)
        except OSError:
            self._discard(fd, fresh, path)
            raise
        return Segment(path, fd, opened=self._clock.monotonic())

    def relock(self, old: Segment) -> Segment | None:
        """An abandoned segment under a new descriptor, for draining; None if another process was quicker."""
        fd = self._disk.try_lock(old.path)
        if fd is None:
            return None
        # Its end needs no keeping: whoever was writing there still had the record, and wrote it elsewhere.
        return Segment(
            old.path, fd, 0.0, old.size, old.synced, old.synced, poisoned=True, tail_kept=True, waiting=old.waiting
        )

    def adopt(self, held: set[Path]) -> list[Segment]:
        """Lock the segments that nobody holds, oldest first; sweeps away what was never finished."""
        adopted: list[Segment] = []
        for name in sorted(self._disk.listdir(self.directory)):
            path = self.directory / name
            try:
                if name.endswith(".seg") and path not in held and (segment := self._adopt_one(path)) is not None:
                    adopted.append(segment)
                if name.endswith(".new"):
                    self._sweep(path)
            except OSError as error:
                log.warning("journal file %s cannot be adopted: %s", name, error)
        return adopted

    def keep_tail(self, segment: Segment, tail: bytes) -> None:
        """Copy the unreadable end of a segment beside it, once, and count it."""
        if tail and not segment.tail_kept:
            self._write_whole(segment.path.with_name(f"{segment.path.name}.torn"), tail)
            segment.tail_kept = True
            self.torn += 1
            log.error("journal segment %s: %d bytes at its end are unreadable; kept", segment.path.name, len(tail))

    def _adopt_one(self, path: Path) -> Segment | None:
        fd = self._disk.try_lock(path)
        if fd is None:
            return None
        segment = Segment(path, fd, poisoned=True)
        try:
            data = self._disk.read(path)
            segment.waiting, end = index(data)
            segment.written = segment.synced = len(segment.waiting)
            segment.size = len(data)
            self._keep_tail_if_possible(segment, data[end:])
            if segment.written or (data and not segment.tail_kept):
                return segment
            self._disk.unlink(path)
        except OSError:
            segment.close(self._disk)
            raise
        segment.close(self._disk)
        return None

    def _keep_tail_if_possible(self, segment: Segment, tail: bytes) -> None:
        try:
            self.keep_tail(segment, tail)
        except OSError as error:  # The segment still holds the bytes, and is not removed before they are kept.
            log.warning("the end of journal segment %s is not kept yet: %s", segment.path.name, error)

    def _sweep(self, path: Path) -> None:
        fd = self._disk.try_lock(path)
        if fd is not None:
            self._discard(fd, path)

    def _write_whole(self, path: Path, data: bytes) -> None:
        fresh = path.with_name(f"{path.name}.{self._identity}.new")
        fd = self._disk.open_exclusive(fresh)
        try:
            if self._disk.write(fd, data) != len(data):
                raise OSError(f"{path.name} was written only in part")
            self._disk.fdatasync(fd)
            self._disk.rename(fresh, path)
            self._disk.fsync_dir(self.directory)
        except OSError:
            self._discard(fd, fresh)
            raise
        self._disk.close(fd)

    def _discard(self, fd: int, *paths: Path) -> None:
        for path in paths:
            with suppress(OSError):
                self._disk.unlink(path)
        with suppress(OSError):
            self._disk.close(fd)
