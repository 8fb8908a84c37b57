"""Injected faults on a real database: each gives one right alarm and one recovery at the address that is told, or nothing
while the market is closed."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import psycopg2
import pytest
from psycopg2 import sql

from core.clock import ManualClock
from core.jobs import Job, Report
from core.trading_calendar import TradingCalendar, cme_equity_calendar
from database import alarms, bars, tokens
from database.bars import Contract
from database.engine import Database
from operations.alarms.messenger import Messenger
from operations.alarms.rules import RULES, JournalFacts
from operations.alarms.sentry import Sentry
from operations.alarms.watch import Watch, Watched
from tests.support_market import CONTRACT as MES
from tests.support_market import bar_at
from tests.support_service import turn_off, turn_on
from tests.test_alarms import Listening, listening

OPEN = datetime(2025, 12, 10, 15, 0, tzinfo=UTC)  # a Wednesday, 10:00 in New York
CLOSED = datetime(2025, 12, 13, 15, 0, tzinfo=UTC)  # a Saturday
MINUTE, HALF = timedelta(minutes=1), timedelta(seconds=30)
DAYS_BEFORE = (7, 6, 5, 2, 1)
MNQ = "CON.F.US.MNQ.Z25"
STREAMS, CONTRACTS = ("main", "other"), (MES, MNQ)
GOOD_JOURNAL = JournalFacts(ok=True, pending=0, oldest_age_seconds=0.0, persistent=True)


@dataclass
class World:
    """A service in which everything goes on, but for what is in `off`; `go` lets time pass and has a look."""

    db: Database
    folder: Path
    now: datetime
    friend: Listening
    off: set[str] = field(default_factory=set)
    journal: JournalFacts = GOOD_JOURNAL

    def __post_init__(self) -> None:
        jobs = tuple(Job(name, MINUTE, lambda _db, _now: Report()) for name in ("job_a", "job_b"))
        watched = Watched(
            calendar=cme_equity_calendar(), data_dir=self.folder, has_feed=True, jobs=jobs,
            watched_since=self.now - timedelta(days=30), journal=lambda: self.journal,
        )  # fmt: skip
        self.watch = Watch(watched, Messenger([f"json://{self.friend.url}/"]))
        with self.db.transaction() as cur:
            for stream in STREAMS:
                tokens.add_token(cur, token=f"token-of-the-stream-{stream}", stream=stream, created_by="test")
            for contract_id in CONTRACTS:
                bars.save_contract(cur, Contract(contract_id, contract_id, "", tick_size=Decimal("0.25")))
        for days in DAYS_BEFORE:
            for kind in ("HEARTBEAT", "ENTRY", "EXIT_SL"):
                self.hear("main", kind, self.now - timedelta(days=days))
        for kind in ("ENTRY", "EXIT_SL"):
            self.hear("main", kind, self.now)

    def hear(self, stream: str, kind: str, at: datetime) -> None:
        self.run(
            "INSERT INTO telemetry_automated_signals_log (stream, received_at, raw_payload) VALUES (%s, %s, %s)",
            stream, at, json.dumps({"event_type": kind}),
        )  # fmt: skip

    def run(self, command: str, *given: object) -> None:
        with self.db.transaction() as cur:
            cur.execute(command, given)

    def go(self, minutes: float) -> None:
        """So much later, with everything up to date again that is not off."""
        self.now += minutes * MINUTE
        for stream in set(STREAMS) - self.off:
            self.hear(stream, "MFE_UPDATE" if "heartbeat" in self.off else "HEARTBEAT", self.now)
        with self.db.transaction() as cur:
            label = (self.now - MINUTE).replace(second=0)
            made = [replace(bar_at("2025-12-10 14:00", 5800, 1), contract_id=each, starts_at=label)
                    for each in CONTRACTS if each not in self.off]  # fmt: skip
            bars.upsert_bars(cur, made)
            if "feed" not in self.off:
                state = {"is_connected": "connection" not in self.off, "forming": {name: {} for name in CONTRACTS}}
                bars.save_feed_state(cur, "market", state)
                cur.execute("UPDATE feed_states SET updated_at = %s", [self.now])
            for job in {"job_a", "job_b"} - self.off:
                cur.execute(
                    "INSERT INTO job_runs (job, slot, status, owner, finished_at)"
                    " VALUES (%(job)s, %(at)s, 'succeeded', 'x', %(at)s)",
                    {"job": job, "at": self.now},
                )
        self.look()

    def look(self) -> None:
        self.watch.run(self.db, self.now)

    def told(self) -> list[tuple[str, str]]:
        with self.db.transaction() as cur:
            return [(row.kind, row.cause) for row in reversed(alarms.list_notices(cur, 200))]


class Fault(NamedTuple):
    """What is wrong for so many minutes, and the cause that is to be told; `inject` returns what mends it."""

    cause: str
    minutes: float
    inject: Callable[[World], Callable[[], object]]


def stops(*names: str) -> Callable[[World], Callable[[], object]]:
    """Something no longer goes on."""

    def inject(world: World) -> Callable[[], object]:
        world.off |= set(names)
        return world.off.clear

    return inject


def rows(made: str, mended: str) -> Callable[[World], Callable[[], object]]:
    """Something wrong stands in the database."""

    def inject(world: World) -> Callable[[], object]:
        world.run(made)
        return lambda: world.run(mended)

    return inject


def journal_says(**facts: Any) -> Callable[[World], Callable[[], object]]:
    def inject(world: World) -> Callable[[], object]:
        world.journal = replace(GOOD_JOURNAL, **facts)
        return lambda: setattr(world, "journal", GOOD_JOURNAL)

    return inject


def no_longer_sent(kind: str) -> Callable[[World], Callable[[], object]]:
    """For two days nothing of that kind has come."""

    def inject(world: World) -> Callable[[], object]:
        world.run(
            "DELETE FROM telemetry_automated_signals_log WHERE raw_payload ->> 'event_type' = %s AND received_at > %s",
            kind, OPEN - timedelta(days=3),
        )  # fmt: skip
        return lambda: [world.hear("main", kind, OPEN - timedelta(days=days)) for days in (2, 1, 0)]

    return inject


def fires_often(stream: str, count: int) -> Callable[[World], Callable[[], object]]:
    def inject(world: World) -> Callable[[], object]:
        for _ in range(count):
            world.hear(stream, "MFE_UPDATE", world.now)
        return lambda: None

    return inject


def gives_up_durability(world: World) -> Callable[[], object]:
    """As an operator may do for one database; sessions that are open keep what they had."""
    name = sql.Identifier(world.db.url.rpartition("/")[2])

    def alter(command: str) -> None:
        with closing(psycopg2.connect(world.db.url)) as connection, connection.cursor() as cur:
            connection.autocommit = True
            cur.execute(sql.SQL(command).format(name))
        world.db.close()

    alter("ALTER DATABASE {} SET synchronous_commit = off")
    return lambda: alter("ALTER DATABASE {} RESET synchronous_commit")


def patched(owner: Any, name: str, value: Any) -> Callable[[World], Callable[[], object]]:
    """Something of the machine says otherwise."""

    def inject(_world: World) -> Callable[[], object]:
        patch = pytest.MonkeyPatch()
        patch.setattr(owner, name, value)
        return patch.undo

    return inject


STATES = (
    "INSERT INTO trade_states (stream, trade_id, status) SELECT 'x', 't' || n, 'ACTIVE' FROM generate_series(1, 60) AS n"
    " ON CONFLICT DO NOTHING; "
)
FAULTS = (
    Fault("stream_silent:main", 4, stops("main")),
    Fault("stream_silent:other", 11, stops("other")),
    Fault("kind_silent:main:HEARTBEAT", 20, stops("heartbeat")),
    Fault("kind_silent:main:ENTRY", 1, no_longer_sent("ENTRY")),
    Fault("kind_silent:main:EXIT_SL", 1, no_longer_sent("EXIT_SL")),
    Fault("throttle_danger:main", 1, fires_often("main", 13)),
    Fault("throttle_danger:other", 1, fires_often("other", 20)),
    Fault("feed_down", 1, stops("connection")),  # the gateway is away
    Fault("feed_down", 2, stops("feed")),  # the process with the feed is
    Fault(f"bars_late:{MES}", 7, stops(MES)),
    Fault(f"bars_late:{MNQ}", 20, stops(MNQ)),
    Fault(
        "health_low", 1,
        rows(STATES + "INSERT INTO signal_health_metrics (stream, trade_id, health_score)"
             " SELECT 'x', 't' || n, 45 FROM generate_series(1, 60) AS n",
             "UPDATE signal_health_metrics SET health_score = 96"),
    ),
    Fault(
        "gaps_many", 1,
        rows(STATES + "INSERT INTO sync_gaps (stream, trade_id, gap_type, first_seen_at)"
             " SELECT 'x', 't' || n, 'no_mae', '2025-12-01' FROM generate_series(1, 60) AS n",
             "UPDATE sync_gaps SET resolved_at = now()"),
    ),
    Fault("journal_pending", 1, journal_says(pending=7, oldest_age_seconds=45.0)),
    Fault("journal_broken", 1, journal_says(ok=False)),
    Fault("journal_not_kept", 1, journal_says(persistent=False)),
    Fault("job_overdue:job_a", 6, stops("job_a")),
    Fault("job_overdue:job_b", 90, stops("job_b")),
    Fault("disk_low", 1, patched(shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(100, 97, 3))),  # type: ignore[attr-defined]
    Fault("durability_off:synchronous_commit", 1, gives_up_durability),
    Fault("calendar_ending", 1, patched(TradingCalendar, "days_left", lambda _self, _day: 30)),
)  # fmt: skip


@pytest.fixture
def friend() -> Iterator[Listening]:
    with listening() as found:
        yield found


@contextmanager
def world_at(now: datetime, db: Database, folder: Path, friend: Listening) -> Iterator[World]:
    """A world that has told what this machine is: the test server gives durability up, the disk may be full."""
    world = World(db, folder, now, friend)
    world.go(1)
    world.go(1)
    assert {cause.partition(":")[0] for _, cause in world.told()} <= {"durability_off", "disk_low"}
    world.run("DELETE FROM alarm_notices")
    friend.heard.clear()
    yield world


def suffer(world: World, fault: Fault) -> None:
    """The fault lasts, is looked at again and again, and is mended."""
    mend = fault.inject(world)
    world.go(fault.minutes)
    world.go(0.5)
    world.go(0.5)
    mend()
    world.go(4)


def test_twenty_and_more_injected_faults_give_as_many_right_alarms_and_recoveries(
    db: Database, database_url: str, postgres: str, tmp_path: Path, friend: Listening
) -> None:
    with world_at(OPEN, db, tmp_path, friend) as world:
        expected: list[tuple[str, str]] = []
        for fault in FAULTS:
            suffer(world, fault)
            expected += [("raised", fault.cause), ("recovered", fault.cause)]
            assert world.told() == expected, fault.cause
        lose_the_database(world, postgres, database_url)
        expected += [("raised", "database_away"), ("recovered", "database_away")]
        assert world.told() == expected
    assert len(expected) == 2 * 22
    assert len(friend.heard) == len(expected)
    assert [said["title"].startswith("Recovered: ") for said in friend.heard] == [False, True] * 22
    assert {cause.partition(":")[0] for _, cause in expected} == set(RULES)


def lose_the_database(world: World, postgres: str, url: str) -> None:
    """What no job can tell: the sentry looks from memory."""
    ready, clock = threading.Event(), ManualClock(world.now)
    sentry = Sentry(world.db, world.watch.messenger, clock, ready)
    turn_off(postgres, url)
    for _ in range(8):
        sentry.look()
        clock.sleep(10)
    turn_on(postgres, url)
    sentry.look()
    sentry.look()
    world.now = clock.now()
    world.look()


def test_while_the_market_is_closed_no_fault_of_the_market_is_told(
    db: Database, tmp_path: Path, friend: Listening
) -> None:
    of_the_market = [fault for fault in FAULTS if RULES[fault.cause.partition(":")[0]].in_market]
    with world_at(CLOSED, db, tmp_path, friend) as world:
        for fault in of_the_market:
            suffer(world, fault)
        assert world.told() == []
    assert len(of_the_market) == 11
    assert friend.heard == []
