"""The analysis feature's moving parts, built once per process."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.config import Plan, parse_plan
from analysis.worker import Analyst
from core.clock import Clock
from core.settings import Settings
from database.engine import Database


@dataclass(frozen=True, slots=True)
class Analysis:
    """What routes and commands of the feature stand on; in a web process nobody analyses."""

    settings: Settings
    db: Database
    clock: Clock
    plan: Plan
    analyst: Analyst | None

    def start(self) -> None:
        """Begin to analyse; returns at once."""
        if self.analyst is not None:
            self.analyst.start()

    def stop(self) -> None:
        """End after the pass at work."""
        if self.analyst is not None:
            self.analyst.stop()

    def check(self) -> tuple[str, str]:
        """(status, detail) for the readiness report."""
        return self.analyst.check() if self.analyst else ("pass", "left to the workers")


def build(settings: Settings, db: Database, clock: Clock) -> Analysis:
    """The parts of a process, not yet started. MisconfiguredError for a wrong section `analysis`."""
    plan = parse_plan(settings.analysis)
    return Analysis(settings, db, clock, plan, Analyst(db, plan) if settings.role != "web" else None)
