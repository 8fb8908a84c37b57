"""Reads, computes and keeps analytics reports: one computation at a time, each kept for half a minute."""

from __future__ import annotations

import random
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from core.clock import Clock
from database import analytics
from database.engine import Database
from database.states import Selection
from web.dashboards.analytics import whatif
from web.dashboards.analytics.report import DEPTHS, Report, report

KEPT_SECONDS = 30.0
KEPT_REPORTS = 32
LONGEST_MS = 20_000  # one pass over all trades; a second or so for 100,000 signals
SEED = 20_251_210  # any: the same trades shall give the same intervals


@dataclass(frozen=True, slots=True)
class Question:
    """What a report is asked for."""

    streams: tuple[str, ...]
    selection: Selection
    target: int = 0

    @property
    def key(self) -> str:
        return repr(self)


class Reports:
    """The newest reports of this process. All methods may be called from any thread."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[float, Report]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, db: Database, clock: Clock, question: Question) -> Report:
        """The report, computed anew where the one kept is too old. Whoever asks meanwhile waits for the same one."""
        with self._lock:
            held = self._kept.get(question.key)
            if held is None or clock.monotonic() - held[0] > KEPT_SECONDS:
                held = (clock.monotonic(), _compute(db, clock, question))
            self._kept[question.key] = held
            self._kept.move_to_end(question.key)
            while len(self._kept) > KEPT_REPORTS:
                self._kept.popitem(last=False)
            return held[1]


def _compute(db: Database, clock: Clock, question: Question) -> Report:
    with db.transaction(statement_timeout_ms=LONGEST_MS) as cur:
        row = analytics.sum_trades(
            cur, streams=question.streams, selection=question.selection, target=question.target,
            edges=whatif.EDGES, depths=DEPTHS,
        )  # fmt: skip
    return report(row, question.target, clock.now(), random.Random(SEED))  # noqa: S311 - statistics, no secret


def streams_of(stream: str | None, streams: Sequence[str]) -> tuple[str, ...]:
    """The stream that is named, or all."""
    return (stream,) if stream else tuple(streams)
