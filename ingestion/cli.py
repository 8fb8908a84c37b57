"""`flask bars`: import, fill and check bars."""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import click
from flask import current_app

from core.records import Bar, Timeframe, buckets_between, values_of
from core.trading_calendar import cme_equity_calendar
from database import bars
from database.bars import Contract
from database.command_line import Commands, json_option
from ingestion.bars.files import parse_bars
from ingestion.bars.roll_up import roll_up
from ingestion.gateway.history import fill_series, follow
from ingestion.parts import MarketData

AT_ONCE = 5_000
bars_commands = Commands("bars", help="Import, fill and check bars.")
COMMANDS: tuple[click.Group, ...] = (bars_commands,)


def parts() -> MarketData:
    """The market data parts of the current app."""
    return cast(MarketData, current_app.extensions["market_data"])


@bars_commands.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
def import_command(file: Path, as_json: bool) -> None:
    """Store the bars of a CSV FILE; what is better known stays. All of it or, if a row is wrong, nothing."""
    with file.open(newline="", encoding="utf-8") as lines:
        found = list(parse_bars(lines))
        changed = 0
        with _progress(found, "bars", as_json) as progress, parts().db.transaction(statement_timeout_ms=0) as cur:
            for start in range(0, len(found), AT_ONCE):
                changed += bars.upsert_bars(cur, found[start : start + AT_ONCE])
                progress.update(min(AT_ONCE, len(found) - start))
    _say({"bars": len(found), "changed": changed}, as_json)


@bars_commands.command("fill")
@click.option("--contract", "names", multiple=True, help="Id or root (MNQ); default: MARKET_CONTRACTS. Repeatable.")
@click.option("--timeframe", "frames", multiple=True, help="1m, 4h ...; default: all of the contract. Repeatable.")
@click.option("--days", type=click.IntRange(1, 1_900), help="How far back; default: by timeframe.")
@json_option
def fill_command(names: tuple[str, ...], frames: tuple[str, ...], days: int | None, as_json: bool) -> None:
    """Get what is missing from the gateway's history. May be stopped and repeated; it goes on where it was."""
    settings, client = parts().settings, parts().client()
    wanted = {name: settings.contracts.get(name, settings.market_timeframes) for name in names} or settings.contracts
    contracts = zip(follow(parts().db, client, list(wanted)), wanted.values(), strict=True)
    chosen = [
        (contract, frame) for contract, own in contracts for frame in (map(Timeframe.parse, frames) if frames else own)
    ]
    rows: list[dict[str, Any]] = []
    with _progress(chosen, "series", as_json) as progress:
        for contract, frame in chosen:
            depth = timedelta(days=days) if days else None
            now = parts().clock.now()
            filled = fill_series(parts().db, client, contract.contract_id, frame, now, depth=depth)
            rows.append({"series": f"{contract.contract_id} {frame}", "bars": filled.bars, "changed": filled.changed})
            progress.update(1)
    client.close()
    _say({"filled": rows}, as_json)


@bars_commands.command("check")
@click.option("--days", type=click.IntRange(1, 400), default=7, show_default=True, help="How far back.")
@click.option("--gateway", "ask_gateway", is_flag=True, help="Compare with the gateway's history, too.")
@json_option
def check_command(days: int, ask_gateway: bool, as_json: bool) -> None:
    """Compare stored bars with the roll-up of the smallest timeframe and with the gateway; exit code 1 when they differ."""
    found: list[dict[str, Any]] = []
    with parts().db.transaction() as cur:
        contracts = bars.list_contracts(cur)
        series = bars.list_series(cur)
    for contract in contracts:
        held = {Timeframe(row.timeframe_unit, row.timeframe_value) for row in series
                if row.contract_id == contract.contract_id}  # fmt: skip
        found += _check_contract(contract, sorted(held), days, ask_gateway)
    _say({"differences": found, "count": len(found)}, as_json)
    sys.exit(1 if found else 0)


def _check_contract(contract: Contract, frames: list[Timeframe], days: int, ask_gateway: bool) -> list[dict[str, Any]]:
    """Differences of one contract: stored against rolled up, and against the gateway."""
    now, calendar = parts().clock.now(), cme_equity_calendar()
    start, found = now - timedelta(days=days), []
    with parts().db.transaction(statement_timeout_ms=120_000) as cur:
        stored = {
            frame: {bar.starts_at: bar for bar in bars.list_bars_between(cur, contract.contract_id, frame, start, now)}
            for frame in frames
        }
    base = list(stored[frames[0]].values()) if frames else []
    for frame in frames[1:]:
        whole = {
            bucket.starts_at for bucket in buckets_between(start, now, frame, calendar) if bucket.opens_at >= start
        }
        rolled = {bar.starts_at: bar for bar in roll_up(base, frame, calendar) if bar.starts_at in whole}
        found += _differences(contract, frame, "roll-up", stored[frame], rolled)
    if ask_gateway:
        client = parts().client()
        for frame in frames:
            theirs = {bar.starts_at: bar for bar in client.bars(contract.contract_id, frame, start, now)}
            found += _differences(contract, frame, "gateway", stored[frame], theirs)
        client.close()
    return found


def _differences(
    contract: Contract, frame: Timeframe, what: str, stored: dict[Any, Bar], other: dict[Any, Bar]
) -> list[dict[str, Any]]:
    """Bars that both have and that differ."""
    return [
        {"contract": contract.contract_id, "timeframe": str(frame), "against": what, "starts_at": at.isoformat()}
        for at in sorted(other)
        if at in stored and values_of(stored[at]) != values_of(other[at])
    ]


def _progress(items: list[Any], label: str, as_json: bool) -> Any:
    """A bar that moves on a terminal and is silent elsewhere."""
    return click.progressbar(length=len(items), label=label, file=sys.stderr, hidden=as_json)


def _say(result: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(result, default=str))
        return
    for name, value in result.items():
        lines = value if isinstance(value, list) else [value]
        for line in lines:
            click.echo(" ".join(map(str, line.values())) if isinstance(line, dict) else f"{name}: {line}")
