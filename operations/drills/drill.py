"""The outage drill of the demo: takes the database or the feed away for a minute, under whatever traffic there is.

Every answer of the webhook is remembered by its receipt, and afterwards each of them is looked for in the database; every
minute bar of the followed contracts that the outage touches must be told whole again, live or from history.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from core.clock import Clock
from core.errors import ConflictError, InvalidInputError
from core.records import Timeframe, Unit
from database import alarms, bars, deliveries
from database.engine import DATABASE_ERRORS, Cursor, Database
from operations.drills.holes import Span, healed, touched
from operations.drills.outages import Outage

log = logging.getLogger(__name__)

OUTAGE_SECONDS = 60.0
HEAL_SECONDS = 180.0  # a connection is tried again after 30 s at most, and the last minute must be over
LOOK_SECONDS = 0.5
ALERT_SECONDS = 1.0


@dataclass(slots=True)
class Progress:
    """What is seen of the drill that runs, or of the last one of this process. `missed` counts bars the outage touched."""

    kind: str = ""
    phase: str = "idle"  # idle, away, back, done
    started_at: datetime | None = None
    back_at: datetime | None = None
    receipts: set[UUID] = field(default_factory=set)
    journalled: int = 0
    drained: int = 0
    missed: int = 0
    healed: int = 0

    @property
    def is_running(self) -> bool:
        return self.phase in ("away", "back")

    @property
    def open(self) -> int:
        """Alerts and bars that have not been found yet; lost, once the drill is over."""
        return len(self.receipts) - self.drained + self.missed - self.healed


class Drill:
    """One drill at a time. `start` returns at once."""

    def __init__(
        self, db: Database, clock: Clock, outages: Iterable[Outage], outage_seconds: float = OUTAGE_SECONDS,
        send_alert: Callable[[], object] = lambda: None,
    ) -> None:  # fmt: skip
        """`send_alert` is called every second of an outage, so that there is traffic also when nobody else sends any."""
        self._db = db
        self._clock = clock
        self._outages = {outage.kind: outage for outage in outages}
        self._outage_seconds = outage_seconds
        self._send_alert = send_alert
        self._lock = threading.Lock()
        self.progress = Progress()

    def start(self, kind: str) -> None:
        """Take something away. Raises ConflictError while a drill runs, InvalidInputError for what there is not, and
        what the outage raises when it cannot be."""
        outage = self._outages.get(kind)
        if outage is None:
            raise InvalidInputError(f"must be one of {', '.join(self._outages)}", field="what")
        with self._lock:
            if self.progress.is_running:
                raise ConflictError("A drill is running already.")
            progress = Progress(kind, "away", self._clock.now())
            outage.begin(self._outage_seconds)
            self.progress = progress
        log.warning("drill_begins", extra={"kind": kind, "seconds": self._outage_seconds})
        threading.Thread(target=self._run, args=[progress, outage], name="drill", daemon=True).start()

    def note(self, receipt_id: UUID, is_journalled: bool) -> None:
        """An alert has been acknowledged, by the journal alone or not; it counts while something is away."""
        if self.progress.phase != "away":
            return  # without the lock: this is called with every alert
        with self._lock:
            progress = self.progress
            if progress.phase == "away":
                progress.receipts.add(receipt_id)
                progress.journalled += is_journalled

    def check(self) -> tuple[str, str]:
        """(status, detail) for the readiness report."""
        now, found = self._clock.now(), self.progress
        if found.phase == "away" and found.started_at:
            left = max(0.0, self._outage_seconds - (now - found.started_at).total_seconds())
            return "warn", f"the {found.kind} is taken away for {left:.0f} s more: {_figures(found)}"
        if found.phase == "back":
            return "warn", f"the {found.kind} is back, the journal drains and bars are healed: {_figures(found)}"
        return "pass", f"the last one is over: {_figures(found)}" if found.phase == "done" else "none is running"

    def _run(self, progress: Progress, outage: Outage) -> None:
        pause, over_at = threading.Event(), self._clock.monotonic() + self._outage_seconds
        try:
            while (left := over_at - self._clock.monotonic()) > 0:
                self._send_alert()
                pause.wait(min(left, ALERT_SECONDS))
        finally:
            outage.end()
        with self._lock:
            progress.phase, progress.back_at = "back", self._clock.now()
            wanted = set(progress.receipts)
        waited, is_seen = 0.0, False
        while waited < HEAL_SECONDS and not (is_seen and progress.open == 0):
            pause.wait(LOOK_SECONDS)
            waited += LOOK_SECONDS
            is_seen = self._look(progress, wanted)
        self._finish(progress)

    def _look(self, progress: Progress, wanted: set[UUID]) -> bool:
        """Count what is found by now; False while the database does not answer."""
        assert progress.started_at
        assert progress.back_at
        try:
            with self._db.transaction() as cur:
                progress.drained = len(deliveries.find_stored(cur, list(wanted)))
                progress.missed, progress.healed = _bars(cur, progress.started_at, progress.back_at)
        except DATABASE_ERRORS:
            return False
        return True

    def _finish(self, progress: Progress) -> None:
        now = self._clock.now()
        assert progress.started_at
        assert progress.back_at
        figures = {
            "accepted": len(progress.receipts),
            "journalled": progress.journalled,
            "drained": progress.drained,
            "missed": progress.missed,
            "healed": progress.healed,
            "lost": progress.open,
            "seconds": round((progress.back_at - progress.started_at).total_seconds()),
            "healed_seconds": round((now - progress.back_at).total_seconds(), 1),
        }
        progress.phase = "done"
        log.warning("drill_ends", extra={"kind": progress.kind, **figures})
        is_passed = progress.open == 0
        try:
            with self._db.transaction() as cur:
                alarms.add_drill(cur, progress.kind, progress.started_at, now, is_passed=is_passed, figures=figures)
        except DATABASE_ERRORS as error:
            log.error("drill_not_recorded", exc_info=error)


def _bars(cur: Cursor, start: datetime, end: datetime) -> tuple[int, int]:
    """(touched, told whole by now) of the smallest minute bars of the contracts that the feed follows."""
    state = bars.get_feed_state(cur, bars.FEED)
    followed = tuple(state[0].get("forming") or ()) if state else ()
    missed = found = 0
    for row in alarms.newest_bars(cur, followed):
        buckets = touched(start, end, timedelta(minutes=row.minutes))
        frame = Timeframe(Unit.MINUTE, row.minutes)
        spans = bars.list_spans(cur, row.contract_id, frame, buckets[0][0], buckets[-1][1])
        told: list[Span] = [(span.starts_at, span.ends_at) for span in spans]
        missed += len(buckets)
        found += healed(buckets, told)
    return missed, found


def _figures(progress: Progress) -> str:
    lost = progress.open if progress.phase == "done" else 0
    alerts = f"{len(progress.receipts)} alerts accepted, {progress.journalled} journalled, {progress.drained} drained"
    return f"{alerts}, {progress.healed} of {progress.missed} bars healed, {lost} lost"
