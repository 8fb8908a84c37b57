"""Memory over a million alerts (row E5 of the faults): nothing is kept of an alert once it is stored.

What every run can measure exactly is Python's memory, caches that have an end left out: after a first round of alerts a
later one leaves less behind than a hundred bytes each. `make soak` posts the million over HTTP
and reads the size of a process without jobs (SOAK_ALERTS asks for fewer): two minutes of such a load are more signals
than a year brings, and the jobs take what is new at once.
"""

from __future__ import annotations

import ast
import functools
import gc
import http.client
import json
import os
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from flask_openapi3 import OpenAPI

from core.settings import Settings
from database.engine import Database
from telemetry import intake
from telemetry.prepare import Prepared, prepare
from tests.support_intake import TOKEN, WEBHOOK, await_stored, running_app
from tests.support_service import service
from tests.test_architecture import SOURCES

WARM, ROUND, CLEAN_ROUNDS = 100, 200, 2
AT_ONCE = 8
PARTS, WARM_PARTS = 20, 2
BYTES_EACH = 100  # so short a round sees tables grow in steps; the million is held to GROWTH_MB
GROWTH_MB = 50.0
MILLION = int(os.environ.get("SOAK_ALERTS", "1000000"))
KINDS = ("SIGNAL_CREATED", "ENTRY", "MFE_UPDATE", "BE_TRIGGERED", "EXIT_SL")
FOR_EVER = {
    "database/queries.py",  # one entry for each file of queries
    "core/trading_calendar.py",  # one for each calendar file
    "telemetry/measures.py",  # no argument
    "web/passwords.py",
    "web/serving/health.py",
    "web/serving/metrics.py",
}


def alert(number: int) -> bytes:
    """One of the alerts of a life of five; no two bodies are equal."""
    life, step = divmod(number, len(KINDS))
    body = {
        "event_type": KINDS[step],
        "trade_id": f"20251120_{life:06d}_BULLISH",
        "direction": "Bullish",
        "entry_price": 20500.25 + life,
        "stop_loss": 20480.25 + life,
        "be_mfe": step / 4,
        "no_be_mfe": step / 3,
        "timestamp": 1_763_650_000 + 60 * number,
    }
    return json.dumps(body).encode()


def post(app: OpenAPI, first: int, count: int) -> None:
    """Post so many alerts, several at a time, and wait until the database holds them."""

    def send(number: int) -> int:
        return app.test_client().post(WEBHOOK, data=alert(number)).status_code

    with ThreadPoolExecutor(AT_ONCE) as pool:
        assert set(pool.map(send, range(first, first + count))) == {200}
    await_stored(app)


def kept_bytes() -> int:
    """What Python holds now that it did not hold when tracing began, caches with an end emptied."""
    for item in gc.get_objects():
        if isinstance(item, functools._lru_cache_wrapper) and item.cache_parameters()["maxsize"] is not None:
            item.cache_clear()
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


@pytest.fixture
def traced() -> Iterator[None]:
    """Python counts what it holds from here on."""
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.usefixtures("traced")
def test_nothing_is_kept_of_an_alert_once_it_is_stored(
    settings: Settings, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    leak: list[bytes] = []

    def leaky(*given: Any, **named: Any) -> Prepared:
        leak.append(bytes(2 * BYTES_EACH))
        return prepare(*given, **named)

    with running_app(settings, db) as app:
        post(app, 0, WARM)
        sizes = [kept_bytes()]
        for number in range(CLEAN_ROUNDS):
            post(app, WARM + number * ROUND, ROUND)
            sizes.append(kept_bytes())
        monkeypatch.setattr(intake, "prepare", leaky)  # the measure must find what is kept on purpose
        post(app, WARM + CLEAN_ROUNDS * ROUND, ROUND)
        sizes.append(kept_bytes())
    *clean, leaked = (later - earlier for earlier, later in pairwise(sizes))
    # What is kept of alerts is kept in every round; a table that happens to grow in one does so in that one only.
    assert min(clean) < ROUND * BYTES_EACH
    assert leaked > ROUND * BYTES_EACH
    assert len(leak) == ROUND


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
