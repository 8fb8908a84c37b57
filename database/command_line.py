"""What the commands of every feature share: `--json`, facts as lines, and our errors without a trace."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click
from flask.cli import AppGroup

from core.errors import SignalbookError
from database.engine import GIVEN_UP

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


class Commands(AppGroup):
    """A group of commands in which one of our own errors, and a busy database, is one line and exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SignalbookError as error:
            raise click.ClickException(error.message) from error
        except GIVEN_UP as error:
            raise click.ClickException(
                f"The database was busy for too long; try again: {error.diag.message_primary}"
            ) from error


def say(facts: Mapping[str, Any], as_json: bool) -> None:
    """One JSON object, or a line a fact."""
    if as_json:
        click.echo(json.dumps(facts, default=str))
        return
    for name, value in facts.items():
        click.echo(f"{name}: {', '.join(value) if isinstance(value, list) else value}")
