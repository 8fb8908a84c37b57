"""Intake side by side: the service, the same server's no-op route, and the webhook as commonly written (A and B).

Distinct telemetry ENTRY bodies of 1.2 kB, the whole way: journal, parse, delivery row, event, state. PostgreSQL has the
settings of production. Ratios are medians over rounds in which every server has its turn.
"""

from __future__ import annotations

import signal
import socket
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial

import psycopg2

from bench.support.baselines import TABLES
from bench.support.figures import print_figure
from bench.support.load import Load, Plan, run
from database.embedded import EmbeddedServer
from database.embedded_cluster import free_port
from tests.intake_rig import Cluster, until
from tests.support_postgres import public_directory
from tests.support_service import ROOT, environment

ROUNDS = 5
TOKEN = "token-of-the-intake-bench"
WEBHOOK = f"/api/automated-signals/webhook/{TOKEN}"
NOOP = "/api/automated-signals/webhook-noop"

report = partial(print_figure, "intake")


class Target:
    """One server under load; remembers which numbers it has had."""

    def __init__(self, port: int, path: str, kind: str = "entry") -> None:
        self.port, self.path, self.kind = port, path, kind
        self._first = 0

    def load(self, *, kind: str | None = None, connections: int = 16, seconds: float = 2.0, once: bool = False) -> Load:
        plan = Plan(self.port, self.path, kind or self.kind, connections, seconds, self._first, once)
        load = run(plan)
        self._first += load.sent
        assert set(load.statuses) == {"200"}, load.statuses
        return load


class Bench:
    """The servers, and the figures taken with them."""

    def __init__(self, cluster: Cluster, ours: Target, noop: Target, a: Target, b: Target) -> None:
        self.cluster = cluster
        self.ours, self.noop, self.a, self.b = ours, noop, a, b

    def throughput(self) -> None:
        """16 connections, every server in turn."""
        names = ("ours", "noop", "a", "b")
        rounds = [{name: getattr(self, name).load() for name in names} for _ in range(ROUNDS)]

        def median(figure: Callable[[dict[str, Load]], float]) -> float:
            return statistics.median(figure(loads) for loads in rounds)

        for name in names:
            speed = median(lambda r, n=name: r[n].per_second)  # type: ignore[misc]
            report(f"{name} on 16 connections", speed, "alerts/s", "for comparison")
        for name, target in (("noop", ">= 0.5, binding"), ("a", ">= 5"), ("b", ">= 1.3")):
            ratio = median(lambda r, n=name: r["ours"].per_second / r[n].per_second)  # type: ignore[misc]
            report(f"throughput, ours over {name}", ratio, "x", target)
        report("p99, ours", median(lambda r: r["ours"].p99_ms), "ms", "for comparison")
        report("p99, ours over b", median(lambda r: r["ours"].p99_ms / r["b"].p99_ms), "x", "<= 0.6")

    def one_connection(self) -> None:
        loads = [self.ours.load(connections=1, seconds=1.0).p50_ms for _ in range(ROUNDS)]
        report("p50 on one connection, ours", statistics.median(loads), "ms", "<= 3 ms")
        loads = [self.b.load(connections=1, seconds=1.0).p50_ms for _ in range(ROUNDS)]
        report("p50 on one connection, b", statistics.median(loads), "ms", "for comparison")

    def batch(self) -> None:
        pairs = [
            self.ours.load(kind="batch", connections=1, seconds=1.0).p50_ms
            / self.ours.load(connections=1, seconds=1.0).p50_ms
            for _ in range(ROUNDS)
        ]
        report("a batch of 22 over one alert", statistics.median(pairs), "x", "<= 3")

    def burst(self) -> None:
        longest = [self.ours.load(connections=200, once=True).longest_ms for _ in range(ROUNDS)]
        report("the longest of 200 at once", max(longest), "ms", "< 1000 ms")

    def database_away(self) -> None:
        """Pairs with and without the database; a short load lets the service notice each time."""
        pairs = []
        for _ in range(ROUNDS):
            with_it = self.ours.load().per_second
            self.cluster.stop()
            self.ours.load(seconds=0.5)
            pairs.append(self.ours.load().per_second / with_it)
            self.cluster.start()
            until(self.is_stored, 60)
        report("throughput without the database over with it", statistics.median(pairs), "x", ">= 0.9")

    def is_stored(self) -> bool:
        """True when an alert is answered from the database again and nothing waits."""
        with closing(socket.create_connection(("127.0.0.1", self.ours.port))) as connection:
            connection.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
            with connection.makefile("rb") as answer:
                return b"every alert is in the database" in answer.read()


@contextmanager
def server(*command: str, **settings: str) -> Iterator[int]:
    """A server process on a free port, which it gives back."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment(PORT=str(port), **settings),
        stdout=subprocess.DEVNULL,
    )
    try:
        until(lambda: _listens(port), 60)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def _listens(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def bench() -> Iterator[Bench]:
    with ExitStack() as held:
        base = held.enter_context(public_directory())
        embedded = held.enter_context(EmbeddedServer(base / "var", run_dir=base / "run"))
        url = embedded.url
        with closing(psycopg2.connect(url)) as conn, conn.cursor() as cur:
            cur.execute(TABLES)
            conn.commit()
        given = {"DATABASE_URL": url, "DATA_DIR": str(base / "service"), "WEBHOOK_TOKEN": TOKEN}
        ours = held.enter_context(server("-m", "bench.support.service_with_noop", **given))
        a = held.enter_context(server("-m", "bench.support.baselines", "a", DATABASE_URL=url))
        b = held.enter_context(server("-m", "bench.support.baselines", "b", DATABASE_URL=url))
        made = Bench(
            Cluster(embedded),
            Target(ours, WEBHOOK),
            Target(ours, NOOP, "nothing"),
            Target(a, "/webhook"),
            Target(b, "/webhook"),
        )
        until(made.is_stored, 60)
        for target in (made.ours, made.noop, made.a, made.b):
            target.load(seconds=0.5)
        yield made


def main() -> None:
    with bench() as made:
        made.throughput()
        made.one_connection()
        made.batch()
        made.burst()
        made.database_away()


if __name__ == "__main__":
    main()
