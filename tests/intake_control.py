"""The control build: acknowledges an alert, then stores it in a thread. The rigs must catch it losing alerts.

Started like the service, with PORT and DATABASE_URL in the environment; stores into the table `control`.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

import psycopg2
import waitress
from psycopg2.extensions import connection

waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()


def acknowledge(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    waiting.put(environ["wsgi.input"].read())
    start_response("200 OK", [("Content-Type", "application/json")])
    return [b'{"success": true, "stored": "memory"}']


def store() -> None:
    """One row after the other; after an error, a new connection for the next."""
    held: connection | None = None
    while True:
        body = waiting.get()
        try:
            held = held or psycopg2.connect(os.environ["DATABASE_URL"])
            with held, held.cursor() as cur:
                cur.execute("INSERT INTO control (raw_body) VALUES (%s)", [body])
        except psycopg2.Error:
            held = None


if __name__ == "__main__":
    threading.Thread(target=store, daemon=True).start()
    server = waitress.create_server(acknowledge, host="127.0.0.1", port=int(os.environ["PORT"] or 0), threads=8)
    sys.stdout.write(json.dumps({"event": "serving", "port": server.effective_port}) + "\n")
    sys.stdout.flush()
    server.run()
