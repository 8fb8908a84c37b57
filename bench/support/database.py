"""Databases to measure on: as durable as the service's own, unlike those of the tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from database import migrate
from database.embedded import EmbeddedServer
from database.engine import Database
from tests.support_postgres import fresh_database, public_directory


@contextmanager
def embedded_server() -> Iterator[str]:
    """The URL of a server of its own."""
    with public_directory() as base, EmbeddedServer(base / "var", run_dir=base / "run") as server:
        yield server.url


@contextmanager
def migrated_database(server: str) -> Iterator[Database]:
    """A new migrated database on a server."""
    with fresh_database(server) as url:
        db = Database(url)
        migrate.upgrade(db)
        yield db
        db.close()


@contextmanager
def database() -> Iterator[Database]:
    """A migrated database on a server of its own."""
    with embedded_server() as server, migrated_database(server) as db:
        yield db


def settle(db: Database) -> None:
    """Visibility and statistics as autovacuum leaves them once a burst of rows is over."""
    with closing(db.direct("bench", statement_timeout_ms=0)) as connection:
        connection.autocommit = True
        with connection.cursor() as cur:
            cur.execute("VACUUM ANALYZE")
