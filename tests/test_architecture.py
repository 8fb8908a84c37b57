"""The house as `docs/architecture.md` draws it: who imports whom, what is pure, how large things may grow."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.settings import BY_NAME

ROOT = Path(__file__).parent.parent
FEATURES = ("telemetry", "hybrid_sync", "ingestion", "analysis", "waves", "operations", "web")
PACKAGES = ("core", "database", *FEATURES, "simulator")
STATE = "automated_signals_state"
MAY_IMPORT = {
    "core": {"core"},
    STATE: {"core"},
    "database": {"database", STATE, "core"},
    "simulator": {"simulator", "core"},
    **{feature: {feature, "database", STATE, "core"} for feature in FEATURES},
}
CORE_LIBRARIES = {"pytz", "yaml"}
PURE = (
    "automated_signals_state.py",
    "core/errors.py",
    "core/lifecycle.py",
    "core/jobs.py",
    "core/sessions.py",
    "core/timezones.py",
    "core/instruments.py",
    "core/sync/health.py",
    "core/sync/words.py",
    "core/wave_records.py",
    "database/csv_text.py",
    "operations/alarms/rules.py",
    "operations/alarms/plan.py",
    "operations/drills/holes.py",
    "operations/export/tables.py",
    "waves/adapter.py",
    "waves/effective.py",
    "waves/evaluation/known.py",
    "waves/evaluation/replay.py",
    "waves/events.py",
    "waves/plan.py",
    "waves/presenting.py",
    "waves/feed/protocol.py",
    "waves/schedule.py",
    "core/records.py",
    "analysis/analyzer.py",
    "analysis/config.py",
    "analysis/coordination/rules.py",
    "analysis/ema_cross.py",
    "analysis/presenting.py",
    "analysis/registry.py",
    "analysis/trend/machine.py",
    "analysis/trend/rules.py",
    "hybrid_sync/gaps.py",
    "hybrid_sync/outages.py",
    "hybrid_sync/healing/contracts.py",
    "hybrid_sync/healing/excursions.py",
    "hybrid_sync/healing/repairs.py",
    "ingestion/bars/aggregator.py",
    "ingestion/bars/roll_up.py",
    "ingestion/bars/spans.py",
    "ingestion/bars/working.py",
    "web/format.py",
    "web/safe_next.py",
    "web/security/obvious.py",
    "web/dashboards/records.py",
    "web/dashboards/presenting.py",
    "web/dashboards/facts.py",
    "web/dashboards/life.py",
    "web/dashboards/flags.py",
    "web/dashboards/query.py",
    "web/dashboards/columns.py",
    "web/dashboards/pulse.py",
    "web/dashboards/export.py",
    "web/dashboards/analytics/curve.py",
    "web/dashboards/analytics/intervals.py",
    "web/dashboards/analytics/path.py",
    "web/dashboards/analytics/presenting.py",
    "web/dashboards/analytics/report.py",
    "web/dashboards/analytics/whatif.py",
    "web/dashboards/calendar/grid.py",
    "web/dashboards/trade/evidence.py",
    "web/dashboards/trade/picture.py",
    "web/dashboards/trade/paths.py",
    "telemetry/presenting.py",
    "telemetry/history/alert_log.py",
    "telemetry/kit/limits.py",
    "telemetry/kit/lexical.py",
    *sorted(f"telemetry/dialects/{path.name}" for path in (ROOT / "telemetry" / "dialects").glob("*.py")),
)
IMPURE_NAMES = {
    "now",
    "utcnow",
    "today",
    "environ",
    "getenv",
    "getLogger",
    "open",
    "print",
    "input",
    "time_ns",
    "sleep",
}
IMPURE_MODULES = {
    "os",
    "io",
    "socket",
    "subprocess",
    "logging",
    "random",
    "secrets",
    "threading",
    "time",
    "psycopg2",
    "flask",
}
EXCEPT_EXCEPTION = {
    "database/jobs.py",
    "web/errors.py",
    "telemetry/intake.py",  # its thread must outlive any alert
    "telemetry/writer.py",
    "waves/feed/supervisor.py",  # the feed's supervisor
    "ingestion/feed/supervisor.py",  # likewise
    "telemetry/prepare.py",  # a fault of ours while reading an alert must not cost the alert
}
LARGE_MODULES: dict[str, str] = {}
LONG_FUNCTIONS: dict[str, str] = {}
MODULES_A_FOLDER = 12
CLOCK_MODULES = {"core/clock.py"}


def sources() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(ROOT.rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if name.split("/")[0] in PACKAGES or "/" not in name:
            yield name, ast.parse(path.read_text(encoding="utf-8"))


SOURCES = dict(sources())


def imports_of(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module or ""


@pytest.mark.parametrize("name", [name for name in SOURCES if name != "web_server.py"])
def test_imports_point_down_only(name: str) -> None:
    package = name.split("/", maxsplit=1)[0].removesuffix(".py")
    own = {*PACKAGES, STATE, "web_server", "tests", "bench", "tools"}
    used = {module.partition(".")[0] for module in imports_of(SOURCES[name])} & own
    assert used <= MAY_IMPORT[package]


def test_core_needs_only_the_standard_library_pytz_and_pyyaml() -> None:
    for name, tree in SOURCES.items():
        if name.startswith("core/"):
            used = {module.partition(".")[0] for module in imports_of(tree)} - {"core"}
            assert used - set(sys.stdlib_module_names) <= CORE_LIBRARIES, name


def test_only_the_time_zone_module_knows_pytz() -> None:
    assert {name for name, tree in SOURCES.items() if "pytz" in set(imports_of(tree))} <= {"core/timezones.py"}


@pytest.mark.parametrize("name", PURE)
def test_pure_modules_touch_nothing(name: str) -> None:
    tree = SOURCES[name]
    assert not {module.partition(".")[0] for module in imports_of(tree)} & IMPURE_MODULES
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            assert called not in IMPURE_NAMES, f"{name}:{node.lineno} calls {called}"


def test_only_the_clock_asks_for_the_time_of_day() -> None:
    for name, tree in SOURCES.items():
        if name in CLOCK_MODULES or name.startswith(("simulator/",)):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in {"now", "utcnow", "today"}:
                owner = ast.unparse(node.value)
                assert owner not in {"datetime", "date", "datetime.datetime"}, f"{name}:{node.lineno}"


def test_sql_lives_in_sql_files_and_ddl_in_migrations() -> None:
    """Text that starts like a statement is SQL, unless it is a docstring."""
    statement = re.compile(r"\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE|ALTER|DROP|TRUNCATE)\s+\S+")
    for name, tree in SOURCES.items():
        if name.startswith("database/"):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not statement.match(node.value), f"{name}:{node.lineno} holds SQL"


def test_broad_excepts_stand_only_where_the_house_allows_them() -> None:
    for name, tree in SOURCES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ExceptHandler):
                caught = ast.unparse(node.type) if node.type else "everything"
                if caught in ("Exception", "BaseException", "everything") and not _only_cleans_up(node):
                    assert name in EXCEPT_EXCEPTION, f"{name}:{node.lineno} catches {caught}"


def _only_cleans_up(handler: ast.ExceptHandler) -> bool:
    """A handler that ends in a bare `raise` swallows nothing."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


