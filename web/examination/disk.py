"""On what kind of disk a folder lies, and whether that outlives a restart of the machine or a new container."""

from __future__ import annotations

import re
from pathlib import Path

from web.services import Check

MOUNTS = Path("/proc/self/mountinfo")
IN_MEMORY = frozenset({"tmpfs", "ramfs", "devtmpfs"})
OF_A_CONTAINER = frozenset({"overlay", "aufs", "fuse-overlayfs"})


def persistence_check(folder: Path) -> Check:
    """Whether the journal in this folder will be there after the next deploy; a warning where it cannot be told."""
    try:
        mounts = MOUNTS.read_text(encoding="utf-8")
    except OSError:
        return Check("warn", "cannot be told on this system; see that DATA_DIR outlives a redeploy")
    return judge(folder.resolve(), mounts)


def judge(folder: Path, mounts: str) -> Check:
    """The same from the text of /proc/self/mountinfo. Pure."""
    point, kind = filesystem_of(folder, mounts)
    if kind in IN_MEMORY:
        return Check("fail", f"DATA_DIR lies in memory ({kind} at {point}): alerts that wait are gone with the machine")
    if kind in OF_A_CONTAINER:
        return Check(
            "warn", f"DATA_DIR lies in the container itself ({kind}): mount a volume there, or a redeploy loses it"
        )
    return Check("pass", f"on {kind} at {point}")


def filesystem_of(folder: Path, mounts: str) -> tuple[str, str]:
    """(mount point, type) of the file system a folder lies on; of two mounts on one point the later one hides the other."""
    best, kind = "", "unknown"
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        point = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), before.split(" ")[4])
        if folder.is_relative_to(point) and len(point) >= len(best):
            best, kind = point, after.split(" ")[0]
    return best, kind
