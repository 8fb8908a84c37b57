"""`flask token`, `flask alerts`, `flask signals`, `flask deliveries`: the operator's side of deliveries and signals."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import click
from flask import current_app

from database import api_tokens, operator_actions, tokens
from database.command_line import Commands, json_option, say
from database.engine import Cursor
from database.users import ROLES
from telemetry.backfill import DEFAULT_LIMIT, backfill_telemetry_from_automated_signals
from telemetry.history.alert_import import import_logs
from telemetry.history.alert_log import is_capped, parse_alert_log
from telemetry.history.rebuild import rebuild, replay_quarantined
from telemetry.kit.cli import pine_commands
from telemetry.parts import Telemetry

token_commands = Commands("token", help="Tokens of the webhook and of the API: create, rotate, revoke, list.")
alerts_commands = Commands("alerts", help="Import TradingView's alert logs.")
signals_commands = Commands("signals", help="Derive signals anew from their deliveries.")
deliveries_commands = Commands("deliveries", help="Look after what was not understood.")
backfill_commands = Commands("backfill", help="Fill in what can be made from what is there.")
COMMANDS: tuple[click.Group, ...] = (
    token_commands,
    alerts_commands,
    signals_commands,
    deliveries_commands,
    backfill_commands,
    pine_commands,
)

stream_option = click.option("--stream", default="main", show_default=True, help="The stream of the script.")


def parts() -> Telemetry:
    """The telemetry parts of the current app."""
    return cast(Telemetry, current_app.extensions["telemetry"])


@token_commands.command("create")
@click.option("--stream", help="A webhook token for the stream of a script; main when --role is not given either.")
@click.option("--role", type=click.Choice(ROLES), help="An API token that may do what a login of this role may.")
@click.option("--name", help="Who will use the API token; its role when not given.")
@json_option
def create(stream: str | None, role: str | None, name: str | None, as_json: bool) -> None:
    """Make one more token, for the webhook (--stream) or the API (--role), and print it once."""
    if role is None and name is not None:
        raise click.UsageError("--name goes with --role")
    if role is not None and stream is not None:
        raise click.UsageError("--stream makes a webhook token, --role an API token: give one of them")
    token = tokens.new_token()
    with parts().db.transaction() as cur:
        if role is not None:
            given = {"role": role, "name": name or role}
            token_id = api_tokens.add_token(cur, token=token, **given, created_by="command line")
        else:
            tokens.add_token(cur, token=token, stream=stream or "main", created_by="command line")
        _note(cur, "create", kind="webhook" if role is None else "api", stream=stream, role=role, name=name)
    if role is not None:
        _say_once({"id": token_id, **given, "token": token}, as_json)
    else:
        _say_token(stream or "main", token, as_json)


@token_commands.command("rotate")
@stream_option
@click.option("--overlap-hours", type=click.FloatRange(0, 720), default=24.0, show_default=True)
@json_option
def rotate(stream: str, overlap_hours: float, as_json: bool) -> None:
    """Make a new token and let the stream's older ones end after the overlap."""
    end = parts().clock.now() + timedelta(hours=overlap_hours)
    with parts().db.transaction() as cur:
        token = tokens.rotate_token(cur, stream=stream, created_by="command line", old_expires_at=end)
        _note(cur, "rotate", stream=stream, overlap_hours=overlap_hours)
    _say_token(stream, token, as_json)


@token_commands.command("revoke")
@click.argument("token_id", type=int)
@click.option("--kind", type=click.Choice(["webhook", "api"]), default="webhook", show_default=True)
def revoke(token_id: int, kind: str) -> None:
    """End the token of this kind with this id (see `flask token list`) at once."""
    revoke_it = api_tokens.revoke_token if kind == "api" else tokens.revoke_token
    with parts().db.transaction() as cur:
        revoke_it(cur, token_id=token_id, now=parts().clock.now())
        _note(cur, "revoke", kind=kind, id=token_id)
    click.echo(f"Token {token_id} is revoked.")


