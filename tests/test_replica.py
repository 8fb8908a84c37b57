"""Pages read from a replica while it is close, and from the primary whenever it may not be."""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg2
import pytest

from core.clock import ManualClock, SystemClock
from database import migrate
from database.engine import Database
from database.replica import Reads
from tests.support_needs import missing
from tests.support_postgres import public_directory
from tests.support_service import turn_off, turn_on

NOW = datetime(2025, 12, 10, 15, 0, tzinfo=UTC)
MOST = timedelta(seconds=90)
USER = "postgres" if os.geteuid() == 0 else None  # the server refuses to be root


def pulse(db: Database, at: datetime) -> None:
    """The job that runs every half minute has succeeded."""
    with db.transaction() as cur:
        cur.execute(
            "INSERT INTO job_runs (job, slot, status, owner, finished_at) VALUES ('alarms', %(at)s, 'succeeded', 'x', %(at)s)",
            {"at": at},
        )


def read_from(reads: Reads) -> str:
    with reads.transaction() as cur:
        cur.execute("SELECT current_database()")
        return str(cur.fetchone()[0])  # type: ignore[index]


@pytest.fixture
def pair(db: Database, empty_database_url: str) -> Iterator[tuple[Database, Database]]:
    """A primary and what plays its replica: another database, so that one sees which was read."""
    replica = Database(empty_database_url)
    migrate.upgrade(replica)
    yield db, replica
    replica.close()


def test_without_a_replica_pages_read_from_the_primary(db: Database) -> None:
    reads = Reads(db, None, ManualClock(NOW), MOST)
    assert not reads.has_replica
    assert read_from(reads).startswith("test_")


def test_a_replica_is_read_from_while_it_is_close_and_not_when_it_is_old(pair: tuple[Database, Database]) -> None:
    primary, replica = pair
    clock = ManualClock(NOW)
    reads = Reads(primary, replica, clock, MOST)
    pulse(replica, NOW - timedelta(seconds=40))
    assert read_from(reads) == replica.url.rpartition("/")[2]
    assert reads.check() == ("pass", "pages read from the replica, at most 40 s old")
    clock.sleep(60)
    assert read_from(reads) == primary.url.rpartition("/")[2]
    assert reads.check() == ("warn", "the replica is 100 s old; pages read from the primary")
    pulse(replica, clock.now())
    clock.sleep(6)
    assert read_from(reads) == replica.url.rpartition("/")[2]


def test_a_replica_without_a_sign_of_life_is_not_trusted(pair: tuple[Database, Database]) -> None:
    primary, replica = pair
    reads = Reads(primary, replica, ManualClock(NOW), MOST)
    assert read_from(reads) == primary.url.rpartition("/")[2]
    assert "no sign of life" in reads.check()[1]


def test_a_replica_that_is_away_costs_no_page(pair: tuple[Database, Database], postgres: str) -> None:
    primary, replica = pair
    turn_off(postgres, replica.url)
    reads = Reads(primary, replica, ManualClock(NOW), MOST)
    assert read_from(reads) == primary.url.rpartition("/")[2]
    assert reads.check() == ("warn", "the replica cannot be reached; pages read from the primary")
    turn_on(postgres, replica.url)


@contextmanager
def streaming_pair() -> Iterator[tuple[str, str]]:
    """The URLs of a primary and its streaming replica on Debian's PostgreSQL."""
    binaries = _binaries()
    with public_directory() as base:
        with closing(_free_port()) as one, closing(_free_port()) as two:
            ports = [one.getsockname()[1], two.getsockname()[1]]
        if USER:
            os.chown(base, pwd.getpwnam(USER).pw_uid, -1)
        first, second = base / "primary", base / "replica"
        options = f"-c listen_addresses=127.0.0.1 -c unix_socket_directories={base} -c fsync=off -p "
        _as_postgres("initdb", "-D", first, "--auth=trust", "--username=postgres")
        _as_postgres("pg_ctl", "-D", first, "-w", "-l", base / "1.log", "-o", f"{options}{ports[0]}", "start")
        try:
            _as_postgres(
                "pg_basebackup",
                "-h",
                "127.0.0.1",
                "-U",
                "postgres",
                "-p",
                str(ports[0]),
                "-D",
                second,
                "-R",
                "-X",
                "stream",
                "-c",
                "fast",
            )
            _as_postgres("pg_ctl", "-D", second, "-w", "-l", base / "2.log", "-o", f"{options}{ports[1]}", "start")
            urls = [f"postgresql://postgres@127.0.0.1:{port}/postgres" for port in ports]
            yield urls[0], urls[1]
            _as_postgres("pg_ctl", "-D", second, "-m", "immediate", "-w", "stop")
        finally:
            subprocess.run([binaries / "pg_ctl", "-D", first, "-m", "immediate", "stop"], user=USER, check=False,
                           capture_output=True, cwd="/")  # fmt: skip


def _binaries() -> Path:
    """The programs of the newest of Debian's servers that is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else missing("needs Debian's postgresql: tools/setup.sh servers")


def _free_port() -> socket.socket:
    found = socket.socket()
    found.bind(("127.0.0.1", 0))
    return found


def _as_postgres(name: str, *arguments: str | Path) -> None:
    """Without a pipe: the server would keep it open."""
    command = [_binaries() / name, *arguments]
    done = subprocess.run(
        command, user=USER, cwd="/", check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    assert done.returncode == 0, command


# Not in `make test`: Debian starts a cluster on port 5432 when it installs a server, which no run of tests should do.
@pytest.mark.soak
def test_a_streaming_replica_is_read_from_until_its_stream_is_cut() -> None:
    with streaming_pair() as (primary_url, replica_url):
        primary, replica = Database(primary_url), Database(replica_url)
        migrate.upgrade(primary)
        clock = SystemClock()
        pulse(primary, clock.now())
        reads = Reads(primary, replica, clock, timedelta(seconds=45))
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with reads.transaction() as cur:
                cur.execute("SELECT pg_is_in_recovery()")
                if cur.fetchone()[0]:  # type: ignore[index]
                    break
            time.sleep(0.5)
        else:
            pytest.fail(reads.check()[1])
        assert reads.check()[0] == "pass"
        # The stream is cut while the primary goes on: the replica thinks itself complete, its age says otherwise.
        with closing(psycopg2.connect(replica_url)) as connection, connection.cursor() as cur:
            connection.autocommit = True
            cur.execute("ALTER SYSTEM SET primary_conninfo = ''")
            cur.execute("SELECT pg_reload_conf()")
        later = ManualClock(clock.now() + timedelta(seconds=60))
        pulse(primary, later.now())
        late = Reads(primary, replica, later, timedelta(seconds=45))
        with late.transaction() as cur:
            cur.execute("SELECT pg_is_in_recovery()")
            assert cur.fetchone()[0] is False  # type: ignore[index]
        assert "pages read from the primary" in late.check()[1]
        primary.close()
        replica.close()
