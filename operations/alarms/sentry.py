"""Tells that the database is away, which no job can: jobs need it. One alarm, one recovery, remembered in memory.

While it is there, the same thread says how this process is, for those who judge; in a web process it does that alone.

The alarms' own tables hear of it when the database is back, so that the history is whole.
"""

from __future__ import annotations

import logging
import threading
from datetime import datetime, timedelta

from core.clock import Clock
from database import alarms
from database.engine import DATABASE_ERRORS, Database
from operations.alarms.messenger import Messenger
from operations.alarms.plan import Notice
from operations.alarms.reports import Reporter
from operations.alarms.watch import text_of

log = logging.getLogger(__name__)

LOOK_SECONDS = 10.0
PATIENCE = timedelta(minutes=1)
RULE = "database_away"


class Sentry:
    """Looks at the database from a thread of its own; `wait_for` is set once it has been there.

    `messenger` None: absences are told by other processes. `reporter` says how this one is.
    """

    def __init__(
        self,
        db: Database,
        messenger: Messenger | None,
        clock: Clock,
        wait_for: threading.Event,
        reporter: Reporter | None = None,
    ) -> None:
        self._db = db
        self._messenger = messenger
        self._clock = clock
        self._wait_for = wait_for
        self._reporter = reporter
        self._stop = threading.Event()
        self._away_since: datetime | None = None
        self._raised: Notice | None = None
        self._was_sent = False
        self._thread = threading.Thread(target=self._run, name="sentry", daemon=True)

    def start(self) -> None:
        """Begin to look; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """Stop looking."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=LOOK_SECONDS)

    def look(self) -> None:
        """One look: an absence that lasts is told once, its end once."""
        now = self._clock.now()
        if self._db.is_reachable():
            self._away_since = None
            if self._raised is not None:
                self._recover(self._raised, now)
            if self._reporter is not None:
                self._reporter.say()
            return
        self._away_since = self._away_since or now
        if self._messenger is not None and self._raised is None and now - self._away_since >= PATIENCE:
            detail = f"no connection since {self._away_since:%H:%M:%S} UTC; alerts are kept on disk"
            self._raised = Notice(RULE, RULE, "raised", "critical", now, detail)
            self._was_sent = self._tell(self._raised)

    def _recover(self, raised: Notice, now: datetime) -> None:
        minutes = (now - raised.at).total_seconds() / 60
        over = Notice(RULE, RULE, "recovered", raised.severity, now, f"over after {minutes:.0f} minutes")
        self._raised = None
        rows = [_row(raised, self._was_sent), _row(over, self._tell(over))]
        try:
            with self._db.transaction() as cur:
                alarms.add_notices(cur, rows)
        except DATABASE_ERRORS as error:
            log.warning("alarm_history_not_kept", extra={"reason": type(error).__name__})

    def _tell(self, notice: Notice) -> bool:
        log.warning("alarm", extra={"cause": notice.cause, "kind": notice.kind, "detail": notice.detail})
        title, body = text_of(notice)
        messenger = self._messenger
        return bool(messenger and messenger.has_targets and messenger.send(title, body, is_bad=notice.kind == "raised"))

    def _run(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            if self._wait_for.is_set():
                self.look()


def _row(notice: Notice, was_sent: bool) -> dict[str, object]:
    told = {"delivery": "delivered" if was_sent else "nowhere", "delivered_at": notice.at if was_sent else None}
    return {
        "cause": notice.cause,
        "rule": notice.rule,
        "kind": notice.kind,
        "severity": notice.severity,
        "at": notice.at,
        "detail": notice.detail,
        **told,
    }
