"""The embedded PostgreSQL's cluster: its credentials, its creation, and the check that this version can run it."""

from __future__ import annotations

import random
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from psycopg2 import sql
from psycopg2.extensions import connection, encrypt_password

from core.errors import DatabaseUnavailableError, MisconfiguredError, NotFoundError, StorageError
from database.embedded_files import MAJOR, Home, binaries_of, sync_dir, write_private

HOST = "127.0.0.1"
DATABASE = "signalbook"
OWNER = "signalbook"
ADMIN = "signalbook_admin"

# Below Linux's range for outgoing connections (32768 up), so that no client socket sits on our port at the next start.
_PORTS = range(20000, 32000)


@dataclass(frozen=True)
class Credentials:
    """How to reach one cluster: its port and the passwords of its superuser and of the owner of its database."""

    port: int
    admin_password: str
    owner_password: str

    @property
    def url(self) -> str:
        return f"postgresql://{OWNER}:{self.owner_password}@{HOST}:{self.port}/{DATABASE}"

    @classmethod
    def create(cls) -> Credentials:
        """Fresh passwords (192 random bits, no character that a URL or a pgpass file would have to escape)."""
        return cls(free_port(), secrets.token_urlsafe(24), secrets.token_urlsafe(24))

    @classmethod
    def read(cls, pgpass: Path) -> Credentials:
        """Raises NotFoundError if the file is not there, MisconfiguredError if it is not ours."""
        try:
            rows = [line.split(":") for line in pgpass.read_text().splitlines()]
            passwords = {user: password for _host, _port, _database, user, password in rows}
            return cls(int(rows[0][1]), passwords[ADMIN], passwords[OWNER])
        except FileNotFoundError:
            raise NotFoundError(f"No embedded database yet: {pgpass} does not exist; start the service once.") from None
        except (ValueError, KeyError, IndexError):
            raise MisconfiguredError(f"{pgpass} is damaged; restore it from a backup of the same database.") from None

    def save(self, pgpass: Path) -> None:
        rows = ((ADMIN, self.admin_password), (OWNER, self.owner_password))
        write_private(pgpass, "".join(f"{HOST}:{self.port}:*:{user}:{password}\n" for user, password in rows))

    def with_free_port(self) -> Credentials:
        """The same with its port if nobody sits on it, else with another."""
        return self if is_free(self.port) else replace(self, port=free_port())


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of HOST now."""
    with socket.socket() as probe:
        # As PostgreSQL does: connections of the last server that linger in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def free_port() -> int:
    for port in random.sample(_PORTS, 200):
        if is_free(port):
            return port
    raise DatabaseUnavailableError(f"No free port between {_PORTS.start} and {_PORTS.stop} on {HOST}.")


def create_cluster(home: Home) -> None:
    """Create the cluster unless it exists.

    Made under another name and renamed when complete, so that a half-made cluster is never started. Raises
    MisconfiguredError for a cluster of another major version, StorageError if the disk or the account refuses.
    """
    if home.data.exists():
        check_version(home)
        return
    credentials = Credentials.create()
    credentials.save(home.pgpass)
    half, password_file = home.path / "data.new", home.path / "initdb.password"
    shutil.rmtree(half, ignore_errors=True)
    home.make_private_dir(half)
    home.make_private_dir(home.log_dir)
    write_private(password_file, credentials.admin_password)
    home.give(password_file)
    try:
        _initdb(home, half, password_file)
    finally:
        password_file.unlink()
    half.rename(home.data)
    sync_dir(home.path)


def _initdb(home: Home, target: Path, password_file: Path) -> None:
    command: list[str | Path] = [home.bin_dir / "initdb", "-D", target, "-U", ADMIN, f"--pwfile={password_file}"]
    command += ["--auth=scram-sha-256", "--encoding=UTF8", "--no-instructions"]
    # PostgreSQL's own C.UTF-8: the same on every machine, and no upgrade of the C library reorders an index.
    command += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    if sys.platform == "linux":
        command.append("--sync-method=syncfs")  # one call instead of a thousand fsyncs: seconds on a slow disk
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **home.spawn_options())
    if done.returncode != 0:
        raise StorageError(f"The embedded database cannot be created in {target}: {done.stderr.strip()}")


def create_database(conn: connection, credentials: Credentials) -> None:
    """The owner and the database, unless they exist. The owner may create databases: restores are tried in one."""
    conn.autocommit = True
    with conn.cursor() as cur:
        cur.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (OWNER,))
        if cur.fetchone() is None:
            verifier = encrypt_password(credentials.owner_password, OWNER, conn, "scram-sha-256")
            create_owner = sql.SQL("CREATE ROLE {} LOGIN CREATEDB PASSWORD %s").format(sql.Identifier(OWNER))
            cur.execute(create_owner, (verifier,))
        cur.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,))
        if cur.fetchone() is None:
            create = sql.SQL("CREATE DATABASE {} OWNER {}")
            cur.execute(create.format(sql.Identifier(DATABASE), sql.Identifier(OWNER)))


def check_version(home: Home) -> None:
    """Raises MisconfiguredError, with the commands that move the data over, for a cluster of another major version."""
    found = (home.data / "PG_VERSION").read_text().strip()
    if found == MAJOR:
        return
    port = Credentials.read(home.pgpass).port
    old, new = (shlex.quote(str(directory)) for directory in (binaries_of(found, home), home.bin_dir))
    data, dump = (shlex.quote(str(path)) for path in (home.data, home.path / f"postgres-{found}.dump"))
    account = f"runuser -u {home.account.pw_name} -- " if home.account else ""
    old_log = shlex.quote(str(home.log_dir / "upgrade.log"))
    raise MisconfiguredError(
        f"{data} holds a PostgreSQL {found} database; this version of the service runs {MAJOR}. Move it over with:\n"
        f"  export PGPASSFILE={shlex.quote(str(home.pgpass))}\n"
        f"  {account}{old}/pg_ctl -D {data} -l {old_log} -w "
        f"-o \"-p {port} -c listen_addresses={HOST} -k ''\" start\n"
        f"  {old}/pg_dump -h {HOST} -p {port} -U {OWNER} -Fc -f {dump} {DATABASE}\n"
        f"  {account}{old}/pg_ctl -D {data} -w stop\n"
        f'  mv {data} {data}-{found} && mv "$PGPASSFILE" "$PGPASSFILE-{found}"\n'
        "Start the service once (it makes an empty database), and while it runs:\n"
        f'  {new}/pg_restore -h {HOST} -p $(head -1 "$PGPASSFILE" | cut -d: -f2) -U {OWNER} '
        f"--clean --if-exists --single-transaction -d {DATABASE} {dump}\n"
        "Then restart the service."
    )
