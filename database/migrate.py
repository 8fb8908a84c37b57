"""Migrations: Alembic revisions that hold plain SQL, run one process at a time.

One advisory lock is held around everything, the making of the version table included, and is taken before the lock
timeout is set: the other way round the processes that wait for their turn fail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command, op
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import StaticPool

from database.engine import Database

MIGRATIONS_DIR = Path(__file__).parent / "migrations"
LOCK_KEY = 0x5349474E414C  # the letters SIGNAL
DDL_LOCK_TIMEOUT = "2s"
STATEMENT_TIMEOUT = "10min"


def upgrade(db: Database, revision: str = "head") -> str:
    """Bring the schema up to `revision`; returns the revision it is at. Safe in any number of processes at once."""
    return _under_lock(db, lambda config: command.upgrade(config, revision))


def downgrade(db: Database, revision: str) -> str:
    """Take the schema down to `revision` ("base" removes everything); returns the revision it is at."""
    return _under_lock(db, lambda config: command.downgrade(config, revision))


def current_revision(db: Database) -> str | None:
    """The revision the database is at; None before the first migration."""
    with _connection(db) as connection:
        return MigrationContext.configure(connection).get_current_revision()


def head_revision() -> str:
    """The newest revision this code knows."""
    return str(ScriptDirectory.from_config(_config()).get_current_head())


def run_sql(sql: str) -> None:
    """Run plain SQL inside a revision through the raw cursor, where `:name` and `%` mean nothing special."""
    cur = op.get_bind().connection.cursor()
    cur.execute(sql)
    cur.close()


def _under_lock(db: Database, run: Callable[[Config], None]) -> str:
    with _connection(db) as connection:
        cur = connection.connection.cursor()
        cur.execute("SELECT set_config('statement_timeout', '0', false), set_config('lock_timeout', '0', false)")
        cur.execute("SELECT pg_advisory_lock(%s)", (LOCK_KEY,))
        cur.execute(
            "SELECT set_config('lock_timeout', %s, false), set_config('statement_timeout', %s, false)",
            (DDL_LOCK_TIMEOUT, STATEMENT_TIMEOUT),
        )
        connection.connection.commit()
        config = _config()
        config.attributes["connection"] = connection
        run(config)
        return MigrationContext.configure(connection).get_current_revision() or "base"


@contextmanager
def _connection(db: Database) -> Iterator[Connection]:
    """A direct connection as SQLAlchemy's, closed at the end, which also gives the advisory lock back."""
    raw = db.direct("migrations")
    engine = create_engine("postgresql+psycopg2://", creator=lambda: raw, poolclass=StaticPool)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        raw.close()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS_DIR))
    return config