@pytest.mark.parametrize("name", SOURCES)
def test_modules_and_functions_stay_small(name: str) -> None:
    length = len((ROOT / name).read_text(encoding="utf-8").splitlines())
    limit = 150 if name == "web_server.py" else 500
    assert length <= limit or name in LARGE_MODULES, f"{length} lines"
    for node in ast.walk(SOURCES[name]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            size = (node.end_lineno or 0) - node.lineno + 1
            assert size <= 50 or f"{name}:{node.name}" in LONG_FUNCTIONS, f"{node.name} has {size} lines"


def test_folders_hold_at_most_twelve_modules() -> None:
    folders: dict[str, int] = {}
    for name in SOURCES:
        folder, _, file = name.rpartition("/")
        if folder and folder != "database" and not folder.startswith("database/migrations") and file != "__init__.py":
            folders[folder] = folders.get(folder, 0) + 1
    assert {folder: count for folder, count in folders.items() if count > MODULES_A_FOLDER} == {}


def test_templates_and_scripts_stay_small() -> None:
    for pattern in ("templates/**/*.html", "static/js/**/*.js", "static/css/**/*.css"):
        for path in ROOT.glob(pattern):
            length = len(path.read_text(encoding="utf-8").splitlines())
            assert length <= 300, f"{path.name} has {length} lines"


def test_every_module_says_what_it_is_for() -> None:
    assert [name for name, tree in SOURCES.items() if not ast.get_docstring(tree)] == []


def test_importing_a_module_starts_nothing() -> None:
    """No thread, connection or file at import time: top-level statements only define."""
    starters = {"start", "connect", "run", "acquire", "serve"}
    for name, tree in SOURCES.items():
        for node in tree.body:
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
                called = getattr(node.value.func, "attr", "")
                assert called not in starters, f"{name}:{node.lineno}"


def test_every_setting_stands_in_the_example_file() -> None:
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    named = [line.partition("=")[0] for line in lines if line and not line.startswith("#")]
    assert sorted(named) == sorted(BY_NAME)
