"""What the guides tell people to type exists: commands, settings, files."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from flask_openapi3 import OpenAPI

from core.lifecycle import Kind
from core.settings import BY_NAME
from database.engine import Database
from tests.support_guides import blocks

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
GUIDES = [ROOT / "README.md", ROOT / "SECURITY.md", *sorted(DOCS.rglob("*.md"))]
OTHERS = {"POSTGRES_PASSWORD", "RAILWAY_RUN_UID", "TOKEN", "FILE", "REPOSITORY", "REVISION", "CREATEDB", "TIME", "PATH",
          "NAME", "WITH_PARQUET", "SOURCE_COMMIT", "DELIVERY_IDS", "TOKEN_ID", "TRADE_ID", "MAX_POSITION_SIZE",
          "TEST_DATABASE_URL"}  # fmt: skip
FLASKS_OWN = {"flask routes", "flask shell", "flask run"}


@pytest.fixture
def commands(app: OpenAPI) -> set[str]:
    def walk(group: click.Group, path: str) -> Iterator[str]:
        for name, command in group.commands.items():
            yield f"{path} {name}"
            if isinstance(command, click.Group):
                yield from walk(command, f"{path} {name}")

    return set(walk(app.cli, "flask"))


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: str(page.name))
def test_every_command_of_a_guide_exists(page: Path, commands: set[str]) -> None:
    groups = {command for command in commands if any(other.startswith(f"{command} ") for other in commands)}
    for first, second, is_group_alone in re.findall(
        r"\bflask ([a-z]+)(?: ([a-z]+(?:-[a-z]+)*)|(`))?", page.read_text(encoding="utf-8")
    ):
        assert f"flask {first}" in commands | FLASKS_OWN
        if f"flask {first}" in groups and not is_group_alone:
            assert f"flask {first} {second}" in commands


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: str(page.name))
def test_every_setting_of_a_guide_exists(page: Path) -> None:
    named = re.findall(r"(?:^|[` ])([A-Z][A-Z0-9_]{3,})(?==|`)", page.read_text(encoding="utf-8"), re.MULTILINE)
    settings = {name if name in BY_NAME else name.removesuffix("_FILE") for name in named if "_" in name} - OTHERS
    assert settings - set(Kind) <= set(BY_NAME)


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: str(page.name))
def test_every_file_that_is_named_is_there(page: Path) -> None:
    named = re.findall(r"`((?:deploy|tests|docs)/[\w./-]+)`", page.read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_block_of_the_plain_server_that_reads_the_checkout_goes_there_first() -> None:
    """A later block is typed into another shell on another day; `sed` of what is not there would leave an empty unit."""
    for block in blocks("plain-server.md"):
        before, is_there, _ = block.partition("cd /opt/signalbook")
        assert is_there or "deploy/" not in block
        assert not re.search(r"(?<![\w/])(?:deploy/|\.env)", before)


def test_the_plain_server_puts_its_name_and_place_where_the_files_have_them() -> None:
    typed = "\n".join(blocks("plain-server.md"))
    (replaced,) = re.findall(r"sed 's\|(.+?)\|NAME\|' deploy/nginx.conf", typed)
    assert f"server_name {replaced};" in (ROOT / "deploy" / "nginx.conf").read_text(encoding="utf-8")
    assert replaced not in typed.replace(f"|{replaced}|", "")
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert [name for name in re.findall(r"s\|\^([A-Z_]+)=\.\*", typed) if f"\n{name}=" not in example] == []


def test_the_plain_server_makes_a_database_that_takes_every_letter() -> None:
    (made,) = re.findall(r"-- createdb .+", "\n".join(blocks("plain-server.md")))
    assert "--encoding UTF8" in made
    assert "--template template0" in made


QUERY = re.compile(r"[`\"](SELECT [^`\"]+)[`\"]")


def test_every_query_of_the_pages_is_one_that_the_database_takes(db: Database) -> None:
    found = [query for page in GUIDES for query in QUERY.findall(page.read_text(encoding="utf-8"))]
    assert len(found) >= 5
    with db.transaction() as cur:
        for query in found:
            cur.execute("PREPARE of_a_page AS " + query.replace("%s", "$1"))
            cur.execute("DEALLOCATE of_a_page")


EARLIER = (
    *("deploy_phase5.py", "run_hybrid_sync_migration.py", "test_hybrid_sync_status.py", "check_signal_created_data.py"),
    *("test_signal_created_reconciliation.py", "setup_local_db.py", "run_timescaledb_docker.sh", "live_ingester.py"),
    "download_historical.py",
)
DIFFERENT = ("health score", "telemetry backfill", "session", "confirmation time", "HTF alignment", "repairs", "bars")


def test_every_program_of_earlier_installations_has_a_command_in_its_place() -> None:
    commands, differences = (DOCS / "reference" / "names.md").read_text(encoding="utf-8").split("## Where the results")
    rows = re.findall(r"^\| (`.+`) \| (.+) \|$", commands, re.MULTILINE)
    now = {name: cell for names, cell in rows for name in re.findall(r"`([^`]+)`", names)}
    assert set(now) == set(EARLIER)
    assert [
        name for name in EARLIER if not re.search(r"`(flask [a-z]+ [a-z]+|make run|python web_server)", now[name])
    ] == []
    assert [
        what for what in DIFFERENT if not re.search(rf"^\| {what} \| .+ \| .+ \|$", differences, re.MULTILINE)
    ] == []


def test_the_design_of_the_execution_gives_every_function_its_signature() -> None:
    page = (DOCS / "execution.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.+?)```", page, re.DOTALL)
    functions = {node.name: node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.FunctionDef)}
    assert {"plan_order", "check", "place", "modify", "cancel", "positions", "engage"} <= set(functions)
    for node in functions.values():
        arguments = [*node.args.args, *node.args.kwonlyargs]
        assert node.returns
        assert all(argument.annotation or argument.arg == "self" for argument in arguments)
    for word in ("MAX_POSITION_SIZE", "client_order_id", "Kill switch released", "refuse remote servers"):
        assert word in page


def test_nothing_here_places_an_order() -> None:
    """docs/execution.md says so."""
    tracked = [path for folder in ROOT.iterdir() if (folder / "__init__.py").exists() for path in folder.rglob("*.py")]
    sources = [path for path in tracked if path.relative_to(ROOT).parts[0] not in ("tests", "bench")]
    assert {"core", "database", "hybrid_sync", "ingestion", "analysis"} <= {
        path.relative_to(ROOT).parts[0] for path in sources
    }
    assert [
        path.name for path in sources if re.search(r"/Order/|closeContract", path.read_text(encoding="utf-8"))
    ] == []
