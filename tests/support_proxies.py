"""Debian's nginx and PgBouncer in front of the service and of its database, each on a free port and ended by its own id."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from database.embedded_cluster import free_port
from tests.support_postgres import public_directory

ROOT = Path(__file__).parents[1]
NGINX, PGBOUNCER = Path("/usr/sbin/nginx"), Path("/usr/sbin/pgbouncer")


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
            raise AssertionError(f"{command[0]} does not listen")
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
        user = ["-u", "nobody"] if os.geteuid() == 0 else []  # it refuses to be root
        with program([str(PGBOUNCER), *user, str(config)], port):
            yield parts._replace(netloc=parts.netloc.rpartition(":")[0] + f":{port}").geturl()


@contextmanager
def nginx(ports: Sequence[int], logs: Path | None = None) -> Iterator[int]:
    """The port of nginx with deploy/nginx.conf in front of these; with `logs` it writes its logs there as Debian's does."""
    port = free_port()
    servers = "".join(f"server 127.0.0.1:{each} max_fails=1 fail_timeout=2s;\n" for each in ports)
    site = (ROOT / "deploy" / "nginx.conf").read_text(encoding="utf-8")
    site = site.replace("server 127.0.0.1:5000 max_fails=1 fail_timeout=2s;", servers).replace(
        "listen 80;", f"listen 127.0.0.1:{port};"
    )
    told = f"{logs}/access.log" if logs else "off"
    with public_directory() as base:
        (base / "site.conf").write_text(site.replace("/var/log/nginx", str(logs or base)))
        config = base / "nginx.conf"
        config.write_text(
            f"daemon off; pid {base}/pid; error_log {logs or base}/error.log; events {{}}\n"
            f"http {{ access_log {told}; client_body_temp_path {base}/body; proxy_temp_path {base}/proxy;\n"
            f"fastcgi_temp_path {base}/fastcgi; uwsgi_temp_path {base}/uwsgi; scgi_temp_path {base}/scgi;\n"
            f"include {base}/site.conf; }}\n"
        )
        with program([str(NGINX), "-e", str(base / "errors"), "-c", str(config)], port):
            yield port
