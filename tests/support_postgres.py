"""A PostgreSQL for the tests: one server per test session, a fresh database per test that asks for one.

In conftest.py, once per session: `with postgres_server() as server, template_database(server, migrate) as template:`;
in a test's fixture: `with fresh_database(server, template) as url:`. Set TEST_DATABASE_URL to use a server of your own
(its user needs CREATEDB); without it an embedded one is started in a temporary directory.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import psycopg2
from psycopg2 import sql

from database import migrate
from database.embedded import EmbeddedServer
from database.engine import Cursor, Database

# What the tests throw away at the end need not survive a power cut.
SETTINGS = {"fsync": "off", "full_page_writes": "off", "max_connections": "100"}
_ROOM = 2 << 30
_numbers = count(1)


@contextmanager
def public_directory(parent: Path | None = None) -> Iterator[Path]:
    """A temporary directory that the system user can reach (pytest's own are closed to others), removed afterwards."""
    base = Path(tempfile.mkdtemp(prefix="signalbook-test-", dir=parent))
    base.chmod(0o755)
    try:
        yield base
    finally:
        shutil.rmtree(base)


@contextmanager
def postgres_server() -> Iterator[str]:
    """The URL of a server to create test databases on."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield given
        return
    with (
        public_directory(memory_disk()) as base,
        EmbeddedServer(base / "var", run_dir=base / "run", settings=SETTINGS) as server,
    ):
        yield server.url


def memory_disk() -> Path | None:
    """A disk in memory, if it is roomy and may hold programs: a new database is 300 files, ten times faster there."""
    disk = Path("/dev/shm")
    if not os.access(disk, os.W_OK):
        return None
    facts = os.statvfs(disk)
    is_fit = facts.f_bavail * facts.f_frsize >= _ROOM and not facts.f_flag & os.ST_NOEXEC
    return disk if is_fit else None


@contextmanager
def template_database(server: str, prepare: Callable[[str], object]) -> Iterator[str]:
    """The name of a database that `prepare(url)` has filled, to copy with `fresh_database`.

    `prepare` must leave no connection open: PostgreSQL copies only what nobody uses.
    """
    with fresh_database(server) as url:
        prepare(url)
        yield urlsplit(url).path.removeprefix("/")


@contextmanager
def fresh_database(server: str, template: str = "template1") -> Iterator[str]:
    """The URL of a new database, a copy of `template`; dropped afterwards, whoever is still connected."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    with _commanding(server) as cur:
        cur.execute(_named("CREATE DATABASE {} TEMPLATE {}" + _way(), name, template))
    try:
        yield urlsplit(server)._replace(path=f"/{name}").geturl()
    finally:
        _drop(server, name)


@contextmanager
def older_installation(url: str, tables: str, *, known_until: str | None = None) -> Iterator[Database]:
    """An empty database in which an older installation made `tables`, migrated; before them up to `known_until`."""
    db = Database(url)
    if known_until:
        migrate.upgrade(db, known_until)
    with db.transaction() as cur:
        cur.execute(tables)
    migrate.upgrade(db)
    yield db
    db.close()


def end_sessions(server: str, name: str) -> None:
    """End this role's sessions on the database `name`.

    Only its own: a worker of autovacuum belongs to the superuser, and asking for its end is an error.
    """
    with _commanding(server) as cur:
        cur.execute(_OWN_SESSIONS, [name])


_OWN_SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND usename = current_user"


def _drop(server: str, name: str) -> None:
    """Drop a database, whoever is connected.

    Not WITH (FORCE), which is refused while autovacuum works there; the plain command makes room for itself.
    """
    with _commanding(server) as cur:
        cur.execute(_named("ALTER DATABASE {} ALLOW_CONNECTIONS false", name))
        cur.execute(_OWN_SESSIONS, [name])
        cur.execute(_named("DROP DATABASE {}", name))


def _way() -> str:
    """How to copy: by file where that costs no sync, in half the time; as the server likes it where it is not ours."""
    return "" if os.environ.get("TEST_DATABASE_URL") else " STRATEGY file_copy"


@contextmanager
def _commanding(server: str) -> Iterator[Cursor]:
    """A cursor for commands that no transaction may hold."""
    with closing(psycopg2.connect(server)) as conn, conn.cursor() as cur:
        conn.autocommit = True
        yield cur


def _named(command: str, *names: str) -> sql.Composed:
    return sql.SQL(command).format(*map(sql.Identifier, names))
