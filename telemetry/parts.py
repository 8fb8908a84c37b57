"""The telemetry feature's moving parts, built once per process."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime

from prometheus_client.registry import CollectorRegistry

from core.clock import Clock
from core.settings import Settings
from database import deliveries
from database.engine import Database
from telemetry.entrance.door import Door
from telemetry.history.rebuild import fold_older_rows
from telemetry.intake import Intake
from telemetry.journal import crash_points
from telemetry.journal.disk import RealDisk
from telemetry.journal.journal import Journal
from telemetry.measures import JournalCollector
from telemetry.projection import project
from telemetry.writer import Writer

log = logging.getLogger(__name__)

IN_FLIGHT_SECONDS = 3.0  # a younger alert is simply being stored
STOP_SECONDS = 5.0  # half of what the parts of a process have to end, so that the journal is closed in any case
REHEARSE_EVERY = 50
"""Under test, one alert in so many is answered from the journal alone, so that this way stays in use."""


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Door, journal, writer and intake of this process, with what they stand on."""

    settings: Settings
    db: Database
    clock: Clock
    door: Door
    journal: Journal
    writer: Writer
    intake: Intake
    built_at: datetime

    def start(self, registry: CollectorRegistry) -> None:
        """Adopt what earlier processes left behind and begin to write. Raises MisconfiguredError for a wrong CRASH_AT."""
        registry.register(JournalCollector(self.journal))
        if self.settings.crash_at is not None:
            crash_points.arm(*self.settings.crash_at)
        self.journal.adopt_orphans()
        self.writer.start()
        self.intake.start()

    def stop(self) -> None:
        """Store what waits, for at most STOP_SECONDS in all; the rest stays on disk for the next start."""
        deadline = self.clock.monotonic() + STOP_SECONDS
        self.intake.stop(STOP_SECONDS)
        self.writer.stop(max(0.0, deadline - self.clock.monotonic()))
        self.journal.close()

    def settle(self) -> None:
        """The database is ready: it says which tokens are valid, and whether the data directory has been lost.

        Signals of an older table get their state now.
        """
        with self.db.transaction() as cur:
            seen_before = deliveries.has_earlier(
                cur, self.built_at
            )  # not what has come since, while the database started
        self.journal.judge_persistence(seen_before=seen_before)
        self.door.settle()
        folded = fold_older_rows(self.db)
        if folded:
            log.info("older_signals_folded", extra={"signals": folded})

    def check(self) -> tuple[str, str]:
        """Can an alert be stored? (status, detail) for the readiness report, from memory."""
        stats = self.journal.stats()
        if not stats.ok:
            status = "fail" if self.writer.is_broken else "warn"
            return status, "the journal cannot be written; alerts go to the database only"
        if stats.oldest_age_seconds > IN_FLIGHT_SECONDS:
            return (
                "warn",
                f"{stats.pending} alerts wait for the database, the oldest for {stats.oldest_age_seconds:.0f} s",
            )
        if stats.persistent is False:
            return "warn", "the data directory was empty at this start: does it survive a redeploy?"
        if stats.pending:
            return "pass", f"{stats.pending} alerts are on their way to the database"
        return "pass", "every alert is in the database"


def build(settings: Settings, db: Database, clock: Clock) -> Telemetry:
    """The parts of a process, not yet started."""
    door = Door(db, settings, clock)
    journal = Journal(settings.data_dir / "journal", RealDisk(), clock)
    writer = Writer(db, journal, clock, project)
    rehearse_every = REHEARSE_EVERY if settings.testing else 0
    intake = Intake(door=door, journal=journal, writer=writer, clock=clock, rehearse_every=rehearse_every)
    return Telemetry(settings, db, clock, door, journal, writer, intake, clock.now())
