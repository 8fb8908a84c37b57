"""The analyst of a process: a thread that is woken when bars close and brings every series up to date.

What is to be done stands in the database (`bar_changes`, watermarks, the coordinator's cursor); a notification only says
"now". So several processes may each have an analyst: whoever comes first does a pass, the others find nothing left.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass

from analysis import series
from analysis.config import Plan
from analysis.coordination import coordinator
from core.errors import SignalbookError
from core.records import Timeframe
from database import analysis as store
from database.engine import DATABASE_ERRORS, Database
from database.notify import Listener

log = logging.getLogger(__name__)

RETRY_SECONDS = 2.0
LOOK_SECONDS = 30.0


@dataclass(slots=True)
class AnalystState:
    """What the analyst says of itself, in memory."""

    status: str = "pass"
    detail: str = "starting"
    bars: int = 0
    signals: int = 0
    decisions: int = 0


class Analyst:
    """`start` begins, `stop` ends; `state` answers at once."""

    def __init__(self, db: Database, plan: Plan) -> None:
        self._db = db
        self._plan = plan
        self._wake = threading.Event()
        self._ready = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="analyst", daemon=True)
        self._listener = Listener(db, {"bars": lambda _payload: self._wake.set()}, wait_for=self._ready)
        self.state = AnalystState()

    def start(self) -> None:
        """Begin; returns at once. Works as soon as the database and its tables are there."""
        self._listener.start()
        self._thread.start()

    def stop(self) -> None:
        """End after the pass at work."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=15)
            self._listener.stop()

    def check(self) -> tuple[str, str]:
        """(status, detail) for the readiness report. Analysis never takes the service out of rotation."""
        if self._ready.is_set() and not self._thread.is_alive() and not self._stop.is_set():
            return "warn", "the analyst has died; restart the service"
        return self.state.status, self.state.detail

    def _run(self) -> None:
        is_first = True
        while not self._stop.is_set():
            self._wake.clear()
            try:
                self._catch_up(is_whole=is_first)
                is_first = False
                self._ready.set()
            except DATABASE_ERRORS as error:
                self._say("warn", f"waits for the database ({type(error).__name__})")
                self._stop.wait(RETRY_SECONDS)
                continue
            self._wake.wait(LOOK_SECONDS)

    def _catch_up(self, *, is_whole: bool) -> None:
        """Every series with changed bars, at the start every series; then the coordinator."""
        with self._db.transaction() as cur:
            found = store.list_series(cur) if is_whole else store.list_pending(cur)
        failed = []
        for contract_id, timeframe in found:
            try:
                self._analyse(contract_id, timeframe)
            except DATABASE_ERRORS:
                raise
            except SignalbookError as error:
                log.error(
                    "series_not_analysed", extra={"contract": contract_id, "timeframe": str(timeframe)}, exc_info=error
                )
                failed.append(f"{contract_id} {timeframe}: {error.message}")
        self._coordinate()
        self._say("warn" if failed else "pass", failed[0] if failed else "up to date")

    def _analyse(self, contract_id: str, timeframe: Timeframe) -> None:
        """Until nothing is left of one series."""
        while not self._stop.is_set():
            done = series.advance(self._db, contract_id, timeframe, self._plan.watches)
            self.state.bars += done.bars
            self.state.signals += done.stored
            if done.is_done:
                return

    def _coordinate(self) -> None:
        while not self._stop.is_set():
            done = coordinator.coordinate(self._db, self._plan.rules)
            self.state.decisions += done.stored
            if done.is_done:
                return

    def _say(self, status: str, detail: str) -> None:
        if (status, detail) != (self.state.status, self.state.detail):
            log.log(logging.INFO if status == "pass" else logging.WARNING, "analyst_state", extra={"detail": detail})
        self.state.status, self.state.detail = status, detail
