"""LISTEN: one thread with a direct connection hands PostgreSQL's notifications to whoever asked for the channel.

A notification is a hint to look, never the data: when the connection is lost, and after each reconnect, every subscriber
is called with an empty payload, because what was said meanwhile is lost.
"""

from __future__ import annotations

import logging
import select
import threading
from collections.abc import Callable

import psycopg2
from psycopg2 import sql

from core.errors import DatabaseUnavailableError
from database.engine import Connection, Database

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
RETRY_SECONDS = 2.0
PING_SECONDS = 30.0
Subscriber = Callable[[str], None]


class Listener:
    """Calls `subscriber(payload)` on its own thread for each notification; subscribers must be quick and not raise."""

    def __init__(self, db: Database, subscribers: dict[str, Subscriber], *, wait_for: threading.Event) -> None:
        """`wait_for` is set when the tables are there and the first start is done: nothing is listened to before."""
        self._db = db
        self._subscribers = subscribers
        self._wait_for = wait_for
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)

    def start(self) -> None:
        """Begin listening; returns at once, connects when the database is there."""
        self._thread.start()

    def stop(self) -> None:
        """Stop listening."""
        self._stop.set()
        self._thread.join(timeout=POLL_SECONDS + 4)

    def _run(self) -> None:
        while not self._stop.is_set():
            if not self._wait_for.wait(POLL_SECONDS):
                continue
            try:
                connection = self._db.direct("listener")
            except DatabaseUnavailableError:
                self._stop.wait(RETRY_SECONDS)
                continue
            try:
                self._listen(connection)
            except (psycopg2.OperationalError, psycopg2.InterfaceError, OSError) as error:
                log.info("listener_reconnects", extra={"reason": type(error).__name__})
                self._hint()
            finally:
                connection.close()

    def _listen(self, connection: Connection) -> None:
        connection.autocommit = True
        with connection.cursor() as cur:
            for channel in self._subscribers:
                cur.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
            self._hint()
            quiet = 0.0
            poller = select.poll()  # `select.select` refuses descriptors from 1,024 on
            poller.register(connection.fileno(), select.POLLIN)
            while not self._stop.is_set():
                if poller.poll(POLL_SECONDS * 1000):
                    connection.poll()
                    self._hand_out(connection)
                    quiet = 0.0
                    continue
                quiet += POLL_SECONDS
                if quiet >= PING_SECONDS:  # a connection that died silently would otherwise be listened to for ever
                    cur.execute("SELECT 1")
                    quiet = 0.0

    def _hint(self) -> None:
        for subscriber in self._subscribers.values():
            subscriber("")

    def _hand_out(self, connection: Connection) -> None:
        while connection.notifies:
            notification = connection.notifies.pop(0)
            subscriber = self._subscribers.get(notification.channel)
            if subscriber is not None:
                subscriber(notification.payload)
