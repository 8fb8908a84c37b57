"""The guide to a plain server, typed line by line into a Debian that holds nothing else.

A container with an init system and a network of its own: its ports are nobody else's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support_guides import blocks
from tests.support_needs import missing
from tests.support_postgres import public_directory

ROOT = Path(__file__).parents[1]
PROGRAMS = ("debootstrap", "systemd-nspawn", "slirp4netns", "nsenter")
SUITE, CHOSEN = (
    "bookworm",
    {"REPOSITORY": "/srv/signalbook.git", "PASSWORD": "Secret12345", "NAME": "signals.example.org"},
)
CERTIFICATES = Path("usr/local/share/ca-certificates")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
POST = """
cd /opt/signalbook
token=$(journalctl -u signalbook | sed -n 's/.*webhook token:  \\([^ ]*\\).*/\\1/p' | head -1)
curl --silent --show-error --fail --retry 20 --retry-delay 1 --retry-all-errors -H 'Host: signals.example.org' \\
    -H 'Content-Type: application/json' --data-binary @docs/examples/heartbeat.json \\
    http://127.0.0.1/api/automated-signals/webhook/$token
"""
Shell = Callable[[str], str]


def make_root(place: Path) -> None:
    """A minimal Debian with an init system, our commits, and the certificates that this machine trusts."""
    packages = "systemd,systemd-sysv,dbus,ca-certificates,curl"
    made = subprocess.run(
        ["debootstrap", "--variant=minbase", f"--include={packages}", SUITE, place],
        check=False,
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stdout[-2000:]
    subprocess.run(["git", "clone", "--quiet", "--bare", ROOT, place / "srv" / "signalbook.git"], check=True)
    if (Path("/") / CERTIFICATES).is_dir():
        shutil.copytree(Path("/") / CERTIFICATES, place / CERTIFICATES, dirs_exist_ok=True)
        subprocess.run(["chroot", place, "update-ca-certificates"], check=True, capture_output=True)
    (place / "etc" / "apt" / "apt.conf.d" / "98yes").write_text('APT::Get::Assume-Yes "true";\n')
    (place / "etc" / "resolv.conf").unlink(missing_ok=True)
    (place / "etc" / "resolv.conf").write_text("nameserver 10.0.2.3\n")  # slirp4netns answers there
    (place / "etc" / "hosts").write_text("127.0.0.1 localhost\n")


def first_child(process: int) -> int:
    """The first process that this one has started: the container's init."""
    children = Path(f"/proc/{process}/task/{process}/children")
    deadline = time.monotonic() + 30
    while not (found := children.read_text().split()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return int(found[0])


@contextmanager
def booted(place: Path) -> Iterator[Shell]:
    """The root booted, as a shell in it that must succeed; powered off afterwards."""
    alone = [] if Path("/run/systemd/system").exists() else ["--register=no", "--keep-unit"]  # no systemd to tell
    command = [
        "systemd-nspawn",
        "--quiet",
        *alone,
        "--boot",
        "--private-network",
        "--resolv-conf=off",
        "--console=pipe",
    ]
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    container = subprocess.Popen([*command, "--directory", place], **quiet)
    inside = first_child(container.pid)
    enter = ["nsenter", "--target", str(inside), "--all", "env", "-i", f"PATH={PATH}", "DEBIAN_FRONTEND=noninteractive"]

    def shell(script: str) -> str:
        ended = subprocess.run(
            [*enter, "bash", "-e"],
            input=script,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert ended.returncode == 0, ended.stdout[-3000:]
        return ended.stdout

    network = None
    try:
        shell("until [ -S /run/systemd/private ]; do sleep 0.2; done; systemctl is-system-running --wait || true")
        network = subprocess.Popen(
            ["slirp4netns", "--configure", "--disable-host-loopback", "--mtu=1400", str(inside), "tap0"], **quiet
        )
        yield shell
    finally:
        subprocess.run([*enter, "systemctl", "poweroff"], check=False, capture_output=True)
        container.wait(60)
        if network:
            network.terminate()
            network.wait(10)


@contextmanager
def clean_debian(place: Path) -> Iterator[Shell]:
    make_root(place)
    with booted(place) as shell:
        yield shell


def chosen(block: str) -> str:
    for name, value in CHOSEN.items():
        block = block.replace(name, value)
    return block.replace("ALTER ROLE signalbook " + CHOSEN["PASSWORD"], "ALTER ROLE signalbook PASSWORD")


@pytest.mark.soak
def test_the_plain_server_comes_about_on_a_clean_debian_from_its_guide_alone() -> None:
    if os.geteuid() != 0 or not all(map(shutil.which, PROGRAMS)):
        missing(f"needs root and {', '.join(PROGRAMS)}: tools/setup.sh servers")
    one_process, several, pooled = map(chosen, blocks("plain-server.md"))
    with public_directory() as place, clean_debian(place / "root") as shell:
        assert "webhook token:" in shell(one_process)
        assert '"success":true' in shell(POST)
        shell(several)
        assert '"success":true' in shell(POST)
        shell("apt-get install --no-install-recommends pgbouncer")
        shell(pooled)
        assert '"success":true' in shell(POST)
        said = shell("cd /opt/signalbook && runuser -u signalbook -- .venv/bin/flask doctor || true")
    faults = [line for line in said.splitlines() if not line.startswith("pass")]
    assert [line.split()[:2] for line in faults] == [["fail", "webhook"]]  # the name belongs to nobody
