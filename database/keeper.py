"""Keeps the way to the database open: starts the embedded server, migrates, does the first start, watches.

The service accepts alerts from its first second, so all this happens on a thread of its own. `is_up` and `detail` answer
from memory.
"""

from __future__ import annotations

import atexit
import logging
import threading
from collections.abc import Callable

import psycopg2
from alembic.util import CommandError
from sqlalchemy.exc import SQLAlchemyError

from core.errors import DatabaseUnavailableError, SignalbookError
from core.settings import Settings
from database import migrate
from database.embedded import EmbeddedServer
from database.engine import Database

log = logging.getLogger(__name__)

CHECK_SECONDS = 2.0


def open_database(settings: Settings, *, role: str) -> tuple[Database, EmbeddedServer | None]:
    """The database of the settings, and the embedded server that has to be started before it answers, if any."""
    if settings.database_url is not None:
        direct = settings.database_direct_url or settings.database_url
        size = settings.database_pool_size
        return Database(settings.database_url, direct_url=direct, pool_size=size, role=role), None
    server = EmbeddedServer(settings.data_dir)

    def url() -> str:
        try:
            return server.url
        except (SignalbookError, OSError) as error:
            raise DatabaseUnavailableError("The embedded database is starting.") from error

    return Database(url, pool_size=settings.database_pool_size, role=role), server


def open_for_command(settings: Settings) -> Database:
    """The database for a command: the embedded server is started or joined when the first connection is made."""
    if settings.database_url is not None:
        return open_database(settings, role="command")[0]
    server = EmbeddedServer(settings.data_dir)
    atexit.register(server.release)
    return Database(server.acquire, pool_size=2, role="command")


class DatabaseKeeper:
    """Brings the database up and keeps watching it; `on_ready` runs once, after the migrations."""

    def __init__(self, db: Database, server: EmbeddedServer | None, *, on_ready: Callable[[], None]) -> None:
        self._db = db
        self._server = server
        self._on_ready = on_ready
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="database-keeper", daemon=True)
        self.ready = threading.Event()
        self.while_up: Callable[[], None] = lambda: None
        self.is_up = False
        self.detail = "starting"

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """Stop watching and give the embedded server back."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)
        if self._server is not None:
            self._server.release()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._look()
            self._stop.wait(CHECK_SECONDS)

    def _look(self) -> None:
        """One round: what is missing is done; a failure is said once and tried again next round."""
        try:
            if self._server is not None:
                self._server.acquire()
                self._server.ensure_running()
            if not self.ready.is_set():
                revision = migrate.upgrade(self._db)
                self._on_ready()
                self.ready.set()
                log.info("database_ready", extra={"revision": revision})
            is_up = self._db.is_reachable()
            self._say(is_up, "reachable" if is_up else "cannot be reached")
            if is_up:
                self.while_up()
        except CommandError as error:  # most likely an older version of the service on a newer schema
            self._say(False, f"the schema does not fit this version: {error}")
        except (SignalbookError, SQLAlchemyError, psycopg2.Error, OSError) as error:
            message = error.message if isinstance(error, SignalbookError) else type(error).__name__
            self._say(False, message)

    def _say(self, is_up: bool, detail: str) -> None:
        if (is_up, detail) != (self.is_up, self.detail):
            log.log(logging.INFO if is_up else logging.WARNING, "database_state", extra={"up": is_up, "detail": detail})
        self.is_up, self.detail = is_up, detail
