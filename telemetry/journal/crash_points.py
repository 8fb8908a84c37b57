"""Named places where a test may let the process die, because random kills seldom hit a narrow window.

Unarmed, which is always so outside the kill rig, `reach` is one look at an empty dictionary.
"""

from __future__ import annotations

import os
import signal
import threading

from core.errors import MisconfiguredError

POINTS = frozenset(
    {"before_write", "after_write", "after_journal", "during_rotate", "before_commit", "after_commit", "before_reply"}
)

_armed: dict[str, int] = {}
_lock = threading.Lock()


def arm(name: str, after: int = 1) -> None:
    """Let the process kill itself when `name` is reached for the `after`-th time from now.

    Raises MisconfiguredError for an unknown name: a misspelt point would never be reached and prove nothing.
    """
    if name not in POINTS:
        raise MisconfiguredError(f"There is no crash point {name!r}; there are {', '.join(sorted(POINTS))}.")
    _armed[name] = after


def reach(name: str) -> None:
    """Pass the point; SIGKILL, which no handler can soften, if it is armed and its count is used up."""
    if not _armed:
        return
    with _lock:
        if name not in _armed:
            return
        _armed[name] -= 1
        if _armed[name] <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
