"""Memory over a million alerts (row E5 of the faults): nothing is kept of an alert once it is stored.

What every run can measure exactly is Python's memory, caches that have an end left out: after a first round of alerts a
later one leaves less behind than fifty bytes each, which is 50 MB over a million. `make soak` posts the million over HTTP
and reads the size of a process without jobs (SOAK_ALERTS asks for fewer): two minutes of such a load are more signals
than a year brings, and the jobs take what is new at once.
"""

from __future__ import annotations

import ast
import http.client
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from tests.support_intake import TOKEN, WEBHOOK
from tests.support_memory import AT_ONCE, LEAKY, ROUND, alert
from tests.support_service import service
from tests.test_architecture import SOURCES

PARTS, WARM_PARTS = 20, 2
BYTES_EACH = 50
GROWTH_MB = 50.0
MILLION = int(os.environ.get("SOAK_ALERTS", "1000000"))
FOR_EVER = {
    "database/queries.py",  # one entry for each file of queries
    "core/trading_calendar.py",  # one for each calendar file
    "telemetry/measures.py",  # no argument
    "web/passwords.py",
    "web/serving/health.py",
    "web/serving/metrics.py",
}


def test_nothing_is_kept_of_an_alert_once_it_is_stored(database_url: str, tmp_path: Path) -> None:
    """In an interpreter of its own: what other tests have left running there would be counted too."""
    made = subprocess.run(
        [sys.executable, "-m", "tests.support_memory", database_url, str(tmp_path / "var")],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr[-2000:]
    left = json.loads(made.stdout)
    assert left["clean"] < ROUND * BYTES_EACH
    assert left["leaky"] > LEAKY * BYTES_EACH  # the measure finds what is kept on purpose


def test_every_cache_has_an_end() -> None:
    endless = set()
    for name, tree in SOURCES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and {"cache", "lru_cache"} & {
                ast.unparse(d) for d in node.decorator_list
            }:
                endless.add(name)
    assert endless == FOR_EVER


def resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def post_over_http(port: int, first: int, count: int) -> None:
    """Post so many alerts on connections that stay open."""

    def send(place: int) -> set[int]:
        statuses = set()
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
            for number in range(first + place, first + count, AT_ONCE):
                connection.request("POST", WEBHOOK, alert(number))
                answer = connection.getresponse()
                answer.read()
                statuses.add(answer.status)
        return statuses

    with ThreadPoolExecutor(AT_ONCE) as pool:
        assert set.union(*pool.map(send, range(AT_ONCE))) == {200}


@pytest.mark.soak
def test_a_million_alerts_over_http_leave_the_process_as_large_as_it_was(database_url: str) -> None:
    with service(DATABASE_URL=database_url, WEBHOOK_TOKEN=TOKEN, ROLE="web") as running:
        running.wait_for("writer_breaker_closed")
        sizes = []
        for part in range(PARTS):
            post_over_http(running.port, part * MILLION // PARTS, MILLION // PARTS)
            sizes.append(round(resident_mb(running.pid), 1))
        assert running.terminate() == 0
    print(json.dumps({"alerts": MILLION, "resident_mb": sizes}))  # noqa: T201
    assert sizes[-1] - sizes[WARM_PARTS - 1] < GROWTH_MB, sizes