def _note(cur: Cursor, command: str, **arguments: Any) -> None:
    operator_actions.add_command(cur, f"token {command}", parts().clock.now(), **arguments)


@token_commands.command("list")
@json_option
def list_tokens(as_json: bool) -> None:
    """Every token of both kinds by its last four characters."""
    with parts().db.transaction() as cur:
        rows = [{"kind": "webhook", **row._asdict()} for row in tokens.list_tokens(cur)]
        rows += [{"kind": "api", **row._asdict()} for row in api_tokens.list_tokens(cur)]
    if as_json:
        click.echo(json.dumps(rows, default=str))
        return
    for row in rows:
        state = "revoked" if row["revoked_at"] else f"expires {row['expires_at']}" if row.get("expires_at") else "valid"
        whose = row["stream"] if row["kind"] == "webhook" else f"{row['name']} ({row['role']})"
        made = f"{row['created_at']:%Y-%m-%d}"
        click.echo(f"{row['kind']:7}  {row['id']:5}  ...{row['token_end']}  {whose:24}  {made}  {state}")


@alerts_commands.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@stream_option
@json_option
def import_files(files: tuple[Path, ...], stream: str, as_json: bool) -> None:
    """Add what is missing from TradingView's alert-log CSV FILES; safe to run twice, files may overlap."""
    logs = [parse_alert_log(path.read_bytes()) for path in files]
    with click.progressbar(length=sum(map(len, logs)), label="Importing", hidden=as_json) as bar:
        report = import_logs(parts().db, logs, stream=stream, is_token=parts().door.is_known, on_progress=bar.update)
    capped = [path.name for path, log in zip(files, logs, strict=True) if is_capped(log)]
    say({**asdict(report), "capped": capped}, as_json)
    if capped and not as_json:
        click.echo(
            "TradingView exports at most 2,000 rows; export the days before these files begin as well.", err=True
        )


@signals_commands.command("rebuild")
@click.option("--verify", is_flag=True, help="Only compare: change nothing, exit code 1 when they differ.")
@json_option
def rebuild_signals(verify: bool, as_json: bool) -> None:
    """Fold every delivery anew; alerts that arrive meanwhile wait in the journal."""
    report = rebuild(parts().db, is_dry_run=verify)
    say(
        {
            "deliveries": report.deliveries,
            "events": report.events,
            "signals": report.signals,
            "hash_before": report.hash_before,
            "hash_after": report.hash_after,
            "unchanged": report.is_unchanged,
        },
        as_json,
    )
    sys.exit(1 if verify and not report.is_unchanged else 0)


@deliveries_commands.command("replay")
@click.argument("delivery_ids", nargs=-1, type=int)
@json_option
def replay(delivery_ids: tuple[int, ...], as_json: bool) -> None:
    """Try again to understand quarantined deliveries: these ids, or all."""
    say(replay_quarantined(parts().db, delivery_ids or None), as_json)


@backfill_commands.command("telemetry")
@click.option("--limit", type=int, default=DEFAULT_LIMIT, show_default=True, help="How many events, 1 to 5000.")
@json_option
def backfill_telemetry(limit: int, as_json: bool) -> None:
    """Give events that came without a delivery their row in the delivery log; repeat it for the next ones."""
    report = backfill_telemetry_from_automated_signals(limit, db=parts().db)
    if not report["success"] and not as_json:
        raise click.ClickException(str(report["error"]))
    say(report, as_json)
    sys.exit(0 if report["success"] else 1)


def _say_token(stream: str, token: str, as_json: bool) -> None:
    path = f"/api/automated-signals/webhook/{token}"
    base = parts().settings.public_url or ""
    _say_once({"stream": stream, "token": token, "webhook": base + path}, as_json)


def _say_once(result: dict[str, Any], as_json: bool) -> None:
    say(result, as_json)
    if not as_json:
        click.echo("This is shown only once.")
