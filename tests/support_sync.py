"""For the tests of hybrid sync: simulated alerts with parts taken away, the bars behind them, and the truth."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from core.ids import uuid7
from core.records import Bar, Timeframe
from core.settings import Settings, load_settings
from database import bars as bar_store
from database import deliveries, states
from database.engine import Database
from simulator.alert_stream import Alert, Faults, generate
from simulator.price_path import PricePath
from simulator.strategy import Trade
from telemetry.journal.record import Record
from telemetry.prepare import prepare
from telemetry.projection import project

START = datetime(2025, 12, 10, 14, 30, tzinfo=UTC)  # 09:30 in New York
CONTRACT = "CON.F.US.MNQ.Z25"
MINUTE = Timeframe.parse("1m")
AT_ONCE = 500
AGO = timedelta(minutes=2)
LOST = {
    "SIGNAL_CREATED": 0.5,
    "MFE_UPDATE_BATCH": 0.54,
    "BE_TRIGGERED": 0.5,
    "EXIT_BREAK_EVEN": 0.5,
    "EXIT_BE": 0.5,
    "EXIT_SL": 0.5,
    "EXIT_STOP_LOSS": 0.5,
}
"""Half the events and most batches."""


@dataclass(frozen=True)
class World:
    """Simulated alerts of some minutes from START on, and every trade as it truly was."""

    alerts: list[Alert]
    truth: dict[str, Trade]
    seed: int
    start: datetime
    minutes: int

    @property
    def end(self) -> datetime:
        return self.start + timedelta(minutes=self.minutes)


def world(seed: int = 7, minutes: int = 300, faults: Faults | None = None, start: datetime = START) -> World:
    """A stream without faults, unless others are given."""
    truth: dict[str, Trade] = {}
    alerts = list(generate(seed, start, minutes, faults or Faults.only(), truth))
    return World(alerts, truth, seed, start, minutes)


def kind_of(alert: Alert) -> str:
    return str(json.loads(alert.body).get("event_type"))


def without(alerts: Iterable[Alert], kinds: dict[str, float], seed: int = 1) -> tuple[list[Alert], list[Alert]]:
    """(what arrived, what was lost) when so large a share of each kind never arrives."""
    dice = Random(seed)
    arrived: list[Alert] = []
    lost: list[Alert] = []
    for alert in alerts:
        (lost if dice.random() < kinds.get(kind_of(alert), 0.0) else arrived).append(alert)
    return arrived, lost


def without_minutes(alerts: Sequence[Alert], is_lost: Callable[[datetime], bool]) -> list[Alert]:
    """Alerts whose minute of sending is not lost."""
    return [alert for alert in alerts if not is_lost(alert.sent_at)]


def deliver(db: Database, alerts: Sequence[Alert], *, stream: str = "main", source: str = "webhook") -> None:
    """Store alerts as the writer does, received when they were sent."""
    records = [Record(uuid7(one.sent_at), one.sent_at, stream, "", "", source, one.body) for one in alerts]
    for start in range(0, len(records), AT_ONCE):
        group = [prepare(record) for record in records[start : start + AT_ONCE]]
        with db.transaction(statement_timeout_ms=0) as cur:
            project(cur, group, deliveries.add_deliveries(cur, [prepared.delivery for prepared in group]))


def store_bars(db: Database, found: World, contract: str = CONTRACT, shift: str = "0") -> None:
    """The one-minute bars behind the alerts, from an hour before the start on."""
    by = Decimal(shift)
    rows = []
    for bar in PricePath(found.seed).bars(found.start - timedelta(hours=1)):
        if bar.opens_at >= found.end:
            break
        prices = {name: Decimal(str(getattr(bar, name))) + by for name in ("open", "high", "low", "close")}
        rows.append(
            Bar(contract_id=contract, timeframe=MINUTE, starts_at=bar.opens_at, volume=10, source="history", **prices)
        )
    with db.transaction(statement_timeout_ms=0) as cur:
        bar_store.upsert_bars(cur, rows)


def store_torn(db: Database, found: World) -> None:
    """What is left of a stream when LOST never arrived, beside whole bars."""
    arrived, _lost = without(found.alerts, LOST)
    deliver(db, arrived)
    store_bars(db, found)


def sync_settings(**given: str) -> Settings:
    return load_settings(given)


def state_of(db: Database, trade_id: str, stream: str = "main") -> Any:
    with db.transaction() as cur:
        return states.get_states(cur, trade_id, stream)[0]


def rows(db: Database, sql: str, given: dict[str, Any] | None = None) -> list[Any]:
    with db.transaction() as cur:
        cur.execute(sql, given)
        return cur.fetchall()
