"""The service's own PostgreSQL: started when first needed, shared by its users, stopped by the last of them.

Whether the server lives is found out by connecting, with SCRAM both ways (so a stranger on our port is never taken for
it) and by the data directory it names; process ids only decide whether a start is possible and whom to stop. Starting
and stopping happen under one exclusive lock, using under a shared one. What a kill -9 leaves behind is adopted (a
server without users) or started again (users without a server). The settings are given on the command line, so that
what this file says is what runs: an edited postgresql.conf cannot switch fsync off.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import psycopg2
from psycopg2.extensions import connection

from core.errors import DatabaseUnavailableError, NotFoundError, StorageError
from database.embedded_cluster import ADMIN, HOST, Credentials, create_cluster, create_database
from database.embedded_files import (
    RUN_DIR,
    Home,
    exclusive,
    find_home,
    has_proc,
    open_lock,
    prepare_home,
    try_lock,
    works_in,
)

SETTINGS: Mapping[str, str] = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "max_connections": "60",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "timezone": "UTC",
    # A client that vanished keeps its locks for 25 s, not for the two hours of the default.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "client_min_messages": "warning",
    "logging_collector": "on",
    "log_filename": "postgres-%Y-%m-%dT%H%M%S.log",
    "log_rotation_age": "1d",
    "log_rotation_size": "10MB",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%a %u@%d ",
    # Statements and row values may hold alert bodies and secrets; they do not belong into a log.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
_LOG_FILES_KEPT = 10
_START_SECONDS = 60.0
_RESTART_SECONDS = 10.0
_LOCK_SECONDS = 90.0  # longer than one start or stop of somebody else may take
_SPAWN_ATTEMPTS = 6
_STOP_STEPS = ((signal.SIGINT, 15.0), (signal.SIGQUIT, 8.0))  # fast, then immediate

log = logging.getLogger(__name__)


def connection_url(data_dir: Path, *, run_dir: Path | None = None) -> str:
    """The URL of the embedded database, without starting it. Raises NotFoundError if there has never been one."""
    return Credentials.read(find_home(data_dir.resolve(), run_dir or RUN_DIR) / "pgpass").url


class EmbeddedServer:
    """One user's hold on the server of a data directory; any number may exist, in any number of processes.

    `run_dir` is where root keeps binaries and data (default /var/lib/signalbook; unused by ordinary users);
    `settings` override PostgreSQL settings for whoever starts the server.
    """

    def __init__(self, data_dir: Path, *, run_dir: Path | None = None, settings: Mapping[str, str] = SETTINGS) -> None:
        self._data_dir = data_dir.resolve()
        self._run_dir = (run_dir or RUN_DIR).resolve()
        self._settings = {**SETTINGS, **settings}
        self._home: Home | None = None
        self._users_lock: int | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._reason = ""

    def __enter__(self) -> EmbeddedServer:
        self.acquire()
        return self

    def __exit__(self, *_error: object) -> None:
        self.release()

    @property
    def home(self) -> Home:
        """Where the cluster and its programs (pg_dump, psql, ...) are; known from the first `acquire` on."""
        if self._home is None:
            raise NotFoundError("The embedded database has not been started.")
        return self._home

    @property
    def url(self) -> str:
        """The URL as it is now; the port changes if a stranger took it while the server was down."""
        return Credentials.read(self.home.pgpass).url

    def acquire(self) -> str:
        """Start the server, or join the one that runs; returns the URL of the database, as its non-superuser owner.

        Raises MisconfiguredError if a person has to act (the message holds the commands), StorageError if the disk
        refuses, DatabaseUnavailableError if the server does not answer within a minute.
        """
        if self._users_lock is None:
            try:
                self._home = prepare_home(self._data_dir, self._run_dir)
                with exclusive(self.home.starting_lock, seconds=_LOCK_SECONDS):
                    self._users_lock = self._join()
            except (OSError, subprocess.SubprocessError) as error:
                raise StorageError(f"The embedded database cannot be set up: {error}") from error
            except psycopg2.OperationalError as error:
                raise DatabaseUnavailableError(f"The embedded database went away while starting: {error}") from error
        return self.url

    def ensure_running(self) -> bool:
        """Whether the server answers, after starting it again if it has died. One connection (5 ms) when all is well.

        False: it is busy starting, stopping or recovering, or it could not be started; ask again later.
        """
        self._delete_old_logs()
        if self._answers():
            return True
        try:
            with exclusive(self.home.starting_lock, seconds=0):
                if self._users_lock is None:
                    return False  # released by another thread meanwhile: a start now would have no user
                self._start(_RESTART_SECONDS)
        except DatabaseUnavailableError as error:
            log.warning("The embedded database does not answer: %s", error)
            return False
        return True

    def release(self) -> None:
        """Stop using the server; the last user stops it (at most 23 s). Calling it again does nothing."""
        users_lock, self._users_lock = self._users_lock, None
        if users_lock is None:
            return
        try:
            with exclusive(self.home.starting_lock, seconds=_LOCK_SECONDS):
                if try_lock(users_lock, fcntl.LOCK_EX):
                    self._stop()
        except DatabaseUnavailableError as error:
            log.warning("The embedded database is left running: %s", error)
        finally:
            os.close(users_lock)
            self._let_child_go()

    def _join(self) -> int:
        users_lock = open_lock(self.home.users_lock)
        try:
            fcntl.flock(users_lock, fcntl.LOCK_SH)
            create_cluster(self.home)
            self._start(_START_SECONDS)
            with closing(self._connect()) as conn:
                create_database(conn, Credentials.read(self.home.pgpass))
        except BaseException:
            os.close(users_lock)
            self._let_child_go()
            raise
        return users_lock

    def _connect(self) -> connection:
        """As superuser, for whom PostgreSQL keeps connections free when the pools have taken all others."""
        credentials = Credentials.read(self.home.pgpass)
        return psycopg2.connect(
            host=HOST,
            port=credentials.port,
            user=ADMIN,
            password=credentials.admin_password,
            dbname="postgres",
            connect_timeout=2,
            require_auth="scram-sha-256",
            application_name="signalbook-embedded",
        )

    def _answers(self) -> bool:
        try:
            with closing(self._connect()) as conn, conn.cursor() as cur:
                cur.execute("SHOW data_directory")
                row = cur.fetchone()
        except psycopg2.OperationalError as error:
            self._reason = str(error).strip()
            return False
        self._reason = f"the server on this port serves {row and row[0]}"
        return row == (str(self.home.data),)

    def _start(self, seconds: float) -> None:
        """Under the exclusive lock: until the server answers, start one whenever none is there.

        Several attempts with growing pauses, for reasons that pass: somebody took the port a moment ago.
        """
        deadline = time.monotonic() + seconds
        attempts, pause = 0, 0.02
        while not self._answers():
            if self._is_occupied():
                if time.monotonic() > deadline:
                    raise DatabaseUnavailableError(f"The embedded database does not answer: {self._reason}")
                time.sleep(pause)
                pause = min(pause * 1.3, 0.5)  # each question is a line in the log of a server in recovery
            elif attempts == _SPAWN_ATTEMPTS:
                raise DatabaseUnavailableError(f"The embedded database does not start: {self._last_words()}")
            else:
                time.sleep(0.1 * 2**attempts if attempts else 0)
                attempts += 1
                self._spawn()

    def _is_occupied(self) -> bool:
        """Whether processes of a server still work on the data, perhaps in another container, or orphaned backends."""
        server_lock = open_lock(self.home.server_lock)
        try:
            return self._postmaster() is not None or not try_lock(server_lock, fcntl.LOCK_EX)
        finally:
            os.close(server_lock)

    def _spawn(self) -> None:
        home = self.home
        if has_proc():
            # PostgreSQL takes any living process with the noted id for its predecessor, a zombie included.
            (home.data / "postmaster.pid").unlink(missing_ok=True)
        usable = self._usable_port()
        settings = {**self._settings, "port": str(usable), "log_directory": str(home.log_dir)}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        server_lock = open_lock(home.server_lock)
        try_lock(server_lock, fcntl.LOCK_EX)
        try:
            said = os.open(home.path / "start.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(said, "wb") as start_log:
                self._child = subprocess.Popen(
                    [home.bin_dir / "postgres", "-D", home.data, *options],
                    stdout=start_log,
                    stderr=subprocess.STDOUT,
                    pass_fds=[server_lock],
                    **home.spawn_options(),
                )
        finally:
            os.close(server_lock)

    def _usable_port(self) -> int:
        credentials = Credentials.read(self.home.pgpass)
        usable = credentials.with_free_port()
        if usable != credentials:
            usable.save(self.home.pgpass)
            log.warning("Port %d is taken; the embedded database moves to %d.", credentials.port, usable.port)
        return usable.port

    def _postmaster(self) -> int | None:
        """The process id of this cluster's living server, if any; a dead child is reaped on the way."""
        if self._child and self._child.poll() is None:
            return self._child.pid
        try:
            pid = int((self.home.data / "postmaster.pid").read_text().split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return None
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)  # ours without a Popen: we are process 1 and its parent has gone
        return pid if works_in(pid, self.home.data) else None

    def _let_child_go(self) -> None:
        """Others may use the server on; Popen need not complain that it still runs."""
        if self._child:
            self._child.returncode = self._child.poll() or 0
            self._child = None

    def _stop(self) -> None:
        for step, seconds in _STOP_STEPS:
            pid = self._postmaster()
            if pid is None:
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, step)
            deadline = time.monotonic() + seconds
            while self._postmaster() is not None and time.monotonic() < deadline:
                time.sleep(0.02)
        if self._postmaster() is not None:
            log.error("The embedded database did not stop; the next start will adopt it.")

    def _last_words(self) -> str:
        lines = (self.home.path / "start.log").read_text(errors="replace").splitlines()
        return " / ".join(lines[-3:]) or "it left no message; see " + str(self.home.log_dir)

    def _delete_old_logs(self) -> None:
        for old in sorted(self.home.log_dir.glob("postgres-*.log"))[:-_LOG_FILES_KEPT]:
            old.unlink(missing_ok=True)
