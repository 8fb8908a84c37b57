"""The documents name everything a person can set, call, open or watch, and say nothing that has gone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click
import pytest
from dotenv import dotenv_values
from flask_openapi3 import OpenAPI

import hybrid_sync.routes
import waves.parts
from core import errors
from core.settings import BY_NAME, SETTINGS, Setting, Settings, load_settings
from database.engine import Database
from database.verify import schema_of
from tests.support_service import service
from web_server import JOBS, create_app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
DOCUMENTS = [*PAGES, *(ROOT / f"{name}.md" for name in ("CONTRIBUTING", "SECURITY", "THIRD_PARTY_NOTICES"))]
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)#\s]+)(#[^)\s]*)?\)")
METRICS_TOKEN = "metrics-token-of-the-documents"


def named() -> set[str]:
    """Everything that stands in code quotes in README.md or docs/."""
    return {name for page in PAGES for name in CODE.findall(page.read_text(encoding="utf-8"))}


def missing(expected: set[str]) -> list[str]:
    return sorted(expected - named())


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: str(setting.name))
def test_every_setting_stands_in_the_table_with_its_default(setting: Setting) -> None:
    default = f"`{setting.default}`" if setting.default else "empty"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"\n| `{setting.name}` | {default} |" in readme


def test_the_table_of_settings_names_no_other() -> None:
    rows = re.findall(r"^\| `([A-Z0-9_]+)` \|", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted(BY_NAME)


def test_the_example_file_holds_the_defaults() -> None:
    example = {name: value or "" for name, value in dotenv_values(ROOT / ".env.example").items()}
    assert load_settings({}, env_file=example) == load_settings({})


def test_every_make_target_is_named() -> None:
    targets = re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert targets
    assert missing({f"make {target}" for target in targets}) == []


def test_every_command_is_named(app: OpenAPI) -> None:
    assert missing(set(commands(app.cli, "flask"))) == []


def commands(group: click.Group, path: str) -> Iterator[str]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}"


def test_every_route_is_named(app: OpenAPI) -> None:
    routes = {
        f"{method} {re.sub(r'<[a-z]+:', '<', rule.rule)}"
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert missing(routes) == []


def test_every_job_is_named(settings: Settings, db: Database, tmp_path: Path) -> None:
    everything = replace(
        settings,
        signal_ws_url="ws://127.0.0.1:1",
        projectx_username="ann",
        projectx_api_token="none",
        backup_dir=tmp_path,
    )
    found = create_app(everything, db).extensions
    of_features = (
        *JOBS,
        *found["market_data"].jobs,
        *waves.parts.jobs(everything),
        *hybrid_sync.routes.jobs(everything),
    )
    jobs = found["operations"].jobs(of_features)
    assert {"feed_keeper", "process_waves", "backup", "alarms"} <= {job.name for job in jobs}
    drawn = CODE.findall((ROOT / "docs" / "architecture.md").read_text(encoding="utf-8"))
    assert sorted({job.name for job in jobs} - set(drawn)) == []


def test_the_reference_of_tables_has_a_row_for_every_table_and_view_and_no_other(db: Database) -> None:
    with db.transaction() as cur:
        held = {name.removeprefix("public.") for name in schema_of(cur)["relations"]}
    rows = re.findall(r"^\| (`[^|]+) \|", (ROOT / "docs" / "reference" / "tables.md").read_text("utf-8"), re.MULTILINE)
    assert held
    assert {name for row in rows for name in CODE.findall(row)} == held


def test_every_error_code_is_named() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    assert missing({kind.code for kind in kinds if issubclass(kind, errors.SignalbookError)}) == []


def test_every_metric_and_every_check_of_a_running_service_is_named() -> None:
    with service(DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing", METRICS_TOKEN=METRICS_TOKEN) as running:
        said = running.get("/metrics", {"Authorization": f"Bearer {METRICS_TOKEN}"}).text
        checks = set(running.get("/readyz").json()["checks"])
    metrics = set(re.findall(r"^# TYPE (signalbook_\w+) ", said, re.MULTILINE))
    assert metrics
    assert checks
    assert missing({name for name in metrics if not name.endswith("_created")} | checks) == []


@pytest.mark.parametrize("file", ["requirements.txt", "requirements-parquet.txt", "requirements-dev.txt"])
def test_the_notices_name_every_pinned_package(file: str) -> None:
    pinned = re.findall(r"^([A-Za-z0-9_.-]+)==", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
    notices = (ROOT / "THIRD_PARTY_NOTICES.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| ([A-Za-z0-9_.-]+) \|", notices, re.MULTILINE)
    assert pinned
    assert sorted(set(pinned) - set(listed)) == []


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: str(page.name))
def test_links_lead_somewhere(page: Path) -> None:
    paths = [path for path, _anchor in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in path]
    assert [path for path in paths if not (page.parent / path).exists()] == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop().resolve()
        if page.suffix == ".md" and page not in seen:
            seen.add(page)
            waiting += [page.parent / path for path, _ in LINK.findall(page.read_text("utf-8")) if "://" not in path]
    assert [page.name for page in PAGES if page.resolve() not in seen] == []
