"""Several processes behind nginx and PgBouncer on one machine: correct, and nothing lost when one of them is killed.

Long runs, for `make soak`, as root on Debian with `nginx-light` and `pgbouncer` installed; skipped with that reason elsewhere.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from database.engine import Database
from tests.support_postgres import public_directory
from tests.support_service import Answer, send, service

ROOT = Path(__file__).parents[1]
TOKEN = "token-of-the-many-processes"
NGINX, PGBOUNCER = shutil.which("nginx") or "/usr/sbin/nginx", shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(
        os.geteuid() != 0 or not Path(NGINX).exists() or not Path(PGBOUNCER).exists(),
        reason="needs root, nginx-light and pgbouncer of Debian",
    ),
]


def free_port() -> int:
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def program(command: list[str], port: int) -> Iterator[None]:
    """A program that listens on a port, ended by its own process id."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with closing(socket.socket()) as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        else:
            pytest.fail(f"{command[0]} does not listen")
        yield
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def pgbouncer(url: str) -> Iterator[str]:
    """The URL of the same database through transaction pooling."""
    parts, port = urlsplit(url), free_port()
    with public_directory() as base:
        users = base / "users"
        users.write_text(f'"{parts.username}" "{parts.password or ""}"\n')
        config = base / "pgbouncer.ini"
        config.write_text(
            f"[databases]\n* = host=127.0.0.1 port={parts.port}\n[pgbouncer]\nlisten_addr=127.0.0.1\nlisten_port={port}\n"
            f"auth_type=plain\nauth_file={users}\npool_mode=transaction\nmax_client_conn=200\ndefault_pool_size=20\n"
            "unix_socket_dir=\nignore_startup_parameters=extra_float_digits\n"
        )
        with program([PGBOUNCER, "-u", "nobody", str(config)], port):
            yield parts._replace(netloc=parts.netloc.rpartition(":")[0] + f":{port}").geturl()


@contextmanager
def nginx(ports: list[int]) -> Iterator[int]:
    """The port of nginx with deploy/nginx.conf in front of these."""
    port = free_port()
    servers = "".join(f"server 127.0.0.1:{each} max_fails=1 fail_timeout=2s;\n" for each in ports)
    site = (ROOT / "deploy" / "nginx.conf").read_text(encoding="utf-8")
    site = site.replace("server 127.0.0.1:5000 max_fails=1 fail_timeout=2s;", servers).replace(
        "listen 80;", f"listen 127.0.0.1:{port};"
    )
    with public_directory() as base:
        (base / "site.conf").write_text(site)
        config = base / "nginx.conf"
        config.write_text(
            f"daemon off; pid {base}/pid; error_log {base}/errors; events {{}}\n"
            f"http {{ access_log off; client_body_temp_path {base}/body; proxy_temp_path {base}/proxy;\n"
            f"include {base}/site.conf; }}\n"
        )
        with program([NGINX, "-c", str(config)], port):
            yield port


def post(port: int, number: int) -> Answer:
    body = {"event_type": "HEARTBEAT", "signal_count": number}
    path = f"/api/automated-signals/webhook/{TOKEN}"
    return send(port, "POST", path, json.dumps(body).encode(), {"Content-Type": "application/json"})


def test_three_processes_behind_nginx_and_pgbouncer_store_each_alert_once_while_one_is_killed(
    database_url: str,
) -> None:
    with ExitStack() as stack:
        pooled = stack.enter_context(pgbouncer(database_url))
        given = {
            "DATABASE_URL": pooled,
            "DATABASE_DIRECT_URL": database_url,
            "WEBHOOK_TOKEN": TOKEN,
            "TRUSTED_PROXY": "127.0.0.1",
        }
        webs = [stack.enter_context(service(**given, ROLE="web")) for _ in range(2)]
        worker = stack.enter_context(service(**given, ROLE="worker"))
        for each in (*webs, worker):
            each.wait_for("database_ready")
        port = stack.enter_context(nginx([each.port for each in webs]))
        accepted: list[str] = []
        refused: list[int] = []

        def sender(first: int) -> None:
            for number in range(first, first + 150):
                try:
                    answer = post(port, number)
                except http.client.HTTPException:
                    continue  # killed in the middle of its answer: nobody was told that it is stored
                if answer.status == 200:
                    accepted.append(answer.json()["receipt_id"])
                else:
                    refused.append(answer.status)

        threads = [threading.Thread(target=sender, args=[1000 * number]) for number in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(1)
        webs[0].restart()  # killed, and started again on its journal
        for thread in threads:
            thread.join()
        webs[0].wait_for("database_ready")
        db = Database(database_url)
        deadline = time.monotonic() + 90
        while (missing := _missing(db, accepted)) and time.monotonic() < deadline:
            time.sleep(0.5)
        db.close()
        jobs = worker.wait_for("job_run", lambda line: line["job"] == "alarms", timeout=60)
    assert missing == set()
    assert len(accepted) == len(set(accepted))
    assert len(accepted) > 500
    assert set(refused) <= {503}
    assert jobs["outcome"] == "succeeded"


def _missing(db: Database, receipts: list[str]) -> set[str]:
    with db.transaction() as cur:
        cur.execute(
            "SELECT receipt_id::text AS receipt FROM telemetry_automated_signals_log WHERE receipt_id IS NOT NULL"
        )
        return set(receipts) - {row.receipt for row in cur.fetchall()}
