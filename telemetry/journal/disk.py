"""The few file operations the journal needs, named, so that a test can put a failing disk under it.

Every operation raises OSError when the disk refuses. No operation repeats anything by itself: what a failed write or
sync left behind is for the journal to judge.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Protocol


class Disk(Protocol):
    """A disk with files that grow at their end, and locks that die with their holder."""

    def make_dir(self, path: Path) -> None:
        """Create the directory (mode 0700) unless it is there, and make its entry durable."""

    def open_exclusive(self, path: Path) -> int:
        """Create a file (mode 0600) for appending and lock it; FileExistsError if there is one."""

    def try_lock(self, path: Path) -> int | None:
        """Lock an existing file and return what holds the lock; None if another holds it or the file has gone."""

    def write(self, fd: int, data: bytes) -> int:
        """One write at the end of the file; the number of bytes taken, which may be less than given."""

    def fdatasync(self, fd: int) -> None:
        """Return when everything written so far is durable."""

    def close(self, fd: int) -> None:
        """Close the file and give up its lock."""

    def fsync_dir(self, path: Path) -> None:
        """Return when the directory's entries are durable."""

    def rename(self, old: Path, new: Path) -> None:
        """Give a file another name, atomically."""

    def unlink(self, path: Path) -> None:
        """Remove a name."""

    def listdir(self, path: Path) -> list[str]:
        """The names in a directory, in no order."""

    def read(self, path: Path) -> bytes:
        """The whole file."""

    def free_space(self, path: Path) -> int:
        """Bytes that may still be written on the disk that holds `path`."""


class RealDisk:
    """The operating system's files."""

    def make_dir(self, path: Path) -> None:
        if not path.is_dir():
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.fsync_dir(path.parent)

    def open_exclusive(self, path: Path) -> int:
        fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_WRONLY, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            raise
        return fd

    def try_lock(self, path: Path) -> int | None:
        try:
            fd = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The last holder may have removed the name between our open and our lock.
            if os.path.samestat(os.fstat(fd), os.stat(path)):
                return fd
        except (BlockingIOError, FileNotFoundError):
            pass
        except OSError:
            os.close(fd)
            raise
        os.close(fd)
        return None

    def write(self, fd: int, data: bytes) -> int:
        return os.write(fd, data)

    def fdatasync(self, fd: int) -> None:
        os.fdatasync(fd)

    def close(self, fd: int) -> None:
        os.close(fd)

    def fsync_dir(self, path: Path) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def rename(self, old: Path, new: Path) -> None:
        os.rename(old, new)

    def unlink(self, path: Path) -> None:
        os.unlink(path)

    def listdir(self, path: Path) -> list[str]:
        return os.listdir(path)

    def read(self, path: Path) -> bytes:
        return path.read_bytes()

    def free_space(self, path: Path) -> int:
        status = os.statvfs(path)
        return status.f_bavail * status.f_frsize
