"""Commands that cannot do their work say why in one line."""

from __future__ import annotations

from dataclasses import replace

import click
import pytest
from flask_openapi3 import OpenAPI

from core.settings import Settings
from database import engine
from database.command_line import Commands
from database.engine import Database
from web_server import create_app

NOT_OURS = {"routes", "run", "shell", "openapi", "doctor"}


@pytest.mark.parametrize(
    "command",
    [
        *(
            "signals rebuild --verify",
            "deliveries replay",
            "backfill telemetry",
            "token list",
            "user list",
            "db verify",
        ),
        *("db upgrade", "sync run", "sync calibrate", "analysis run", "waves evaluate", "bars check", "alarm list"),
    ],
)
def test_a_command_whose_database_is_away_says_so_in_one_line(command: str, settings: Settings) -> None:
    app = create_app(settings, Database("postgresql://nobody@127.0.0.1:1/nothing"))
    ended = app.test_cli_runner().invoke(args=command.split())
    assert (ended.exit_code, ended.output) == (1, "Error: The database cannot be reached.\n")


def test_a_command_that_waits_too_long_for_others_says_so_in_one_line(
    app: OpenAPI, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = engine.set_session.__kwdefaults__ | {"lock_timeout_ms": 50}
    monkeypatch.setattr(engine.set_session, "__kwdefaults__", limits)
    with db.transaction() as cur:
        cur.execute("LOCK TABLE automated_signals IN ROW EXCLUSIVE MODE")
        ended = app.test_cli_runner().invoke(args=["signals", "rebuild"])
    said = "The database was busy for too long; try again: canceling statement due to lock timeout"
    assert (ended.exit_code, ended.output) == (1, f"Error: {said}\n")


def test_a_worker_has_every_command_too(app: OpenAPI, settings: Settings, db: Database) -> None:
    assert create_app(replace(settings, role="worker"), db).cli.commands.keys() == app.cli.commands.keys()


def test_every_group_of_commands_is_told_so(app: OpenAPI) -> None:
    groups = {name: group for name, group in app.cli.commands.items() if name not in NOT_OURS}
    assert [name for name, group in groups.items() if not isinstance(group, Commands)] == []
    assert all(isinstance(group, click.Group) and group.help for group in groups.values())
