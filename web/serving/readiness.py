"""The checks behind `/readyz` and the status page; each answers from memory."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from core.errors import DatabaseUnavailableError
from database.keeper import DatabaseKeeper
from database.scheduler import Overdue, Scheduler
from web.services import Check, Services
from web.serving.doctor import calendar_check


class JobWatch:
    """Which jobs have no recent success in any process, as last seen in the database: effects, not flags."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._overdue: list[Overdue] = []

    def refresh(self, now: datetime) -> None:
        """Look again; called while the database is up."""
        try:
            self._overdue = self._scheduler.overdue(now)
        except DatabaseUnavailableError:
            return  # the database's own check says so

    def check(self) -> Check:
        """A warning that names the late jobs."""
        late = ", ".join(
            f"{overdue.job} by {overdue.late_by.total_seconds() / 60:.0f} min" for overdue in self._overdue
        )
        return Check("warn", f"late: {late}") if late else Check("pass", "on time")


def register(
    services: Services,
    *,
    keeper: DatabaseKeeper,
    scheduler: Scheduler,
    intake: Callable[[], tuple[str, str]],
    feed: Callable[[], tuple[str, str]],
) -> None:
    """Register the checks of a serving process; `intake` answers whether an alert can be stored, `feed` never fails."""
    watch = JobWatch(scheduler)
    keeper.while_up = lambda: watch.refresh(services.clock.now())
    services.checks |= {
        "intake": lambda: Check(*intake()),
        "database": lambda: Check("pass" if keeper.is_up else "warn", keeper.detail),
        "feed": lambda: Check(*feed()),
        "jobs": watch.check,
        "calendar": lambda: calendar_check(services.clock.now()),
    }
    if services.reads.has_replica:
        services.checks["replica"] = lambda: Check(*services.reads.check())


def watch(services: Services, **checks: Callable[[], tuple[str, str]]) -> None:
    """Register checks of features, each answering (status, detail) from memory."""
    for name, answer in checks.items():
        services.checks[name] = lambda answer=answer: Check(*answer())  # type: ignore[misc]
