"""`flask analysis`: analyse now, or begin anew."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import cast

import click
from flask import current_app

from analysis import series
from analysis.coordination.coordinator import coordinate
from analysis.parts import Analysis
from core.records import Timeframe
from core.timezones import require_aware, to_utc
from database import analysis as store
from database.analysis import END
from database.command_line import Commands, json_option, say

analysis_commands = Commands("analysis", help="Analyse bars, or begin anew.")


class Instant(click.ParamType[datetime]):
    """A day, or an ISO instant with an offset."""

    name = "instant"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The instant in UTC; a day counts from 00:00 UTC."""
        if isinstance(value, datetime):
            return value
        text = str(value)
        try:
            return to_utc(require_aware(datetime.fromisoformat(f"{text}T00:00+00:00" if len(text) == 10 else text)))
        except ValueError:
            self.fail(f"{text!r} is no day (2025-05-13) and no instant with an offset", param, ctx)


def parts() -> Analysis:
    """The analysis parts of the current app."""
    return cast(Analysis, current_app.extensions["analysis"])


@analysis_commands.command("run")
@click.option("--from", "start", type=Instant(), help="Read each series again from this bar on; default: go on.")
@click.option("--to", "end", type=Instant(), help="Stop before this bar; the service goes on from there.")
@json_option
def run_command(start: datetime | None, end: datetime | None, as_json: bool) -> None:
    """Analyse every series of bars now. Safe to stop and to repeat, also while the service runs."""
    told = parts()
    signals = taken_back = decisions = 0
    with told.db.transaction() as cur:
        found = store.list_series(cur)
    with click.progressbar(found, label="series", file=sys.stderr, hidden=as_json) as progress:
        for contract_id, timeframe in progress:
            if start is not None:
                with told.db.transaction() as cur:
                    store.note_change(cur, contract_id, timeframe, start)
            is_done = False
            while not is_done:
                done = series.advance(told.db, contract_id, timeframe, told.plan.watches, until=end or END)
                signals, taken_back, is_done = signals + done.stored, taken_back + done.taken_back, done.is_done
    is_done = False
    while not is_done:
        decided = coordinate(told.db, told.plan.rules)
        decisions, is_done = decisions + decided.stored, decided.is_done
    say({"series": len(found), "signals": signals, "taken_back": taken_back, "coordinated": decisions}, as_json)


@analysis_commands.command("reset")
@click.argument("analyzer")
@json_option
def reset_command(analyzer: str, as_json: bool) -> None:
    """Forget all that ANALYZER has found, coordinated signals on it included; `run` or the service finds it anew."""
    told = parts()
    signals = 0
    with told.db.transaction() as cur:
        watched = store.list_watched(cur, analyzer)
    if not watched and analyzer not in {watch.analyzer_id for watch in told.plan.watches}:
        raise click.ClickException(f"no analyzer is called {analyzer}")
    with click.progressbar(watched, label="series", file=sys.stderr, hidden=as_json) as progress:
        for each in progress:
            with told.db.transaction(statement_timeout_ms=series.LONG_MS) as cur:
                signals += store.reset_series(cur, each)
                store.note_change(cur, each.contract_id, Timeframe.parse(each.timeframe), END)
    say({"analyzer": analyzer, "series": len(watched), "signals": signals}, as_json)
