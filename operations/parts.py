"""The moving parts of operations, built once per process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event

from flask import Flask

from core.clock import Clock
from core.jobs import Job
from core.settings import Settings
from core.trading_calendar import cme_equity_calendar
from database.engine import Database, process_name
from operations import cli, retention, routes
from operations.alarms.messenger import Messenger
from operations.alarms.reports import Reporter, Stats
from operations.alarms.sentry import Sentry
from operations.alarms.watch import Watch, Watched
from operations.backup import backup
from operations.drills.drill import Drill
from operations.drills.outages import DatabaseOutage, FeedOutage
from operations.drills.traffic import send_alert
from operations.export import cli as export_cli


@dataclass(frozen=True, slots=True)
class Operations:
    """What routes, commands and jobs of the feature stand on."""

    settings: Settings
    db: Database
    clock: Clock
    messenger: Messenger
    drill: Drill
    journal: Callable[[], Stats]

    def checks(self) -> dict[str, Callable[[], tuple[str, str]]]:
        """What the readiness report says of this feature; only a demo has drills."""
        return {"drill": self.drill.check} if self.settings.demo else {}

    def jobs(self, others: Sequence[Job]) -> tuple[Job, ...]:
        """All jobs of a process: the others, and those that look after them. A web process has none."""
        if self.settings.role == "web":
            return ()
        own = (*others, retention.job(self.settings), *self._backups())
        watched = Watched(
            calendar=cme_equity_calendar(),
            data_dir=self.settings.data_dir,
            has_feed=self.settings.has_feed,
            jobs=own,
            watched_since=self.clock.now(),
            journal=self.journal,
            owner=process_name(),
        )
        return (*own, Watch(watched, self.messenger).job())

    def _backups(self) -> tuple[Job, ...]:
        folder = self.settings.backup_dir
        return (backup.job(self.db, self.settings.data_dir, folder, self.settings.backup_keep),) if folder else ()

    def sentry(self, wait_for: Event) -> Sentry:
        """The watch over the database itself, not yet started; a web process leaves the telling to those with jobs."""
        messenger = self.messenger if self.settings.role != "web" else None
        reporter = Reporter(self.db, self.clock, self.settings.data_dir, self.journal, process_name())
        return Sentry(self.db, messenger, self.clock, wait_for, reporter)


def init_operations(app: Flask, settings: Settings, db: Database, clock: Clock) -> None:
    """Build the parts and register routes and commands."""
    messenger = Messenger(settings.alarm_urls, settings.alarm_heartbeat_url)
    outages = (DatabaseOutage(db), FeedOutage(settings))
    drill = Drill(db, clock, outages, send_alert=lambda: send_alert(app, settings.webhook_token))
    intake = app.extensions["telemetry"]
    if settings.demo:
        intake.intake.on_acknowledged.append(drill.note)
    app.extensions["operations"] = Operations(settings, db, clock, messenger, drill, intake.journal.stats)
    if settings.role != "worker":
        app.register_blueprint(routes.pages)
    for group in (*cli.COMMANDS, *export_cli.COMMANDS):
        app.cli.add_command(group)
