"""`flask alarm` and `flask backup`: is something wrong, and could all be had back?"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from database import alarms
from database.command_line import Commands, json_option
from operations.backup import backup
from operations.backup.backup import Outcome
from operations.routes import TEST_BODY, TEST_TITLE, parts

alarm_commands = Commands("alarm", help="What is wrong, and whether anybody hears of it.")


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


backup_commands = Commands("backup", help="Make, prove and restore backups.")
folder_option = click.option(
    "--folder", type=click.Path(file_okay=False, path_type=Path), help="Default: BACKUP_DIR, else DATA_DIR/backups."
)
file_type = click.Path(exists=True, dir_okay=False, path_type=Path)


@backup_commands.command("create")
@folder_option
@json_option
def create_backup(folder: Path | None, as_json: bool) -> None:
    """Write one backup: the whole database as of one instant, and the journal. The service may run."""
    made = backup.create(parts().db, parts().settings.data_dir, _folder(folder), parts().clock.now())
    _say(made, as_json)


@backup_commands.command("verify")
@click.argument("file", type=file_type, required=False)
@folder_option
@json_option
def verify_backup(file: Path | None, folder: Path | None, as_json: bool) -> None:
    """Restore FILE (default: the newest) into a scratch database and compare; exit code 1 when anything differs."""
    found = backup.verify(parts().db, file or backup.newest(_folder(folder)), parts().clock.now())
    _say(found, as_json)
    sys.exit(1 if found.differences else 0)


@backup_commands.command("restore")
@click.argument("file", type=file_type)
@json_option
def restore_backup(file: Path, as_json: bool) -> None:
    """Fill the empty database of the settings from FILE, and put its journal where the next start drains it."""
    found = backup.restore(parts().db, parts().settings.data_dir, file)
    _say(found, as_json)
    sys.exit(1 if found.differences else 0)


@backup_commands.command("list")
@folder_option
@json_option
def list_backups(folder: Path | None, as_json: bool) -> None:
    """The backups of the folder, oldest first."""
    rows = [{"file": str(path), "bytes": path.stat().st_size} for path in backup.list_backups(_folder(folder))]
    if as_json:
        click.echo(json.dumps({"backups": rows}))
        return
    for row in rows:
        click.echo(f"{row['bytes']:>14,}  {row['file']}")


def _folder(given: Path | None) -> Path:
    return given or parts().settings.backup_dir or parts().settings.data_dir / "backups"


def _say(found: Outcome, as_json: bool) -> None:
    said: dict[str, Any] = {
        "file": str(found.path),
        "bytes": found.path.stat().st_size,
        "made_at": found.manifest.made_at.isoformat(),
        "revision": found.manifest.revision,
        "rows": found.rows,
        "journal_segments": found.segments,
        "state_hash": found.manifest.held.state_hash,
        "differences": list(found.differences),
    }
    if as_json:
        click.echo(json.dumps(said))
        return
    for name, value in said.items():
        click.echo(f"{name}: {(', '.join(value) or 'none') if isinstance(value, list) else value}")


COMMANDS: tuple[click.Group, ...] = (alarm_commands, backup_commands)
