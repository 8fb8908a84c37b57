"""`flask db`: migrate, look at and verify the database."""

from __future__ import annotations

import json
import sys

import click
from flask import current_app
from sqlalchemy.engine import make_url

from database import bars, migrate, verify
from database.command_line import Commands, json_option, say
from database.engine import Database

db_commands = Commands("db", help="Migrate and verify the database.")
COMMANDS: tuple[click.Group, ...] = (db_commands,)


def database() -> Database:
    """The database of the current app."""
    db: Database = current_app.extensions["signalbook"].db
    return db


@db_commands.command()
@click.argument("revision", default="head")
@json_option
def upgrade(revision: str, as_json: bool) -> None:
    """Bring the schema up to REVISION (default: the newest)."""
    say({"revision": migrate.upgrade(database(), revision)}, as_json)


@db_commands.command()
@click.argument("revision")
@json_option
def down(revision: str, as_json: bool) -> None:
    """Take the schema down to REVISION; `base` removes every table and its data."""
    say({"revision": migrate.downgrade(database(), revision)}, as_json)


@db_commands.command()
@json_option
def status(as_json: bool) -> None:
    """The revision of the database beside the newest; exit code 1 when they differ."""
    current, head = migrate.current_revision(database()), migrate.head_revision()
    say({"current": current or "none", "newest": head, "up_to_date": current == head}, as_json)
    sys.exit(0 if current == head else 1)


@db_commands.command()
@click.option("--with-password", is_flag=True, help="Print the password too.")
def url(with_password: bool) -> None:
    """The address of the database, for psql and other programs."""
    parts = make_url(database().url).set(drivername="postgresql")
    click.echo(parts.render_as_string(hide_password=not with_password))


@db_commands.command()
@json_option
def hypertable(as_json: bool) -> None:
    """Make the table of bars a TimescaleDB hypertable with compression, rows included; says why not where it cannot."""
    with database().transaction(statement_timeout_ms=0) as cur:
        say({"ohlc_bars": bars.make_hypertable(cur)}, as_json)


@db_commands.command("verify")
@json_option
def verify_command(as_json: bool) -> None:
    """List what the database holds and what is wrong with it; exit code 1 when something is."""
    with database().transaction() as cur:
        report = verify.inspect(cur)
    if as_json:
        click.echo(json.dumps(report, default=str))
    else:
        for line in verify.describe(report):
            click.echo(line)
    sys.exit(1 if report["problems"] else 0)
