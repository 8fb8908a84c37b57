"""`flask export`: signals for spreadsheets, rows to learn from, evidence to keep."""

from __future__ import annotations

import csv
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import IO, Any

import click
from flask import current_app

from core.timezones import day_bounds
from database import exports
from database.command_line import Commands
from database.csv_text import cell
from operations.export import evidence, parquet, tables
from operations.routes import parts

export_commands = Commands("export", help="Signals as files.")
output_option = click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="Default: standard output."
)
format_option = click.option(
    "--format", "kind", type=click.Choice(["csv", "parquet"]), default="csv", show_default=True,
    help="Parquet needs --output, and pyarrow: requirements-parquet.txt.",
)  # fmt: skip
stream_option = click.option("--stream", default=None, help="One stream; without it, every one.")
since_option = click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="First day, New York.")
until_option = click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="Last day, New York.")


@export_commands.command("signals")
@stream_option
@since_option
@until_option
@format_option
@output_option
def export_signals(
    stream: str | None, since: datetime | None, until: datetime | None, kind: str, output: Path | None
) -> None:
    """Every column of every signal, one row a signal."""
    rows = (tables.signal_row(state) for page in _pages(stream, since, until) for state in page)
    _write(tables.SIGNAL_COLUMNS, rows, kind, output)


@export_commands.command("training")
@stream_option
@since_option
@until_option
@format_option
@output_option
def export_training(
    stream: str | None, since: datetime | None, until: datetime | None, kind: str, output: Path | None
) -> None:
    """What was known when each trade was entered and what came of both legs, one row a trade. No look-ahead."""

    def rows() -> Iterator[list[Any]]:
        with parts().db.transaction(statement_timeout_ms=0) as cur:
            for page in exports.list_signals(cur, stream=stream, since=_start(since), until=_end(until)):
                openings = exports.list_openings(cur, [(state.stream, state.trade_id) for state in page])
                for state in page:
                    row = tables.training_row(state, openings[state.stream, state.trade_id])
                    if row is not None:
                        yield row

    _write(tables.TRAINING_COLUMNS, rows(), kind, output)


@export_commands.command("evidence")
@click.option("--trade", "trade_id", help="One signal by its trade id.")
@click.option("--week", help="Every signal of an ISO week in New York, as 2025-W50.")
@stream_option
@output_option
def export_evidence(trade_id: str | None, week: str | None, stream: str | None, output: Path | None) -> None:
    """Bytes, events, chart, repairs and hashes as one HTML file that opens without a network."""
    if (trade_id is None) == (week is None):
        raise click.UsageError("Name one of --trade and --week.")
    with parts().db.transaction(statement_timeout_ms=0) as cur:
        found = evidence.of_span(cur, *_week(week), stream) if week else evidence.of_signal(cur, trade_id or "", stream)
    # Without the pages' context, which belongs to a request.
    page = current_app.jinja_env.get_template("evidence.html").render(
        title=trade_id or week,
        signals=found,
        values=evidence.VALUES,
        made_at=parts().clock.now(),
    )
    with _target(output) as target:
        target.write(page)


def _week(text: str) -> tuple[datetime, datetime]:
    """[Monday, next Monday) in New York."""
    found = re.fullmatch(r"(\d{4})-W(\d{2})", text)
    try:
        monday = date.fromisocalendar(int(found[1]), int(found[2]), 1) if found else None
    except ValueError:
        monday = None
    if monday is None:
        raise click.UsageError("--week must look like 2025-W50.")
    return day_bounds(monday)[0], day_bounds(monday + timedelta(days=7))[0]


def _pages(stream: str | None, since: datetime | None, until: datetime | None) -> Iterator[list[Any]]:
    with parts().db.transaction(statement_timeout_ms=0) as cur:
        yield from exports.list_signals(cur, stream=stream, since=_start(since), until=_end(until))


def _start(day: datetime | None) -> datetime | None:
    return day_bounds(day.date())[0] if day else None


def _end(day: datetime | None) -> datetime | None:
    return day_bounds(day.date())[1] if day else None


def _write(columns: Sequence[str], rows: Iterable[Sequence[Any]], kind: str, output: Path | None) -> None:
    if kind == "parquet":
        _write_parquet(columns, rows, output)
        return
    with _target(output) as target:
        writer = csv.writer(target)
        writer.writerow(columns)
        for row in rows:
            writer.writerow([cell(value) for value in row])


def _write_parquet(columns: Sequence[str], rows: Iterable[Sequence[Any]], output: Path | None) -> None:
    if output is None:
        raise click.UsageError("Parquet is no text: name a file with --output.")
    parquet.check()
    with _private(output, "wb") as target:
        parquet.write(columns, rows, target)


@contextmanager
def _target(output: Path | None) -> Iterator[IO[str]]:
    """Standard output, or a file that others may not read."""
    if output is None:
        yield sys.stdout
        return
    with _private(output, "w", encoding="utf-8", newline="") as file:
        yield file


@contextmanager
def _private(output: Path, mode: str, **options: Any) -> Iterator[IO[Any]]:
    """A file that others may not read, under its name once it is whole: a failed export leaves the one before it."""
    path = output.resolve()
    if path.exists() and not path.is_file():  # /dev/null, a pipe: nothing to put another in the place of
        with path.open(mode, **options) as file:
            yield file
        return
    try:
        handle, unfinished = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    except OSError as error:
        raise click.FileError(str(output), error.strerror) from error
    try:
        with os.fdopen(handle, mode, **options) as file:
            yield file
        os.replace(unfinished, path)
    except BaseException:
        os.unlink(unfinished)
        raise


COMMANDS: tuple[click.Group, ...] = (export_commands,)
