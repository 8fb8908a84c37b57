"""What each process says of its own journal and disk, so that whichever runs the pass of the alarms knows of them all."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from core.clock import Clock
from database import alarms
from database.engine import DATABASE_ERRORS, Cursor, Database
from operations.alarms.rules import JournalFacts

log = logging.getLogger(__name__)

FRESH = timedelta(minutes=2)
"""A process that has said nothing for so long has ended; what it left is another's by then."""
KEEP = timedelta(days=1)


class Stats(Protocol):
    """What the journal says of itself."""

    @property
    def ok(self) -> bool: ...
    @property
    def pending(self) -> int: ...
    @property
    def oldest_age_seconds(self) -> float: ...
    @property
    def persistent(self) -> bool | None: ...


@dataclass(frozen=True, slots=True)
class Reporter:
    """The voice of one process."""

    db: Database
    clock: Clock
    data_dir: Path
    journal: Callable[[], Stats]
    owner: str

    def say(self) -> None:
        """Put down how journal and disk are now; a database that does not take it is another's matter."""
        now, stats = self.clock.now(), self.journal()
        row = {
            "owner": self.owner,
            "said_at": now,
            "journal_ok": stats.ok,
            "pending": stats.pending,
            "oldest_age_seconds": stats.oldest_age_seconds,
            "is_persistent": stats.persistent,
            "disk_free": disk_free(self.data_dir),
        }
        try:
            with self.db.transaction() as cur:
                alarms.save_report(cur, row, forget_before=now - KEEP)
        except DATABASE_ERRORS as error:
            log.debug("process_report_not_kept", extra={"reason": type(error).__name__})


def of_others(cur: Cursor, owner: str, now: datetime) -> tuple[list[JournalFacts], list[float]]:
    """(journals, free shares of disks) of the other processes that are there."""
    rows = alarms.list_reports(cur, since=now - FRESH, but=owner)
    journals = [JournalFacts(row.journal_ok, row.pending, row.oldest_age_seconds, row.is_persistent) for row in rows]
    return journals, [row.disk_free for row in rows if row.disk_free is not None]


def disk_free(folder: Path) -> float | None:
    """The free share of the disk that a folder is on; None before it is there."""
    if not folder.exists():
        return None
    usage = shutil.disk_usage(folder)
    return usage.free / usage.total
