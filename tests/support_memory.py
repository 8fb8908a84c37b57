"""What a process keeps of the alerts it has stored: the program `python -m tests.support_memory URL FOLDER`.

It prints the bytes Python holds more after a round of alerts than before it: {"clean": bytes, "leaky": bytes}, of ROUND
alerts, and of LEAKY alerts of which LEAK bytes each are kept on purpose. Tables that grow in steps move either by ten
thousand bytes or so, however many alerts a round has.
"""

from __future__ import annotations

import functools
import gc
import json
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any
from unittest.mock import patch

from flask_openapi3 import OpenAPI

from core.settings import load_settings
from database.engine import Database
from telemetry import intake
from telemetry.prepare import Prepared, prepare
from tests.support_intake import WEBHOOK, await_stored, running_app

AT_ONCE = 8
WARM, ROUND = 300, 500
LEAKY, LEAK = 100, 300
KINDS = ("SIGNAL_CREATED", "ENTRY", "MFE_UPDATE", "BE_TRIGGERED", "EXIT_SL")


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


def left_by(app: OpenAPI, first: int, count: int) -> int:
    """The bytes a round of alerts leaves behind."""
    before = kept_bytes()
    post(app, first, count)
    return kept_bytes() - before


def main() -> None:
    url, folder = sys.argv[1:]
    tracemalloc.start()
    leak: list[bytes] = []

    def leaky(*given: Any, **named: Any) -> Prepared:
        leak.append(bytes(LEAK))
        return prepare(*given, **named)

    settings = load_settings({"DATA_DIR": folder, "TESTING": "1"})
    with closing(Database(url)) as db, running_app(settings, db) as app:
        post(app, 0, WARM)
        clean = left_by(app, WARM, ROUND)
        with patch.object(intake, "prepare", leaky):
            kept = left_by(app, WARM + ROUND, LEAKY)
    assert len(leak) == LEAKY
    print(json.dumps({"clean": clean, "leaky": kept}))  # noqa: T201


if __name__ == "__main__":
    main()
