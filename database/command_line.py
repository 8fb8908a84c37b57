"""What the commands of every feature share: `--json`, facts as lines, and our errors without a trace."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click

from core.errors import SignalbookError

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


@contextmanager
def plain_errors() -> Iterator[None]:
    """One of our own errors is one line and exit code 1."""
    try:
        yield
    except SignalbookError as error:
        raise click.ClickException(error.message) from error


def say(facts: Mapping[str, Any], as_json: bool) -> None:
    """One JSON object, or a line a fact."""
    if as_json:
        click.echo(json.dumps(facts, default=str))
        return
    for name, value in facts.items():
        click.echo(f"{name}: {', '.join(value) if isinstance(value, list) else value}")
