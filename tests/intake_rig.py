"""The kill and database-fault rig: numbered alerts, faults, and afterwards the count of what was lost or stored twice.

Clients post with a new connection each and remember a body only when its 200 has been read. The rig has a PostgreSQL of
its own, so that its faults hurt nobody else.

    with cluster() as server, rig(server) as running:
        with running.clients():
            running.kill_cycles(30, seed=1)
        report = running.finish()
"""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2

from database.embedded import EmbeddedServer
from telemetry.journal.crash_points import POINTS
from tests.support_postgres import SETTINGS, fresh_database, memory_disk, public_directory
from tests.support_service import Service, send, service

TOKEN = "token-of-the-intake-rig"
WEBHOOK = f"/api/automated-signals/webhook/{TOKEN}"
CLIENTS = 6
TIMEOUT_SECONDS = 3.0
_BACKENDS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE %s"
LIFE = ("SIGNAL_CREATED", "ENTRY", "MFE_UPDATE", "BE_TRIGGERED", "MFE_UPDATE", "BE_TRIGGERED", "EXIT_BE", "EXIT_SL")
LARGE = 60_000
"""Padding that fills a journal segment with 70 alerts, for the crash point that only a rotation reaches."""

OVERLAP = 1000
"""Rows become visible out of the order of their ids; that many are read again."""


def until(is_true: Callable[[], object], seconds: float = 10.0) -> float:
    """Wait until something holds; how long it took. Raises AssertionError when the time is up."""
    started = time.monotonic()
    while not is_true():
        assert time.monotonic() - started < seconds, f"not within {seconds} s"
        time.sleep(0.02)
    return time.monotonic() - started


def alert(client: int, number: int, padding: int = 0) -> bytes:
    """One numbered alert of a life of eight; no two bodies are equal, each fact of a trade comes at least once."""
    life, step = divmod(number, len(LIFE))
    body = {
        "event_type": LIFE[step],
        "trade_id": f"T{client}-{life:06d}",
        "number": f"{client}-{number}",
        "direction": "Bullish",
        "entry_price": 20500.25,
        "stop_loss": 20480.25,
        "be_mfe": step / 4,
        "no_be_mfe": step / 4,
        "mae_global_r": -step / 8,
    }
    return json.dumps(body | ({"padding": "x" * padding} if padding else {})).encode()


class Cluster:
    """A PostgreSQL that can be stopped at once, started again, frozen and thawed."""

    def __init__(self, server: EmbeddedServer) -> None:
        self._server = server
        self.url = server.url

    @property
    def postmaster(self) -> int:
        return int((self._server.home.data / "postmaster.pid").read_text().split("\n", 1)[0])

    def stop(self) -> None:
        """As at a power cut: no checkpoint, no goodbye."""
        pid = self.postmaster
        os.kill(pid, signal.SIGQUIT)
        until(lambda: not _lives(pid))

    def start(self) -> None:
        until(self._server.ensure_running)
        assert self._server.url == self.url

    @contextmanager
    def frozen(self, *, backends: Sequence[int], postmaster: bool) -> Iterator[None]:
        """These processes take no step: connections stay open and nothing answers."""
        pids = [*backends, *([self.postmaster] if postmaster else [])]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A cluster of one's own."""
    with (
        public_directory(memory_disk()) as base,
        EmbeddedServer(base / "var", run_dir=base / "run", settings=SETTINGS) as server,
    ):
        yield Cluster(server)


