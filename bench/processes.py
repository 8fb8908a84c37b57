"""Two web processes behind nginx and PgBouncer against one, side by side; the same alerts, the same database, in turn.

On a machine of two cores the load generator, nginx, PgBouncer and PostgreSQL take their share of them, so the ratio says what
is gained there, not what a machine with a core for each would gain; the processors' time for one alert, which is printed
too, says that: it must hardly grow with the second process. Needs Debian's nginx and PgBouncer.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

from bench.support.figures import print_figure
from bench.support.load import Load, Plan, run
from database.embedded import EmbeddedServer
from tests.support_postgres import public_directory
from tests.support_proxies import NGINX, PGBOUNCER, nginx, pgbouncer
from tests.support_service import Service, service

ROUNDS = 5
SECONDS = 4.0
TOKEN = "token-of-the-processes-bench"
PATH = f"/api/automated-signals/webhook/{TOKEN}"
TARGET = ">= 1.7 with cores to spare"

report = partial(print_figure, "processes")


@dataclass(slots=True)
class Way:
    """A door to so many processes; remembers which numbers it has had. `spent`: CPU seconds of its processes."""

    port: int
    services: list[Service]
    first: int
    spent: float = 0.0
    answered: int = 0

    def load(self, seconds: float = SECONDS) -> Load:
        before = sum(map(_cpu_seconds, self.services))
        load = run(Plan(self.port, PATH, connections=16, seconds=seconds, first=self.first))
        assert set(load.statuses) == {"200"}, load.statuses
        self.first += load.sent
        self.spent += sum(map(_cpu_seconds, self.services)) - before
        self.answered += load.sent
        return load


def _cpu_seconds(running: Service) -> float:
    with open(f"/proc/{running.pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def ways() -> Iterator[tuple[Way, Way]]:
    """One process and two, each behind nginx, all on one database through PgBouncer."""
    with ExitStack() as held:
        base = held.enter_context(public_directory())
        url = held.enter_context(EmbeddedServer(base / "var", run_dir=base / "run")).url
        given = {"DATABASE_URL": held.enter_context(pgbouncer(url)), "DATABASE_DIRECT_URL": url, "WEBHOOK_TOKEN": TOKEN,
                 "TRUSTED_PROXY": "127.0.0.1", "ROLE": "web", "SECRET_KEY": "k" * 48}  # fmt: skip
        webs = [held.enter_context(service(**given)) for _ in range(3)]
        for each in webs:
            each.wait_for("writer_breaker_closed")
        one = Way(held.enter_context(nginx([webs[0].port])), webs[:1], 0)
        two = Way(held.enter_context(nginx([each.port for each in webs[1:]])), webs[1:], 500_000_000)
        for way in (one, two):
            way.load(1.0)
            way.spent, way.answered = 0.0, 0
        yield one, two


def main() -> None:
    missing = [str(program) for program in (NGINX, PGBOUNCER) if not program.exists()]
    if missing:
        print(f"processes: not measured, {' and '.join(missing)} not installed (tools/setup.sh servers)")
        return
    with ways() as (one, two):
        rounds = [(one.load(), two.load()) for _ in range(ROUNDS)]
    report("this machine", os.cpu_count() or 0, "cores", "for comparison")
    report("one process", statistics.median(a.per_second for a, _ in rounds), "alerts/s", "for comparison")
    report("two processes", statistics.median(b.per_second for _, b in rounds), "alerts/s", "for comparison")
    report("two processes over one", statistics.median(b.per_second / a.per_second for a, b in rounds), "x", TARGET)
    ratio = statistics.median(b.p99_ms / a.p99_ms for a, b in rounds)
    report("p99 of two processes over one", ratio, "x", "for comparison")
    report("CPU of an alert, one process", one.spent / one.answered * 1000, "ms", "for comparison")
    ratio = two.spent / two.answered / (one.spent / one.answered)
    report("CPU of an alert, two processes over one", ratio, "x", "hardly above 1")


if __name__ == "__main__":
    main()
