"""The files an installation starts from name only what exists, and keep the promises the documents make for them.

Docker is not asked: what can be read is read here; the image itself is built by whoever deploys it.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY
from prometheus_client.registry import CollectorRegistry

from core.clock import SystemClock
from core.settings import BY_NAME
from database.embedded_cluster import free_port
from ingestion.feed.inbox import FeedState
from ingestion.measures import FeedCollector
from telemetry.journal.disk import RealDisk
from telemetry.journal.journal import Journal
from telemetry.measures import JournalCollector
from tests.support_needs import missing
from tests.support_proxies import nginx
from tests.support_service import send
from web.serving.health import GIT, commit_of
from web_server import create_app

ROOT = Path(__file__).parents[1]
FOREIGN = {"PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "SOURCE_COMMIT"}


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text("compose.yaml"))
    return found


def stages() -> list[str]:
    return re.split(r"^FROM ", text("Dockerfile"), flags=re.MULTILINE)[1:]


def test_the_image_is_built_in_two_stages_from_hashed_requirements() -> None:
    build, final = stages()
    assert "--require-hashes" in build
    assert "pip install" not in final
    assert "COPY --from=build" in final


def test_the_image_can_be_built_with_what_parquet_files_need() -> None:
    installed = re.search(r"^RUN (.*requirements-parquet\.txt.*)$", stages()[0], re.MULTILINE)
    assert installed
    assert '[ -z "$WITH_PARQUET" ] ||' in installed[1]
    assert "--require-hashes" in installed[1]
    assert compose()["services"]["app"]["build"]["args"]["WITH_PARQUET"] == "${WITH_PARQUET:-}"


def test_compose_builds_with_every_argument_that_the_image_takes() -> None:
    build = compose()["services"]["app"]["build"]
    taken = re.findall(r"^ARG (\w+)", text("Dockerfile"), re.MULTILINE)
    assert build == {"context": ".", "args": {name: f"${{{name}:-}}" for name in taken}}
    guide = text("docs/how-to/docker.md")
    assert [line for line in guide.splitlines() if "up -d --build" in line and "SOURCE_COMMIT" not in line] == []


def test_the_image_runs_as_nobody_special_with_a_health_check_and_a_volume() -> None:
    final = stages()[1]
    assert re.search(r"^USER 10001:10001$", final, re.MULTILINE)
    assert re.search(r"^VOLUME /data$", final, re.MULTILINE)
    assert "/healthz" in final
    assert re.search(r"^STOPSIGNAL SIGTERM$", final, re.MULTILINE)
    commands = re.findall(r"^\s*CMD (.*)$", final, re.MULTILINE)
    assert [isinstance(json.loads(command), list) for command in commands] == [True, True]  # exec form: signals arrive


def test_no_secret_and_no_data_gets_into_the_image() -> None:
    ignored = set(text(".dockerignore").split())
    assert {".env", "var", ".git"} <= ignored


@pytest.mark.parametrize("name", sorted(set(re.findall(r"([A-Z][A-Z_]+)=", stages()[1])) - FOREIGN))
def test_the_image_sets_only_settings_that_exist(name: str) -> None:
    assert name in BY_NAME


PLACED = {"HOST", "PORT", "DATA_DIR", "DATABASE_URL", "BACKUP_DIR", "LOG_FILE"}
"""Settings that the image and compose.yaml decide."""
NOT_FOR_COMPOSE = {
    "DATABASE_DIRECT_URL",
    "READ_DATABASE_URL",
    "READ_MAX_STALE_SECONDS",
    "ROLE",
    "DEMO",
    "TESTING",
    "CRASH_AT",
}


def test_compose_hands_on_every_setting_of_its_env_file_that_it_does_not_place_itself() -> None:
    environment = compose()["services"]["app"]["environment"]
    handed_on = {name for name, value in environment.items() if value is None}
    assert handed_on == set(BY_NAME) - PLACED - NOT_FOR_COMPOSE
    assert set(environment) - handed_on <= PLACED


def test_compose_waits_for_a_healthy_database_and_keeps_what_must_last() -> None:
    found = compose()
    app, db = found["services"]["app"], found["services"]["db"]
    assert app["depends_on"]["db"]["condition"] == "service_healthy"
    assert "pg_isready" in db["healthcheck"]["test"][1]
    used = [volume.partition(":")[0] for each in (app, db) for volume in each["volumes"]]
    assert sorted(used) == sorted(found["volumes"])
    assert app["read_only"]


def test_what_the_user_of_the_image_writes_to_in_compose_belongs_to_it() -> None:
    """Docker gives a new volume the owner of the folder that the image has in its place; without one it is root's."""
    made = re.search(r"install -d -o signalbook -g signalbook -m 0700 (.+)$", stages()[1], re.MULTILINE)
    assert made
    mounted = [volume.split(":")[1] for volume in compose()["services"]["app"]["volumes"]]
    assert sorted(mounted) == sorted(made[1].split())


def test_the_guide_trusts_the_address_that_a_proxy_on_the_machine_has_inside_compose() -> None:
    (network,) = compose()["networks"]["default"]["ipam"]["config"]
    trusted = re.search(r"^ *TRUSTED_PROXY=(.+)$", text("docs/how-to/docker.md"), re.MULTILINE)
    assert trusted
    assert trusted[1] == network["gateway"]
    assert ip_address(network["gateway"]) in ip_network(network["subnet"])


