"""`flask pine lint`: does a script keep within TradingView's limits?"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from database.command_line import Commands, json_option
from telemetry.kit.lexical import Slip, find_slips
from telemetry.kit.limits import Outcome, compare

pine_commands = Commands("pine", help="Pine scripts: lint.")


@pine_commands.command("lint")
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--open-trades", type=click.IntRange(0, 500), default=22, show_default=True, help="Trades at once.")
@click.option("--facts", type=click.IntRange(0, 50), default=1, show_default=True, help="One-time facts in each bar.")
@click.option("--bars", type=click.IntRange(1, 10_000), default=60, show_default=True, help="Bars to simulate.")
@json_option
def lint(file: Path | None, open_trades: int, facts: int, bars: int, as_json: bool) -> None:
    """Simulate alerts in three minutes and the longest alert; with FILE, look for slips in that script too.

    The exit code is 1 when FILE has a slip.
    """
    outcomes = compare(open_trades, facts, bars)
    slips = find_slips(file.read_text(encoding="utf-8", errors="replace")) if file else []
    if as_json:
        ways = [asdict(outcome) | {"faults": outcome.faults} for outcome in outcomes]
        click.echo(json.dumps({"open_trades": open_trades, "ways": ways, "slips": [asdict(slip) for slip in slips]}))
    else:
        _print(outcomes, slips)
    if slips:
        raise SystemExit(1)


def _print(outcomes: tuple[Outcome, ...], slips: list[Slip]) -> None:
    click.echo(f"{'way':<26} {'alerts/3 min':>12} {'longest alert':>14} {'update every':>13}  verdict")
    for way in outcomes:
        verdict = "; ".join(way.faults) or "fits"
        wait = f"{way.bars_between_updates} bar(s)"
        click.echo(f"{way.way:<26} {way.alerts_in_window:>12} {way.longest_chars:>14,} {wait:>13}  {verdict}")
    for slip in slips:
        click.echo(f"line {slip.line}: {slip.what}" if slip.line else f"script: {slip.what}")
