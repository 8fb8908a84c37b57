"""A disk for the journal that forgets, fails and breaks off like a real one, only on demand and within microseconds.

A file is an inode with content and a durable length. A sync moves the durable length; a failed sync does not, and
what it should have saved is lost for good even if a later sync of the same file succeeds, as with a real kernel.
Directory entries become durable with `fsync_dir`. `lose_power` keeps, by chance, some of what was not durable;
`kill` ends the process only, so the content stays and the locks go.
"""

from __future__ import annotations

import errno
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Fault = Literal["eio", "enospc", "short", "crash before", "crash after"]
Plan = Callable[[str], Fault | None]
"""Asked before every operation, by its name, what shall go wrong with it."""


def once(failing: str, fault: Fault) -> Plan:
    """The next operation of that name fails, and no other."""
    faults: Iterator[Fault] = iter((fault,))
    return lambda operation: next(faults, None) if operation == failing else None


class Crashed(BaseException):
    """The machine stopped here. No Exception: nothing in the journal may catch it."""


@dataclass(eq=False)
class Inode:
    content: bytearray = field(default_factory=bytearray)
    durable: int = 0
    lost_from: int | None = None


@dataclass(eq=False)
class OpenFile:
    inode: Inode
    can_write: bool
    sync_failed: bool = False


class SimDisk:
    """Implements `telemetry.journal.disk.Disk` in memory. `violations` lists what a journal must never do."""

    def __init__(self, free: int = 1 << 40) -> None:
        self.free = free
        self.plan: Plan = lambda operation: None
        self.counts: Counter[str] = Counter()
        self.violations: list[str] = []
        self._now: dict[Path, Inode] = {}
        self._durable: dict[Path, Inode] = {}
        self._open: dict[int, OpenFile] = {}
        self._locks: dict[Inode, int] = {}
        self._next_fd = 3

    # What a test does to it

    def kill(self) -> None:
        """The process ends: descriptors and locks go, everything written stays."""
        self._open.clear()
        self._locks.clear()

    def lose_power(self, rng: random.Random) -> None:
        """The machine ends: what was not durable survives by chance, in part, or as zeros."""
        self.kill()
        names = self._now.keys() | self._durable.keys()
        kept = {name: rng.choice((self._now, self._durable)).get(name) for name in sorted(names)}
        self._now = {name: inode for name, inode in kept.items() if inode is not None}
        for inode in set(self._now.values()):
            self._lose_tail(inode, rng)
        self._durable = dict(self._now)

    def _lose_tail(self, inode: Inode, rng: random.Random) -> None:
        end = rng.randint(inode.durable, len(inode.content))
        hole = end if inode.lost_from is None else min(inode.lost_from, end)
        if rng.random() < 0.2:
            hole = min(hole, rng.randint(inode.durable, end))
        inode.content[hole:] = bytes(end - hole)
        inode.durable, inode.lost_from = end, None

    def put(self, path: Path, content: bytes) -> None:
        """A durable file from nowhere."""
        self._now[path] = self._durable[path] = Inode(bytearray(content), len(content))

    def _begin(self, operation: str) -> Fault | None:
        self.counts[operation] += 1
        fault = self.plan(operation)
        if fault == "crash before":
            raise Crashed
        if fault == "eio":
            raise OSError(errno.EIO, operation)
        if fault == "enospc":
            raise OSError(errno.ENOSPC, operation)
        return fault

    def _end(self, fault: Fault | None) -> None:
        if fault == "crash after":
            raise Crashed

    # What the journal does with it

    def make_dir(self, path: Path) -> None:
        self._end(self._begin("make_dir"))

    def open_exclusive(self, path: Path) -> int:
        fault = self._begin("open_exclusive")
        if path in self._now:
            raise FileExistsError(path)
        inode = self._now[path] = Inode()
        fd = self._new_fd(OpenFile(inode, can_write=True))
        self._locks[inode] = fd
        self._end(fault)
        return fd

    def try_lock(self, path: Path) -> int | None:
        fault = self._begin("try_lock")
        inode = self._now.get(path)
        if inode is None or inode in self._locks:
            return None
        fd = self._new_fd(OpenFile(inode, can_write=False))
        self._locks[inode] = fd
        self._end(fault)
        return fd

    def write(self, fd: int, data: bytes) -> int:
        file = self._open[fd]
        fault = self._begin("write")
        if not file.can_write:
            raise OSError(errno.EBADF, "write")
        taken = len(data) // 2 if fault == "short" else len(data)
        file.inode.content += data[:taken]
        self._end(fault)
        return taken

    def fdatasync(self, fd: int) -> None:
        file = self._open[fd]
        if file.sync_failed:
            self.violations.append("a descriptor whose sync had failed was synced again")
        try:
            fault = self._begin("fdatasync")
        except OSError:
            file.sync_failed = True
            file.inode.lost_from = file.inode.durable
            raise
        if file.inode.lost_from is None:
            file.inode.durable = len(file.inode.content)
        self._end(fault)

    def close(self, fd: int) -> None:
        file = self._open.pop(fd)
        if self._locks.get(file.inode) == fd:
            del self._locks[file.inode]

    def fsync_dir(self, path: Path) -> None:
        fault = self._begin("fsync_dir")
        self._durable = dict(self._now)
        self._end(fault)

    def rename(self, old: Path, new: Path) -> None:
        fault = self._begin("rename")
        if old not in self._now:
            raise FileNotFoundError(old)
        self._now[new] = self._now.pop(old)
        self._end(fault)

    def unlink(self, path: Path) -> None:
        fault = self._begin("unlink")
        if path not in self._now:
            raise FileNotFoundError(path)
        del self._now[path]
        self._end(fault)

    def listdir(self, path: Path) -> list[str]:
        self._end(self._begin("listdir"))
        return [name.name for name in self._now if name.parent == path]

    def read(self, path: Path) -> bytes:
        fault = self._begin("read")
        if path not in self._now:
            raise FileNotFoundError(path)
        self._end(fault)
        return bytes(self._now[path].content)

    def free_space(self, path: Path) -> int:
        self._begin("free_space")
        return self.free - sum(len(inode.content) for inode in self._now.values())

    def _new_fd(self, file: OpenFile) -> int:
        self._next_fd += 1
        self._open[self._next_fd] = file
        return self._next_fd
