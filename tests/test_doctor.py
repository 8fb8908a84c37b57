"""`flask doctor` and `flask calendar`."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flask_openapi3 import OpenAPI
from werkzeug.serving import make_server
from werkzeug.utils import redirect
from werkzeug.wrappers import Response

from core.clock import ManualClock
from core.settings import Settings
from database.engine import Database
from web.examination.disk import filesystem_of
from web.examination.disk import judge as judge_disk
from web.examination.way_in import judge as judge_way
from web.security.identity import CHALLENGE, IDENTITY, prove
from web.serving.doctor import calendar_check
from web_server import create_app

WSGI = Callable[..., Any]


def test_doctor_names_every_part_and_exits_by_the_worst(app: OpenAPI) -> None:
    result = app.test_cli_runner().invoke(args=["doctor", "--json"])
    report = json.loads(result.output)
    assert set(report["checks"]) == {
        "settings", "data_dir", "journal", "database", "durability", "migrations", "clock", "calendar", "webhook",
    }  # fmt: skip
    assert result.exit_code == {"pass": 0, "warn": 1, "fail": 2}[report["status"]]


def test_doctor_calls_a_database_without_durability_a_fault(app: OpenAPI) -> None:
    with app.extensions["signalbook"].db.transaction() as cur:
        cur.execute("SHOW fsync")
        is_durable = cur.fetchone()[0] == "on"
    report = json.loads(app.test_cli_runner().invoke(args=["doctor", "--json"]).output)
    assert report["checks"]["durability"]["status"] == ("pass" if is_durable else "fail")
    assert report["checks"]["database"]["status"] == "pass"


def doctor(settings: Settings, db: Database) -> tuple[int, dict[str, dict[str, str]]]:
    """(exit code, checks)."""
    found = create_app(settings, db).test_cli_runner().invoke(args=["doctor", "--json"])
    return found.exit_code, json.loads(found.output)["checks"]


def test_doctor_calls_a_schema_that_is_behind_a_fault(settings: Settings, db: Database) -> None:
    assert doctor(settings, db)[1]["migrations"] == {"status": "pass", "detail": "complete"}
    with db.transaction() as cur:
        cur.execute("UPDATE alembic_version SET version_num = '0001'")
    code, checks = doctor(settings, db)
    assert (code, checks["migrations"]["status"]) == (2, "fail")


def test_doctor_says_that_there_is_no_database_and_goes_on(settings: Settings) -> None:
    away = Database("postgresql://nobody@127.0.0.1:1/nothing")
    code, checks = doctor(settings, away)
    assert (code, checks["database"]["status"]) == (2, "fail")
    assert {"settings", "journal", "calendar", "webhook"} <= set(checks)


def test_doctor_calls_a_folder_that_cannot_be_written_a_fault(settings: Settings, db: Database) -> None:
    app = create_app(settings, db)
    shutil.rmtree(settings.data_dir)
    report = json.loads(app.test_cli_runner().invoke(args=["doctor", "--json"]).output)
    assert report["checks"]["data_dir"]["status"] == "fail"


MOUNTS = """\
22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
30 22 0:25 / /tmp rw - tmpfs tmpfs rw,size=4g
31 22 0:40 / /data rw shared:5 - overlay overlay rw,lowerdir=/a - b
32 31 8:2 / /data rw - xfs /dev/sdb rw
33 22 8:3 / /with\\040space rw - btrfs /dev/sdc rw
"""


@pytest.mark.parametrize(
    ("folder", "found"),
    [
        ("/srv/var", ("/", "ext4")),
        ("/tmp/var", ("/tmp", "tmpfs")),
        ("/tmpfiles", ("/", "ext4")),
        ("/data/journal", ("/data", "xfs")),
        ("/with space/var", ("/with space", "btrfs")),
    ],
)
def test_the_file_system_of_a_folder_is_that_of_the_nearest_mount(folder: str, found: tuple[str, str]) -> None:
    assert filesystem_of(Path(folder), MOUNTS) == found


@pytest.mark.parametrize(
    ("kind", "status"), [("tmpfs", "fail"), ("overlay", "warn"), ("ext4", "pass"), ("nfs4", "pass")]
)
def test_a_journal_in_memory_is_a_fault_and_one_in_a_container_a_warning(kind: str, status: str) -> None:
    assert judge_disk(Path("/data"), f"22 1 8:1 / / rw,relatime - {kind} none rw").status == status


@contextmanager
def through(settings: Settings, db: Database, app: WSGI | None = None) -> Iterator[Settings]:
    """The settings of an installation whose PUBLIC_URL leads to its own webhook, or to another app."""
    server = make_server("127.0.0.1", 0, app or create_app(settings, db).wsgi_app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=[0.05])
    thread.start()
    try:
        yield replace(settings, public_url=f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_way_through_the_public_url_ends_at_our_own_webhook(settings: Settings, db: Database) -> None:
    with through(settings, db) as reachable:
        said = doctor(reachable, db)[1]["webhook"]
    assert said["status"] == "warn"  # a port that TradingView does not post to
    assert "reaches us" in said["detail"]


def test_another_installation_at_the_public_url_is_found_out(settings: Settings, db: Database, tmp_path: Path) -> None:
    with through(replace(settings, data_dir=tmp_path / "other"), db) as reachable:
        said = doctor(replace(settings, public_url=reachable.public_url), db)[1]["webhook"]
    assert said["status"] == "fail"
    assert "something else than this installation" in said["detail"]


def test_a_redirect_or_a_foreign_page_at_the_public_url_is_a_fault(settings: Settings, db: Database) -> None:
    for answer, said in (
        (redirect("https://elsewhere.test/", 301), "leads elsewhere"),
        (Response("Hello"), "something else"),
    ):
        with through(settings, db, answer) as reachable:
            code, checks = doctor(reachable, db)
        assert code == 2
        assert said in checks["webhook"]["detail"]


def test_a_public_url_that_nobody_answers_at_is_a_fault_and_none_a_warning(settings: Settings, db: Database) -> None:
    assert doctor(settings, db)[1]["webhook"] == {"status": "warn", "detail": "not tried: PUBLIC_URL is not set"}
    said = doctor(replace(settings, public_url="http://127.0.0.1:9"), db)[1]["webhook"]
    assert said["status"] == "fail"
    assert "no answer from http://127.0.0.1:9" in said["detail"]


@pytest.mark.parametrize(
    ("url", "seconds", "status"),
    [("https://a.test", 0.05, "pass"), ("https://a.test", 1.4, "warn"), ("https://a.test:8443", 0.05, "warn")],
)
def test_a_slow_way_and_a_port_that_is_not_posted_to_are_warnings(url: str, seconds: float, status: str) -> None:
    assert judge_way(url, 404, seconds, is_ours=True).status == status


def test_only_a_challenge_of_the_right_shape_is_answered(app: OpenAPI) -> None:
    for given in ("", "short", "G" * 32, "0" * 33, "0" * 31 + "\u00e9"):
        assert IDENTITY not in app.test_client().get("/healthz", headers={CHALLENGE: given}).headers
    answer = app.test_client().get("/healthz", headers={CHALLENGE: "0" * 32})
    assert answer.headers[IDENTITY] == prove(app.config["SECRET_KEY"], "0" * 32)


def test_doctor_sees_a_clock_that_is_wrong(app: OpenAPI) -> None:
    app.extensions["signalbook"].clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    report = json.loads(app.test_cli_runner().invoke(args=["doctor", "--json"]).output)
    assert report["checks"]["clock"]["status"] == "warn"


def test_the_end_of_the_calendar_is_announced() -> None:
    assert calendar_check(datetime(2026, 6, 1, tzinfo=UTC)).status == "pass"
    assert calendar_check(datetime(2027, 11, 20, tzinfo=UTC)).status == "warn"
    assert "has ended" in calendar_check(datetime(2028, 2, 1, tzinfo=UTC)).detail


def test_the_calendar_lists_the_thanksgiving_week(app: OpenAPI) -> None:
    app.extensions["signalbook"].clock = ManualClock(datetime(2025, 11, 26, 20, tzinfo=UTC))
    rows = json.loads(app.test_cli_runner().invoke(args=["calendar", "show", "--days", "4", "--json"]).output)
    assert [row["closes"][:16] for row in rows][:3] == ["2025-11-26T17:00", "2025-11-27T13:00", "2025-11-28T13:15"]
