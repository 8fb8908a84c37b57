"""`flask sync`: run a cycle, print the gap report, look into SIGNAL_CREATED, measure healing, take repairs back."""

from __future__ import annotations

import json
import sys
from typing import Any

import click
from flask import current_app

from database.command_line import Commands, json_option
from hybrid_sync import presenting
from hybrid_sync.cycle import TIERS, run_cycle
from hybrid_sync.healing.calibration import calibrate
from hybrid_sync.parts import Sync
from hybrid_sync.revoking import revoke

sync_commands = Commands("sync", help="Find gaps, fill them, and say how well that goes.")
COMMANDS: tuple[click.Group, ...] = (sync_commands,)

ACTOR = "command line"
EXIT_CODES = {"ok": 0, "warning": 1, "critical": 2}
stream_option = click.option("--stream", default=None, help="One stream; all without it.")


def parts() -> Sync:
    """Hybrid sync on the services of the current app."""
    services = current_app.extensions["signalbook"]
    return Sync(services.settings, services.db, services.clock)


@sync_commands.command("run")
@click.option("--tier", "tiers", type=click.IntRange(0, 4), multiple=True, help="Only this tier; may be given again.")
@click.option("--dry-run", is_flag=True, help="Tell what would be done, and take it back.")
@click.option("--all", "is_all", is_flag=True, help="Look at every signal, however old.")
@json_option
def run_command(tiers: tuple[int, ...], dry_run: bool, is_all: bool, as_json: bool) -> None:
    """Find gaps and fill them from evidence, now; safe to repeat."""
    own = parts()
    now = own.clock.now()
    report = run_cycle(own.db, own.settings, now, tiers=tiers or TIERS, is_dry_run=dry_run, is_all=is_all, actor=ACTOR)
    told = report.as_json()
    if as_json:
        click.echo(json.dumps(told))
        return
    click.echo(f"Gaps before:        {told['gaps_before']}")
    click.echo(f"Signals attempted:  {told['attempted']} of {told['scanned']}")
    for kind, count in sorted(told["fills"].items()):
        click.echo(f"  {kind:<30}{count:>7}")
    click.echo(f"  {'minutes healed':<30}{told['minutes_healed']:>7}")
    click.echo(f"Gaps after:         {told['gaps_after']}")
    before, after = told["health_before"], told["health_after"]
    click.echo(f"Health:             {_or_dash(before)} -> {_or_dash(after)}  (improvement {told['improvement']:+d})")
    if dry_run:
        click.echo("Dry run: nothing was written.")


@sync_commands.command("status")
@stream_option
@json_option
def status_command(stream: str | None, as_json: bool) -> None:
    """The gap report; exit code 0 when all is well, 1 for a warning, 2 when critical."""
    own = parts()
    with own.db.transaction() as cur:
        found = presenting.status_of(cur, own.clock.now(), stream)
    if as_json:
        click.echo(json.dumps(found))
    else:
        _say_status(found)
    sys.exit(EXIT_CODES[found["severity"]])


def _say_status(found: dict[str, Any]) -> None:
    thresholds, targets = found["thresholds"], found["targets"]
    gaps, scores = thresholds["gaps"], thresholds["score"]
    click.echo(f"Severity:      {found['severity']}")
    click.echo(
        f"Health score:  {_or_dash(found['health_score'])} over {found['signals']} signals"
        f"  (target > {targets['health_score']}, warning < {scores['warning']}, critical < {scores['critical']})"
    )
    click.echo(
        f"Open gaps:     {found['open_gaps']}, of the nine classic types {found['open_gaps_classic']}"
        f"  (target < {targets['open_gaps']}, warning > {gaps['warning']}, critical > {gaps['critical']})"
    )
    for gap, count in found["by_type"].items():
        click.echo(f"  {gap:<24}{count['total']:>7}   oldest {count['oldest_at'][:16]}")
    click.echo(f"Missing MFE minutes: {found['missing_minutes']}")
    lasting = [outage for outage in found["outages"] if outage["ends_at"] is None]
    for outage in lasting:
        click.echo(f"Outage: {outage['kind']} {outage['detail']} since {outage['starts_at'][:16]} ({outage['stream']})")
    cycle = found["last_cycle"]
    click.echo(f"Last cycle:    {cycle['started_at'][:19] if cycle else 'none yet'}")


@sync_commands.command("check-created")
@stream_option
@json_option
def check_created_command(stream: str | None, as_json: bool) -> None:
    """How many SIGNAL_CREATED events there are, what they bring, and what lacks them."""
    with parts().db.transaction() as cur:
        found = presenting.created_of(cur, stream)
    if as_json:
        click.echo(json.dumps(found))
        return
    for name, value in found.items():
        click.echo(f"{name.replace('_', ' '):<28}{value:>8}")
    if not found["created"]:
        click.echo("No SIGNAL_CREATED event has ever come: let the script send them, or import its alert log.")


@sync_commands.command("calibrate")
@json_option
def calibrate_command(as_json: bool) -> None:
    """Hide known values, heal them, and store how well that works; runs every night by itself."""
    own = parts()
    counts = calibrate(own.db, own.settings, own.clock.now())
    click.echo(json.dumps(counts) if as_json else f"{counts['values']} values of {counts['trades']} trades measured.")


@sync_commands.command("revoke")
@click.argument("trade_id")
@click.option("--stream", default="main", show_default=True, help="The stream of the signal.")
@click.option("--id", "ids", type=click.IntRange(1), multiple=True, help="Only this repair; may be given again.")
@json_option
def revoke_command(trade_id: str, stream: str, ids: tuple[int, ...], as_json: bool) -> None:
    """Take the repairs of TRADE_ID back; they are not made again."""
    own = parts()
    count = revoke(own.db, stream, trade_id, now=own.clock.now(), actor=ACTOR, ids=list(ids) or None)
    click.echo(json.dumps({"revoked": count}) if as_json else f"{count} repairs of {trade_id} are revoked.")


def _or_dash(score: int | None) -> str:
    return "—" if score is None else str(score)
