"""The daily job `retention`: what the settings say is old goes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from core.jobs import Job, Report
from core.settings import Settings
from database import retention
from database.engine import Database

EVERY = timedelta(days=1)
AT_ONCE = 2_000


def job(settings: Settings) -> Job:
    """The job; with every setting at 0 it does nothing."""

    def run(db: Database, now: datetime) -> Report:
        return Report(
            counts={
                "bodies": _bodies(db, now, settings.keep_delivery_bodies_days),
                "bars": _bars(db, now, settings.keep_bars_days),
                "notices": _notices(db, now, settings.keep_logs_days),
                "log_files": _log_files(settings.log_file, now, settings.keep_logs_days),
            }
        )

    return Job("retention", EVERY, run, grace=timedelta(hours=20))


def _bodies(db: Database, now: datetime, days: int) -> int:
    """In short transactions, so that the webhook never waits."""
    total = 0
    while days:
        with db.transaction() as cur:
            gone = retention.let_bodies_go(cur, now - timedelta(days=days), AT_ONCE)
        total += gone
        if gone < AT_ONCE:
            break
    return total


def _bars(db: Database, now: datetime, days: int) -> int:
    if not days:
        return 0
    with db.transaction(statement_timeout_ms=600_000) as cur:
        return retention.delete_bars(cur, now - timedelta(days=days))


def _notices(db: Database, now: datetime, days: int) -> int:
    if not days:
        return 0
    with db.transaction() as cur:
        return retention.delete_notices(cur, now - timedelta(days=days))


def _log_files(log_file: Path | None, now: datetime, days: int) -> int:
    """Rotated files only: the one that is written to stays."""
    if log_file is None or not days:
        return 0
    gone = 0
    for path in log_file.parent.glob(f"{log_file.name}.[0-9]*"):
        if datetime.fromtimestamp(path.stat().st_mtime, UTC) < now - timedelta(days=days):
            path.unlink(missing_ok=True)
            gone += 1
    return gone
