"""`flask waves evaluate`: what other parameters would have done."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import timedelta
from typing import cast

import click
from flask import current_app

from database.command_line import Commands, json_option
from waves.evaluation.evaluate import USUAL_VARIANTS, Report, evaluate
from waves.parts import Waves

wave_commands = Commands("waves", help="Judge the parameters of the waves.")
COMMANDS: tuple[click.Group, ...] = (wave_commands,)


@wave_commands.command("evaluate")
@click.option("--days", type=click.IntRange(1, 3650), default=30, show_default=True, help="How far to look back.")
@click.option("--stream", default=None, help="The stream of the trades; the service's own without it.")
@click.option("--set", "variants", multiple=True, metavar="NAME=VALUE,...", help="A variant; may be given again.")
@json_option
def evaluate_command(days: int, stream: str | None, variants: tuple[str, ...], as_json: bool) -> None:
    """Replay stored trades and wave signals under the parameters that held, and under variants of them."""
    found = cast(Waves, current_app.extensions["waves"])
    until = found.clock.now()
    report = evaluate(
        found.db,
        stream=stream or found.settings.stream,
        since=until - timedelta(days=days),
        until=until,
        variants=variants or USUAL_VARIANTS,
    )
    click.echo(json.dumps(asdict(report), default=str) if as_json else _table(report, found.names))


def _table(report: Report, names: dict[int, str]) -> str:
    head = f"{'population':<13}{'exchange':<12}{'parameters':<34}{'trades':>7}{'mean R':>9}  {'95% interval':<18}{'mean %':>8}"
    lines = [head]
    for line in report.lines:
        own = line.figures
        mean, low, high, percent = (
            "—" if value is None else f"{value:+.3f}" for value in (own.mean_r, own.low_r, own.high_r, own.mean_percent)
        )
        exchange = names.get(line.exchange_id, str(line.exchange_id))
        thin = "  too thin" if own.is_thin else ""
        lines.append(
            f"{line.population:<13}{exchange:<12}{line.variant:<34}{own.trades:>7}{mean:>9}  "
            f"{low + ' to ' + high:<18}{percent:>8}{thin}"
        )
    return "\n".join([*lines, "", *report.notes])
