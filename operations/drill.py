"""The outage drill of the demo: takes the database away from this process for a minute, under whatever traffic there is.

Only this process is cut off, and only in memory: whatever happens to it, its next start finds the database. Every answer
of the webhook is remembered by its receipt; afterwards each of them is looked for in the database.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import psycopg2
from flask import Flask, Response, g, request

from core.clock import Clock
from core.errors import ConflictError, DatabaseUnavailableError
from database import alarms, deliveries
from database.engine import Database

log = logging.getLogger(__name__)

OUTAGE_SECONDS = 60.0
HEAL_SECONDS = 60.0
LOOK_SECONDS = 0.5


@dataclass(slots=True)
class Progress:
    """What is seen of the drill that runs, or of the last one of this process."""

    phase: str = "idle"  # idle, away, back, done
    started_at: datetime | None = None
    back_at: datetime | None = None
    receipts: set[UUID] = field(default_factory=set)
    journalled: int = 0
    drained: int = 0

    @property
    def is_running(self) -> bool:
        return self.phase in ("away", "back")


class Drill:
    """One drill at a time. `start` returns at once."""

    def __init__(self, db: Database, clock: Clock, outage_seconds: float = OUTAGE_SECONDS) -> None:
        self._db = db
        self._clock = clock
        self._outage_seconds = outage_seconds
        self._lock = threading.Lock()
        self.progress = Progress()

    def init_app(self, app: Flask) -> None:
        """Listen to the answers of the webhook."""
        app.after_request(self._note)

    def start(self) -> None:
        """Take the database away. Raises ConflictError while a drill runs, DatabaseUnavailableError without a database."""
        with self._lock:
            if self.progress.is_running:
                raise ConflictError("A drill is running already.")
            progress = Progress("away", self._clock.now())
            self._db.cut_off()
            self.progress = progress
        log.warning("drill_begins", extra={"seconds": self._outage_seconds})
        threading.Thread(target=self._run, args=[progress], name="drill", daemon=True).start()

    def check(self) -> tuple[str, str]:
        """(status, detail) for the readiness report."""
        now, found = self._clock.now(), self.progress
        if found.phase == "away" and found.started_at:
            left = max(0.0, self._outage_seconds - (now - found.started_at).total_seconds())
            return "warn", f"the database is taken away for {left:.0f} s more: {_figures(found)}"
        if found.phase == "back":
            return "warn", f"the database is back, the journal drains: {_figures(found)}"
        return "pass", f"the last one is over: {_figures(found)}" if found.phase == "done" else "none is running"

    def _note(self, response: Response) -> Response:
        """An alert was answered while a drill runs."""
        progress = self.progress
        fields = g.get("log_fields") or {}
        if (
            progress.phase == "away"
            and request.blueprint == "webhook"
            and response.status_code == 200
            and "receipt_id" in fields
        ):
            with self._lock:
                progress.receipts.add(UUID(fields["receipt_id"]))
                progress.journalled += fields.get("stored") == "journal"
        return response

    def _run(self, progress: Progress) -> None:
        pause = threading.Event()
        try:
            pause.wait(self._outage_seconds)
        finally:
            self._db.restore_contact()
        progress.phase, progress.back_at = "back", self._clock.now()
        with self._lock:
            wanted = set(progress.receipts)
        waited = 0.0
        while waited < HEAL_SECONDS and progress.drained < len(wanted):
            pause.wait(LOOK_SECONDS)
            waited += LOOK_SECONDS
            progress.drained = self._stored(wanted)
        self._finish(progress, wanted)

    def _stored(self, wanted: set[UUID]) -> int:
        try:
            with self._db.transaction() as cur:
                return len(deliveries.find_stored(cur, list(wanted)))
        except (DatabaseUnavailableError, psycopg2.Error):
            return 0

    def _finish(self, progress: Progress, wanted: set[UUID]) -> None:
        now = self._clock.now()
        assert progress.started_at
        assert progress.back_at
        lost = len(wanted) - progress.drained
        figures = {
            "accepted": len(wanted),
            "journalled": progress.journalled,
            "drained": progress.drained,
            "lost": lost,
            "seconds": round((progress.back_at - progress.started_at).total_seconds()),
            "healed_seconds": round((now - progress.back_at).total_seconds(), 1),
        }
        progress.phase = "done"
        log.warning("drill_ends", extra=figures)
        try:
            with self._db.transaction() as cur:
                alarms.add_drill(cur, "database", progress.started_at, now, is_passed=lost == 0, figures=figures)
        except (DatabaseUnavailableError, psycopg2.Error) as error:
            log.error("drill_not_recorded", exc_info=error)


def _figures(progress: Progress) -> str:
    lost = len(progress.receipts) - progress.drained if progress.phase == "done" else 0
    return f"{len(progress.receipts)} alerts accepted, {progress.journalled} journalled, {progress.drained} drained, {lost} lost"
