"""Hybrid sync in a process: what it stands on, and its jobs."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.clock import Clock
from core.jobs import Job, Report
from core.settings import Settings
from database import sync
from database.engine import Database
from hybrid_sync.cycle import run_cycle
from hybrid_sync.healing.calibration import calibrate
from hybrid_sync.watch import watch_streams

log = logging.getLogger(__name__)

EVERY = timedelta(minutes=2)
KEEP_CYCLES = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Sync:
    """What routes and commands of the feature stand on."""

    settings: Settings
    db: Database
    clock: Clock


def jobs(settings: Settings) -> tuple[Job, ...]:
    """The cycle, every two minutes in one process of all, and the nightly measurement of healing."""

    def cycle(db: Database, now: datetime) -> Report:
        report = run_cycle(db, settings, now)
        outages = watch_streams(db, now)
        for stream, outage in outages:
            log.warning(
                "stream_outage",
                extra={"stream": stream, "kind": outage.kind, "detail": outage.detail, "minutes": outage.open_minutes},
            )
        log.info(report.line())
        told = report.as_json()
        counts = {name: told[name] for name in ("scanned", "attempted", "gaps_before", "gaps_after", "minutes_healed")}
        return Report(report.line(), counts | {"outages": len(outages), "health": report.health_after or 0})

    def measure(db: Database, now: datetime) -> Report:
        counts = calibrate(db, settings, now)
        with db.transaction() as cur:
            deleted = sync.delete_old_cycles(cur, now - KEEP_CYCLES)
        return Report(counts={**counts, "cycles_deleted": deleted})

    log.info("Hybrid Sync Service started (2-minute gap detection and reconciliation)")
    return Job("hybrid_sync", EVERY, cycle), Job(
        "sync_calibration", timedelta(days=1), measure, grace=timedelta(hours=12)
    )