@dataclass(slots=True)
class Tally:
    """What the clients saw."""

    bodies: set[bytes] = field(default_factory=set)
    acked: dict[bytes, str] = field(default_factory=dict)
    statuses: Counter[int] = field(default_factory=Counter)
    ambiguous: int = 0
    seconds: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, body: bytes, status: int | None, stored: str, seconds: float) -> None:
        with self.lock:
            self.bodies.add(body)
            if status is None:
                self.ambiguous += 1
                return
            self.statuses[status] += 1
            self.seconds.append(seconds)
            if status == 200:
                self.acked[body] = stored


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a run. Times in seconds; `lost` and `doubles` are what the rig is for."""

    cycles: int
    sent: int
    acked: int
    ambiguous: int
    statuses: dict[int, int]
    via: dict[str, int]
    rows: int
    lost: int
    doubles: int
    p50: float
    p99: float
    longest: float
    start_seconds: float
    drain_seconds: float

    def __str__(self) -> str:
        return (
            f"{self.cycles} cycles, sent {self.sent}, acked {self.acked}, ambiguous {self.ambiguous}, "
            f"statuses {self.statuses}, via {self.via}, rows {self.rows}, lost {self.lost}, doubles {self.doubles}; "
            f"ack p50 {self.p50 * 1000:.1f} ms, p99 {self.p99 * 1000:.1f} ms, longest {self.longest * 1000:.0f} ms; "
            f"start {self.start_seconds:.2f} s, drain {self.drain_seconds:.2f} s"
        )


class Rig:
    """A service, a cluster, clients, and the faults."""

    def __init__(self, running: Service, server: Cluster, url: str, table: str, seed: int) -> None:
        self.running, self.server, self.url, self.table = running, server, url, table
        self.chance = random.Random(seed)
        self.padding = 0
        self._numbers: Counter[int] = Counter()
        self._stop = threading.Event()
        self.forget()

    def forget(self) -> None:
        """Begin a new tally, for another fault in the same place."""
        self.tally = Tally()
        self.cycles = 0
        self.starts: list[float] = []
        self.drains: list[float] = []

    # --- clients

    @contextmanager
    def clients(self, count: int = CLIENTS, pause: float = 0.01) -> Iterator[None]:
        """That many clients posting, `pause` seconds between two posts of one."""
        self._stop.clear()
        threads = [threading.Thread(target=self._post, args=(number, pause)) for number in range(count)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def _post(self, client: int, pause: float) -> None:
        while not self._stop.wait(pause):
            body = alert(client, self._numbers[client], self.padding)
            started = time.monotonic()
            try:
                answer = send(self.running.port, "POST", WEBHOOK, body, timeout=TIMEOUT_SECONDS)
                stored = answer.json()["stored"]
            except ConnectionRefusedError:
                self._stop.wait(0.05)  # never sent: the same alert once more
                continue
            except (OSError, http.client.HTTPException, ValueError):
                self.tally.add(body, None, "", 0.0)
            else:
                self.tally.add(body, answer.status, stored, time.monotonic() - started)
            self._numbers[client] += 1

    def await_acks(self, more: int, *, stored: str | None = None, seconds: float = 30.0) -> None:
        """Wait until that many more alerts are acknowledged; only those stored there, if it is given."""

        def count() -> int:
            with self.tally.lock:
                return sum(place == stored for place in self.tally.acked.values()) if stored else len(self.tally.acked)

        wanted = count() + more
        until(lambda: count() >= wanted, seconds)

    # --- faults of the service

    def kill_cycles(self, cycles: int, *, stored: str | None = "db") -> None:
        """Kill and start again: after the first few answers, or as many from the place named."""
        for _ in range(cycles):
            self.await_acks(self.chance.randint(1, 40), stored=self.chance.choice((None, stored)))
            self._stop.wait(self.chance.uniform(0.0, 0.02))
            self.running.kill()
            self._start()

    def crash_at_each_point(self) -> None:
        """Let the service kill itself once at every named point; each start mends what the crash before it has left."""
        self.running.kill()
        for name in sorted(POINTS):
            self.padding = LARGE if name == "during_rotate" else 0
            times = 1 if name == "during_rotate" else self.chance.randint(5, 40)
            self._start(CRASH_AT=f"{name}:{times}")
            assert self.running.wait(timeout=60) == -signal.SIGKILL, name
        self.padding = 0
        self.running.start()

    def _start(self, **settings: str) -> None:
        started = time.monotonic()
        self.running.start(**settings)
        self.starts.append(time.monotonic() - started)
        self.cycles += 1

    # --- faults of the database

    def backends(self, role: str = "writer") -> list[int]:
        """The server's processes that serve the service in this role."""
        rows = self.ask(_BACKENDS, f"signalbook {role} %")
        return [row[0] for row in rows]

    def ask(self, query: str, *given: object) -> list[tuple[Any, ...]]:
        with closing(psycopg2.connect(self.url)) as conn, conn.cursor() as cur:
            cur.execute(query, given)
            return cur.fetchall()

    def fault(self, name: str, seconds: float, *, is_awaited: bool = True) -> None:
        """One database fault that lasts so long under load, and then the wait until what was acknowledged is stored."""
        with getattr(self, f"_{name}")():
            self._stop.wait(seconds)
        self.cycles += 1
        if is_awaited:
            self.drains.append(self.await_stored())

    def await_ready(self) -> None:
        """Wait until the service has made its tables and writes to them."""
        self.running.wait_for("database_ready")
        self.running.wait_for("writer_breaker_closed")

    @contextmanager
    def _stopped(self) -> Iterator[None]:
        self.server.stop()
        yield
        self.server.start()

    _restarted = _stopped

    @contextmanager
    def _frozen(self) -> Iterator[None]:
        with self.server.frozen(backends=self.backends("%"), postmaster=True):
            yield

    @contextmanager
    def _frozen_writer(self) -> Iterator[None]:
        with self.server.frozen(backends=self.backends(), postmaster=False):
            yield

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with closing(psycopg2.connect(self.url)) as conn, conn.cursor() as cur:
            cur.execute(f"LOCK TABLE {self.table} IN ACCESS EXCLUSIVE MODE")
            yield
            conn.rollback()

    @contextmanager
    def _cut(self) -> Iterator[None]:
        self.ask("SELECT pg_terminate_backend(pid) FROM unnest(%s) AS pid", self.backends())
        yield

    def await_stored(self, seconds: float = 30.0) -> float:
        """Wait until every alert acknowledged so far has its row; how long that took.

        Raises AssertionError, which says how many have none, when for so many seconds no row has come.
        """
        with self.tally.lock:
            missing = set(self.tally.acked)
        started = moved = time.monotonic()
        newest = 0
        while True:
            rows = self.rows(since=newest - OVERLAP)
            newest = max((number for number, _ in rows), default=0)
            before = len(missing)
            missing.difference_update(body for _, body in rows)
            now = time.monotonic()
            if not missing:
                return now - started
            moved = now if len(missing) < before else moved
            assert now - moved < seconds, f"{len(missing)} acknowledged alerts have no row, e.g. {min(missing)[:200]!r}"
            time.sleep(0.02)

    def rows(self, since: int = 0) -> list[tuple[int, bytes]]:
        """Id and body of every alert stored after the row of that id, in the order of storing."""
        found = self.ask(f"SELECT id, raw_body FROM {self.table} WHERE id > %s ORDER BY id", since)
        return [(number, bytes(body)) for number, body in found]

    # --- the end

    def finish(self, *, may_lose: bool = False) -> Report:
        """Wait until what was acknowledged is stored, then count, and say so.

        With `may_lose` nobody waits for what will not come.
        """
        if not may_lose:
            self.drains.append(self.await_stored())
        tally = self.tally
        rows = [body for _, body in self.rows() if body in tally.bodies]
        seconds = sorted(tally.seconds)
        report = Report(
            cycles=self.cycles,
            sent=len(tally.bodies),
            acked=len(tally.acked),
            ambiguous=tally.ambiguous,
            statuses=dict(tally.statuses),
            via=dict(Counter(tally.acked.values())),
            rows=len(rows),
            lost=len(tally.acked.keys() - set(rows)),
            doubles=len(rows) - len(set(rows)),
            p50=statistics.median(seconds),
            p99=seconds[int(len(seconds) * 0.99)],
            longest=seconds[-1],
            start_seconds=max(self.starts, default=0.0),
            drain_seconds=max(self.drains, default=0.0),
        )
        sys.stdout.write(f"{self.table}: {report}\n")
        return report


@contextmanager
def rig(server: Cluster, *, seed: int = 1) -> Iterator[Rig]:
    """The real service on a database of its own, ready for alerts."""
    with (
        fresh_database(server.url) as url,
        service(DATABASE_URL=url, WEBHOOK_TOKEN=TOKEN, TESTING="1") as running,
    ):
        yield Rig(running, server, url, "telemetry_automated_signals_log", seed)


@contextmanager
def control_rig(server: Cluster, *, seed: int = 1) -> Iterator[Rig]:
    """The control build in the same place."""
    with fresh_database(server.url) as url:
        with closing(psycopg2.connect(url)) as conn, conn.cursor() as cur:
            cur.execute("CREATE TABLE control (id bigserial PRIMARY KEY, raw_body bytea)")
            conn.commit()
        with service("-m", "tests.intake_control", DATABASE_URL=url) as running:
            yield Rig(running, server, url, "control", seed)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