def test_compose_opens_no_port_to_the_world_and_holds_no_password() -> None:
    found = compose()
    ports = [port for each in found["services"].values() for port in each.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert "POSTGRES_PASSWORD:?" in text("compose.yaml")


def test_the_procfile_starts_the_service_for_all_addresses_with_settings_that_exist() -> None:
    (line,) = text("Procfile").splitlines()
    assert line == "web: HOST=0.0.0.0 python web_server.py"  # the platform gives PORT
    assert {"HOST", "PORT"} <= set(BY_NAME)


def test_every_file_to_deploy_from_is_told_of_in_the_documents() -> None:
    files = {f"deploy/{path.name}" for path in (ROOT / "deploy").iterdir()}
    files |= {"Dockerfile", "compose.yaml", "Procfile", "railway.json"}
    told = "\n".join(path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
    assert [name for name in sorted(files) if name not in told] == []


def test_railway_migrates_first_and_waits_until_an_alert_can_be_stored() -> None:
    deploy = json.loads(text("railway.json"))["deploy"]
    assert deploy["preDeployCommand"] == ["flask db upgrade"]
    assert deploy["healthcheckPath"] == "/readyz"
    assert deploy["drainingSeconds"] >= 20  # as compose.yaml has it


def test_the_systemd_unit_is_understood_by_systemd(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze") or missing(
        "needs systemd-analyze (Debian's systemd): tools/setup.sh machine"
    )
    unit = re.sub(r"^(ExecStart=)\S+", r"\1/bin/true", text("deploy/signalbook.service"), flags=re.MULTILINE)
    (tmp_path / "signalbook.service").write_text(unit)
    ended = subprocess.run(
        [program, "verify", "--recursive-errors=no", tmp_path / "signalbook.service"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert [line for line in ended.stderr.splitlines() if "signalbook.service" in line] == []


def test_the_systemd_unit_sets_only_settings_that_exist_and_leaves_time_to_drain() -> None:
    unit = text("deploy/signalbook.service")
    line = re.findall(r"^Environment=(.*)$", unit, re.MULTILINE)[0]
    assert set(re.findall(r"([A-Z_]+)=", line)) - FOREIGN <= set(BY_NAME)
    stop = re.search(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
    assert stop
    assert int(stop[1]) >= 15


def test_a_gone_service_is_a_503_behind_nginx_because_that_is_sent_again() -> None:
    conf = text("deploy/nginx.conf")
    assert "error_page 502 504 =503" in conf
    assert "proxy_buffering off" in conf.split("location /api/stream")[1]


class Heard:
    """A feed that has heard a trade."""

    state = FeedState(last_tick_at=SystemClock().now())


def test_the_logs_of_nginx_leave_out_every_address_that_holds_a_token() -> None:
    conf = text("deploy/nginx.conf")
    left_out = re.search(r'"~\*(\S+)" 0;', conf)
    assert left_out
    assert re.search(left_out[1], "/API/automated-signals/webhook/a-token", re.IGNORECASE)
    assert re.findall(r"access_log .*;", conf) == ["access_log /var/log/nginx/access.log combined if=$may_be_logged;"]
    (webhook,) = re.findall(r"location /api/automated-signals/webhook \{(.*?)\}", conf, re.DOTALL)
    assert "error_log /var/log/nginx/error.log crit;" in webhook


@pytest.mark.soak  # needs Debian's nginx, which `make soak` installs
def test_nginx_writes_no_token_of_a_webhook_into_its_logs(tmp_path: Path) -> None:
    absent = free_port()  # nobody answers there, which nginx has much to say about
    path = "/api/automated-signals/webhook/a-token-that-opens-a-stream"
    with nginx([absent], logs=tmp_path) as port:
        assert send(port, "GET", "/healthz").status == 503
        assert send(port, "POST", path, b"{}").status == 503
    logs = {name: (tmp_path / name).read_text(encoding="utf-8") for name in ("access.log", "error.log")}
    assert all("/healthz" in said for said in logs.values())
    assert [name for name, said in logs.items() if "a-token-that-opens" in said] == []


def test_the_dashboard_shows_every_metric_and_no_other(tmp_path: Path) -> None:
    assert create_app  # importing it has registered every part's series
    ours = CollectorRegistry()
    ours.register(JournalCollector(Journal(tmp_path, RealDisk(), SystemClock())))
    ours.register(FeedCollector(Heard(), SystemClock()))
    known = set()
    for family in (*REGISTRY.collect(), *ours.collect()):
        suffix = {"counter": "_total", "histogram": "_bucket"}.get(family.type, "")
        known |= {family.name + suffix} if family.name.startswith("signalbook_") else set()
    dashboard = json.loads(text("deploy/grafana.json"))
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    named = {name for expression in expressions for name in re.findall(r"signalbook_\w+", expression)}
    assert named == known
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in dashboard["panels"]]
    assert len(places) == len(set(places))


@pytest.mark.parametrize("is_packed", [True, False])
def test_the_commit_that_runs_is_found_in_the_git_folder_packed_or_not(tmp_path: Path, is_packed: bool) -> None:
    commits = {"refs/heads/main": "a" * 40, "refs/heads/other": "b" * 40}
    if is_packed:
        lines = ["# pack-refs with: peeled", *(f"{commit} {ref}" for ref, commit in commits.items())]
        (tmp_path / "packed-refs").write_text("\n".join(lines) + "\n")
    else:
        (tmp_path / "refs" / "heads").mkdir(parents=True)
        for ref, commit in commits.items():
            (tmp_path / ref).write_text(f"{commit}\n")
    assert commit_of(tmp_path, "refs/heads/other") == "b" * 40


def test_the_commit_is_looked_for_where_the_checkout_has_its_git_folder() -> None:
    assert (GIT.parent / "web_server.py").exists()
