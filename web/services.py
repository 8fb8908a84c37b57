"""What a request needs of the process it runs in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Event
from typing import cast

from flask import current_app

from core.clock import Clock, SystemClock
from core.settings import Settings
from database.engine import Database
from database.replica import Reads


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the readiness report. `status` is pass, warn or fail; only a fail takes the service out of rotation."""

    status: str
    detail: str = ""


@dataclass(slots=True)
class Services:
    """The parts that requests share. `checks` maps a name to a function that answers at once, from memory."""

    settings: Settings
    db: Database
    clock: Clock = field(default_factory=SystemClock)
    checks: dict[str, Callable[[], Check]] = field(default_factory=dict)
    draining: Event = field(default_factory=Event)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    reads: Reads = field(init=False)

    def __post_init__(self) -> None:
        self.reads = Reads.of(self.settings, self.db, self.clock)

    def readiness(self) -> dict[str, Check]:
        """Every check, answered now."""
        return {name: check() for name, check in self.checks.items()}


def services() -> Services:
    """The services of the current app."""
    return cast(Services, current_app.extensions["signalbook"])
