"""The wave feature's moving parts, built once per process; off while there is no signal server."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from threading import Event

from core.clock import Clock
from core.jobs import Job
from core.settings import Settings
from database.engine import Database
from waves import processor
from waves.feed.supervisor import FeedConfig, WaveFeed
from waves.processor import Rules


@dataclass(frozen=True, slots=True)
class Waves:
    """What routes and commands of the feature stand on."""

    settings: Settings
    db: Database
    clock: Clock
    rules: Rules

    @property
    def names(self) -> dict[int, str]:
        """Exchange -> its name, for those the settings name."""
        return dict(self.settings.wave_exchanges)


def build(settings: Settings, db: Database, clock: Clock) -> Waves:
    """The parts of a process."""
    return Waves(settings, db, clock, rules_of(settings))


def rules_of(settings: Settings) -> Rules:
    """What the settings say about processing."""
    ratio = Decimal(settings.wave_change_alert_percent) / 100
    return Rules(default_max_trades=settings.max_trades_per_15min, alert_ratio=ratio)


def feed(waves: Waves, wait_for: Event) -> WaveFeed:
    """The feed of this process, not yet started; it stays off in a web process, or without a signal server."""
    settings = waves.settings
    config = FeedConfig(
        url=settings.wave_url if settings.role != "web" else None,
        token=settings.signal_ws_token or "",
        check_minutes=settings.wave_check_minutes,
        check_duration=timedelta(seconds=settings.wave_check_duration_seconds),
        check_interval=settings.wave_check_interval_seconds,
        reconnect_interval=settings.signal_ws_reconnect_interval,
        max_attempts=settings.signal_ws_max_reconnect_attempts,
        auto_reconnect=settings.signal_ws_auto_reconnect,
        buffer_size=settings.signal_buffer_size,
        exchange_ids=tuple(exchange_id for exchange_id, _ in settings.wave_exchanges),
    )
    return WaveFeed(waves.db, waves.clock, config, waves.rules, wait_for)


def jobs(settings: Settings) -> tuple[Job, ...]:
    """What a worker does beside the feed: take up waves that a process left between receipt and processing."""
    return (processor.job(rules_of(settings)),) if settings.wave_url else ()
