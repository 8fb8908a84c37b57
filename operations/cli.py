"""`flask alarm`: what is wrong, and whether anybody hears of it."""

from __future__ import annotations

import json
import sys

import click
from flask.cli import AppGroup

from database import alarms
from operations.routes import TEST_BODY, TEST_TITLE, parts

alarm_commands = AppGroup("alarm", help="What is wrong, and whether anybody hears of it.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


@alarm_commands.command("list")
@json_option
def list_alarms(as_json: bool) -> None:
    """What is wrong now, worst first; exit code 1 when something is."""
    with parts().db.transaction() as cur:
        rows = [row._asdict() for row in alarms.list_raised(cur)]
    if as_json:
        click.echo(json.dumps({"alarms": rows}, default=str))
    else:
        for row in rows:
            click.echo(f"{row['severity']:8}  {row['raised_at']:%Y-%m-%d %H:%M}Z  {row['cause']}: {row['detail']}")
    sys.exit(1 if rows else 0)


@alarm_commands.command("test")
@json_option
def test_alarms(as_json: bool) -> None:
    """Send a test message to every address of ALARM_URLS; exit code 1 when one does not take it."""
    found = parts().messenger.try_each(TEST_TITLE, TEST_BODY)
    beat = parts().messenger.beat()
    if as_json:
        click.echo(json.dumps({"addresses": [{"address": name, "taken": ok} for name, ok in found], "heartbeat": beat}))
    else:
        for name, ok in found:
            click.echo(f"{'taken' if ok else 'REFUSED':8} {name}")
        click.echo(
            "No address is set in ALARM_URLS." if not found else f"heartbeat: {'not set' if beat is None else beat}"
        )
    sys.exit(0 if found and all(ok for _, ok in found) and beat is not False else 1)


COMMANDS: tuple[click.Group, ...] = (alarm_commands,)
