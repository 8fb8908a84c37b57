"""Migrations: up and down, many at once, killed half-way; the schema is always the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg2
import psycopg2.errors
import pytest

from database import migrate, verify
from database.engine import Database
from tests.support_postgres import fresh_database

ROOT = Path(__file__).parent.parent
UPGRADE = (
    "import sys; from database.engine import Database; from database import migrate;"
    "print('go', flush=True); migrate.upgrade(Database(sys.argv[1]))"
)


def schema(url: str) -> Any:
    db = Database(url)
    try:
        with db.transaction() as cur:
            return verify.schema_of(cur)
    finally:
        db.close()


def start_upgrade(url: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", UPGRADE, url], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def test_up_down_up_leaves_the_same_schema(empty_database_url: str) -> None:
    db = Database(empty_database_url)
    migrate.upgrade(db)
    first = schema(empty_database_url)
    migrate.downgrade(db, "base")
    assert set(schema(empty_database_url)["relations"]) <= {"public.alembic_version"}
    migrate.upgrade(db)
    assert schema(empty_database_url) == first
    db.close()


def test_each_revision_can_go_down_and_up_again(empty_database_url: str) -> None:
    db = Database(empty_database_url)
    migrate.upgrade(db)
    full = schema(empty_database_url)
    for _ in range(len(list((ROOT / "database/migrations/versions").glob("0*.py")))):
        migrate.downgrade(db, "-1")
    assert migrate.current_revision(db) is None
    migrate.upgrade(db)
    assert schema(empty_database_url) == full
    db.close()


def test_eight_processes_at_once_make_one_schema(empty_database_url: str, database_url: str) -> None:
    processes = [start_upgrade(empty_database_url) for _ in range(8)]
    errors = [process.communicate(timeout=90)[1].decode() for process in processes]
    assert [process.returncode for process in processes] == [0] * 8, errors
    assert schema(empty_database_url) == schema(database_url)


def test_killed_at_twenty_points_the_next_start_completes_it(postgres: str, database_url: str) -> None:
    expected = schema(database_url)
    duration = _duration_of_upgrade(postgres)
    for point in range(20):
        with fresh_database(postgres) as url:
            process = start_upgrade(url)
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(duration * point / 20)
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
            db = Database(url)
            migrate.upgrade(db)
            db.close()
            assert schema(url) == expected


def _duration_of_upgrade(postgres: str) -> float:
    with fresh_database(postgres) as url:
        process = start_upgrade(url)
        assert process.stdout is not None
        process.stdout.readline()
        started = time.monotonic()
        process.communicate(timeout=60)
        return time.monotonic() - started


def test_verify_reports_a_database_that_was_never_migrated(empty_database_url: str) -> None:
    db = Database(empty_database_url)
    with db.transaction() as cur:
        report = verify.inspect(cur)
    assert any("never migrated" in problem for problem in report["problems"])
    db.close()


def test_verify_lists_tables_with_types_and_finds_durability_switched_off(db: Database) -> None:
    with db.transaction() as cur:
        report = verify.inspect(cur)
        cur.execute("SHOW fsync")
        fsync = cur.fetchone()[0]  # type: ignore[index]
    assert report["tables"]["public.users"]["name"].startswith("text NOT NULL")
    assert any("fsync is off" in problem for problem in report["problems"]) == (fsync == "off")


def test_verify_finds_an_encoding_that_cannot_hold_every_letter(empty_database_url: str) -> None:
    parts = urlsplit(empty_database_url)
    name = parts.path.removeprefix("/") + "_ascii"
    with closing(psycopg2.connect(empty_database_url)) as connection, connection.cursor() as command:
        connection.autocommit = True
        command.execute(
            f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE_PROVIDER libc LOCALE 'C'"
        )
        db = Database(parts._replace(path=f"/{name}").geturl())
        with db.transaction() as cur:
            problems = verify.inspect(cur)["problems_of"]["server"]
        db.close()
        command.execute(f"DROP DATABASE {name}")
    assert ["encoding is SQL_ASCII" in problem for problem in problems] == [True]


def test_verify_names_an_invalid_index(db: Database) -> None:
    connection = db.direct("test")
    connection.autocommit = True
    with connection.cursor() as cur:
        cur.execute("CREATE TABLE twice (n int); INSERT INTO twice VALUES (1), (1)")
        with pytest.raises(psycopg2.errors.UniqueViolation):
            cur.execute("CREATE UNIQUE INDEX CONCURRENTLY twice_n ON twice (n)")
        assert any("twice_n is invalid" in problem for problem in verify.inspect(cur)["problems"])
    connection.close()
