"""The app with its intake at work, in this process: journal, writer and all, on the test's database.

with running_app(settings, db) as app:
    answer = app.test_client().post(WEBHOOK, data=b"{...}")
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask
from flask_openapi3 import OpenAPI
from prometheus_client import CollectorRegistry

from core.settings import Settings
from database import tokens
from database.engine import Database
from database.notify import Listener
from telemetry.parts import Telemetry
from tests.intake_rig import until
from web_server import create_app

TOKEN = "token-of-the-intake-tests"
WEBHOOK = f"/api/automated-signals/webhook/{TOKEN}"
RECEIVED_AT = "X-Signalbook-Received-At"


@contextmanager
def running_app(settings: Settings, db: Database) -> Iterator[OpenAPI]:
    """The app with its writer at work; TOKEN opens the stream `main`."""
    with db.transaction() as cur:
        tokens.add_token(cur, token=TOKEN, stream="main", created_by="the tests")
    app = create_app(settings, db)
    intake = parts_of(app)
    intake.start(CollectorRegistry())
    try:
        until(lambda: not intake.writer.is_broken)
        yield app
    finally:
        intake.stop()


@contextmanager
def listening(app: Flask) -> Iterator[None]:
    """The app hears of changes of the tokens, as a running service does."""
    parts, ready, heard = parts_of(app), threading.Event(), threading.Event()
    ready.set()

    def refresh(payload: str) -> None:
        parts.door.refresh(payload)
        heard.set()

    listener = Listener(parts.db, {"webhook_tokens": refresh}, wait_for=ready)
    listener.start()
    try:
        assert heard.wait(10)
        yield
    finally:
        listener.stop()


def parts_of(app: Flask) -> Telemetry:
    """The telemetry parts of an app."""
    parts: Telemetry = app.extensions["telemetry"]
    return parts


def await_stored(app: Flask) -> None:
    """Wait until the database holds everything that was acknowledged."""
    until(lambda: parts_of(app).journal.stats().pending == 0, 30)


def stored_bodies(db: Database) -> Counter[bytes]:
    """How often each body is stored."""
    with db.transaction() as cur:
        cur.execute("SELECT raw_body FROM telemetry_automated_signals_log")
        return Counter(bytes(row.raw_body) for row in cur.fetchall())
